"""Every verb from every state, with the database, as API, console and actors call them."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fleet.models import Drone
from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import (
    MISSION_STEPS,
    TERMINAL,
    WITH_A_JOB,
    CancelReason,
    EventType,
    Happened,
    JobStatus,
    Status,
    before,
)
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import GCS, Actor, ActorKind
from wingxtra.problems import Conflict, NotFound

pytestmark = pytest.mark.django_db

OPS = Actor(ActorKind.USER, "ops")
REFUSED = "refused"


def in_an_hour() -> dict[str, object]:
    return {"not_before": None, "deliver_by": timezone.now() + timedelta(hours=1)}


def tomorrow() -> dict[str, object]:
    start = timezone.now() + timedelta(days=1)
    return {"not_before": start, "deliver_by": start + timedelta(hours=1)}


def ended(how: JobStatus, max_attempts: int) -> Callable[[Order, Drone], Order]:
    return lambda order, drone: lifecycle.mission_over(
        order.pk, ended=how, by=GCS, why="Wind.", max_attempts=max_attempts
    )


def reported(status: Status) -> Callable[[Order, Drone], Order]:
    return lambda order, drone: lifecycle.advance(order.pk, status, by=GCS).order


VERBS: dict[str, Callable[[Order, Drone], Order]] = {
    "assign": lambda order, drone: lifecycle.assign(order.pk, drone.pk, by=OPS, why="Free."),
    "reassign": lambda order, drone: lifecycle.reassign(order.pk, drone.pk, by=OPS, why="Fuller."),
    "requeue": lambda order, drone: lifecycle.requeue(order.pk, by=OPS, why="Refused."),
    "reschedule": lambda order, drone: lifecycle.reschedule(order.pk, by=OPS, **in_an_hour()),
    "postpone": lambda order, drone: lifecycle.reschedule(order.pk, by=OPS, **tomorrow()),
    "cancel": lambda order, drone: lifecycle.cancel(order.pk, by=OPS, reason=CancelReason.WEATHER),
    "fail": ended(JobStatus.FAILED, max_attempts=1),
    "abort": ended(JobStatus.ABORTED, max_attempts=1),
    "try again": ended(JobStatus.FAILED, max_attempts=9),
    **{f"report {status}": reported(status) for status in MISSION_STEPS},
}
EARLY = (Status.CREATED, Status.VALIDATED, Status.QUEUED)


def expected(verb: str, status: Status) -> str:
    """The status that the verb leads to, according to the product description."""
    on_a_mission = status in WITH_A_JOB and status != Status.ASSIGNED
    match verb:
        case "assign":
            return Status.ASSIGNED if status == Status.QUEUED else REFUSED
        case "reassign":
            return Status.ASSIGNED if status == Status.ASSIGNED else REFUSED
        case "requeue" | "try again":
            return Status.QUEUED if status == Status.ASSIGNED or on_a_mission else REFUSED
        case "reschedule":
            return Status.QUEUED if status in (*EARLY[1:], Status.ASSIGNED) else REFUSED
        case "postpone":
            return Status.VALIDATED if status in (*EARLY[1:], Status.ASSIGNED) else REFUSED
        case "cancel":
            early = (*EARLY, Status.ASSIGNED, Status.MISSION_SUBMITTED, Status.CANCELED)
            return Status.CANCELED if status in early else REFUSED
        case "fail" | "abort":
            if status in (Status.ARRIVED, Status.DELIVERING):
                return Status.QUEUED  # on hold, because the parcel is aboard
            end = Status.FAILED if verb == "fail" else Status.ABORTED
            return end if status == Status.ASSIGNED or on_a_mission else REFUSED
    report = Status(verb.removeprefix("report "))
    if status in EARLY:
        return REFUSED
    if status in TERMINAL:
        return status
    return report if before(status, report) else status


@pytest.mark.parametrize("status", Status)
def test_every_verb_from_every_state(status: Status) -> None:
    order, spare = order_in(status), DroneFactory()
    outcome = {}
    for verb, use in VERBS.items():
        with transaction.atomic():
            before = kept(order)
            outcome[verb] = use_verb(use, order, spare)
            if outcome[verb] == REFUSED:
                assert kept(order) == before, f"{verb} was refused and changed something"
            transaction.set_rollback(True)
    assert outcome == {verb: expected(verb, status) for verb in VERBS}


@pytest.mark.parametrize("to", [to for to in Status if to not in MISSION_STEPS])
def test_a_report_to_a_status_outside_a_mission_changes_nothing_and_says_so(to: Status) -> None:
    order = order_in(Status.ENROUTE)
    unchanged = kept(order)
    advance = lifecycle.advance(order.pk, to, by=GCS)
    assert (advance.applied, kept(order)) == ([], unchanged)
    is_past = before(to, Status.ENROUTE)
    assert ("is ENROUTE already" if is_past else f"leads from ENROUTE to {to}") in advance.note


def use_verb(use: Callable[[Order, Drone], Order], order: Order, spare: Drone) -> str:
    """The status that the verb leads to, in memory and in the database, or REFUSED."""
    try:
        changed = use(order, spare)
    except lifecycle.Refused as refusal:
        return REFUSED if refusal.extra == {"current_status": order.status} else str(refusal.extra)
    stored = Order.objects.get(pk=order.pk)
    assert stored.status == changed.status
    assert_job_fits(stored)
    return stored.status


def kept(order: Order) -> dict[str, list[dict[str, object]]]:
    """All rows of an order."""
    return {
        "order": list(Order.objects.filter(pk=order.pk).values()),
        "jobs": list(DeliveryJob.objects.filter(order=order).order_by("attempt").values()),
        "events": list(DeliveryEvent.objects.filter(order=order).values()),
    }


def assert_job_fits(order: Order) -> None:
    """An order has an active job in the statuses WITH_A_JOB only."""
    active = list(DeliveryJob.objects.active().filter(order=order))
    assert bool(active) == (order.status in WITH_A_JOB)
    if active:
        assert [order.current_job_id] == [job.pk for job in active]


def types_of(order: Order) -> list[str]:
    return list(DeliveryEvent.objects.filter(order=order).values_list("type", flat=True))


# --- rows that verbs write -----------------------------------------------------------------------


def test_a_placed_order_is_checked_and_queued_at_once() -> None:
    order = OrderFactory()
    assert order.status == Status.QUEUED
    assert types_of(order) == ["CREATED", "VALIDATED", "QUEUED"]


def test_a_scheduled_order_waits_until_it_is_due() -> None:
    order = order_in(Status.VALIDATED)
    assert order.not_before is not None
    assert lifecycle.enqueue_due(order.not_before - timedelta(seconds=1)) == 0
    assert lifecycle.enqueue_due(order.not_before) == 1
    assert lifecycle.enqueue_due(order.not_before) == 0
    assert Order.objects.get(pk=order.pk).status == Status.QUEUED
    assert types_of(order) == ["CREATED", "VALIDATED", "QUEUED"]


def test_a_report_that_skips_steps_takes_every_step_in_between() -> None:
    order = order_in(Status.ASSIGNED)
    advance = lifecycle.advance(order.pk, Status.ARRIVED, by=GCS, message="Over the roof.")
    steps = [
        EventType.MISSION_SUBMITTED,
        EventType.LAUNCHED,
        EventType.ENROUTE,
        EventType.ARRIVED,
    ]
    assert advance.applied == steps
    # No pickup was reported, but the drone is at the door.
    types = [*steps, EventType.PARCEL_LOADED]
    events = DeliveryEvent.objects.filter(order=order, type__in=types)
    assert [event.payload.get("inferred", False) for event in events] == [True] * 4 + [False]
    assert events.last().message == "Over the roof."


def test_a_report_that_goes_backwards_changes_nothing_and_says_so() -> None:
    order = order_in(Status.ARRIVED)
    before = kept(order)
    advance = lifecycle.advance(order.pk, Status.LAUNCHED, by=GCS)
    assert (advance.applied, kept(order)) == ([], before)
    assert "ARRIVED already" in advance.note


def test_a_report_about_a_job_that_is_over_is_refused() -> None:
    order = order_in(Status.LAUNCHED)
    former = order.current_job_id
    lifecycle.requeue(order.pk, by=GCS, why="It turned back.")
    lifecycle.assign(order.pk, DroneFactory().pk, by=OPS, why="Free.")
    with pytest.raises(lifecycle.Refused, match="job that is over"):
        lifecycle.advance(order.pk, Status.ARRIVED, by=GCS, job_id=former)
    assert Order.objects.get(pk=order.pk).status == Status.ASSIGNED


def test_a_delivery_completes_the_job_and_keeps_its_time() -> None:
    with time_machine.travel(timezone.now() - timedelta(minutes=1)):
        order = order_in(Status.DELIVERING)
    at = timezone.now() - timedelta(seconds=30)
    order = lifecycle.advance(order.pk, Status.DELIVERED, by=GCS, occurred_at=at).order
    assert order.delivered_at == at
    job = DeliveryJob.objects.get(order=order)
    assert job.status == JobStatus.COMPLETED
    event = DeliveryEvent.objects.get(order=order, type=EventType.DELIVERED)
    assert (event.occurred_at, event.payload["on_time"], event.actor) == (at, True, "gcs")


def test_reassigning_ends_the_former_job_and_starts_another() -> None:
    order, other = order_in(Status.ASSIGNED), DroneFactory()
    lifecycle.reassign(order.pk, other.pk, by=OPS, why="Fuller battery.")
    jobs = DeliveryJob.objects.filter(order=order).order_by("attempt")
    assert [(job.attempt, job.status) for job in jobs] == [(1, "CANCELED"), (2, "ACTIVE")]
    assert jobs[1].drone == other


def test_a_refused_mission_never_reaches_mission_submitted() -> None:
    order = order_in(Status.ASSIGNED)
    lifecycle.mission_over(
        order.pk, ended=JobStatus.FAILED, by=GCS, why="Unknown drone.", max_attempts=1
    )
    assert types_of(order)[-2:] == ["ASSIGNED", "FAILED"]


def test_an_abort_by_ops_is_final_even_with_attempts_left() -> None:
    order = order_in(Status.ENROUTE)
    order = lifecycle.mission_over(
        order.pk, ended=JobStatus.ABORTED, by=GCS, why="As asked.", max_attempts=9, final=True
    )
    assert order.status == Status.ABORTED


def test_canceling_twice_changes_nothing() -> None:
    order = order_in(Status.CANCELED)
    before = kept(order)
    lifecycle.cancel(order.pk, by=OPS, reason=CancelReason.WEATHER)
    assert kept(order) == before


def test_a_busy_drone_gets_no_second_order() -> None:
    drone = DroneFactory()
    order_in(Status.ENROUTE, drone=drone)
    order = order_in(Status.QUEUED)
    with pytest.raises(Conflict, match="active job") as refusal:
        lifecycle.assign(order.pk, drone.pk, by=OPS, why="Mine.")
    assert refusal.value.code == "drone_busy"
    assert types_of(order)[-1] == "QUEUED"


def test_unknown_orders_and_drones_are_not_found() -> None:
    with pytest.raises(NotFound):
        lifecycle.cancel(uuid4(), by=OPS, reason=CancelReason.OTHER)
    with pytest.raises(NotFound):
        lifecycle.assign(order_in(Status.QUEUED).pk, "NO-SUCH-DRONE", by=OPS, why="Mine.")


def test_assign_many_skips_pairs_that_are_not_possible() -> None:
    free, busy = DroneFactory(), DroneFactory()
    order_in(Status.LAUNCHED, drone=busy)
    queued = [order_in(Status.QUEUED) for _ in range(3)]
    gone = order_in(Status.CANCELED)
    pairs = [(queued[0], free), (queued[1], busy), (queued[2], free), (gone, DroneFactory())]
    done = lifecycle.assign_many(
        [lifecycle.Assignment(order.pk, drone.pk, why="Best.") for order, drone in pairs], by=OPS
    )
    assert [order.pk for order in done] == [queued[0].pk]
    assert DeliveryJob.objects.active().filter(drone=free).count() == 1


def test_assign_many_lets_orders_exchange_drones_and_pass_one_on() -> None:
    first, second, spare = DroneFactory.create_batch(3)
    one = order_in(Status.ASSIGNED, drone=first)
    other = order_in(Status.ASSIGNED, drone=second)
    waiting = order_in(Status.QUEUED)
    moves = [(one, second, one.current_job_id), (other, spare, other.current_job_id)]
    done = lifecycle.assign_many(
        [
            lifecycle.Assignment(order.pk, drone.pk, why="Better.", instead_of=job)
            for order, drone, job in [*moves, (waiting, first, None)]
        ],
        by=OPS,
    )
    assert len(done) == 3
    active = dict(DeliveryJob.objects.active().values_list("order_id", "drone_id"))
    assert active == {one.pk: second.pk, other.pk: spare.pk, waiting.pk: first.pk}
    assert types_of(one)[-1] == "REASSIGNED"


def test_assign_many_skips_pairs_that_need_the_drone_of_a_skipped_order() -> None:
    """The first order has launched, so the pairs that depend on its drone are skipped."""
    first, second = DroneFactory.create_batch(2)
    launched = order_in(Status.LAUNCHED, drone=first)
    behind = order_in(Status.ASSIGNED, drone=second)
    waiting = order_in(Status.QUEUED)
    moves = [
        (launched, DroneFactory(), launched.current_job_id),
        (behind, first, behind.current_job_id),
        (waiting, second, None),
    ]
    done = lifecycle.assign_many(
        [
            lifecycle.Assignment(order.pk, drone.pk, why="Better.", instead_of=job)
            for order, drone, job in moves
        ],
        by=OPS,
    )
    assert done == []
    assert types_of(behind)[-1] == "ASSIGNED"


def test_assign_many_takes_the_same_statements_as_one_assignment(
    django_assert_max_num_queries: Callable[..., object],
) -> None:
    pairs = [
        lifecycle.Assignment(order_in(Status.QUEUED).pk, DroneFactory().pk, why="Best.")
        for _ in range(12)
    ]
    # Savepoint and release, drones, busy drones, orders, jobs, one UPDATE of orders, keys of the
    # events, events; for the missions: policy, areas, drones, missions, parts.
    with django_assert_max_num_queries(16):
        assert len(lifecycle.assign_many(pairs, by=OPS)) == 12


def test_an_order_that_is_locked_once_takes_several_verbs() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    with transaction.atomic():
        locked = lifecycle.lock(order.pk)
        with CaptureQueriesContext(connection) as sent:
            lifecycle.loaded(locked, by=GCS)
            lifecycle.advance(locked, Status.LAUNCHED, by=GCS)
    assert types_of(order)[-2:] == ["PARCEL_LOADED", "LAUNCHED"]
    assert not [sql for sql in sent if "SAVEPOINT" in sql["sql"] or "FOR NO KEY" in sql["sql"]]


def test_a_verb_that_refuses_a_locked_order_leaves_the_transaction_usable() -> None:
    order = order_in(Status.LAUNCHED)
    with transaction.atomic():
        locked = lifecycle.lock(order.pk)
        with pytest.raises(lifecycle.Refused):
            lifecycle.advance(locked, Status.ENROUTE, by=GCS, job_id=uuid4())
        lifecycle.advance(locked, Status.ENROUTE, by=GCS)
    assert types_of(order)[-1] == "ENROUTE"


@pytest.mark.django_db(transaction=True)
def test_an_order_is_locked_only_inside_a_transaction() -> None:
    order = order_in(Status.QUEUED)
    with pytest.raises(transaction.TransactionManagementError):
        lifecycle.lock(order.pk)
    with pytest.raises(NotFound), transaction.atomic():
        lifecycle.lock(uuid4())


def test_a_change_of_details_is_in_the_timeline_and_changes_no_state() -> None:
    order = order_in(Status.QUEUED)

    def make_urgent(locked: Order) -> Happened:
        locked.priority = "URGENT"
        return Happened(EventType.DETAILS_CHANGED, "Now urgent.")

    lifecycle.amend(order.pk, by=OPS, happened=make_urgent)
    stored = Order.objects.get(pk=order.pk)
    assert (stored.priority, stored.status) == ("URGENT", Status.QUEUED)
    assert types_of(order)[-1] == "DETAILS_CHANGED"
    lifecycle.amend(order.pk, by=OPS, happened=lambda _: None)
    assert len(types_of(order)) == 4


def test_every_event_says_who_caused_it_and_why() -> None:
    order = order_in(Status.QUEUED)
    lifecycle.assign(order.pk, DroneFactory().pk, by=OPS, why="Nearest to the pharmacy.")
    event = DeliveryEvent.objects.filter(order=order).last()
    assert (event.actor, event.message) == ("user:ops", "Nearest to the pharmacy.")


# --- database constraints ------------------------------------------------------------------------


# Tests disable the trigger against TRUNCATE (see wingxtra.tests.plugin). ALTER TABLE needs that no
# deferred constraint is pending.
AS_IN_PRODUCTION = """
    SET CONSTRAINTS ALL IMMEDIATE;
    ALTER TABLE orders_deliveryevent ENABLE TRIGGER orders_events_not_truncated
