"""The verbs that change many orders at once. Reached through `orders.lifecycle`, as all are."""

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
    """instead_of: the job that a better drone takes over; None for an order without one."""

    order_id: UUID
    drone_id: str
    why: str
    promised_at: datetime | None = None
    instead_of: UUID | None = None


def assign_many(assignments: Sequence[Assignment], *, by: Actor) -> list[Order]:
    """Assign each pair that is still possible, and reassign where a job is given; returns the
    orders that got their drone. Orders may exchange drones.

    Pairs whose order is locked or changed, or whose drone got a job meanwhile, are left out, and
    with them those that need the drone that such an order keeps; the rest stands. Statements do not
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
    """Those whose order stands as the plan supposed, and whose drone is free or becomes so."""
    pairs: list[Assignment] = []
    seen: set[UUID | str] = set()  # each order and each drone once
    for pair in assignments:
        order = orders.get(pair.order_id)
        wanted = Status.ASSIGNED if pair.instead_of else Status.QUEUED
        stands = (
            order
            and order.status == wanted
            and order.current_job_id == pair.instead_of
            and not order.hold_code
            and order.holder in FLOWN_FROM
        )
        if stands and pair.order_id not in seen and pair.drone_id not in seen:
            seen |= {pair.order_id, pair.drone_id}
            pairs.append(pair)
    while True:
        given_up = {orders[pair.order_id].assigned_drone_id for pair in pairs}
        still = [pair for pair in pairs if pair.drone_id in free or pair.drone_id in given_up]
        if len(still) == len(pairs):
            return pairs
        pairs = still


def enqueue_due(now: datetime, *, by: Actor = SYSTEM, at_most: int = 1000) -> int:
    """Queue the scheduled orders whose time has come; returns how many."""
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
