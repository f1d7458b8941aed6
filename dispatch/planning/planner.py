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

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from dispatch.planning import matching
from dispatch.planning.matching import Pairs
from fleet.feasibility.rules import Priority, Rules

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RANKS: dict[str, int] = {Priority.NORMAL: 1, Priority.URGENT: 2, Priority.MEDICAL: 3}
# An order that holds a drone already never loses it to another: at the most it gets a better one.
HOLDS_ONE = 4
# So much sooner at the door, in seconds, must a drone be that takes the place of one that is held.
CLEARLY_BETTER_S = 60.0
NONE_HELD = -1
# Scale, as a share of the promise, over which lateness sets in: softly, so that being sooner counts
# long before being late does.
SPREAD = 1.0
# How long until another drone is free for an order that is left out.
NEXT_DRONE_S = 180.0
# A NORMAL order has waited too long after so many promises, and after so many times as long as the
# drones need for all that wait.
LONG_PROMISES = 1.5
LONG_QUEUES = 2.3
RUNNERS_UP = 3
# Costs are counted in whole multiples of this; coarser only where they are so huge that sums over
# a plan would leave the whole numbers that a float holds exactly.
FINEST_UNIT_S = 0.001
EXACT = 2.0**53


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Orders (n), drones (m), and those pairs of them (P,) that may be planned, each once.

    waited_s: how long the order has waited. due_s: from now until its `deliver_by`, negative when
    that is over. order, drone: the indices of each pair. delivery_s: from now until the parcel is
    at the door, a wait for the drone included. busy_s: what the trip takes of the drone. at_work:
    how many drones fly such orders at present, those included that are on their way. holds: of each
    order (n,) the drone that it has already, or NONE_HELD. Ids decide ties.
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
    rules: Rules
    at_work: int
    holds: Ints


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

    regret: what choosing a pair (P,) all the same would cost the plan at the least, in weighted
    seconds; infinite where an order would lose its drone to one that is not as urgent, or to none.
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
    regret: Floats


# --- the objective -------------------------------------------------------------------------------


def too_long_s(least_busy_s: Floats, at_work: int, rules: Rules) -> float:
    """After how long a NORMAL order ranks as URGENT: LONG_PROMISES promises, or LONG_QUEUES times
    as long as the drones at work need for all that wait, whichever is longer; but `age_cap_s` at
    the latest. In a long queue everybody waits long: it is for those who wait longer than others.

    least_busy_s: what each order that a drone can fly takes of a drone at the least.
    """
    queue_s = float(least_busy_s.sum()) / max(at_work, 1)
    long_s = max(LONG_PROMISES * rules.promise_s[Priority.NORMAL], LONG_QUEUES * queue_s)
    return min(long_s, rules.age_cap_s)


def rank(priority: Sequence[str], waited_s: Floats, too_long_s: float) -> Ints:
    """Who is served first: NORMAL 1, URGENT 2, MEDICAL 3. A NORMAL order that has waited too long
    ranks as URGENT, so that urgent orders cannot pass it for ever. Nothing else ever ranks as
    MEDICAL.
    """
    ranks = np.array([RANKS[name] for name in priority], np.int64)
    return np.where((ranks == 1) & (waited_s >= too_long_s), 2, ranks)


def weight(priority: Sequence[str], waited_s: Floats, rules: Rules) -> Floats:
    """What a second of lateness weighs: the priority's weight, and as much again for every promise
    that the order has waited, counting no more than `age_cap_s`.
    """
    base = np.array([rules.priority_weight[name] for name in priority], float)
    promise_s = np.array([rules.promise_s[name] for name in priority], float)
    grown: Floats = base * (1 + np.clip(waited_s, 0.0, rules.age_cap_s) / promise_s)
    return grown


