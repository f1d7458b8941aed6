"""The optimal set of (order, drone) pairs, with a proof of optimality. Pure.

All waiting orders are planned against all able drones together. Among all sets that use each order
and each drone at most once, the plan

1. serves as many orders of the highest rank as possible, then of the next, and so on. This does not
   reduce the number of orders: serving the highest ranks first also serves the most orders in
   total, because the sets of orders that can be served together form a transversal matroid;
2. among those sets, has the least sum of `objective.cost` over the orders that it serves and
   `objective.cost_of_leaving` over the others; `scarcity` raises some costs.

Both together are one assignment problem over integers; see `_gains`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dispatch.planning import matching, objective, scarcity
from dispatch.planning.matching import Pairs
from dispatch.planning.objective import Floats, Ints
from fleet.feasibility.rules import Priority, Rules

# The rank of an order that holds a drone already. It can get a better drone, but never loses its
# own to another order.
RANK_OF_HOLDER = 4
# A drone replaces a held one only if it saves more than this.
MIN_SAVING_S = 60.0
NONE_HELD = -1
RUNNERS_UP = 3
# Costs are integer multiples of a unit. It is this, or coarser if costs are so high that their sums
# would exceed the integers that a float holds exactly.
MIN_UNIT_S = 0.001
MAX_EXACT = 2.0**53


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Orders (n), drones (m), and the distinct pairs (P,) that may be planned.

    waited_s: how long the order has waited. due_s: from now until its `deliver_by`, negative
    afterwards. order, drone: the indices of each pair. delivery_s: from now to the door, with a
    wait for the drone. busy_s: the drone's time for the trip. at_work: the number of drones that
    have a pair or fly such orders now. holds (n,): the index of the drone that the order has
    already, or NONE_HELD. sizes: what the drones carry. Ids break ties.
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
    sizes: scarcity.Sizes


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The optimal pairs, with the certificate of optimality.

    pairs: indices of the chosen pairs, the most valuable first. runners_up (n, 3): the indices of
    each order's cheapest other pairs, -1 after the last. cost (P,) of each pair and left_out (n,)
    of leaving each order, in weighted seconds.

    value: the cost of the plan, over all orders with an able drone. bound: a lower bound of the
    cost of any plan that serves as many orders of each rank. They are equal when the plan is
    optimal. The certificate can be checked without the solver: no price in order_price (n,) and
    drone_price (m,) is negative, no pair's gain (P,) exceeds the sum of its two prices, and all
    prices sum up to the plan's gain.

    regret (P,): the minimum cost of forcing a pair into the plan, in weighted seconds. Infinite if
    an order would lose its drone to a less urgent one, or without replacement.
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


# --- the optimum ---------------------------------------------------------------------------------


def plan(problem: Problem) -> Plan:
    """The optimal plan. It does not depend on the order of the problem's rows.

    Raises ValueError for a duplicate pair or id, and for a time that is not finite.
    """
    ranks, costs, left_out = _ranks_and_costs(problem)
    unit_s = _unit_s(problem, costs, left_out)
    cost_units, left_units = _whole(costs / unit_s), _whole(left_out / unit_s)
    costs, cost_units = _with_scarcity(problem, costs, cost_units, unit_s)
    step = _most_pairs(problem) * cost_units.max(initial=0) + left_units.max(initial=0) + 1
    gain = _gains(problem, ranks, cost_units, left_units, step)
    row, column = _places(problem.order_id), _places(problem.drone_id)
    pairs, index = _sorted_pairs(problem, row, column, gain)
    found = matching.best(pairs)
    row_price, column_price = matching.prices(pairs, found)

    chosen = index[found]
    gap = row_price.sum() + column_price.sum() - gain[chosen].sum()
    value = left_units.sum() + (cost_units[chosen] - left_units[problem.order[chosen]]).sum()
    other_costs = costs[index]
    other_costs[found] = np.inf
    others = matching.cheapest(pairs, other_costs, RUNNERS_UP)[row]
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


def _ranks_and_costs(problem: Problem) -> tuple[Ints, Floats, Floats]:
    """The rank of each order (n,), and the costs of each pair (P,) and of leaving each order (n,);
    0 for an order without a pair.
    """
    times = (problem.waited_s, problem.due_s, problem.delivery_s, problem.busy_s)
    if not all(np.isfinite(column).all() for column in times):
        raise ValueError("a time of an order or of a pair is not a finite number")
    rules, order, due_s = problem.rules, problem.order, problem.due_s
    spread_s = objective.spread_s(problem.priority, rules)
    soonest_s = _least(problem, problem.delivery_s)
    has_pair = np.isfinite(soonest_s)
    soonest_s[~has_pair] = 0.0
    least_busy_s = _least(problem, problem.busy_s)
    limit_s = objective.wait_limit_s(least_busy_s[has_pair], problem.at_work, rules)
    ranks = objective.rank(problem.priority, problem.waited_s, limit_s)
    weights = objective.weight(
        problem.priority, problem.waited_s, soonest_s > due_s, limit_s, rules
    )
    urgent_weight = has_pair * weights * objective.urgency(soonest_s, due_s, spread_s)
    drones = len(np.unique(problem.drone))
    price = objective.price_of_the_queue(urgent_weight, drones, problem.at_work)
    # An order keeps its held drone unless another one saves more than MIN_SAVING_S.
    is_held = problem.holds[order] == problem.drone
    changing_s = np.where((problem.holds[order] != NONE_HELD) & ~is_held, MIN_SAVING_S, 0.0)
    late_s = objective.expected_lateness_s(
        problem.delivery_s + changing_s, due_s[order], spread_s[order]
    )
    busy_s = problem.busy_s + changing_s
    excess_s = busy_s - least_busy_s[order]
    costs = objective.cost(weights[order], late_s, busy_s, excess_s, price[order], rules)
    left_out = objective.cost_of_leaving(weights, soonest_s, due_s, spread_s)
    left_out[~has_pair] = 0.0
    return np.where(problem.holds == NONE_HELD, ranks, RANK_OF_HOLDER), costs, left_out


def _with_scarcity(
    problem: Problem, costs: Floats, units: Ints, unit_s: float
) -> tuple[Floats, Ints]:
    """The costs of each pair, in weighted seconds and in units, with those of the only large drones
    raised.
    """
    normal = np.array([name == Priority.NORMAL for name in problem.priority], bool)
    choices = scarcity.Choices(
        order=problem.order,
        drone=problem.drone,
        delivery_s=problem.delivery_s,
        due_s=problem.due_s,
        spares=normal & (problem.holds == NONE_HELD),
    )
    raised = scarcity.raised(units, choices, problem.sizes)
    return np.where(raised > units, raised * unit_s, costs), raised


def _least(problem: Problem, of_pairs: Floats) -> Floats:
    """The least value of each order's pairs (n,); infinite for an order without a pair."""
    least = np.full(len(problem.order_id), np.inf)
    np.minimum.at(least, problem.order, of_pairs)
    return least


