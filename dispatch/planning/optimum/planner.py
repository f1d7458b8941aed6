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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dispatch.planning.optimum import matching, objective, scarcity
from dispatch.planning.optimum.matching import Pairs
from dispatch.planning.optimum.objective import Floats, Ints
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
# The number of pairs whose costs are computed at once: they fit into the processor's cache.
BLOCK_PAIRS = 100_000


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

    regret (n, 3): the minimum cost of choosing the runner-up, in weighted seconds. Infinite if
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
    by_id, index = _sorted_by_id(problem)
    found = _plan(by_id)
    if by_id is problem:
        return found
    row, column = _places(problem.order_id), _places(problem.drone_id)
    return replace(
        found,
        pairs=index[found.pairs],
        runners_up=np.append(index, -1)[found.runners_up][row],
        regret=found.regret[row],
        cost=_unsorted(found.cost, index),
        left_out=found.left_out[row],
        gain=_unsorted(found.gain, index),
        order_price=found.order_price[row],
        drone_price=found.drone_price[column],
    )


def _plan(problem: Problem) -> Plan:
    """The plan of a problem that is sorted by id."""
    ranks, costs, left_out = _ranks_and_costs(problem)
    unit_s = _unit_s(problem, costs, left_out)
    costs = _with_scarcity(problem, costs, unit_s)
    left_units = _whole(left_out / unit_s)
    worst_units = int(_whole(costs.max(initial=0.0) / unit_s))
    step = _most_pairs(problem) * worst_units + int(left_units.max(initial=0)) + 1
    gain = _gains(problem, ranks, costs, unit_s, left_units, step)
    orders, drones = len(problem.order_id), len(problem.drone_id)
    pairs = Pairs(orders, drones, problem.order, problem.drone, gain)
    found = matching.best(pairs)

    chosen = found.chosen
    gap = found.prices.row.sum() + found.prices.column.sum() - gain[chosen].sum()
    saved = left_units[problem.order[chosen]] - _whole(costs[chosen] / unit_s)
    value = left_units.sum() - saved.sum()
    others, loss = _runners_up(pairs, found, costs)
    return Plan(
        pairs=chosen[np.argsort(-gain[chosen], kind="stable")],
        runners_up=others,
        regret=np.where(loss < step / 2, loss * unit_s, np.inf),
        cost=costs,
        left_out=left_out,
        value=float(value) * unit_s,
        bound=float(value - gap) * unit_s,
        gain=gain,
        order_price=found.prices.row,
        drone_price=found.prices.column,
    )


def _runners_up(pairs: Pairs, found: matching.Best, costs: Floats) -> tuple[Ints, Ints]:
    """The indices (rows, RUNNERS_UP) of each row's cheapest pairs that are not chosen, -1 after the
    last, and the loss with each.
    """
    few = found.candidates
    other_costs = costs[few]
    other_costs[np.searchsorted(few, found.chosen)] = np.inf
    cheapest = matching.cheapest(pairs.take(few), other_costs, RUNNERS_UP)
    others = np.append(few, -1)[cheapest]
    loss = np.zeros(others.shape, np.int64)
    loss[others >= 0] = matching.losses(pairs, found, others[others >= 0])
    return others, loss


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
    drones = int(np.count_nonzero(np.bincount(problem.drone)))
    price = objective.price_of_the_queue(urgent_weight, drones, problem.at_work)
    costs = np.empty(len(order))
    for block in _blocks(len(order)):
        of = order[block]
        # An order keeps its held drone unless another one saves more than MIN_SAVING_S.
        changes = (problem.holds[of] != NONE_HELD) & (problem.holds[of] != problem.drone[block])
        changing_s = np.where(changes, MIN_SAVING_S, 0.0)
        late_s = objective.expected_lateness_s(
            problem.delivery_s[block] + changing_s, due_s[of], spread_s[of]
        )
        busy_s = problem.busy_s[block] + changing_s
        excess_s = busy_s - least_busy_s[of]
        costs[block] = objective.cost(weights[of], late_s, busy_s, excess_s, price[of], rules)
    left_out = objective.cost_of_leaving(weights, soonest_s, due_s, spread_s)
    left_out[~has_pair] = 0.0
    return np.where(problem.holds == NONE_HELD, ranks, RANK_OF_HOLDER), costs, left_out