def expected_lateness_s(delivery_s: Floats, due_s: Floats, spread_s: Floats) -> Floats:
    """The mean of max(0, T - due) where the true time of delivery T is logistic about our estimate
    with scale `spread_s`: spread * ln(1 + exp((delivery - due) / spread)), in seconds.
    """
    late: Floats = spread_s * np.logaddexp(0.0, (delivery_s - due_s) / spread_s)
    return late


def urgency(delivery_s: Floats, due_s: Floats, spread_s: Floats) -> Floats:
    """By how much a second of delay raises the expected lateness, from 0 to 1 (its derivative)."""
    rise: Floats = expit((delivery_s - due_s) / spread_s)
    return rise


def price_of_drone_time(urgent_weight: Floats, drones: int, at_work: int, rules: Rules) -> Floats:
    """What a second of a drone is worth to each order (n,), in weighted seconds.

    `busy_weight`, and where more orders wait than drones can be planned for, what a second costs
    the others: it keeps those of them that stay behind waiting, shared by the drones that are at
    work. So the longer the queue, the more it counts that trips are short.

    urgent_weight: weight * urgency of each order, 0 for one that no drone can fly. drones: how many
    drones there are for them.
    """
    waiting = int(np.count_nonzero(urgent_weight))
    share_left = max(0, waiting - drones) / max(waiting, 1)
    others: Floats = urgent_weight.sum() - urgent_weight
    price: Floats = rules.busy_weight + share_left * others / max(at_work, 1)
    return price


def cost(weight: Floats, lateness_s: Floats, busy_s: Floats, drone_price: Floats) -> Floats:
    """Of serving an order with a drone, in weighted seconds:
    weight * expected lateness + price of drone time * time that it takes of the drone.
    """
    return weight * lateness_s + drone_price * busy_s


def cost_of_leaving(weight: Floats, soonest_s: Floats, due_s: Floats, spread_s: Floats) -> Floats:
    """Of leaving an order for a later plan, in weighted seconds: weight * expected lateness when
    its soonest delivery comes later by NEXT_DRONE_S.
    """
    return weight * expected_lateness_s(soonest_s + NEXT_DRONE_S, due_s, spread_s)


# --- the optimum ---------------------------------------------------------------------------------


def plan(problem: Problem) -> Plan:
    """The optimal plan. The same problem with its rows in another order gives the same plan.

    Raises ValueError for a pair or an id given twice and for a figure that is not finite.
    """
    costs, left_out = _costs(problem)
    unit_s = _unit_s(problem, costs, left_out)
    cost_units, left_units = _whole(costs / unit_s), _whole(left_out / unit_s)
    step = _most_pairs(problem) * cost_units.max(initial=0) + left_units.max(initial=0) + 1
    gain = _gains(problem, cost_units, left_units, step)
    row, column = _places(problem.order_id), _places(problem.drone_id)
    pairs, index = _sorted_pairs(problem, row, column, gain)
    found = matching.best(pairs)
    row_price, column_price = matching.prices(pairs, found)

    chosen = index[found]
    gap = row_price.sum() + column_price.sum() - gain[chosen].sum()
    value = left_units.sum() + (cost_units[chosen] - left_units[problem.order[chosen]]).sum()
    dearness = costs[index]
    dearness[found] = np.inf
    others = matching.cheapest(pairs, dearness, RUNNERS_UP)[row]
    loss = np.empty(len(pairs), np.int64)
    loss[index] = matching.losses(pairs, found)
    return Plan(
        pairs=chosen[np.argsort(-gain[chosen], kind="stable")],
        runners_up=np.append(index, -1)[others],
        cost=costs,
        left_out=left_out,
        value=float(value) * unit_s,
        bound=float(value - gap) * unit_s,
        gain=gain,
        order_price=row_price[row],
        drone_price=column_price[column],
        regret=np.where(loss < step / 2, loss * unit_s, np.inf),
    )


