"""Simulates a day of deliveries with production's feasibility, planner and rules, no server. Pure.

The demand is either random (`city.py`) or the orders of a real day (`questions.py`). Drones fly the
estimated times with a random error, land at their home or, in a network, at the hub that the
strategy chose, and charge there. Strategies of dispatch (`strategies.py`) are compared on the same
demand.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from dispatch.whatif import city
from dispatch.whatif.city import AT, NOWHERE, Day, Demand
from dispatch.whatif.limits import Limits, Supervision
from dispatch.whatif.limits import none as no_limits
from dispatch.whatif.strategies import Snapshot, Strategy
from fleet.feasibility import charging, judge, landing
from fleet.feasibility.geometry import Floats, Ints, Zones, distance_m
from fleet.feasibility.landing import HubTable
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import Bools, DroneTable

RECHECK_S = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Per order: minutes from placing to the door, and whether the promise was kept.

    The minutes are NaN for an order that was not delivered during the simulation.
    """

    minutes: Floats
    kept: np.ndarray
    priority: np.ndarray
    drone_km: float


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """The state when an order is placed: drones as in a Snapshot, and the orders that wait."""

    order: int
    now_s: float
    drones: DroneTable
    free_in_s: Floats
    charge_in_s: Floats
    waiting: Ints


def simulate(day: Day, seed: int, rules: Rules, strategy: Strategy) -> Outcome:
    """One random day until its last order is delivered. The same seed gives the same demand."""
    drones, demand = city.city(day, seed, rules)
    rules = replace(rules, full_charge_s=day.full_charge_s)
    return fly_day(drones, demand, rules, strategy, hubs=city.hubs_of(drones, day.network))


def fly_day(
    drones: DroneTable,
    demand: Demand,
    rules: Rules,
    strategy: Strategy,
    *,
    hubs: HubTable,
    zones: Zones = NOWHERE,
    at: datetime = AT,
    limits: Limits | None = None,
    until_s: float = np.inf,
    on_progress: Callable[[float], None] = lambda share: None,
    on_placed: Callable[[Placed], None] | None = None,
) -> Outcome:
    """Simulate these orders and drones from `at` until all orders are delivered, or until
    `until_s` after it. All drones start at home, one of `hubs`. on_progress: called with the share
    of assigned orders. on_placed: called for each order before it waits. limits: the hours, ready
    times and pilots that a run would respect; None: none.
    """
    limits = limits or no_limits(at, len(demand.placed_s))
    supervision = Supervision()
    count = len(demand.placed_s)
    promise_s = demand.promise_s(rules)
    fleet = _Fleet(drones, hubs, rules)
    delivered_s, flown_m = np.full(count, np.nan), 0.0
    waiting: list[int] = []
    arrived = 0
    again_s = np.inf
    while np.isnan(delivered_s).any():
        now_s = min(again_s, fleet.releases[0] if fleet.releases else np.inf)
        if arrived < count:
            now_s = min(now_s, float(demand.placed_s[arrived]))
        if now_s > until_s or np.isinf(now_s):
            break
        if strategy.interval_s:
            now_s = float(np.ceil(now_s / strategy.interval_s) * strategy.interval_s)
        fleet.advance(now_s)
        while arrived < count and demand.placed_s[arrived] <= now_s:
            if on_placed is not None:
                seen = fleet.seen(now_s)
                columns = (seen["drones"], seen["free_in_s"], seen["charge_in_s"])
                on_placed(Placed(arrived, now_s, *columns, np.array(waiting, int)))
            waiting.append(arrived)
            arrived += 1
        orders = limits.near(np.array(waiting, int), now_s)
        crew = limits.pilots(now_s, supervision.in_the_air(fleet.free_at_s, now_s))
        has_drone = bool((fleet.free_at_s <= now_s).any())
        if len(orders) and has_drone and limits.may_start_s(now_s) <= now_s and crew != []:
            waited_s = now_s - demand.placed_s[orders]
            snapshot = Snapshot(
                **fleet.seen(now_s),
                orders=orders,
                trips=demand.trips.take(orders),
                priority=[demand.priority[order] for order in orders],
                waited_s=waited_s,
                due_s=promise_s[orders] - waited_s,
                ready_in_s=limits.ready_in_s(orders, now_s),
                hours=limits.hours(orders, rules.load_time_s, now_s),
                rules=rules,
                zones=zones,
                at=at + timedelta(seconds=now_s),
            )
            pairs = strategy.choose(snapshot)
            if crew is not None:
                pairs = pairs[: len(crew)]
                answers = zip(pairs, crew, strict=False)
                supervision.pilot_of |= {drone: on.pilot_id for (_, drone, _), on in answers}
            for order, drone, hub in pairs:
                flight = _fly(snapshot, order, drone, hub)
                error = demand.error[orders[order]]
                delivered_s[orders[order]] = now_s + flight.delivery_s[0] * error
                fleet.start(snapshot, drone, hub, now_s, flight, error)
                flown_m += flight.distance_m[0]
            taken = {int(orders[order]) for order, *_ in pairs}
            waiting = [order for order in waiting if order not in taken]
            on_progress((arrived - len(waiting)) / count)
        # Drones at a hub are charging: one of them may be able soon. No run is needed before the
        # area opens or a pilot comes on duty.
        again_s = np.inf
        if waiting and (fleet.free_at_s <= now_s).any():
            again_s = max(now_s + RECHECK_S, limits.may_start_s(now_s))
    took_s = delivered_s - demand.placed_s
    return Outcome(took_s / 60, took_s <= promise_s, np.array(demand.priority), flown_m / 1000)


