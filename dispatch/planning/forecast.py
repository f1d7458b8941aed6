"""When each waiting order is expected at the door, and its place in line. Pure.

List scheduling, not a plan: orders are served by rank, short trips first within a rank and late
orders as if their trips were longer, as the planner does in a long queue. Each takes the drone that
is free first. A place says how many orders are served before, and one more order before another
never makes that one earlier.

Kinds of drones differ in what they carry. So there is a pool of all drones, for orders that every
kind can fly, and one of each kind for the others. An order that several kinds can fly loads each of
their pools with the share of its work that their drones are likely to do.
"""

import heapq
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from dispatch.planning import lookahead
from dispatch.planning.optimum import objective
from fleet.feasibility.geometry import Floats, Ints
from fleet.feasibility.judge import Verdicts
from fleet.feasibility.rules import Priority, Rules
from fleet.feasibility.tables import Bools
from orders.promises import calibration
from orders.promises.calibration import Ranges
from orders.promises.outlook import Group, Line, Outlook, Pool

# Drones of each group whose times an outlook keeps.
SPARES = 4
# Orders of a rank that an outlook names; a longer line is thinned out.
STEPS = 48


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """Orders in line (n,), and their trips with a free and charged drone of each group (n, G):
    whether it is able, seconds to the door and until it is home, and energy. rank: of `objective`.
    worth: the share of its weight that a late order has.
    """

    order_id: list[str]
    priority: list[str]
    rank: Ints
    worth: Floats
    able: Bools
    delivery_s: Floats
    busy_s: Floats
    energy_pct: Floats


def in_line(
    order_id: list[str],
    priority: list[str],
    waited_s: Floats,
    due_s: Floats,
    best: Verdicts,
    trip: Ints,
    drones: int,
) -> Waiting:
    """best: of every pair of a trip with a group's best drone, by trip. trip: of each order.
    drones: how many there are.
    """
    rules, shape = best.rules, (-1, len(best.drones))
    able = best.able.reshape(shape)[trip]
    busy_s = best.busy_s.reshape(shape)[trip]
    delivery_s = best.delivery_s.reshape(shape)[trip]
    least_busy_s = busy_s.min(axis=1, initial=np.inf, where=able)
    limit_s = objective.wait_limit_s(least_busy_s[np.isfinite(least_busy_s)], drones, rules)
    late = delivery_s.min(axis=1, initial=np.inf, where=able) > due_s
    is_normal = np.array([name == Priority.NORMAL for name in priority], bool)
    late_worth = objective.NORMAL_ORDERS[rules.late_normal].late_worth
    return Waiting(
        order_id,
        priority,
        objective.rank(priority, waited_s, limit_s),
        np.where(late & is_normal & (waited_s < limit_s), late_worth, 1.0),
        able,
        delivery_s,
        busy_s,
        best.energy_pct.reshape(shape)[trip],
    )


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """Drones (m,) that can be planned: their group, seconds until they are free at a hub that can
    launch them, their battery then, and seconds until they begin to charge. names, kind (G,): of
    each group, the drone that stands for it and its kind.
    """

    group: Ints
    free_s: Floats
    battery_pct: Floats
    charge_in_s: Floats
    names: list[str]
    kind: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """place (n,): 1 for the order that is served first, 0 for one that no drone can fly. door_s
    (n,): seconds until it is at the door, infinite if no drone can fly it. low, high (n,): the
    range as a share of door_s.
    """

    place: Ints
    door_s: Floats
    low: Floats
    high: Floats
    outlook: Outlook


@dataclass(frozen=True, slots=True, eq=False)
class _Served:
    """One pool's line. start_s (n,): of each order, infinite if the pool does not serve it. next_s:
    when an order at the end of the line starts.
    """

    drones: int
    backlog_s: float
    start_s: Floats
    next_s: float


def forecast(
    waiting: Waiting, fleet: Fleet, rules: Rules, ranges: Ranges, at: datetime
) -> Forecast:
    """The forecast of an area, with the outlook for new orders."""
    fewest = np.where(
        waiting.able, waiting.busy_s + lookahead.charge_s(waiting.energy_pct, rules), np.inf
    )
    work_s = fewest.min(axis=1, initial=np.inf)
    key_s = work_s / waiting.worth
    line = np.lexsort((np.array(waiting.order_id, str), key_s, -waiting.rank))
    kinds = int(fleet.kind.max(initial=-1)) + 1
    flies = np.stack([waiting.able[:, fleet.kind == k].any(axis=1) for k in range(kinds)], axis=1)
    served = _serve(line, work_s, flies, fleet)
    start_s, backlog_s = _starts(served, flies)
    spares = _spares(fleet)
    door_s = _doors(waiting, spares, start_s, rules)
    low, high = _ranges(waiting, line, backlog_s, ranges)
    place = np.zeros(len(line), np.int64)
    flown = line[np.isfinite(door_s[line])]
    place[flown] = np.arange(1, len(flown) + 1)
    outlook = Outlook(
        made_at=at,
        waiting=len(line),
        pools=[_pool(one, waiting, line, key_s) for one in served],
        groups={
            name: Group(int(fleet.kind[g]) + 1, spares[g].tolist())
            for g, name in enumerate(fleet.names)
        },
        ranges=ranges,
    )
    return Forecast(place, door_s, low, high, outlook)


