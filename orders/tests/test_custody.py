"""Custody of the parcel: changes of the holder, their effects, and the database constraints."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.utils import timezone

from fleet.models import Hub
from fleet.tests.factories import DroneFactory, HubFactory
from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import (
    FLOWN_FROM,
    EventType,
    HoldCode,
    Holder,
    JobStatus,
    ReasonCode,
    Status,
)
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import GCS, Actor, ActorKind
from wingxtra.problems import Conflict, NotFound

pytestmark = pytest.mark.django_db

OPS = Actor(ActorKind.USER, "ops")
LOADER = Actor(ActorKind.USER, "loader")


def aboard(status: Status = Status.ENROUTE) -> Order:
    order = order_in(status)
    return lifecycle.loaded(order.pk, by=GCS)


def on_hold(holder: Holder) -> Order:
    """An order whose flight failed with the parcel aboard (DRONE) or missing (UNKNOWN)."""
    order = aboard()
    astray = "" if holder == Holder.DRONE else "It landed in a field."
    return lifecycle.mission_over(
        order.pk,
        ended=JobStatus.FAILED,
        by=GCS,
        why="Motor 3 failed.",
        max_attempts=3,
        parcel_astray=astray,
    )


def at_a_hub() -> Order:
    return lifecycle.unloaded(on_hold(Holder.DRONE).pk, HubFactory().pk, by=OPS)


def with_holder(holder: Holder) -> Order:
    match holder:
        case Holder.SENDER:
            return order_in(Status.QUEUED)
        case Holder.DRONE | Holder.UNKNOWN:
            return on_hold(holder)
        case Holder.HUB:
            return at_a_hub()
        case Holder.RECIPIENT:
            return order_in(Status.DELIVERED)
        case Holder.RETURNED:
            return lifecycle.given_back(at_a_hub().pk, by=OPS, received_by="The shop.")
    return lifecycle.lost(at_a_hub().pk, by=OPS, note="It burned.")


def last(order: Order) -> DeliveryEvent:
    event = DeliveryEvent.objects.filter(order=order).last()
    assert event is not None
    return event


def types_after(order: Order, event: DeliveryEvent) -> list[str]:
    return list(
        DeliveryEvent.objects.filter(order=order, id__gt=event.pk).values_list("type", flat=True)
    )


def stored(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


# --- changes of the holder -----------------------------------------------------------------------

REPORTS: dict[Holder, Callable[[Order, Hub], Order]] = {
    Holder.HUB: lambda order, hub: lifecycle.unloaded(order.pk, hub.pk, by=OPS),
    Holder.SENDER: lambda order, hub: lifecycle.never_left(order.pk, by=OPS, note="On the shelf."),
    Holder.RETURNED: lambda order, hub: lifecycle.given_back(
        order.pk, by=OPS, received_by="Kofi of the shop"
    ),
    Holder.LOST: lambda order, hub: lifecycle.lost(order.pk, by=OPS, note="It burned."),
}
ALLOWED_FROM = {
    Holder.HUB: {Holder.DRONE, Holder.UNKNOWN, Holder.SENDER, Holder.HUB},
    Holder.SENDER: {Holder.DRONE, Holder.UNKNOWN},
    Holder.RETURNED: {Holder.DRONE, Holder.UNKNOWN, Holder.HUB},
    Holder.LOST: {Holder.DRONE, Holder.UNKNOWN, Holder.HUB},
}


@pytest.mark.parametrize("was", Holder)
@pytest.mark.parametrize("becomes", REPORTS)
def test_every_change_of_holder_from_every_holder(was: Holder, becomes: Holder) -> None:
    order = with_holder(was)
    assert order.holder == was
    if was in ALLOWED_FROM[becomes]:
        assert REPORTS[becomes](order, HubFactory()).holder == becomes
        assert stored(order).holder == becomes
        return
    before = last(order)
    with pytest.raises(lifecycle.Refused) as refusal:
        REPORTS[becomes](order, HubFactory())
    assert refusal.value.code in ("parcel_elsewhere", "parcel_was_loaded")
    assert (stored(order).holder, last(order)) == (was, before)


def test_a_parcel_is_reported_ready_once() -> None:
    order = order_in(Status.QUEUED)
    assert lifecycle.ready(order.pk, by=LOADER).parcel_ready_at is not None
    assert (last(order).type, last(order).actor) == ("PARCEL_READY", "user:loader")
    lifecycle.ready(order.pk, by=LOADER)
    assert DeliveryEvent.objects.filter(order=order, type=EventType.PARCEL_READY).count() == 1


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.CANCELED, Status.FAILED])
def test_the_parcel_of_an_order_that_is_over_cannot_be_ready(status: Status) -> None:
    with pytest.raises(lifecycle.Refused, match="not expected"):
        lifecycle.ready(order_in(status).pk, by=LOADER)


def test_a_parcel_is_loaded_onto_the_drone_of_its_job() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    order = lifecycle.loaded(order.pk, by=LOADER)
    assert (order.holder, order.holder_drone_id) == (Holder.DRONE, order.assigned_drone_id)
    assert order.status == Status.MISSION_SUBMITTED
    event = last(order)
    assert (event.type, event.payload) == ("PARCEL_LOADED", {"drone_id": order.assigned_drone_id})
    lifecycle.loaded(order.pk, by=GCS)
    assert last(order) == event


def test_a_parcel_without_a_job_is_not_loaded() -> None:
    for status in (Status.QUEUED, Status.CANCELED):
        with pytest.raises(lifecycle.Refused) as refusal:
            lifecycle.loaded(order_in(status).pk, by=LOADER)
        assert refusal.value.code == "no_active_job"


def test_a_missing_parcel_cannot_be_loaded() -> None:
    order = lifecycle.sight_lost(order_in(Status.ENROUTE).pk, by=GCS, why="It fell.")
    with pytest.raises(lifecycle.Refused, match="elsewhere"):
        lifecycle.loaded(order.pk, by=LOADER)


def test_a_drone_at_the_door_has_the_parcel_aboard_even_without_a_reported_pickup() -> None:
    order = lifecycle.advance(order_in(Status.ENROUTE).pk, Status.ARRIVED, by=GCS).order
    assert order.holder == Holder.DRONE
    assert DeliveryEvent.objects.get(order=order, type="PARCEL_LOADED").payload["inferred"]


def test_delivery_hands_the_parcel_to_the_recipient() -> None:
    order = lifecycle.advance(aboard().pk, Status.DELIVERED, by=GCS).order
    assert (order.holder, order.holder_drone_id) == (Holder.RECIPIENT, None)


# --- effects on the order ------------------------------------------------------------------------


def test_an_attempt_that_ends_before_the_pickup_is_queued_again() -> None:
    order = order_in(Status.ENROUTE)
    order = lifecycle.mission_over(
        order.pk, ended=JobStatus.FAILED, by=GCS, why="Wind.", max_attempts=3
    )
    assert (order.status, order.holder, order.hold_code) == (Status.QUEUED, Holder.SENDER, "")
    assert last(order).payload["hold"] is None
    lifecycle.assign(order.pk, DroneFactory().pk, by=OPS, why="Near.")


@pytest.mark.parametrize(
    ("holder", "code"),
    [(Holder.DRONE, HoldCode.PARCEL_ABOARD), (Holder.UNKNOWN, HoldCode.PARCEL_UNKNOWN)],
)
def test_an_attempt_that_ends_after_the_pickup_puts_the_order_on_hold(
    holder: Holder, code: HoldCode
) -> None:
    order = on_hold(holder)
    assert (order.status, order.holder, order.hold_code) == (Status.QUEUED, holder, code)
    assert order.hold_message == "Motor 3 failed."
    assert order.hold_since is not None
    assert last(order).payload["hold"] == code
    assert order in Order.objects.awaiting_staff()
    assert order not in Order.objects.dispatchable()


def test_an_order_on_hold_gets_no_drone() -> None:
    order, drone = on_hold(Holder.UNKNOWN), DroneFactory()
    with pytest.raises(lifecycle.Refused) as refusal:
        lifecycle.assign(order.pk, drone.pk, by=OPS, why="Mine.")
    assert refusal.value.code == "order_on_hold"
    assert lifecycle.assign_many([lifecycle.Assignment(order.pk, drone.pk, "Best.")], by=OPS) == []
    with pytest.raises(lifecycle.Refused):
        lifecycle.reschedule(
            order.pk, not_before=None, deliver_by=timezone.now() + timedelta(hours=2), by=OPS
        )


def test_a_drone_with_a_parcel_aboard_gets_no_other_order() -> None:
    held = on_hold(Holder.DRONE)
    other = order_in(Status.QUEUED)
    with pytest.raises(Conflict) as refusal:
        lifecycle.assign(other.pk, held.holder_drone_id, by=OPS, why="It is free.")
    assert refusal.value.code == "drone_busy"
    pair = lifecycle.Assignment(other.pk, str(held.holder_drone_id), "Best.")
    assert lifecycle.assign_many([pair], by=OPS) == []


def test_a_parcel_at_a_hub_is_flown_from_there() -> None:
    order, hub = on_hold(Holder.DRONE), HubFactory(name="East", lat=5.61, lng=-0.18)
    order = lifecycle.unloaded(order.pk, hub.pk, by=LOADER, note="Wet.")
    assert (order.holder, order.hold_code, order.status) == (Holder.HUB, "", Status.QUEUED)
    assert order.flown_from == (5.61, -0.18)
    event = last(order)
    assert (event.type, event.message) == ("PARCEL_UNLOADED", "The parcel is at East. Wet.")
    assert order in Order.objects.dispatchable()
    assert order not in Order.objects.awaiting_staff()
    lifecycle.unloaded(order.pk, hub.pk, by=LOADER)
    assert last(order) == event


def test_a_parcel_that_comes_back_to_a_hub_ends_its_flight() -> None:
    order = lifecycle.unloaded(aboard().pk, HubFactory().pk, by=LOADER)
    assert (order.status, order.holder, order.hold_code) == (Status.QUEUED, Holder.HUB, "")
    assert order.jobs.get().status == JobStatus.FAILED


@pytest.mark.parametrize("status", [Status.ASSIGNED, Status.MISSION_SUBMITTED])
def test_a_job_to_another_pickup_is_canceled(status: Status) -> None:
    """The parcel is found at a hub while a drone is about to fly to the sender."""
    order = order_in(status)
    before = last(order)
    order = lifecycle.unloaded(order.pk, HubFactory().pk, by=LOADER)
    assert (order.status, order.holder, order.hold_code) == (Status.QUEUED, Holder.HUB, "")
    assert order.jobs.get().status == JobStatus.CANCELED
    assert types_after(order, before) == ["PARCEL_UNLOADED", "REQUEUED"]


@pytest.mark.parametrize("status", [Status.ASSIGNED, Status.MISSION_SUBMITTED])
def test_a_missing_parcel_cancels_the_job_before_takeoff(status: Status) -> None:
    order = lifecycle.sight_lost(order_in(status).pk, by=LOADER, why="The shelf is empty.")
    assert (order.status, order.hold_code) == (Status.QUEUED, HoldCode.PARCEL_UNKNOWN)
    assert order.jobs.get().status == JobStatus.CANCELED


def test_a_scheduled_order_with_a_missing_parcel_is_queued_on_hold() -> None:
    order = lifecycle.sight_lost(order_in(Status.VALIDATED).pk, by=LOADER, why="It is gone.")
    assert order.not_before is not None
    lifecycle.enqueue_due(order.not_before)
    assert stored(order).hold_code == HoldCode.PARCEL_UNKNOWN


def test_an_unknown_hub_is_not_found() -> None:
    with pytest.raises(NotFound):
        lifecycle.unloaded(on_hold(Holder.DRONE).pk, 4711, by=OPS)


def test_a_parcel_that_never_left_is_flown_from_the_sender() -> None:
    order = lifecycle.mission_over(
        order_in(Status.ENROUTE).pk,
        ended=JobStatus.FAILED,
        by=GCS,
        why="Motor 3.",
        max_attempts=3,
        parcel_astray="The pickup was not seen.",
    )
    order = lifecycle.never_left(order.pk, by=OPS, note="The shop has it.")
    assert (order.holder, order.hold_code) == (Holder.SENDER, "")
    assert order.flown_from == (order.pickup_lat, order.pickup_lng)
    lifecycle.assign(order.pk, DroneFactory().pk, by=OPS, why="Near.")


@pytest.mark.parametrize(
    ("holder", "event", "reason"),
    [
        (Holder.RETURNED, "PARCEL_RETURNED", ReasonCode.RETURNED_TO_SENDER),
        (Holder.LOST, "PARCEL_LOST", ReasonCode.LOST),
    ],
)
@pytest.mark.parametrize("was", [Holder.DRONE, Holder.UNKNOWN, Holder.HUB])
def test_a_returned_or_lost_parcel_ends_its_order(
    was: Holder, holder: Holder, event: str, reason: ReasonCode
) -> None:
    order = with_holder(was)
    before = last(order)
    order = REPORTS[holder](order, HubFactory())
    assert (order.status, order.reason_code) == (Status.FAILED, reason)
    assert (order.hold_code, order.hold_since) == ("", None)
    assert types_after(order, before) == [event, "FAILED"]
    assert order not in Order.objects.awaiting_staff()


def test_an_aborted_order_with_its_parcel_aboard_still_needs_attention() -> None:
    order = lifecycle.mission_over(
        aboard().pk, ended=JobStatus.ABORTED, by=GCS, why="Asked.", max_attempts=3, final=True
    )
    assert (order.status, order.holder) == (Status.ABORTED, Holder.DRONE)
    assert order in Order.objects.awaiting_staff()
    order = lifecycle.given_back(order.pk, by=OPS, received_by="Kofi of the shop")
    assert (order.status, order.holder) == (Status.ABORTED, Holder.RETURNED)
    assert order not in Order.objects.awaiting_staff()


def test_a_missing_parcel_is_found_at_the_sender() -> None:
    order = order_in(Status.QUEUED)
    lifecycle.sight_lost(order.pk, why="Delivered, it says.", by=GCS)
    assert order not in Order.objects.dispatchable()
    order = lifecycle.never_left(order.pk, by=OPS, note="Asked the shop.")
    assert order in Order.objects.dispatchable()
    assert last(order).message == "It never left the sender: Asked the shop."


# --- clocks that differ --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reported_at",
    [datetime(1970, 1, 1, tzinfo=UTC), timezone.now() + timedelta(days=1, minutes=6)],
    ids=["1970", "ahead"],
)
def test_a_report_with_a_wrong_clock_keeps_the_reported_time(reported_at: datetime) -> None:
    with time_machine.travel(timezone.now() - timedelta(minutes=10)):
        order = aboard()
    order = lifecycle.advance(order.pk, Status.DELIVERED, by=GCS, occurred_at=reported_at).order
    assert order.delivered_at is not None
    assert order.created_at <= order.delivered_at <= timezone.now()
    event = last(order)
    assert event.occurred_at == order.delivered_at
    assert event.payload["reported_at"] == reported_at.isoformat()


def test_a_report_six_minutes_ahead_counts_as_now() -> None:
    order, now = aboard(), timezone.now()
    ahead = now + timedelta(minutes=6)
    order = lifecycle.advance(order.pk, Status.DELIVERED, by=GCS, occurred_at=ahead).order
    assert order.delivered_at is not None
    assert abs(order.delivered_at - now) < timedelta(seconds=30)
    assert last(order).payload["reported_at"] == ahead.isoformat()


def test_a_report_with_a_right_clock_keeps_no_second_time() -> None:
    with time_machine.travel(timezone.now() - timedelta(minutes=10)):
        order = aboard()
    at = timezone.now() - timedelta(minutes=2)
    order = lifecycle.advance(order.pk, Status.DELIVERED, by=GCS, occurred_at=at).order
    assert order.delivered_at == at
    assert "reported_at" not in last(order).payload


# --- database constraints ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "changes", "constraint"),
    [
        (Holder.SENDER, {"holder": "NEIGHBOUR"}, "order_holder_known"),
        (Holder.SENDER, {"holder": Holder.DRONE}, "order_drone_holds_what_it_carries"),
        (Holder.DRONE, {"holder": Holder.SENDER}, "order_drone_holds_what_it_carries"),
        (Holder.SENDER, {"holder": Holder.HUB}, "order_hub_holds_what_lies_there"),
        (Holder.HUB, {"holder": Holder.LOST}, "order_hub_holds_what_lies_there"),
        (Holder.RECIPIENT, {"holder": Holder.LOST}, "order_delivered_is_with_the_recipient"),
        (Holder.SENDER, {"hold_code": "PARCEL_ABOARD"}, "order_hold_of_queued_orders_only"),
        (Holder.DRONE, {"hold_since": None}, "order_hold_of_queued_orders_only"),
        (Holder.RETURNED, {"hold_code": "PARCEL_UNKNOWN"}, "order_hold_of_queued_orders_only"),
    ],
)
def test_the_database_refuses_two_holders_or_none(
    made: Holder, changes: dict[str, object], constraint: str
) -> None:
    order = with_holder(made)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Order.objects.filter(pk=order.pk).update(**changes)


@pytest.mark.parametrize("holder", [h for h in Holder if h not in (*FLOWN_FROM, Holder.DRONE)])
def test_the_database_refuses_a_drone_for_a_parcel_that_is_not_there(holder: Holder) -> None:
    order = order_in(Status.ASSIGNED)
    name = "order_is_flown_from_where_its_parcel_is"
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        Order.objects.filter(pk=order.pk).update(holder=holder)


def test_the_database_refuses_a_second_parcel_on_a_drone() -> None:
    first, second = aboard(), OrderFactory()
    with pytest.raises(IntegrityError, match="order_one_parcel_per_drone"), transaction.atomic():
        Order.objects.filter(pk=second.pk).update(
            holder=Holder.DRONE, holder_drone=first.holder_drone_id
        )
