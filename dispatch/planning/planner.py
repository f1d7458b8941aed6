"""The optimal set of (order, drone) pairs, with a proof of optimality. Pure.

All waiting orders are planned against all able drones together. Among all sets that use each order
and each drone at most once, the plan

1. serves as many orders of the highest rank as possible, then of the next, and so on. This does not
   reduce the number of orders: serving the highest ranks first also serves the most orders in
   total, because the sets of orders that can be served together form a transversal matroid;
2. among those sets, has the least sum of `cost` over the orders that it serves and
   `cost_of_leaving` over the others.

Both together are one assignment problem over integers; see `_gains`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from dispatch.planning import matching
from dispatch.planning.matching import Pairs
from fleet.feasibility.rules import Priority, Rules

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RANKS: dict[str, int] = {Priority.NORMAL: 1, Priority.URGENT: 2, Priority.MEDICAL: 3}
# The rank of an order that holds a drone already. It can get a better drone, but never loses its
# own to another order.
RANK_OF_HOLDER = 4
# A drone replaces a held one only if it saves more than this.
MIN_SAVING_S = 60.0
NONE_HELD = -1
# The scale of lateness as a share of the promise. Lateness grows softly, so a sooner delivery
# counts well before the promise is broken.
SPREAD = 1.0
# The assumed time until another drone is free for an order that is left out.
NEXT_DRONE_S = 180.0
# The limits after which a NORMAL order has waited too long, see `wait_limit_s`: in promises, and in
# times of the queue.
LIMIT_PROMISES = 1.5
LIMIT_QUEUES = 2.3
RUNNERS_UP = 3
# Costs are integer multiples of a unit. It is this, or coarser if costs are so high that their sums
# would exceed the integers that a float holds exactly.
MIN_UNIT_S = 0.001
# The number of pairs whose costs are computed at once: they fit into the processor's cache.
BLOCK_PAIRS = 100_000
MAX_EXACT = 2.0**53


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Orders (n), drones (m), and the distinct pairs (P,) that may be planned.

    waited_s: how long the order has waited. due_s: from now until its `deliver_by`, negative
    afterwards. order, drone: the indices of each pair. delivery_s: from now to the door, with a
    wait for the drone. busy_s: the drone's time for the trip. at_work: the number of drones that
    have a pair or fly such orders now. holds (n,): the index of the drone that the order has
    already, or NONE_HELD. Ids break ties.
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


# --- the objective -------------------------------------------------------------------------------


def wait_limit_s(least_busy_s: Floats, at_work: int, rules: Rules) -> float:
    """The wait after which a NORMAL order ranks as URGENT: the maximum of LIMIT_PROMISES promises
    and LIMIT_QUEUES times the time that the drones at work need for the whole queue, but at most
    `age_cap_s`. The second term grows with the queue, because then all orders wait long.

    least_busy_s: the least time of a drone for each order that a drone can fly.
    """
    queue_s = float(least_busy_s.sum()) / max(at_work, 1)
    limit_s = max(LIMIT_PROMISES * rules.promise_s[Priority.NORMAL], LIMIT_QUEUES * queue_s)
    return min(limit_s, rules.age_cap_s)


def rank(priority: Sequence[str], waited_s: Floats, limit_s: float) -> Ints:
    """The rank of each order: NORMAL 1, URGENT 2, MEDICAL 3. A NORMAL order that has waited
    `limit_s` ranks as URGENT, so that urgent orders cannot overtake it forever. Only MEDICAL orders
    rank as MEDICAL.
    """
    ranks = np.array([RANKS[name] for name in priority], np.int64)
    return np.where((ranks == 1) & (waited_s >= limit_s), 2, ranks)


def weight(priority: Sequence[str], waited_s: Floats, rules: Rules) -> Floats:
    """The weight of a second of lateness: the priority's weight times (1 + waited / promise), with
    at most `age_cap_s` of waiting.
    """
    base = np.array([rules.priority_weight[name] for name in priority], float)
    promise_s = np.array([rules.promise_s[name] for name in priority], float)
    grown: Floats = base * (1 + np.clip(waited_s, 0.0, rules.age_cap_s) / promise_s)
    return grown


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


def price_of_drone_time(urgent_weight: Floats, drones: int, at_work: int, rules: Rules) -> Floats:
    """The cost of a second of a drone's time for each order (n,), in weighted seconds.

    It is `busy_weight`, and if more orders wait than drones can be planned, the cost of a second
    for the other orders: the share of them that is left out waits longer, divided by the drones at
    work. So in a longer queue short trips count more.

    urgent_weight: weight * urgency of each order, 0 for an order that no drone can fly. drones: the
    number of drones with a pair.
    """
    waiting = int(np.count_nonzero(urgent_weight))
    share_left = max(0, waiting - drones) / max(waiting, 1)
    others: Floats = urgent_weight.sum() - urgent_weight
    price: Floats = rules.busy_weight + share_left * others / max(at_work, 1)
    return price


def cost(weight: Floats, lateness_s: Floats, busy_s: Floats, drone_price: Floats) -> Floats:
    """The cost of serving an order with a drone, in weighted seconds:
    weight * expected lateness + price of drone time * drone time.
    """
    return weight * lateness_s + drone_price * busy_s


def cost_of_leaving(weight: Floats, soonest_s: Floats, due_s: Floats, spread_s: Floats) -> Floats:
    """The cost of leaving an order for a later plan, in weighted seconds: weight * expected
    lateness if its soonest delivery is NEXT_DRONE_S later.
    """
    return weight * expected_lateness_s(soonest_s + NEXT_DRONE_S, due_s, spread_s)


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
    costs, left_out = _costs(problem)
    unit_s = _unit_s(problem, costs, left_out)
    left_units = _whole(left_out / unit_s)
    worst_units = int(_whole(costs.max(initial=0.0) / unit_s))
    step = _most_pairs(problem) * worst_units + int(left_units.max(initial=0)) + 1
    gain = _gains(problem, costs, unit_s, left_units, step)
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


def _costs(problem: Problem) -> tuple[Floats, Floats]:
    """The cost of each pair (P,) and of leaving each order (n,); 0 for an order without a pair."""
    times = (problem.waited_s, problem.due_s, problem.delivery_s, problem.busy_s)
    if not all(np.isfinite(column).all() for column in times):
        raise ValueError("a time of an order or of a pair is not a finite number")
    rules, order = problem.rules, problem.order
    spread_s = SPREAD * np.array([rules.promise_s[name] for name in problem.priority], float)
    weights = weight(problem.priority, problem.waited_s, rules)
    soonest_s = _least(problem, problem.delivery_s)
    has_pair = np.isfinite(soonest_s)
    urgent_weight = has_pair * weights * urgency(soonest_s, problem.due_s, spread_s)
    drones = int(np.count_nonzero(np.bincount(problem.drone)))
    price = price_of_drone_time(urgent_weight, drones, problem.at_work, rules)
    costs = np.empty(len(order))
    for block in _blocks(len(order)):
        of = order[block]
        # An order keeps its held drone unless another one saves more than MIN_SAVING_S.
        changes = (problem.holds[of] != NONE_HELD) & (problem.holds[of] != problem.drone[block])
        changing_s = np.where(changes, MIN_SAVING_S, 0.0)
        lateness_s = expected_lateness_s(
            problem.delivery_s[block] + changing_s, problem.due_s[of], spread_s[of]
        )
        costs[block] = cost(weights[of], lateness_s, problem.busy_s[block] + changing_s, price[of])
    left_out = cost_of_leaving(weights, soonest_s, problem.due_s, spread_s)
    left_out[~has_pair] = 0.0
    return costs, left_out


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


def _gains(problem: Problem, costs: Floats, unit_s: float, left_units: Ints, step: int) -> Ints:
    """The score of each pair: rank * step + cost of leaving - cost, where
    step = k * (highest cost) + (highest cost of leaving) + 1 and k is the maximum number of pairs.

    The plan with the highest score serves the most orders of every rank. Proof: suppose another
    plan serves more of one rank and as many of each higher rank. The two plans differ by disjoint
    alternating paths of orders and drones. A path has two ends, so one path serves an order of a
    higher rank in place of an order of a lower rank or of none. Swapping that path alone gains at
    least one step and loses less: at most k pairs get more expensive and one order is left out. So
    the score was not the highest.
    """
    least_busy_s = _least(problem, problem.busy_s)
    limit_s = wait_limit_s(least_busy_s[np.isfinite(least_busy_s)], problem.at_work, problem.rules)
    ranks = rank(problem.priority, problem.waited_s, limit_s)
    ranks = np.where(problem.holds == NONE_HELD, ranks, RANK_OF_HOLDER)
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
    ), index


def _unsorted(values: Any, index: Ints) -> Any:
    """values: those of the pairs at these indices."""
    given = np.empty_like(values)
    given[index] = values
    return given
