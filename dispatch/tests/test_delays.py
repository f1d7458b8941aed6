"""Orders that are predicted late: told once for each promise, by what is believed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dispatch.missions import delays, discrepancies
from dispatch.models import Discrepancy, Flight
from fleet import policy
from orders import lifecycle, unit_of_work
from orders.models import DeliveryEvent, Order
from orders.promises import memory
from orders.states import CancelReason, EventType, Status
from orders.tests.factories import OrderFactory, order_in
from orders.tests.test_lifecycle_races import at_once
from wingxtra.accounts.identity import SYSTEM

pytestmark = pytest.mark.django_db


def predictions(order: Order) -> list[DeliveryEvent]:
    return list(order.events.filter(type=EventType.DELAY_PREDICTED))


def expect(order: Order, late_min: float) -> None:
    """Set the ETA to this many minutes after the promise."""
    job = lifecycle.job_of(order)
    job.eta_at = order.deliver_by + timedelta(minutes=late_min)
    job.save(update_fields=["eta_at"])


def due(minutes_ago: float) -> datetime:
    return timezone.now() - timedelta(minutes=minutes_ago)


def test_an_order_more_than_ten_minutes_late_is_told_once() -> None:
    order = order_in(Status.ENROUTE)
    expect(order, late_min=9.5)
    assert delays.tell(timezone.now()) == 0
    expect(order, late_min=12)
    assert delays.tell(timezone.now()) == 1
    (event,) = predictions(order)
    assert event.status == Order.objects.get(pk=order.pk).status == Status.ENROUTE
    assert event.message == "It is expected 12 min after the promise."
    assert event.payload["deliver_by"] == order.deliver_by.isoformat()
    late = datetime.fromisoformat(event.payload["expected_at"]) - order.deliver_by
    assert late == timedelta(minutes=12)


def test_an_eta_that_flickers_is_told_once() -> None:
    order = order_in(Status.ENROUTE)
    for late_min in (12, -5, 15, 0, 30):
        expect(order, late_min=late_min)
        delays.tell(timezone.now())
    assert len(predictions(order)) == 1


def test_the_policy_says_how_late_is_told() -> None:
    order = order_in(Status.ENROUTE)
    expect(order, late_min=15)
    policy.change(by=SYSTEM, delay_told_minutes=20)
    assert delays.tell(timezone.now()) == 0
    policy.change(by=SYSTEM, delay_told_minutes=5)
    assert delays.tell(timezone.now()) == 1


def reschedule(order: Order, deliver_by: datetime) -> Order:
    return lifecycle.reschedule(order.pk, not_before=None, deliver_by=deliver_by, by=SYSTEM)


def test_a_new_promise_can_be_predicted_late_again() -> None:
    first, second = due(20), due(15)
    order = OrderFactory(deliver_by=first)
    for deliver_by in (first, second, first):
        order = reschedule(order, deliver_by)
        for _ in range(2):
            delays.tell(timezone.now())
    assert [event.payload["deliver_by"] for event in predictions(order)] == [
        first.isoformat(),
        second.isoformat(),
    ]


@pytest.mark.parametrize(("ago_min", "told"), [(8, 0), (9, 1)])
def test_a_queued_order_is_told_once_even_a_start_now_is_too_late(
    ago_min: float, told: int
) -> None:
    """By the policy, take-off, loading and hand-over take 105 s."""
    OrderFactory(deliver_by=due(ago_min))
    assert delays.tell(timezone.now()) == told


def test_time_passes_the_eta_of_a_drone_that_does_not_launch() -> None:
    order = order_in(Status.ASSIGNED, deliver_by=due(9.5))
    expect(order, late_min=-20)
    assert delays.tell(timezone.now()) == 1


def lose_the_link(order: Order) -> None:
    job = lifecycle.job_of(order)
    Flight.objects.create(job=job, heard_at=timezone.now(), link_lost_at=timezone.now())


def contradict(order: Order) -> None:
    job = lifecycle.job_of(order)
    discrepancies.raise_(job, Discrepancy.Code.STANDS_AT_HUB, "It stands at its hub.")


def lose_the_parcel(order: Order) -> None:
    lifecycle.sight_lost(order.pk, by=SYSTEM, why="It went silent.")


@pytest.mark.parametrize("doubt", [lose_the_link, contradict, lose_the_parcel])
def test_an_eta_that_is_not_believed_predicts_nothing(doubt: Callable[[Order], None]) -> None:
    order = order_in(Status.ENROUTE)
    expect(order, late_min=30)
    doubt(order)
    assert delays.tell(timezone.now()) == 0
    # That time has passed needs no telemetry.
    Order.objects.filter(pk=order.pk).update(deliver_by=due(11))
    assert delays.tell(timezone.now()) == 1


@pytest.mark.parametrize("status", [Status.ARRIVED, Status.DELIVERED, Status.FAILED])
def test_no_delay_is_told_at_the_door_or_after_the_end(status: Status) -> None:
    order_in(status, deliver_by=due(30))
    assert delays.tell(timezone.now()) == 0


def test_a_delay_of_yesterday_is_not_told() -> None:
    OrderFactory(deliver_by=due(13 * 60))
    assert delays.tell(timezone.now()) == 0


def test_a_changed_order_is_skipped() -> None:
    orders = [OrderFactory(deliver_by=due(20)) for _ in range(2)]
    now = timezone.now()
    seen = [lifecycle.Delay(order.pk, order.deliver_by, now) for order in orders]
    reschedule(orders[0], now + timedelta(hours=1))
    lifecycle.cancel(orders[1].pk, by=SYSTEM, reason=CancelReason.OTHER)
    assert lifecycle.predict_delays(seen, by=SYSTEM) == []


def test_the_cost_does_not_grow_with_the_delays() -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            delays.tell(timezone.now())
        return len(captured)

    OrderFactory.create_batch(2, deliver_by=due(20))  # the change of one order is one statement
    few = statements()
    OrderFactory.create_batch(8, deliver_by=due(20))
    assert statements() == few
    assert statements() == 3


# --- at most once, by lock and by index ----------------------------------------------------------


def test_the_database_refuses_a_second_prediction_for_a_promise() -> None:
    order = OrderFactory(deliver_by=due(20))
    delays.tell(timezone.now())
    (event,) = predictions(order)
    event.pk = None
    with pytest.raises(IntegrityError, match="delay_predicted_once"), transaction.atomic():
        event.save(force_insert=True)


@pytest.mark.django_db(transaction=True)
def test_concurrent_predictions_write_one_event() -> None:
    order = OrderFactory(deliver_by=due(20))
    assert at_once(*[lambda: delays.tell(timezone.now())] * 4) == [None] * 4
    assert len(predictions(order)) == 1


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_the_index_alone_prevents_a_second_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = OrderFactory(deliver_by=due(20))
    barrier = Barrier(2)
    update = unit_of_work.Change.write

    def write(change: unit_of_work.Change) -> None:
        barrier.wait(30)
        update(change)

    def without_lock(order_ids: list[object]) -> list[Order]:
        return list(Order.objects.select_related("current_job").filter(pk__in=order_ids))

    monkeypatch.setattr(unit_of_work, "lock_free", without_lock)
    monkeypatch.setattr(unit_of_work.Change, "write", write)
    raised = at_once(*[lambda: delays.tell(timezone.now())] * 2)
    assert [type(problem) for problem in raised if problem] == [IntegrityError]
    assert len(predictions(order)) == 1


@pytest.mark.parametrize(("late_min", "told"), [(9, 0), (12, 1)])
def test_an_order_in_line_is_late_when_the_start_of_its_range_is(late_min: int, told: int) -> None:
    order = OrderFactory()
    now = timezone.now()
    low_at = order.deliver_by + timedelta(minutes=late_min)
    spot = memory.Spot(1, low_at.timestamp(), low_at.timestamp() + 600)
    memory.write(order.service_area_id, None, memory.Queue(now, 1), {order.pk: spot})
    assert delays.tell(now) == told
    assert delays.tell(now) == 0
    assert len(predictions(order)) == told
    if told:
        expected_at = datetime.fromisoformat(predictions(order)[0].payload["expected_at"])
        assert expected_at == low_at