def _with_scarcity(problem: Problem, costs: Floats, unit_s: float) -> Floats:
    """The costs of each pair with those of the only large drones raised."""
    normal = np.array([name == Priority.NORMAL for name in problem.priority], bool)
    choices = scarcity.Choices(
        order=problem.order,
        drone=problem.drone,
        delivery_s=problem.delivery_s,
        due_s=problem.due_s,
        spares=normal & (problem.holds == NONE_HELD),
    )
    return scarcity.raised(costs, unit_s, choices, problem.sizes)


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
    return max(MIN_UNIT_S, 2 * float(most * highest / MAX_EXACT))


def _whole(values: Floats) -> Ints:
    return np.rint(values).astype(np.int64)


def _gains(
    problem: Problem, ranks: Ints, costs: Floats, unit_s: float, left_units: Ints, step: int
) -> Ints:
    """The score of each pair: rank * step + cost of leaving - cost, where
    step = k * (highest cost) + (highest cost of leaving) + 1 and k is the maximum number of pairs.

    The plan with the highest score serves the most orders of every rank. Proof: suppose another
    plan serves more of one rank and as many of each higher rank. The two plans differ by disjoint
    alternating paths of orders and drones. A path has two ends, so one path serves an order of a
    higher rank in place of an order of a lower rank or of none. Swapping that path alone gains at
    least one step and loses less: at most k pairs get more expensive and one order is left out. So
    the score was not the highest.
    """
    gain: Ints = (ranks * step + left_units)[problem.order]
    for block in _blocks(len(gain)):
        gain[block] -= _whole(costs[block] / unit_s)
    return gain


def _blocks(pairs: int) -> Iterator[slice]:
    for start in range(0, pairs, BLOCK_PAIRS):
        yield slice(start, start + BLOCK_PAIRS)


def _places(ids: Sequence[str]) -> Ints:
    """The position of each id in sorted order."""
    if len(set(ids)) < len(ids):
        raise ValueError("an order or a drone is given twice")
    ordered = sorted(range(len(ids)), key=ids.__getitem__)
    places = np.empty(len(ids), np.int64)
    places[ordered] = np.arange(len(ids))
    return places


def _sorted_by_id(problem: Problem) -> tuple[Problem, Ints]:
    """The problem with orders, drones and pairs sorted by id, and the original index of each pair;
    the same problem and no indices if it is sorted already.
    """
    row, column = _places(problem.order_id), _places(problem.drone_id)
    cell = row[problem.order] * len(column) + column[problem.drone]
    ascending = all((place == np.arange(len(place))).all() for place in (row, column))
    if ascending and (cell[1:] > cell[:-1]).all():
        return problem, np.empty(0, np.int64)
    index = np.argsort(cell, kind="stable")
    if (cell[index][1:] == cell[index][:-1]).any():
        raise ValueError("a pair is given twice")
    order_at, drone_at = np.argsort(row), np.argsort(column)
    held = problem.holds[order_at]
    return replace(
        problem,
        order_id=[problem.order_id[i] for i in order_at],
        priority=[problem.priority[i] for i in order_at],
        waited_s=problem.waited_s[order_at],
        due_s=problem.due_s[order_at],
        drone_id=[problem.drone_id[i] for i in drone_at],
        order=row[problem.order[index]],
        drone=column[problem.drone[index]],
        delivery_s=problem.delivery_s[index],
        busy_s=problem.busy_s[index],
        holds=np.where(held == NONE_HELD, NONE_HELD, np.append(column, 0)[held]),
        sizes=replace(problem.sizes, of=problem.sizes.of[drone_at]),
    ), index


def _unsorted(values: Any, index: Ints) -> Any:
    """values: those of the pairs at these indices."""
    given = np.empty_like(values)
    given[index] = values
    return given
