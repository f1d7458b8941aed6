"""What it means for other orders when a person gives a drone to one order, by a plan made now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from dispatch.planning import plans
from dispatch.planning.inputs import waiting
from dispatch.planning.plans import PlanResult
from fleet.airspace import rulebook
from fleet.feasibility.rules import Priority
from fleet.live import picture
from orders.models import Order, WaitingOrder
from orders.states import Status

# The most urgent ones; a plan for more would take longer than a person waits for a page.
MAX_OTHERS = 200
URGENCY = {priority: rank for rank, priority in enumerate(reversed(Priority))}


@dataclass(frozen=True, slots=True)
class Taken:
    """The order that a plan made now gives the drone to. Without that drone it would be at the door
    `later_s` after the plan's time and `late_s` after its promise (negative: before it); both None
    if no other drone is left for it.
    """

    order: Order
    later_s: float | None
    late_s: float | None


def of_taking_each_drone(order: Order, now: datetime) -> dict[str, Taken]:
    """By drone id; only drones that the plan gives to another order. Raises RedisError.

    Nothing is assigned, also while dispatch is paused. The number of statements does not grow with
    drones or orders.
    """
    book = rulebook.load(now)
    queued = waiting.queued([order.service_area_id], book.rules, now)
    others = sorted(
        (other for other in queued if other.pk != order.pk),
        key=lambda other: (URGENCY[Priority(other.priority)], other.deliver_by),
    )[:MAX_OTHERS]
    if not others:
        return {}
    drones = plans.drones_of([order.service_area_id], book)
    own = [WaitingOrder.of(order)] if order.status == Status.QUEUED else []
    result = plans.make_plan([*others, *own], [], drones, picture.read(), book, now, lock=False)
    return _taken(result, others)


def _taken(result: PlanResult, others: Sequence[WaitingOrder]) -> dict[str, Taken]:
    """`others` are the first orders of the plan. The drone that the plan gives to the order itself
    is free for them.
    """
    options = result.options
    planned = {i: pair for i, pair in result.pair_of_order().items() if i < len(others)}
    used = options.drone[list(planned.values())] if planned else np.array([], np.int64)
    is_free = ~np.isin(options.drone, used)
    orders = Order.objects.in_bulk([others[i].pk for i in planned])
    found = {}
    for i, pair in planned.items():
        instead_s = options.delivery_s[is_free & (options.trip == i)]
        later_s = late_s = None
        if len(instead_s):
            at_s = float(instead_s.min())
            later_s = max(0.0, at_s - float(options.delivery_s[pair]))
            late_s = at_s - (others[i].deliver_by - result.now).total_seconds()
        if (other := orders.get(others[i].pk)) is not None:
            found[result.drone_of(pair).pk] = Taken(other, later_s, late_s)
    return found
