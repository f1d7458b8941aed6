"""The best set of (order, drone) pairs, and the proof that there is none better. Pure.

All waiting orders are planned against all able drones together. Of all sets that use no order and
no drone twice, the plan

1. serves as many orders of the highest rank as possible, then of the next, and so on. Urgency costs
   no numbers: taking the most urgent first also serves the most orders (the sets of orders that
   can be served together are a transversal matroid);
2. among those sets, has the least sum of `cost` over the orders that it serves, and of
   `cost_of_leaving` over those that it does not.

Both together are one assignment problem over whole numbers; see `_gains`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from fleet.policy import Rules

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RANKS = {"NORMAL": 1, "URGENT": 2, "MEDICAL": 3}
# Scale of the error of our times of delivery, as a share of the promise: lateness sets in softly.
SPREAD = 0.25
# How long, at the least, until another drone is free for an order that is left out.
NEXT_DRONE_S = 600.0
RUNNERS_UP = 3
# Costs are counted in whole multiples of this; coarser only where they are so huge that sums over
# a plan would leave the whole numbers that a float holds exactly.
FINEST_UNIT_S = 0.001
EXACT = 2.0**53


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Orders (n), drones (m), and those pairs of them (P,) that are able, each once.

    waited_s: how long the order has waited. due_s: from now until its `deliver_by`, negative when
    that is over. order, drone: the indices of each pair. delivery_s: from now until the parcel is
    at the door. busy_s: from now until the drone can take another order. Ids decide ties.
    """

    order_id: Sequence[str]
    priority: Sequence[str]
    waited_s: Floats
    due_s: Floats
    drone_id: Sequence[str]
    order: Ints
    drone: Ints
    delivery_s: Floats
    busy_s: Floats
    rules: "Rules"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What to assign, and the certificate that it is optimal.

    pairs: indices of the chosen pairs, the most valuable first. runners_up: for each order (n, 3)
    the indices of its cheapest other pairs, -1 where there are no more. cost: of each pair (P,),
    and left_out: of leaving each order (n,), in weighted seconds.

    value: the cost of the plan, over all orders for which there was an able drone. bound: no plan
    that serves as many of each rank costs less. They are equal when the plan is optimal, and
    anybody can check it: no price in order_price (n,) and drone_price (m,) is negative, no pair's
    gain (P,) is more than its two prices together, and all the prices sum up to the plan's gain.
    """

    pairs: Ints
    runners_up: Ints
    cost: Floats
    left_out: Floats
    value: float
    bound: float
    gain: Ints
    order_price: Ints
    drone_price: Ints


# --- the objective -------------------------------------------------------------------------------


def rank(priority: Sequence[str], waited_s: Floats, rules: "Rules") -> Ints:
    """Who is served first: NORMAL 1, URGENT 2, MEDICAL 3. A NORMAL order that has waited
    `age_cap_s` ranks as URGENT, so that urgent orders cannot pass it for ever. Nothing else ever
    ranks as MEDICAL.
    """
    ranks = np.array([RANKS[name] for name in priority], np.int64)
    return np.where((ranks == 1) & (waited_s >= rules.age_cap_s), 2, ranks)


def weight(priority: Sequence[str], waited_s: Floats, rules: "Rules") -> Floats:
    """What a second of lateness weighs: the priority's weight, growing in proportion with the wait
    to twice as much at `age_cap_s`, and no further.
    """
    base = np.array([rules.priority_weight[name] for name in priority], float)
    grown: Floats = base * (1 + np.clip(waited_s / rules.age_cap_s, 0.0, 1.0))
    return grown


def expected_lateness_s(delivery_s: Floats, due_s: Floats, spread_s: Floats) -> Floats:
    """The mean of max(0, T - due) where the true time of delivery T is logistic about our estimate
    with scale `spread_s`: spread * ln(1 + exp((delivery - due) / spread)), in seconds.
    """
    late: Floats = spread_s * np.logaddexp(0.0, (delivery_s - due_s) / spread_s)
    return late


def cost(weight: Floats, lateness_s: Floats, busy_s: Floats, rules: "Rules") -> Floats:
    """Of serving an order with a drone, in weighted seconds:
    weight * expected lateness + busy_weight * time that it takes of the drone.
    """
    return weight * lateness_s + rules.busy_weight * busy_s


def cost_of_leaving(
    weight: Floats, soonest_s: Floats, waited_s: Floats, due_s: Floats, spread_s: Floats
) -> Floats:
    """Of leaving an order for a later plan, in weighted seconds: weight * expected lateness when
    its soonest delivery comes later by NEXT_DRONE_S, or by as long again as it has waited already.

    It grows with the wait without limit, so that among equals the longest wait wins in the end.
    """
    later_s = np.maximum(NEXT_DRONE_S, waited_s)
    return weight * expected_lateness_s(soonest_s + later_s, due_s, spread_s)


# --- the optimum ---------------------------------------------------------------------------------


def plan(problem: Problem) -> Plan:
    """The optimal plan. The same problem with its rows in another order gives the same plan.

    Raises ValueError for a pair or an id given twice and for a figure that is not finite.
    """
    costs, left_out = _costs(problem)
    unit_s = _unit_s(problem, costs, left_out)
    cost_units, left_units = _whole(costs / unit_s), _whole(left_out / unit_s)
    gain = _gains(problem, cost_units, left_units)
    row, column = _places(problem.order_id), _places(problem.drone_id)
    pair = _matrix(problem, row, column)
    gains = np.append(gain, 0)[pair]
    contenders = _contenders(gains)
    rows, columns = linear_sum_assignment(gains[contenders], maximize=True)
    rows = contenders[rows]
    served = pair[rows, columns] >= 0
    rows, columns = rows[served], columns[served]
    row_price, column_price = _prices(gains, rows, columns)

    chosen = pair[rows, columns]
    gap = row_price.sum() + column_price.sum() - gain[chosen].sum()
    value = left_units.sum() + (cost_units[chosen] - left_units[problem.order[chosen]]).sum()
    return Plan(
        pairs=chosen[np.argsort(-gain[chosen], kind="stable")],
        runners_up=_runners_up(pair, costs, rows, columns)[row],
        cost=costs,
        left_out=left_out,
        value=float(value) * unit_s,
        bound=float(value - gap) * unit_s,
        gain=gain,
        order_price=row_price[row],
        drone_price=column_price[column],
    )


def _costs(problem: Problem) -> tuple[Floats, Floats]:
    """Of each pair, and of leaving each order: 0 without any pair, there is nothing to decide."""
    times = (problem.waited_s, problem.due_s, problem.delivery_s, problem.busy_s)
    if not all(np.isfinite(column).all() for column in times):
        raise ValueError("a time of an order or of a pair is not a finite number")
    rules, order = problem.rules, problem.order
    spread_s = SPREAD * np.array([rules.promise_s[name] for name in problem.priority], float)
    weights = weight(problem.priority, problem.waited_s, rules)
    lateness_s = expected_lateness_s(problem.delivery_s, problem.due_s[order], spread_s[order])
    costs = cost(weights[order], lateness_s, problem.busy_s, rules)
    soonest_s = np.full(len(weights), np.inf)
    np.minimum.at(soonest_s, order, problem.delivery_s)
    left_out = cost_of_leaving(weights, soonest_s, problem.waited_s, problem.due_s, spread_s)
    left_out[np.isinf(soonest_s)] = 0.0
    return costs, left_out


def _most_pairs(problem: Problem) -> int:
    return min(len(problem.order_id), len(problem.drone_id))


def _unit_s(problem: Problem, costs: Floats, left_out: Floats) -> float:
    most, worst = _most_pairs(problem), left_out.max(initial=0.0)
    step = most * costs.max(initial=0.0) + worst
    highest = most * (max(RANKS.values()) * step + worst)
    return max(FINEST_UNIT_S, 2 * float(highest) / EXACT)


def _whole(values: Floats) -> Ints:
    return np.rint(values).astype(np.int64)


def _gains(problem: Problem, cost_units: Ints, left_units: Ints) -> Ints:
    """What each pair adds to the score of a plan: rank * step + cost of leaving - cost, where
    step = k * (highest cost) + (highest cost of leaving) + 1 and k is the most pairs of a plan.

    The plan of the highest score serves the most of every rank. Suppose that another one serves
    more of one rank and as many of each above it. The two differ by separate chains of orders and
    drones in turn; a chain has two ends, so there is one that serves an order of a higher rank in
    place of one of a lower rank or of none. Swapping just that chain gains a step at least and
    loses less: at most k pairs become dearer, one order is left out. So the score was not highest.
    """
    step = _most_pairs(problem) * cost_units.max(initial=0) + left_units.max(initial=0) + 1
    ranks = rank(problem.priority, problem.waited_s, problem.rules)
    gain: Ints = (ranks * step + left_units)[problem.order] - cost_units
    return gain


def _places(ids: Sequence[str]) -> Ints:
    """The place of each id in their order."""
    if len(set(ids)) < len(ids):
        raise ValueError("an order or a drone is given twice")
    ordered = sorted(range(len(ids)), key=ids.__getitem__)
    places = np.empty(len(ids), np.int64)
    places[ordered] = np.arange(len(ids))
    return places


def _matrix(problem: Problem, row: Ints, column: Ints) -> Ints:
    """The index of the pair of each order and drone, both in the order of their ids; -1: none."""
    count = len(problem.order)
    pair = np.full((len(row), len(column)), -1, np.int64)
    pair[row[problem.order], column[problem.drone]] = np.arange(count)
    if np.count_nonzero(pair >= 0) < count:
        raise ValueError("a pair is given twice")
    return pair


def _contenders(gains: Ints) -> Ints:
    """The rows that an optimal plan can do with, out of many more orders than drones.

    Of m drones each needs only its m best orders: the others take m - 1 of them at most, so one is
    always left that is as good as any order beyond.
    """
    drones = gains.shape[1]
    if len(gains) <= drones:
        return np.arange(len(gains))
    best = np.argpartition(gains, -drones, axis=0)[-drones:] if drones else np.empty(0, np.int64)
    return np.unique(best)


def _prices(gains: Ints, rows: Ints, columns: Ints) -> tuple[Ints, Ints]:
    """The dual prices that prove a plan optimal: the lowest that drones can have.

    A drone is worth at least what an order that goes without would gain by it, and what an order
    that is served by another would gain by it beyond what it has there. This is Bellman and Ford's
    way to the least such prices; it comes to rest unless there is a better plan. Whatever prices
    come out, their sum is a bound.
    """
    without = np.ones(len(gains), bool)
    without[rows] = False
    drone_price = gains[without].max(axis=0, initial=0)
    drawn = gains[rows] - gains[rows, columns][:, None]
    for _ in range(len(rows) + 1):
        before = drone_price
        drone_price = (drawn + before[columns][:, None]).max(axis=0, initial=0)
        drone_price = np.maximum(before, drone_price)
        if np.array_equal(drone_price, before):
            break
    order_price: Ints = (gains - drone_price).max(axis=1, initial=0)
    return order_price, drone_price


def _runners_up(pair: Ints, costs: Floats, rows: Ints, columns: Ints) -> Ints:
    """For each row the indices of its cheapest pairs that were not chosen, -1 after the last."""
    dearness = np.append(costs, np.inf)[pair]
    dearness[rows, columns] = np.inf
    every = np.arange(len(pair))
    found = np.full((len(pair), RUNNERS_UP), -1, np.int64)
    for place in range(RUNNERS_UP if pair.size else 0):
        cheapest = dearness.argmin(axis=1)
        there = np.isfinite(dearness[every, cheapest])
        found[there, place] = pair[every, cheapest][there]
        dearness[every, cheapest] = np.inf
    return found
