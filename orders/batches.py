"""The verbs that change many orders at once. Call them through `orders.lifecycle`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from orders import unit_of_work
from orders.models import Order
from orders.states import FLOWN_FROM, Status
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
    with transaction.atomic():
        free = unit_of_work.free_drones(pair.drone_id for pair in assignments)
        orders = {
            order.pk: order
            for order in unit_of_work.locked(
                [pair.order_id for pair in assignments], skip_locked=True
            )
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
        orders = [
            o for o in unit_of_work.locked(ids, skip_locked=True) if o.status == Status.VALIDATED
        ]
        change = unit_of_work.Change(orders, by=by)
        for order in orders:
            change.step(order.enqueue)
        change.write()
    return len(orders)
