"""Simulates a day of deliveries with production's feasibility, planner and rules, no server. Pure.

The demand is either random (seeded, with peaks at noon and in the evening) or the orders of a real
day (`questions.py`). Drones fly the estimated times with a random error, come home, and charge.
Strategies of dispatch are compared on the same demand: `first_come` is the baseline, `planned` is
production's.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from dispatch.planning import lookahead, planner
from fleet.feasibility import best_case, judge
from fleet.feasibility.geometry import EARTH_RADIUS_M, Floats, Ints, Zones
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import DroneTable, TripTable, payload_bits

AT = datetime(2026, 3, 2, 7, tzinfo=UTC)  # arbitrary: random days have no zones
NOWHERE = Zones([])
CENTRE = (5.6037, -0.1870)
OPEN_S = 14 * 3600.0
# Demand by the hour from 7:00 to 21:00: a peak at noon and one in the evening.
HOURLY = np.array([3, 4, 4, 5, 6, 10, 10, 6, 5, 5, 7, 10, 9, 4], float)
PRIORITIES = ("NORMAL", "URGENT", "MEDICAL")
SHARES = (0.7, 0.2, 0.1)
RECHECK_S = 30.0
KIND = {
    "payload_types": payload_bits(["PARCEL"]),
    "max_payload_kg": 2.5,
    "battery_wh": 1500.0,
    "empty_mass_kg": 6.0,
    "hover_power_w": 820.0,
    "cruise_power_w": 700.0,
    "cruise_speed_mps": 16.0,
    "climb_speed_mps": 4.0,
    "descent_speed_mps": 3.0,
    "max_wind_mps": 12.0,
}


@dataclass(frozen=True, slots=True)
class Day:
    """The parameters of a random day."""

    name: str
    orders: int
    drones: int = 40
    hubs: int = 4
    side_km: float = 10.0
    full_charge_s: float = 900.0


DAYS = (
    Day("light", 1000),
    Day("normal", 2000),
    Day("overloaded", 2500),
    Day("slow charging", 1000, full_charge_s=2400.0),
)


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """A day's orders, sorted by `placed_s`. error: real flight time / estimated flight time.

    own_promise_s: seconds from placing to the door for orders with a promise of their own, NaN for
    orders with the policy's. None: all have the policy's.
    """

    trips: TripTable
    priority: list[str]
    placed_s: Floats
    error: Floats
    own_promise_s: Floats | None = None

    def promise_s(self, rules: Rules) -> Floats:
        by_policy = np.array([rules.promise_s[name] for name in self.priority], float)
        if self.own_promise_s is None:
            return by_policy
        return np.where(np.isnan(self.own_promise_s), by_policy, self.own_promise_s)


@dataclass(slots=True, eq=False)
class Snapshot:
    """The input of a strategy: the drones as they are when they are free, and waiting orders."""

    drones: DroneTable
    free_in_s: Floats
    orders: Ints
    trips: TripTable
    priority: list[str]
    waited_s: Floats
    due_s: Floats
    rules: Rules
    zones: Zones
    at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """The state when an order is placed: drones as in a Snapshot, and the orders that wait."""

    order: int
    now_s: float
    drones: DroneTable
    free_in_s: Floats
    waiting: Ints


# (index into the waiting orders, drone index), in the order of assignment.
Assignments = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Strategy:
    """A dispatch strategy. interval_s: seconds between runs; 0 runs at each change."""

    name: str
    choose: Callable[[Snapshot], Assignments]
    interval_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Per order: minutes from placing to the door, and whether the promise was kept.

    The minutes are NaN for an order that was not delivered during the simulation.
    """

    minutes: Floats
    kept: np.ndarray
    priority: np.ndarray
    drone_km: float


# --- the city ------------------------------------------------------------------------------------


def city(day: Day, seed: int, rules: Rules) -> tuple[DroneTable, Demand]:
    random = np.random.default_rng(seed)
    hubs = random.uniform(-0.35, 0.35, (day.hubs, 2)) * day.side_km
    shops = random.uniform(-0.5, 0.5, (30, 2)) * day.side_km
    home = hubs[np.arange(day.drones) % day.hubs]
    lat, lng = _place(home)
    ones = np.ones(day.drones)
    drones = DroneTable(
        drone_id=np.array([f"WX-DRN-{i + 1:03}" for i in range(day.drones)], object),
        lat=lat,
        lng=lng,
        battery_pct=100 * ones,
        telemetry_age_s=ones,
        armed=0 * ones,
        registered=ones > 0,
        active=ones > 0,
        grounded=ones < 0,
        busy=ones < 0,
        home_lat=lat,
        home_lng=lng,
        area=np.zeros(day.drones, np.int64),
        **{name: np.full(day.drones, value) for name, value in KIND.items()},
    )
    return drones, _demand(day, shops, drones, rules, random)