def _most_pairs(problem: Problem) -> int:
    return min(len(problem.order_id), len(problem.drone_id))


def _unit_s(problem: Problem, costs: Floats, left_out: Floats) -> float:
    most, worst = _most_pairs(problem), left_out.max(initial=0.0)
    step = most * costs.max(initial=0.0) + worst
    highest = RANK_OF_HOLDER * step + worst
    nodes = len(problem.order_id) + len(problem.drone_id) + 1
    sums = max(most * highest / MAX_EXACT, nodes * highest / matching.FLOW_LIMIT)
    return max(MIN_UNIT_S, 2 * float(sums))


def _whole(values: Floats) -> Ints:
    return np.rint(values).astype(np.int64)


def _gains(problem: Problem, ranks: Ints, cost_units: Ints, left_units: Ints, step: int) -> Ints:
    """The score of each pair: rank * step + cost of leaving - cost, where
    step = k * (highest cost) + (highest cost of leaving) + 1 and k is the maximum number of pairs.

    The plan with the highest score serves the most orders of every rank. Proof: suppose another
    plan serves more of one rank and as many of each higher rank. The two plans differ by disjoint
    alternating paths of orders and drones. A path has two ends, so one path serves an order of a
    higher rank in place of an order of a lower rank or of none. Swapping that path alone gains at
    least one step and loses less: at most k pairs get more expensive and one order is left out. So
    the score was not the highest.
    """
    gain: Ints = (ranks * step + left_units)[problem.order] - cost_units
    return gain


def _places(ids: Sequence[str]) -> Ints:
    """The position of each id in sorted order."""
    if len(set(ids)) < len(ids):
        raise ValueError("an order or a drone is given twice")
    ordered = sorted(range(len(ids)), key=ids.__getitem__)
    places = np.empty(len(ids), np.int64)
    places[ordered] = np.arange(len(ids))
    return places


def _sorted_pairs(problem: Problem, row: Ints, column: Ints, gain: Ints) -> tuple[Pairs, Ints]:
    """The pairs with orders and drones sorted by id, and the original index of each pair."""
    cell = row[problem.order] * len(column) + column[problem.drone]
    index = np.argsort(cell, kind="stable")
    cell = cell[index]
    if (cell[1:] == cell[:-1]).any():
        raise ValueError("a pair is given twice")
    rows, columns = np.divmod(cell, max(1, len(column)))
    return Pairs(len(row), len(column), rows, columns, gain[index]), index