def _serve(line: Ints, work_s: Floats, flies: Bools, fleet: Fleet) -> list[_Served]:
    """The line of all drones, then that of each kind."""
    kind = fleet.kind[fleet.group]
    drones = np.bincount(kind, minlength=flies.shape[1])
    able_drones = flies @ drones
    pools = [_schedule(line, work_s, (able_drones > 0).astype(float), fleet.free_s)]
    for k, count in enumerate(drones):
        share = np.divide(
            flies[:, k] * count, able_drones, out=np.zeros(len(line)), where=able_drones > 0
        )
        pools.append(_schedule(line, work_s, share, fleet.free_s[kind == k]))
    return pools


def _schedule(line: Ints, work_s: Floats, share: Floats, free_s: Floats) -> _Served:
    """share (n,): of each order's work that this pool does."""
    start_s = np.full(len(line), np.inf)
    if not len(free_s):
        return _Served(0, 0.0, start_s, np.inf)
    free = sorted(free_s.tolist())
    own = line[share[line] > 0]
    load_s = work_s[own] * share[own]
    starts = []
    for load in load_s.tolist():
        starts.append(free[0])
        heapq.heapreplace(free, free[0] + load)
    start_s[own] = starts
    return _Served(len(free_s), float(load_s.sum()) / len(free_s), start_s, free[0])


def _starts(served: list[_Served], flies: Bools) -> tuple[Floats, Floats]:
    """When each order starts and the work that waits per drone, in the pool that serves it first.

    An order that every kind can fly is served by all drones.
    """
    every, *by_kind = served
    start_s = np.stack([np.where(flies[:, k], s.start_s, np.inf) for k, s in enumerate(by_kind)], 1)
    backlog_s = np.array([s.backlog_s for s in by_kind])
    first = start_s.argmin(axis=1)
    by_all = flies[:, [s.drones > 0 for s in by_kind]].all(axis=1)
    return (
        np.where(by_all, every.start_s, start_s.min(axis=1)),
        np.where(by_all, every.backlog_s, backlog_s[first]),
    )


def _spares(fleet: Fleet) -> list[Floats]:
    """The `Group.spares` of each group: the SPARES drones that are free first."""
    columns = np.stack([fleet.free_s, fleet.battery_pct, fleet.charge_in_s], axis=1).round(1)
    found = []
    for g in range(len(fleet.names)):
        own = columns[fleet.group == g]
        found.append(own[np.lexsort((-own[:, 1], own[:, 0]))][:SPARES])
    return found


def _doors(waiting: Waiting, spares: list[Floats], start_s: Floats, rules: Rules) -> Floats:
    needed_pct = np.maximum(waiting.energy_pct + rules.reserve_pct, rules.battery_min_pct)
    door_s = np.full(len(start_s), np.inf)
    for g, own in enumerate(spares):
        for free_s, battery_pct, charge_in_s in own:
            lacks_pct = needed_pct[:, g] - battery_pct
            charged_s = np.where(
                lacks_pct > 0, charge_in_s + lookahead.charge_s(lacks_pct, rules), free_s
            )
            ready_s = np.maximum(free_s, charged_s)
            at_s = np.maximum(start_s, ready_s) + waiting.delivery_s[:, g]
            door_s = np.where(waiting.able[:, g], np.minimum(door_s, at_s), door_s)
    return door_s


def _ranges(
    waiting: Waiting, line: Ints, backlog_s: Floats, ranges: Ranges
) -> tuple[Floats, Floats]:
    """The range of each order, in the case of a new order at its place."""
    counts = {rank: int((waiting.rank == rank).sum()) for rank in np.unique(waiting.rank).tolist()}
    seen = dict.fromkeys(counts, 0)
    low, high = np.empty(len(line)), np.empty(len(line))
    for order in line.tolist():
        rank = int(waiting.rank[order])
        share = seen[rank] / counts[rank]
        seen[rank] += 1
        case = calibration.case(waiting.priority[order], float(backlog_s[order]), share)
        low[order], high[order] = calibration.range_of(case, ranges)
    return low, high


# --- for new orders ------------------------------------------------------------------------------


def _pool(served: _Served, waiting: Waiting, line: Ints, key_s: Floats) -> Pool:
    own = line[np.isfinite(served.start_s[line])]
    lines = {
        priority: _line(objective.RANKS[priority], own, waiting.rank, key_s, served)
        for priority in Priority.values
    }
    return Pool(served.drones, served.backlog_s, lines)


def _line(rank: int, own: Ints, ranks: Ints, key_s: Floats, served: _Served) -> Line:
    """The line as a new order of this rank meets it. A thinned line keeps the last order of each
    part, so a new order is never expected too early.
    """
    lower = own[ranks[own] < rank]
    same = own[ranks[own] == rank]
    parts = np.array_split(same, min(STEPS, len(same))) if len(same) else []
    ends = [int(part[-1]) for part in parts]
    after_s = float(served.start_s[lower[0]]) if len(lower) else served.next_s
    return Line(
        ahead=int((ranks[own] > rank).sum()),
        steps=[(round(float(key_s[i]), 1), round(float(served.start_s[i]), 1)) for i in ends],
        after_s=after_s,
    )