def _demand(
    day: Day, shops: Floats, drones: DroneTable, rules: Rules, random: np.random.Generator
) -> Demand:
    hour = random.choice(len(HOURLY), day.orders, p=HOURLY / HOURLY.sum())
    placed_s = np.sort((hour + random.random(day.orders)) * OPEN_S / len(HOURLY))
    trips = _trips(2 * day.orders, day, shops, random)
    best = best_case.at_their_best(drones)
    pairs = judge.every_pair(len(best), len(trips))
    # Orders that no drone could ever fly are refused, as in placement.
    able = judge.judge(best, trips, *pairs, rules, NOWHERE, AT).able
    possible = np.flatnonzero(able.reshape(len(trips), -1).any(axis=1))
    priority = random.choice(PRIORITIES, day.orders, p=SHARES).tolist()
    error = random.uniform(0.95, 1.15, day.orders)
    return Demand(trips.take(possible[: day.orders]), priority, placed_s, error)


def _trips(count: int, day: Day, shops: Floats, random: np.random.Generator) -> TripTable:
    pickup = shops[random.integers(len(shops), size=count)]
    # Drop points lie in a ring around the shop and within the city.
    far, turn = random.uniform(0.5, 4.0, count), random.uniform(0, 2 * np.pi, count)
    door = pickup + far[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    door = np.clip(door, -day.side_km / 2, day.side_km / 2)
    pickup_lat, pickup_lng = _place(pickup)
    door_lat, door_lng = _place(door)
    return TripTable(
        pickup_lat=pickup_lat,
        pickup_lng=pickup_lng,
        dropoff_lat=door_lat,
        dropoff_lng=door_lng,
        payload_weight_kg=random.uniform(0.2, 2.0, count),
        payload_type=np.full(count, payload_bits(["PARCEL"])),
        area=np.zeros(count, np.int64),
    )


def _place(km: Floats) -> tuple[Floats, Floats]:
    """(lat, lng) of points (n, 2) in km east and north of the centre."""
    north, east = (
        np.degrees(km[:, 1] * 1000 / EARTH_RADIUS_M),
        np.degrees(km[:, 0] * 1000 / EARTH_RADIUS_M),
    )
    return CENTRE[0] + north, CENTRE[1] + east / np.cos(np.radians(CENTRE[0]))


# --- strategies ----------------------------------------------------------------------------------


def first_come(snapshot: Snapshot) -> Assignments:
    """In the order of placing, each order gets the able drone with the soonest delivery."""
    free = np.flatnonzero(snapshot.free_in_s == 0)
    d, t = judge.every_pair(len(free), len(snapshot.trips))
    found = judge.judge(
        snapshot.drones.take(free),
        snapshot.trips,
        d,
        t,
        snapshot.rules,
        snapshot.zones,
        snapshot.at,
    )
    times_s = np.where(found.able, found.delivery_s, np.inf).reshape(-1, len(free))
    chosen = []
    for order, row in enumerate(times_s):
        drone = int(row.argmin())
        if np.isfinite(row[drone]):
            chosen.append((order, int(free[drone])))
            times_s[:, drone] = np.inf
    return chosen


def planned(snapshot: Snapshot) -> Assignments:
    """The optimal plan with look-ahead. Pairs that start later are not assigned yet."""
    free = np.flatnonzero(snapshot.free_in_s == 0)
    d, t = judge.every_pair(len(free), len(snapshot.trips))
    judged = judge.judge(
        snapshot.drones.take(free),
        snapshot.trips,
        d,
        t,
        snapshot.rules,
        snapshot.zones,
        snapshot.at,
    )
    able = lookahead.now(judged)
    options = replace(able, drone=free[able.drone])
    if snapshot.rules.look_ahead_s > 0:
        later = lookahead.soon(
            snapshot.drones,
            snapshot.free_in_s,
            snapshot.trips,
            snapshot.rules,
            snapshot.zones,
            snapshot.at,
        )
        options = lookahead.together(options, later, snapshot.due_s)
    plan = planner.plan(
        planner.Problem(
            order_id=[f"{order:06}" for order in snapshot.orders],
            priority=snapshot.priority,
            waited_s=snapshot.waited_s,
            due_s=snapshot.due_s,
            drone_id=list(snapshot.drones.drone_id),
            order=options.trip,
            drone=options.drone,
            delivery_s=options.delivery_s,
            busy_s=options.busy_s,
            rules=snapshot.rules,
            at_work=len(snapshot.drones),
            holds=np.full(len(snapshot.orders), planner.NONE_HELD),
        )
    )
    return [
        (int(options.trip[p]), int(options.drone[p])) for p in plan.pairs if options.wait_s[p] == 0
    ]


def at_once(snapshot: Snapshot) -> Assignments:
    """`planned` without look-ahead."""
    return planned(replace(snapshot, rules=replace(snapshot.rules, look_ahead_s=0.0)))


FIRST_COME = Strategy("first come, nearest drone", first_come)
AT_ONCE = Strategy("planned, never waiting", at_once, interval_s=5.0)
PLANNED = Strategy("planned, looking ahead", planned, interval_s=5.0)
STRATEGIES = (FIRST_COME, AT_ONCE, PLANNED)


# --- the day -------------------------------------------------------------------------------------


def simulate(day: Day, seed: int, rules: Rules, strategy: Strategy) -> Outcome:
    """One random day until its last order is delivered. The same seed gives the same demand."""
    drones, demand = city(day, seed, rules)
    return fly_day(drones, demand, replace(rules, full_charge_s=day.full_charge_s), strategy)


def fly_day(
    drones: DroneTable,
    demand: Demand,
    rules: Rules,
    strategy: Strategy,
    *,
    zones: Zones = NOWHERE,
    at: datetime = AT,
    until_s: float = np.inf,
    on_progress: Callable[[float], None] = lambda share: None,
    on_placed: Callable[[Placed], None] = lambda placed: None,
) -> Outcome:
    """Simulate these orders and drones from `at` until all orders are delivered, or until
    `until_s` after it. All drones start at home. on_progress: called with the share of assigned
    orders. on_placed: called for each order before it waits.
    """
    count = len(demand.placed_s)
    promise_s = demand.promise_s(rules)
    free_at_s, battery_pct = np.zeros(len(drones)), drones.battery_pct.copy()
    delivered_s, flown_m = np.full(count, np.nan), 0.0
    waiting: list[int] = []
    arrived = 0
    releases: list[float] = []
    again_s = np.inf
    while np.isnan(delivered_s).any():
        now_s = min(again_s, releases[0] if releases else np.inf)
        if arrived < count:
            now_s = min(now_s, float(demand.placed_s[arrived]))
        if now_s > until_s:
            break
        if strategy.interval_s:
            now_s = float(np.ceil(now_s / strategy.interval_s) * strategy.interval_s)
        while releases and releases[0] <= now_s:
            heapq.heappop(releases)
        gained_pct = 100 * np.maximum(0.0, now_s - free_at_s) / rules.full_charge_s
        table = replace(drones, battery_pct=np.minimum(100.0, battery_pct + gained_pct))
        free_in_s = np.maximum(0.0, free_at_s - now_s)
        while arrived < count and demand.placed_s[arrived] <= now_s:
            on_placed(Placed(arrived, now_s, table, free_in_s, np.array(waiting, np.int64)))
            waiting.append(arrived)
            arrived += 1
        free = free_at_s <= now_s
        if waiting and free.any():
            orders = np.array(waiting)
            waited_s = now_s - demand.placed_s[orders]
            snapshot = Snapshot(
                drones=table,
                free_in_s=free_in_s,
                orders=orders,
                trips=demand.trips.take(orders),
                priority=[demand.priority[order] for order in waiting],
                waited_s=waited_s,
                due_s=promise_s[orders] - waited_s,
                rules=rules,
                zones=zones,
                at=at + timedelta(seconds=now_s),
            )
            pairs = strategy.choose(snapshot)
            for order, drone in pairs:
                flight = _fly(snapshot, order, drone)
                error = demand.error[orders[order]]
                delivered_s[orders[order]] = now_s + flight.delivery_s[0] * error
                free_at_s[drone] = now_s + flight.busy_s[0] * error
                battery_pct[drone] = table.battery_pct[drone] - flight.energy_pct[0] * error
                flown_m += flight.distance_m[0]
                heapq.heappush(releases, float(free_at_s[drone]))
            taken = {int(orders[order]) for order, _ in pairs}
            waiting = [order for order in waiting if order not in taken]
            on_progress((arrived - len(waiting)) / count)
        # Drones at home are charging: one of them may be able soon.
        again_s = now_s + RECHECK_S if waiting and (free_at_s <= now_s).any() else np.inf
    took_s = delivered_s - demand.placed_s
    return Outcome(took_s / 60, took_s <= promise_s, np.array(demand.priority), flown_m / 1000)


def _fly(snapshot: Snapshot, order: int, drone: int) -> judge.Verdicts:
    one = np.array([drone]), np.array([order])
    return judge.judge(
        snapshot.drones, snapshot.trips, *one, snapshot.rules, snapshot.zones, snapshot.at
    )
