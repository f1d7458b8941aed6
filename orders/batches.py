"""The verbs that change many orders at once. Call them through `orders.lifecycle`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import DateTimeField, Exists, OuterRef
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from fleet import policy
from orders import unit_of_work
from orders.models import DeliveryEvent, Order
from orders.states import FLOWN_FROM, EventType, Happened, Status
from wingxtra.accounts.identity import SYSTEM, Actor


@dataclass(frozen=True, slots=True)
class Assignment:
    """instead_of: the job that this assignment replaces; None for an order without a job."""

    order_id: UUID
    drone_id: str
    why: str
    promised_at: datetime | None = None
    instead_of: UUID | None = None


def assign_many(assignments: Sequence[Assignment], *, by: Actor) -> list[Order]:
    """Assign each pair that is still possible; a pair with `instead_of` is a reassignment.
    Returns the orders that got their drone. Orders may exchange drones.

    Skips a pair when its order is locked by another transaction or has changed, when its drone has
    a job by now, and when it needs the drone of a skipped pair. The number of statements does not
    grow with the number of pairs.
    """
    # No savepoint: a run, which has one, calls this.
    with transaction.atomic(savepoint=False):
        free = unit_of_work.free_drones(pair.drone_id for pair in assignments)
        orders = {
            order.pk: order
            for order in unit_of_work.lock_free([pair.order_id for pair in assignments])
        }
        possible = _possible(assignments, orders, free)
        change = unit_of_work.Change([orders[pair.order_id] for pair in possible], by=by)
        for pair in possible:
            order = orders[pair.order_id]
            change.step(
                order.reassign if pair.instead_of else order.assign,
                drone_id=pair.drone_id,
                why=pair.why,
                promised_at=pair.promised_at,
            )
        change.write()
    return change.orders


def _possible(
    assignments: Sequence[Assignment], orders: dict[UUID, Order], free: set[str]
) -> list[Assignment]:
    """The pairs whose order is still as planned, and whose drone is free or is freed by them."""
    pairs: list[Assignment] = []
    taken: set[UUID | str] = set()  # each order and each drone at most once
    for pair in assignments:
        order = orders.get(pair.order_id)
        wanted = Status.ASSIGNED if pair.instead_of else Status.QUEUED
        is_as_planned = (
            order
            and order.status == wanted
            and order.current_job_id == pair.instead_of
            and not order.hold_code
            and order.holder in FLOWN_FROM
        )
        if is_as_planned and pair.order_id not in taken and pair.drone_id not in taken:
            taken |= {pair.order_id, pair.drone_id}
            pairs.append(pair)
    # Dropping a pair keeps its old drone busy, which may rule out another pair: repeat.
    while True:
        freed = {orders[pair.order_id].assigned_drone_id for pair in pairs}
        remaining = [pair for pair in pairs if pair.drone_id in free or pair.drone_id in freed]
        if len(remaining) == len(pairs):
            return pairs
        pairs = remaining


def place_many(orders: Sequence[Order], *, by: Actor) -> list[Order]:
    """Write new orders with their first events, all in one transaction. Returns those that were
    written: an order is skipped when its id or its merchant's `external_id` exists already.

    The number of statements grows by one for each hundred orders.
    """
    with transaction.atomic():
        # Two transactions with the same orders wait for each other's rows in the same order.
        in_turn = sorted(orders, key=lambda order: (order.external_id or "", order.pk))
        return unit_of_work.write_new(in_turn, by=by)


def enqueue_due(now: datetime, *, by: Actor = SYSTEM, at_most: int = 1000) -> int:
    """Queue the scheduled orders whose start is due; returns how many."""
    with transaction.atomic():
        ids = list(Order.objects.due(now).values_list("pk", flat=True)[:at_most])
        orders = [o for o in unit_of_work.lock_free(ids) if o.status == Status.VALIDATED]
        change = unit_of_work.Change(orders, by=by)
        for order in orders:
            change.step(order.enqueue)
        change.write()
    return len(orders)


@dataclass(frozen=True, slots=True)
class Delay:
    """An order that is expected later than the promise `deliver_by`."""

    order_id: UUID
    deliver_by: datetime
    expected_at: datetime


def told_of_delay() -> Exists:
    """A condition on orders: a delay against their present promise was told already."""
    promise = Cast(KeyTextTransform("deliver_by", "payload"), DateTimeField())
    events = DeliveryEvent.objects.since(OuterRef("created_at")).filter(order=OuterRef("pk"))
    told = events.filter(type=EventType.DELAY_PREDICTED)
    return Exists(told.annotate(promise=promise).filter(promise=OuterRef("deliver_by")))


def predict_delays(delays: Sequence[Delay], *, by: Actor) -> list[Order]:
    """Write DELAY_PREDICTED once for each promise; returns the orders. Nothing else changes.

    Skips an order that is locked, over, has another promise by now, or was told already.
    """
    with transaction.atomic():
        ids = [delay.order_id for delay in delays]
        orders = {order.pk: order for order in unit_of_work.lock_free(ids)}
        # Read under the locks, so that no other transaction tells of the same delay.
        told_before = Order.objects.filter(told_of_delay(), pk__in=orders)
        told = set(told_before.values_list("pk", flat=True))
        change = unit_of_work.Change(list(orders.values()), by=by)
        for delay in delays:
            order = orders.get(delay.order_id)
            if order is None or order.is_terminal or order.pk in told:
                continue
            if order.deliver_by == delay.deliver_by:
                change.note(order, _delay(delay))
        change.write()
    return [event.order for event in change.events]


def _delay(delay: Delay) -> Happened:
    late_min = (delay.expected_at - delay.deliver_by).total_seconds() / 60
    return Happened(
        EventType.DELAY_PREDICTED,
        f"It is expected {late_min:.0f} min after the promise.",
        {
            "deliver_by": delay.deliver_by.isoformat(),
            "expected_at": delay.expected_at.isoformat(),
        },
    )


def miss_proofs(now: datetime, *, by: Actor = SYSTEM, at_most: int = 1000) -> int:
    """Record that proofs are missing, once per order, when the policy's time after the delivery is
    over; returns how many.
    """
    before = now - timedelta(seconds=policy.current().proof_missing_after_s)
    with transaction.atomic():
        ids = list(Order.objects.proof_untold(before).values_list("pk", flat=True)[:at_most])
        # Read again under the lock: a proof may have come.
        orders = [
            order
            for order in unit_of_work.lock_free(ids)
            if order.proof_missing and order.proof_missed_at is None
        ]
        change = unit_of_work.Change(orders, by=by)
        for order in orders:
            change.note(order, order.miss_proof(change.now))
        change.write()
    return len(orders)
