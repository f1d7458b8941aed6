"""The objective of a plan: ranks, weights, and costs in weighted seconds. Pure.

docs/dispatch.md has the formulas with worked figures.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from fleet.feasibility.rules import LateNormal, Priority, Rules

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

RANKS: dict[str, int] = {Priority.NORMAL: 1, Priority.URGENT: 2, Priority.MEDICAL: 3}
# The assumed time until another drone is free for an order that is left out.
NEXT_DRONE_S = 180.0
# How often the price of the queue counts for the drone time of a trip, and for the part of it that
# another drone would save.
TRIP, EXCESS = 3.0, 16.0


class NormalOrders(NamedTuple):
    """How NORMAL orders count.

    late_worth: the share of its weight that an order has once no drone can keep its promise.
    growth: how much the weight grows per promise that the order has waited, in weights. spread: the
    scale of lateness in promises; the larger, the less the time left until the promise counts.
    limit_promises, limit_queues: see `wait_limit_s`.
    """

    late_worth: float
    growth: float
    spread: float
    limit_promises: float
    limit_queues: float


NORMAL_ORDERS: dict[str, NormalOrders] = {
    LateNormal.KEPT_FIRST: NormalOrders(0.05, 1.0, 1.0, np.inf, 0.0),
    LateNormal.BALANCED: NormalOrders(0.25, 0.0, 3.0, 8.0, 2.3),
    LateNormal.NO_ENDLESS_WAIT: NormalOrders(1.0, 1.0, 1.0, 1.5, 2.3),
}


def wait_limit_s(least_busy_s: Floats, at_work: int, rules: Rules) -> float:
    """The wait after which a NORMAL order ranks as URGENT: the maximum of `limit_promises` promises
    and `limit_queues` times the time that the drones at work need for the whole queue, but at most
    `age_cap_s`. The second term grows with the queue, because then all orders wait long.

    least_busy_s: the least time of a drone for each order that a drone can fly.
    """
    normal = NORMAL_ORDERS[rules.late_normal]
    queue_s = float(least_busy_s.sum()) / max(at_work, 1)
    promises_s = normal.limit_promises * rules.promise_s[Priority.NORMAL]
    return min(max(promises_s, normal.limit_queues * queue_s), rules.age_cap_s)


def rank(priority: Sequence[str], waited_s: Floats, limit_s: float) -> Ints:
    """The rank of each order: NORMAL 1, URGENT 2, MEDICAL 3. A NORMAL order that has waited
    `limit_s` ranks as URGENT, so that urgent orders cannot overtake it forever. Only MEDICAL orders
    rank as MEDICAL.
    """
    ranks = np.array([RANKS[name] for name in priority], np.int64)
    return np.where((ranks == 1) & (waited_s >= limit_s), 2, ranks)


def weight(
    priority: Sequence[str], waited_s: Floats, late: Bools, limit_s: float, rules: Rules
) -> Floats:
    """The weight of a second of lateness: the priority's weight times (1 + waited / promise), with
    at most `age_cap_s` of waiting. NORMAL orders count by the policy's choice until they have
    waited `limit_s`.

    late: orders whose promise no drone can keep.
    """
    normal = NORMAL_ORDERS[rules.late_normal]
    base = np.array([rules.priority_weight[name] for name in priority], float)
    promise_s = np.array([rules.promise_s[name] for name in priority], float)
    by_choice = np.array([name == Priority.NORMAL for name in priority], bool)
    by_choice &= waited_s < limit_s
    growth = np.where(by_choice, normal.growth, 1.0)
    worth = np.where(by_choice & late, normal.late_worth, 1.0)
    waited_s = np.clip(waited_s, 0.0, rules.age_cap_s)
    weights: Floats = base * worth * (1 + growth * waited_s / promise_s)
    return weights


def spread_s(priority: Sequence[str], rules: Rules) -> Floats:
    """The scale of each order's lateness, in seconds: its promise, for NORMAL orders by the
    policy's choice. Lateness grows softly, so a sooner delivery counts well before the promise is
    broken.
    """
    normal = NORMAL_ORDERS[rules.late_normal]
    promises = [normal.spread if name == Priority.NORMAL else 1.0 for name in priority]
    return np.array(promises, float) * [rules.promise_s[name] for name in priority]


def expected_lateness_s(delivery_s: Floats, due_s: Floats, spread_s: Floats) -> Floats:
    """The mean of max(0, T - due) if the true time of delivery T has a logistic distribution around
    the estimate with scale `spread_s`: spread * ln(1 + exp((delivery - due) / spread)), in seconds.
    """
    late = (delivery_s - due_s) / spread_s
    # As np.logaddexp(0, late), in a third of its time.
    softened: Floats = spread_s * (np.maximum(late, 0.0) + np.log(1 + np.exp(-np.abs(late))))
    return softened


def urgency(delivery_s: Floats, due_s: Floats, spread_s: Floats) -> Floats:
    """The derivative of the expected lateness by the delivery time, from 0 to 1."""
    rise: Floats = expit((delivery_s - due_s) / spread_s)
    return rise


def price_of_the_queue(urgent_weight: Floats, drones: int, at_work: int) -> Floats:
    """The cost of a second of a drone's time to the orders other than each order (n,), in weighted
    seconds. 0 unless more orders wait than drones can be planned: the share of them that is left
    out waits longer, divided by the drones at work.

    urgent_weight: weight * urgency of each order, 0 for an order that no drone can fly. drones: the
    number of drones with a pair.
    """
    waiting = int(np.count_nonzero(urgent_weight))
    share_left = max(0, waiting - drones) / max(waiting, 1)
    others: Floats = urgent_weight.sum() - urgent_weight
    return share_left * others / max(at_work, 1)


def cost(
    weight: Floats,
    lateness_s: Floats,
    busy_s: Floats,
    excess_s: Floats,
    queue_price: Floats,
    rules: Rules,
) -> Floats:
    """The cost of serving an order with a drone, in weighted seconds:

        weight * expected lateness + (busy_weight + TRIP * price) * drone time
            + EXCESS * price * (drone time - the least drone time for the order)

    So in a longer queue short trips count more, and even more the drone that loses the least time.
    """
    of_trip = (rules.busy_weight + TRIP * queue_price) * busy_s
    return weight * lateness_s + of_trip + EXCESS * queue_price * excess_s


def cost_of_leaving(weight: Floats, soonest_s: Floats, due_s: Floats, spread_s: Floats) -> Floats:
    """The cost of leaving an order for a later plan, in weighted seconds: weight * expected
    lateness if its soonest delivery is NEXT_DRONE_S later.
    """
    return weight * expected_lateness_s(soonest_s + NEXT_DRONE_S, due_s, spread_s)
