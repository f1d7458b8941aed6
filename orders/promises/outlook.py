"""What an area's queue and fleet look like just now, and what a new order may expect. Pure.

`dispatch.planning.forecast` makes an Outlook every few seconds; quotes and new orders read it.
Times in it count in seconds from `made_at`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from msgspec import Struct

from fleet.feasibility.judge import Verdicts
from fleet.feasibility.rules import Rules
from orders.promises import calibration
from orders.promises.calibration import Ranges

# An older outlook is not used.
MAX_AGE = timedelta(seconds=60)
# An order that waits longer than this for its drone is quoted as `busy`.
BUSY_AFTER_S = 120.0


class Line(Struct, frozen=True, array_like=True):
    """The waiting orders that a new order of one priority meets. ahead: how many have a higher
    rank. steps: (drone time, start) of those of its own rank, in line; the
    drone time of a late order counts more. after_s: when an order
    starts that comes after all of these.
    """

    ahead: int
    steps: list[tuple[float, float]]
    after_s: float


class Pool(Struct, frozen=True, array_like=True):
    """Drones that serve one line. backlog_s: the work that waits, per drone. lines: by priority."""

    drones: int
    backlog_s: float
    lines: dict[str, Line]


class Group(Struct, frozen=True, array_like=True):
    """Drones of one kind at one hub. pool: its kind's. spares: (seconds until it may start, battery
    percent then, seconds until it begins to charge) of those that may start first.
    """

    pool: int
    spares: list[tuple[float, float, float]]


class Outlook(Struct, frozen=True):
    """pools: first the one of all drones, then one for each kind. groups: by the drone that stands
    for them in `RulebookForOrders.best_drones`. ranges: see `calibration`.
    """

    made_at: datetime
    waiting: int
    pools: list[Pool]
    groups: dict[str, Group]
    ranges: Ranges

    def is_fresh(self, now: datetime) -> bool:
        return timedelta(0) <= now - self.made_at <= MAX_AGE


@dataclass(frozen=True, slots=True)
class Flight:
    """The figures of a trip with the drone that stands for a group, free and charged."""

    drone_id: str
    delivery_s: float
    busy_s: float
    energy_pct: float


@dataclass(frozen=True, slots=True)
class Expectation:
    """When a drone may start with a new order, in seconds from now, and the time from then to the
    door. low, high: the range that holds for 90 % of orders, as shares of the whole time. case: of
    `calibration`.
    """

    start_s: float
    delivery_s: float
    low: float
    high: float
    case: str

    @property
    def busy(self) -> bool:
        return self.start_s > BUSY_AFTER_S


def expect(
    outlook: Outlook, priority: str, flights: Sequence[Flight], rules: Rules, now: datetime
) -> Expectation | None:
    """What a new order may expect whose trip these groups' drones can fly, by a fresh outlook. None
    when it knows no drone for it.
    """
    age = now - outlook.made_at
    known = [flight for flight in flights if flight.drone_id in outlook.groups]
    if not known:
        return None
    groups = [outlook.groups[flight.drone_id] for flight in known]
    work_s = min(flight.busy_s + charge_s(flight.energy_pct, rules) for flight in known)
    pool, start_s, share = _in_line(outlook, {group.pool for group in groups}, priority, work_s)
    doors = [
        (max(start_s, ready_s(group, flight.energy_pct, rules)), flight.delivery_s)
        for flight, group in zip(known, groups, strict=True)
        if group.spares
    ]
    if not doors:
        return None
    start_s, delivery_s = min(doors, key=sum)
    start_s = max(0.0, start_s - age.total_seconds())
    case = calibration.case(priority, pool.backlog_s, share)
    low, high = calibration.range_of(case, outlook.ranges)
    return Expectation(start_s, delivery_s, low, high, case)


def flights(verdicts: Verdicts) -> Iterator[Flight]:
    """The flights of the able pairs."""
    for pair in np.flatnonzero(verdicts.able):
        yield Flight(
            str(verdicts.drones.drone_id[verdicts.d[pair]]),
            float(verdicts.delivery_s[pair]),
            float(verdicts.busy_s[pair]),
            float(verdicts.energy_pct[pair]),
        )


def charge_s(energy_pct: float, rules: Rules) -> float:
    return energy_pct * rules.full_charge_s / 100


def ready_s(group: Group, energy_pct: float, rules: Rules) -> float:
    """Until a drone of the group is free and charged for a trip that needs this energy."""
    needed_pct = max(energy_pct + rules.reserve_pct, rules.battery_min_pct)
    return min(
        max(free_s, charge_in_s + charge_s(needed_pct - battery_pct, rules))
        if needed_pct > battery_pct
        else free_s
        for free_s, battery_pct, charge_in_s in group.spares
    )


def _in_line(
    outlook: Outlook, able: set[int], priority: str, work_s: float
) -> tuple[Pool, float, float]:
    """The pool that serves the order first, its start there, and the share of the orders of its
    rank that are ahead of it.
    """
    every_kind = len(able) == len(outlook.pools) - 1
    pools = [outlook.pools[0]] if every_kind else [outlook.pools[index] for index in able]
    found = [(pool, *_place(pool.lines[priority], work_s)) for pool in pools]
    return min(found, key=lambda one: one[1])


def _place(line: Line, work_s: float) -> tuple[float, float]:
    """(start, share of the orders of its rank that are ahead)."""
    for index, (step_work_s, start_s) in enumerate(line.steps):
        if work_s < step_work_s:
            return start_s, index / len(line.steps)
    return line.after_s, 1.0 if line.steps else 0.0
