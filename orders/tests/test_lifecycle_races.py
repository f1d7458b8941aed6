"""Races between verbs. Each race has a control that fails without the lock."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Barrier, BrokenBarrierError, Thread
from uuid import UUID

import pytest
from django.db import DatabaseError, IntegrityError, connection
from django.utils import timezone

from fleet.tests.factories import DroneFactory
from orders import lifecycle, placement, unit_of_work
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import HoldCode, Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.problems import Problem

pytestmark = pytest.mark.django_db(transaction=True)
# A busy machine stalls for seconds; a barrier that breaks makes a control fail.
TOGETHER_WITHIN_S = 30


def at_once(*verbs: Callable[[], object]) -> list[Exception | None]:
    """Run each verb in its own thread, started together; returns what each of them raised."""
    start = Barrier(len(verbs))
    raised: list[Exception | None] = [None] * len(verbs)

    def run(place: int, verb: Callable[[], object]) -> None:
        try:
            start.wait(TOGETHER_WITHIN_S)
            verb()
        except (Problem, DatabaseError) as problem:
            raised[place] = problem
        finally:
            connection.close()

    threads = [Thread(target=run, args=pair) for pair in enumerate(verbs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    return raised


@contextmanager
def without_index(name: str) -> Iterator[None]:
    """Drop a unique index for the block, then delete the rows and restore the index."""
    constraint = next(c for c in DeliveryJob._meta.constraints if c.name == name)
    with connection.schema_editor() as editor:
        editor.remove_constraint(DeliveryJob, constraint)
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            editor.execute("TRUNCATE orders_deliveryjob CASCADE")
            editor.add_constraint(DeliveryJob, constraint)


def together(barrier: Barrier) -> None:
    """Wait until all threads have read; continue when the others do not arrive."""
    with suppress(BrokenBarrierError):
        barrier.wait(TOGETHER_WITHIN_S)


def assigns_of_one_drone(count: int) -> list[Callable[[], object]]:
    drone = DroneFactory()

    def assign(order: Order) -> Callable[[], object]:
        return lambda: lifecycle.assign(order.pk, drone.pk, by=SYSTEM, why="Near.")

    return [assign(order_in(Status.QUEUED)) for _ in range(count)]


def test_concurrent_assignments_give_one_drone_to_one_order() -> None:
    raised = at_once(*assigns_of_one_drone(8))
    assert raised.count(None) == 1
    assert {problem.code for problem in raised if problem} == {"drone_busy"}
    assert DeliveryJob.objects.active().count() == 1


def without_the_drones_lock(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """All threads read the free drones before one of them takes a drone."""
    barrier = Barrier(count)

    def free_drones(drone_ids: Iterable[str]) -> set[str]:
        busy = DeliveryJob.objects.active().filter(drone_id__in=(ids := set(drone_ids)))
        free = ids - set(busy.values_list("drone_id", flat=True))
        together(barrier)
        return free

    monkeypatch.setattr(unit_of_work, "free_drones", free_drones)


def test_control_without_lock_and_index_one_drone_gets_many_orders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_the_drones_lock(monkeypatch, 3)
    with without_index("one_active_job_per_drone"):
        assert at_once(*assigns_of_one_drone(3)) == [None, None, None]
        assert DeliveryJob.objects.active().count() == 3


def test_without_the_lock_the_index_alone_prevents_a_second_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_the_drones_lock(monkeypatch, 3)
    raised = at_once(*assigns_of_one_drone(3))
    assert raised.count(None) == 1
    assert DeliveryJob.objects.active().count() == 1


def assign_and_postpone() -> tuple[Order, list[Exception | None]]:
    order, drone = order_in(Status.QUEUED), DroneFactory()
    later = timezone.now() + timedelta(hours=2)
    raised = at_once(
        lambda: lifecycle.assign(order.pk, drone.pk, by=SYSTEM, why="Near."),
        lambda: lifecycle.reschedule(
            order.pk, not_before=later, deliver_by=later + timedelta(hours=1), by=SYSTEM
        ),
    )
    return Order.objects.get(pk=order.pk), raised


def waits_without_a_drone(order: Order) -> bool:
    """True in both orders of the two verbs: postponing is possible before and after assigning."""
    return order.status == Status.VALIDATED and not DeliveryJob.objects.active().exists()


def test_concurrent_verbs_on_one_order_are_serialized() -> None:
    order, raised = assign_and_postpone()
    assert waits_without_a_drone(order)
    written = DeliveryEvent.objects.filter(order=order).values_list("type", flat=True)[3:]
    # Either the drone was assigned first, or the assignment found a postponed order.
    assert list(written) == (["RESCHEDULED"] if raised[0] else ["ASSIGNED", "RESCHEDULED"])
    assert raised[1] is None


def test_control_without_the_orders_lock_both_verbs_start_from_the_same_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = Barrier(2)

    def lock(order_id: UUID) -> unit_of_work.Locked:
        order = Order.objects.select_related("current_job").get(pk=order_id)
        together(both)
        return unit_of_work.Locked(order)

    monkeypatch.setattr(unit_of_work, "lock", lock)
    order, raised = assign_and_postpone()
    assert raised == [None, None]
    assert not waits_without_a_drone(order)


def assign_while_the_parcel_goes_missing() -> tuple[Order, list[Exception | None]]:
    order, drone = order_in(Status.QUEUED), DroneFactory()
    raised = at_once(
        lambda: lifecycle.assign(order.pk, drone.pk, by=SYSTEM, why="Near."),
        lambda: lifecycle.sight_lost(order.pk, by=SYSTEM, why="The shelf is empty."),
    )
    return Order.objects.get(pk=order.pk), raised


def no_drone_is_on_it(order: Order) -> bool:
    """True in both orders of the two verbs: the order is on hold and has no job."""
    is_held = order.status == Status.QUEUED and order.hold_code == HoldCode.PARCEL_UNKNOWN
    return is_held and not DeliveryJob.objects.active().exists()


def test_no_drone_is_sent_for_a_parcel_that_goes_missing_concurrently() -> None:
    order, raised = assign_while_the_parcel_goes_missing()
    assert no_drone_is_on_it(order)
    assert raised[1] is None
    assert raised[0] is None or isinstance(raised[0], lifecycle.Refused)


def test_control_without_the_orders_lock_a_drone_is_sent_for_a_missing_parcel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The constraints alone stop one of the two writes; which one is left to chance."""
    both = Barrier(2)

    def lock(order_id: UUID) -> unit_of_work.Locked:
        order = Order.objects.select_related("current_job").get(pk=order_id)
        together(both)
        return unit_of_work.Locked(order)

    monkeypatch.setattr(unit_of_work, "lock", lock)
    order, raised = assign_while_the_parcel_goes_missing()
    assert any(isinstance(problem, IntegrityError) for problem in raised)
    assert no_drone_is_on_it(order) == (raised[1] is None)


def test_concurrent_planners_skip_rows_that_the_other_has_locked() -> None:
    orders = [order_in(Status.QUEUED) for _ in range(6)]
    drones = DroneFactory.create_batch(6)
    pairs = [
        lifecycle.Assignment(order.pk, drone.pk, "Best.")
        for order, drone in zip(orders, drones, strict=True)
    ]
    raised = at_once(*[lambda: lifecycle.assign_many(pairs, by=SYSTEM)] * 4)
    assert raised == [None] * 4
    assert DeliveryJob.objects.active().count() == 6


def test_concurrent_requests_with_one_reference_place_one_order() -> None:
    DroneFactory()
    merchant = MerchantFactory()

    def place() -> Order:
        order = OrderFactory.build(merchant=merchant, service_area=None, external_id="A-1")
        return placement.place(order, by=SYSTEM)

    raised = at_once(*[place] * 6)
    first = Order.objects.get()
    assert raised.count(None) == 1
    assert {(p.code, p.extra["order_id"]) for p in raised if p} == {
        ("duplicate_external_id", str(first.pk))
    }