def _costs(problem: Problem) -> tuple[Floats, Floats]:
    """Of each pair, and of leaving each order: 0 without any pair, there is nothing to decide."""
    times = (problem.waited_s, problem.due_s, problem.delivery_s, problem.busy_s)
    if not all(np.isfinite(column).all() for column in times):
        raise ValueError("a time of an order or of a pair is not a finite number")
    rules, order = problem.rules, problem.order
    spread_s = SPREAD * np.array([rules.promise_s[name] for name in problem.priority], float)
    weights = weight(problem.priority, problem.waited_s, rules)
    soonest_s = _least(problem, problem.delivery_s)
    asked = np.isfinite(soonest_s)
    urgent_weight = asked * weights * urgency(soonest_s, problem.due_s, spread_s)
    drones = len(np.unique(problem.drone))
    price = price_of_drone_time(urgent_weight, drones, problem.at_work, rules)
    # A drone that is held keeps its order unless another one is clearly better.
    is_held = problem.holds[order] == problem.drone
    changing_s = np.where((problem.holds[order] != NONE_HELD) & ~is_held, CLEARLY_BETTER_S, 0.0)
    lateness_s = expected_lateness_s(
        problem.delivery_s + changing_s, problem.due_s[order], spread_s[order]
    )
    costs = cost(weights[order], lateness_s, problem.busy_s + changing_s, price[order])
    left_out = cost_of_leaving(weights, soonest_s, problem.due_s, spread_s)
    left_out[~asked] = 0.0
    return costs, left_out


def _least(problem: Problem, of_pairs: Floats) -> Floats:
    """Of each order (n,) the least that one of its pairs (P,) has; infinite without any."""
    least = np.full(len(problem.order_id), np.inf)
    np.minimum.at(least, problem.order, of_pairs)
    return least


def _most_pairs(problem: Problem) -> int:
    return min(len(problem.order_id), len(problem.drone_id))


def _unit_s(problem: Problem, costs: Floats, left_out: Floats) -> float:
    most, worst = _most_pairs(problem), left_out.max(initial=0.0)
    step = most * costs.max(initial=0.0) + worst
    highest = HOLDS_ONE * step + worst
    nodes = len(problem.order_id) + len(problem.drone_id) + 1
    sums = max(most * highest / EXACT, nodes * highest / matching.FLOW_LIMIT)
    return max(FINEST_UNIT_S, 2 * float(sums))


def _whole(values: Floats) -> Ints:
    return np.rint(values).astype(np.int64)


def _gains(problem: Problem, cost_units: Ints, left_units: Ints, step: int) -> Ints:
    """What each pair adds to the score of a plan: rank * step + cost of leaving - cost, where
    step = k * (highest cost) + (highest cost of leaving) + 1 and k is the most pairs of a plan.

    The plan of the highest score serves the most of every rank. Suppose that another one serves
    more of one rank and as many of each above it. The two differ by separate chains of orders and
    drones in turn; a chain has two ends, so there is one that serves an order of a higher rank in
    place of one of a lower rank or of none. Swapping just that chain gains a step at least and
    loses less: at most k pairs become dearer, one order is left out. So the score was not highest.
    """
    least_busy_s = _least(problem, problem.busy_s)
    long_s = too_long_s(least_busy_s[np.isfinite(least_busy_s)], problem.at_work, problem.rules)
    ranks = rank(problem.priority, problem.waited_s, long_s)
    ranks = np.where(problem.holds == NONE_HELD, ranks, HOLDS_ONE)
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


def _sorted_pairs(problem: Problem, row: Ints, column: Ints, gain: Ints) -> tuple[Pairs, Ints]:
    """The pairs with orders and drones in the order of their ids, and the index of each."""
    cell = row[problem.order] * len(column) + column[problem.drone]
    index = np.argsort(cell, kind="stable")
    cell = cell[index]
    if (cell[1:] == cell[:-1]).any():
        raise ValueError("a pair is given twice")
    rows, columns = np.divmod(cell, max(1, len(column)))
    return Pairs(len(row), len(column), rows, columns, gain[index]), index
