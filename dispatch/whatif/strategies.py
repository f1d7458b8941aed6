"""Strategies of dispatch for simulated days: first come, first served, and the plan. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from dispatch.planning import lookahead
from dispatch.planning.limits.open_hours import Hours
from dispatch.planning.limits.timely import timely
from dispatch.planning.lookahead import Options
from dispatch.planning.optimum import planner, scarcity
from fleet.feasibility import judge, landing
from fleet.feasibility.geometry import Floats, Ints, Zones
from fleet.feasibility.landing import HubTable
from fleet.feasibility.rules import LateNormal, Rules
from fleet.feasibility.tables import DroneTable, TripTable


@dataclass(slots=True, eq=False)
class Snapshot:
    """The input of a strategy: the drones as they are when they are free, and waiting orders.

    stands: the index of each drone's hub, where it will land if it is busy. charge_in_s: seconds
    until it begins to charge. ready_in_s: until the parcel of each order is ready.
    """

    drones: DroneTable
    free_in_s: Floats
    charge_in_s: Floats
    stands: Ints
    hubs: HubTable
    orders: Ints
    trips: TripTable
    priority: list[str]
    waited_s: Floats
    due_s: Floats
    ready_in_s: Floats
    hours: Hours
    rules: Rules
    zones: Zones
    at: datetime


# (index into the waiting orders, drone index, index of the hub where it lands or landing.HOME), in
# the order of assignment.
Assignments = list[tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Strategy:
    """A dispatch strategy. interval_s: seconds between runs; 0 runs at each change."""

    name: str
    choose: Callable[[Snapshot], Assignments]
    interval_s: float = 0.0


def first_come(snapshot: Snapshot) -> Assignments:
    """In the order of placing, each order gets the able drone with the soonest delivery. In a
    network the hub nearest to the door receives it. It knows no hours and no parcel that is ready
    later: random days have none.
    """
    free = np.flatnonzero(snapshot.free_in_s == 0)
    found = _judged(snapshot, free, _toward(snapshot))
    times_s = np.where(found.able, found.delivery_s, np.inf).reshape(-1, len(free))
    chosen = []
    for order, row in enumerate(times_s):
        drone = int(row.argmin())
        if np.isfinite(row[drone]):
            chosen.append((order, int(free[drone])))
            times_s[:, drone] = np.inf
    return _landed(snapshot, chosen, balance_s=0.0)


def planned(snapshot: Snapshot) -> Assignments:
    """The optimal plan with look-ahead. Pairs that start later are not assigned yet."""
    free, trips = np.flatnonzero(snapshot.free_in_s == 0), _toward(snapshot)
    holds = np.full(len(snapshot.orders), planner.NONE_HELD)
    able = lookahead.now(_judged(snapshot, free, trips))
    options = _timely(snapshot, replace(able, drone=free[able.drone]), holds)
    if snapshot.rules.look_ahead_s > 0:
        later = lookahead.soon(
            snapshot.drones,
            snapshot.free_in_s,
            trips,
            snapshot.rules,
            snapshot.zones,
            snapshot.at,
            charge_in_s=snapshot.charge_in_s,
        )
        options = lookahead.together(options, _timely(snapshot, later, holds), snapshot.due_s)
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
            holds=holds,
            sizes=scarcity.of(snapshot.drones),
        )
    )
    starting = [
        (int(options.trip[p]), int(options.drone[p])) for p in plan.pairs if options.wait_s[p] == 0
    ]
    return _landed(snapshot, starting)


def _timely(snapshot: Snapshot, options: Options, holds: Ints) -> Options:
    look_ahead_s = snapshot.rules.look_ahead_s
    return timely(options, snapshot.ready_in_s, snapshot.hours, holds, look_ahead_s).options


def at_once(snapshot: Snapshot) -> Assignments:
    """`planned` without look-ahead."""
    return planned(replace(snapshot, rules=replace(snapshot.rules, look_ahead_s=0.0)))


FIRST_COME = Strategy("first come, nearest drone", first_come)
AT_ONCE = Strategy("planned, never waiting", at_once, interval_s=5.0)
PLANNED = Strategy("planned, looking ahead", planned, interval_s=5.0)
STRATEGIES = (FIRST_COME, AT_ONCE, PLANNED)


def by_choice(choice: LateNormal) -> Strategy:
    """`PLANNED` with another choice for late NORMAL orders."""

    def choose(snapshot: Snapshot) -> Assignments:
        return planned(replace(snapshot, rules=replace(snapshot.rules, late_normal=choice.value)))

    return replace(PLANNED, name=str(choice.label).lower(), choose=choose)


# First come, and the plan by each choice for late NORMAL orders.
CHOICES = (FIRST_COME, *(by_choice(choice) for choice in LateNormal))


def _toward(snapshot: Snapshot) -> TripTable:
    return landing.toward(
        snapshot.trips, snapshot.hubs.receiving(), snapshot.rules, snapshot.zones, snapshot.at
    )


def _judged(snapshot: Snapshot, free: Ints, trips: TripTable) -> judge.Verdicts:
    """Every pair of these drones and the trips."""
    pairs = judge.every_pair(len(free), len(trips))
    drones = snapshot.drones.take(free)
    return judge.judge(drones, trips, *pairs, snapshot.rules, snapshot.zones, snapshot.at)


def _landed(
    snapshot: Snapshot, chosen: list[tuple[int, int]], balance_s: float = landing.BALANCE_S
) -> Assignments:
    """The pairs with the hubs that receive their drones; without pairs that no hub can receive."""
    t, d = np.array(chosen, np.int64).reshape(-1, 2).T
    landings = landing.receive(
        snapshot.drones,
        snapshot.trips,
        d,
        t,
        snapshot.stands,
        snapshot.hubs,
        snapshot.rules,
        snapshot.zones,
        snapshot.at,
        balance_s=balance_s,
    )
    hubs = landings.hub.tolist()
    return [(*pair, hub) for pair, hub in zip(chosen, hubs, strict=True) if hub != landing.NONE]