"""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orders_deliveryevent SET message = 'nothing happened'",
        "DELETE FROM orders_deliveryevent",
        "TRUNCATE orders_deliveryevent CASCADE",
        "TRUNCATE orders_order CASCADE",
    ],
)
def test_the_database_refuses_to_change_an_event(statement: str) -> None:
    order = order_in(Status.ASSIGNED)
    before = kept(order)
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"{AS_IN_PRODUCTION}; {statement}")
    assert kept(order) == before


@pytest.mark.parametrize("status", TERMINAL)
def test_the_database_refuses_to_reopen_an_order(status: Status) -> None:
    order = order_in(status)
    with (
        pytest.raises(DatabaseError, match="for good"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "UPDATE orders_order SET status = 'QUEUED', delivered_at = NULL WHERE id = %s",
            [order.pk],
        )
    assert Order.objects.get(pk=order.pk).status == status


def test_the_database_refuses_a_second_active_job_for_order_or_drone() -> None:
    order = order_in(Status.ASSIGNED)
    other = order_in(Status.QUEUED)
    for second in (
        DeliveryJob(order=order, drone=DroneFactory(), attempt=2),
        DeliveryJob(order=other, drone=order.current_job.drone, attempt=1),
    ):
        with pytest.raises(DatabaseError, match="one_active_job_per"), transaction.atomic():
            second.save()


def test_the_signal_sends_the_written_events_inside_the_transaction() -> None:
    received: list[DeliveryEvent] = []

    def listen(sender: object, events: list[DeliveryEvent], **_: object) -> None:
        assert connection.in_atomic_block
        received.extend(events)

    lifecycle.recorded.connect(listen)
    try:
        order = OrderFactory()
    finally:
        lifecycle.recorded.disconnect(listen)
    assert [event.pk for event in received] == list(
        DeliveryEvent.objects.filter(order=order).values_list("pk", flat=True)
    )
    assert all(event.order is order for event in received)
