"""Quotes each order of simulated days as production would, and compares with what became true.

Pure. The table of starting ranges (`orders/promises/starting.py`) was fitted with `fit`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from dispatch.planning import forecast
from dispatch.planning.forecast import Fleet, Waiting
from dispatch.whatif import city, simulation
from dispatch.whatif.city import AT, NOWHERE, Day, Demand
from dispatch.whatif.day_figures import ALL
from dispatch.whatif.simulation import Placed
from dispatch.whatif.strategies import PLANNED
from fleet.feasibility import best_case, judge, landing
from fleet.feasibility.geometry import Floats
from fleet.feasibility.landing import HubTable
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import DroneTable
from orders.promises import calibration
from orders.promises.calibration import Ranges
from orders.promises.outlook import Flight, expect, flights

# For a case that has no range yet, while the starting table is fitted.
UNKNOWN = (0.5, 2.0)


@dataclass(frozen=True, slots=True, eq=False)
class Quoted:
    """Per order: its case, and the expected time to the door, its range and the real time, in
    seconds from placing.
    """

    priority: list[str]
    case: list[str]
    expected_s: Floats
    low_s: Floats
    high_s: Floats
    real_s: Floats

    def inside(self) -> np.ndarray:
        inside: np.ndarray = (self.low_s <= self.real_s) & (self.real_s <= self.high_s)
        return inside

    def width_s(self) -> Floats:
        return self.high_s - self.low_s


def table(day: Day, quoted: Quoted) -> str:
    """Text: the share of orders inside their range, and its median width, by priority."""
    priority, inside, width_s = np.array(quoted.priority), quoted.inside(), quoted.width_s()
    rows = [f"{day.name}: {len(inside)} quotes; inside the range, median width"]
    for name in (ALL, *city.PRIORITIES):
        own = np.ones(len(inside), bool) if name == ALL else priority == name
        rows.append(
            f"  {name:8}{100 * inside[own].mean():6.1f} %{np.median(width_s[own]) / 60:8.1f} min"
        )
    return "\n".join(rows)


def quoted_days(day: Day, seeds: Iterable[int], rules: Rules, ranges: Ranges) -> Quoted:
    """Each order of these days, quoted with these ranges and the starting ones."""
    found = [_quoted_day(day, seed, rules, ranges) for seed in seeds]
    return Quoted(
        [name for one in found for name in one.priority],
        [name for one in found for name in one.case],
        *(
            np.concatenate([getattr(one, column) for one in found])
            for column in ("expected_s", "low_s", "high_s", "real_s")
        ),
    )


def fit(days: Sequence[Day], seeds: Sequence[int], rules: Rules, enough: int) -> Ranges:
    """The range of each case over all orders of these days; of few orders, the one of the nearest
    case with enough of them.
    """
    ratios: dict[str, list[float]] = {}
    unknown = dict.fromkeys(calibration.every_case(), UNKNOWN)
    for day in days:
        quoted = quoted_days(day, seeds, rules, unknown)
        for case, ratio in zip(quoted.case, quoted.real_s / quoted.expected_s, strict=True):
            ratios.setdefault(case, []).append(float(ratio))
    return calibration.complete(calibration.fitted(ratios, enough))


def _quoted_day(day: Day, seed: int, rules: Rules, ranges: Ranges) -> Quoted:
    drones, demand = city.city(day, seed, rules)
    rules = replace(rules, full_charge_s=day.full_charge_s)
    hubs = city.hubs_of(drones, day.network)
    quotes = _Quotes(drones, demand, hubs, rules, ranges)
    outcome = simulation.fly_day(drones, demand, rules, PLANNED, hubs=hubs, on_placed=quotes.quote)
    real_s = 60 * outcome.minutes - quotes.waited_s
    return Quoted(
        demand.priority, quotes.case, quotes.expected_s, quotes.low_s, quotes.high_s, real_s
    )


class _Quotes:
    """Quotes the orders of a day as they are placed."""

    def __init__(
        self, drones: DroneTable, demand: Demand, hubs: HubTable, rules: Rules, ranges: Ranges
    ) -> None:
        self.best = best_case.at_their_best(drones)
        self.kind = best_case.kind_of(self.best)
        self.demand, self.rules, self.ranges = demand, rules, ranges
        pairs = judge.every_pair(len(self.best), len(demand.trips))
        trips = landing.toward(demand.trips, hubs.receiving(), rules, NOWHERE, AT)
        self.verdicts = judge.judge(self.best, trips, *pairs, rules, NOWHERE, AT)
        self.flights: list[list[Flight]] = [[] for _ in demand.priority]
        for pair, flight in zip(
            np.flatnonzero(self.verdicts.able), flights(self.verdicts), strict=True
        ):
            self.flights[self.verdicts.t[pair]].append(flight)
        self.promise_s = demand.promise_s(rules)
        self.case = [""] * len(demand.priority)
        self.waited_s, self.expected_s, self.low_s, self.high_s = np.zeros(
            (4, len(demand.priority))
        )

    def quote(self, placed: Placed) -> None:
        at = AT + timedelta(seconds=placed.now_s)
        outlook = forecast.forecast(
            self._waiting(placed),
            self._fleet(placed),
            self.rules,
            self.ranges,
            at,
        ).outlook
        order = placed.order
        own = self.flights[order]
        found = expect(outlook, self.demand.priority[order], own, self.rules, at)
        if found is None:
            raise ValueError(f"order {order} has no expectation")
        self.case[order] = found.case
        self.waited_s[order] = placed.now_s - self.demand.placed_s[order]
        door_s = found.start_s + found.delivery_s
        self.expected_s[order] = door_s
        self.low_s[order], self.high_s[order] = found.low * door_s, found.high * door_s

    def _waiting(self, placed: Placed) -> Waiting:
        orders = placed.waiting
        waited_s = placed.now_s - self.demand.placed_s[orders]
        return forecast.in_line(
            [f"{order:06}" for order in orders],
            [self.demand.priority[order] for order in orders],
            waited_s,
            self.promise_s[orders] - waited_s,
            self.verdicts,
            orders,
            len(placed.drones),
        )

    def _fleet(self, placed: Placed) -> Fleet:
        return Fleet(
            group=best_case.group_of(placed.drones, self.best),
            free_s=placed.free_in_s,
            battery_pct=placed.drones.battery_pct,
            charge_in_s=placed.charge_in_s,
            names=list(self.best.drone_id),
            kind=self.kind,
        )