class _Fleet:
    """The drones during the day. stands: the hub of each, where it will land if it is in the air.
    battery_pct: when it lands, or as of the last `advance` at a hub with limited chargers.
    """

    def __init__(self, drones: DroneTable, hubs: HubTable, rules: Rules) -> None:
        self.drones, self.hubs, self.rules = drones, hubs, rules
        away_m = distance_m(drones.home_lat[:, None], drones.home_lng[:, None], hubs.lat, hubs.lng)
        self.stands: Ints = away_m.argmin(axis=1)
        self.free_at_s = np.zeros(len(drones))
        self.battery_pct = drones.battery_pct.copy()
        self.releases: list[float] = []
        self._charged_until_s = 0.0

    def advance(self, now_s: float) -> None:
        while self.releases and self.releases[0] <= now_s:
            heapq.heappop(self.releases)
        limited = self._limited()
        if limited.any():
            begins_s = self._begin_to_charge_s(self._charged_until_s, self.battery_pct)
            charged_s = now_s - self._charged_until_s - begins_s
            battery_pct = self._charged(np.maximum(0.0, charged_s))
            self.battery_pct[limited] = battery_pct[limited]
            self._charged_until_s = now_s

    def seen(self, now_s: float) -> dict[str, Any]:
        """The columns of a `Snapshot`."""
        battery_pct = self._charged(np.maximum(0.0, now_s - self.free_at_s))
        battery_pct = np.where(self._limited(), self.battery_pct, battery_pct)
        lat, lng = self.hubs.lat[self.stands], self.hubs.lng[self.stands]
        count = len(self.hubs)
        lacking = (battery_pct < 100) | (self.free_at_s > now_s)
        hubs = replace(
            self.hubs,
            taken=np.bincount(self.stands, minlength=count),
            charging=np.bincount(self.stands[lacking], minlength=count),
        )
        drones = replace(
            self.drones,
            lat=lat,
            lng=lng,
            home_lat=lat,
            home_lng=lng,
            battery_pct=battery_pct,
            pads_taken=(hubs.free_pads == 0)[self.stands],
        )
        return {
            "drones": drones,
            "free_in_s": np.maximum(0.0, self.free_at_s - now_s),
            "charge_in_s": self._begin_to_charge_s(now_s, battery_pct),
            "stands": self.stands.copy(),
            "hubs": hubs,
        }

    def start(
        self,
        snapshot: Snapshot,
        drone: int,
        hub: int,
        now_s: float,
        flight: judge.Verdicts,
        error: float,
    ) -> None:
        if hub != landing.HOME:
            self.stands[drone] = hub
        self.free_at_s[drone] = now_s + flight.busy_s[0] * error
        self.battery_pct[drone] = snapshot.drones.battery_pct[drone] - flight.energy_pct[0] * error
        heapq.heappush(self.releases, float(self.free_at_s[drone]))

    def _limited(self) -> Bools:
        return np.isfinite(self.hubs.chargers)[self.stands]

    def _charged(self, charged_s: Floats) -> Floats:
        gained_pct = 100 * charged_s / self.rules.full_charge_s
        return np.minimum(100.0, self.battery_pct + gained_pct)

    def _begin_to_charge_s(self, at_s: float, battery_pct: Floats) -> Floats:
        return charging.begins_s(
            self.stands,
            self.free_at_s - at_s,
            battery_pct,
            self.hubs.chargers,
            self.rules.full_charge_s,
        )


def _fly(snapshot: Snapshot, order: int, drone: int, hub: int) -> judge.Verdicts:
    drones, one = snapshot.drones.take([drone]), np.array([0])
    if hub != landing.HOME:
        lat, lng = snapshot.hubs.lat[[hub]], snapshot.hubs.lng[[hub]]
        drones = replace(drones, home_lat=lat, home_lng=lng)
    trips = snapshot.trips.take([order])
    return judge.judge(drones, trips, one, one, snapshot.rules, snapshot.zones, snapshot.at)
