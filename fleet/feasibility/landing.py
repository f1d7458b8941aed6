"""Which hub receives a drone after its delivery, in areas with a network of hubs. Pure.

A plan is judged with the nearest hub of each trip that has a free pad (`toward`). Then the planned
pairs choose their hubs, the most valuable pair first, and each reserves its pad (`receive`).
"""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from fleet.feasibility import detours, judge
from fleet.feasibility.geometry import Floats, Ints, Zones, distance_m
from fleet.feasibility.legs import Legs
from fleet.feasibility.reasons import Rule
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import Bools, DroneTable, Table, Texts, TripTable
from fleet.feasibility.winds import Winds

# What `Landings.hub` has in place of an index: the drone flies home (an area without network), or
# no hub can receive it.
HOME, NONE = -1, -2
# Only this many hubs are considered for a trip, the nearest to its door.
NEAREST = 6
# The cost of taking the last pad of a hub, in seconds of a drone. It grows with the fourth power of
# the share of pads that are taken, so that a hub fills up late. Tuned on simulated days, see
# docs/dispatch.md.
BALANCE_S = 60.0
# A zone counts against the way to a hub if it is active within this time; no way is this long.
FLIGHT_S, BLOCKED_M = 3600.0, 1e8
# Reasons against a pair that can depend on where the drone lands.
BY_LANDING = (
    Rule.NOT_ENOUGH_ENERGY
    | Rule.CROSSES_NO_FLY_ZONE
    | Rule.IN_NO_FLY_ZONE
    | Rule.TAKEOFF_OR_LANDING_IN_ZONE
    | Rule.OFF_THE_MAP
    | Rule.TOO_WINDY
    | Rule.WEATHER_UNKNOWN
)


@dataclass(frozen=True, slots=True, eq=False)
class HubTable(Table):
    """Hubs. key: the primary key. area: the index of the service area. network: whether they
    receive drones of other hubs. pads, chargers: infinite for any number.

    taken: the drones that stand there or are bound for it, each counted once, so that a drone on
    its way has its pad. charging: those of them that need charge.
    """

    key: Ints
    name: Texts
    lat: Floats
    lng: Floats
    area: Ints
    network: Bools
    pads: Floats = np.inf  # type: ignore[assignment]  # becomes a column
    chargers: Floats = np.inf  # type: ignore[assignment]
    taken: Ints = 0  # type: ignore[assignment]
    charging: Ints = 0  # type: ignore[assignment]

    @property
    def free_pads(self) -> Floats:
        """Never below 0: more drones than pads may stand at a hub."""
        free: Floats = np.maximum(0.0, self.pads - self.taken)
        return free

    def receiving(self) -> "HubTable":
        """The hubs of networks that have a free pad."""
        return self.take(self.network & (self.free_pads > 0))


@dataclass(frozen=True, slots=True, eq=False)
class Landings:
    """Where the drones of some pairs (k,) land.

    hub: the index of the hub, HOME, or NONE. alternate: the index of a second hub that the drone
    can reach, or NONE. free_pads: those of the hub before this landing. distance_m, busy_s,
    energy_pct: of the whole flight, as in `Verdicts`; NaN without a hub of a network.
    """

    hub: Ints
    alternate: Ints
    free_pads: Floats
    distance_m: Floats
    busy_s: Floats
    energy_pct: Floats


def toward(trips: TripTable, hubs: HubTable, rules: Rules, zones: Zones, at: datetime) -> TripTable:
    """The trips with the hub that is best for all drones: the nearest of `hubs` in the trip's area.

    A hub behind a no-fly zone comes after those with a clear way from the door. If detours are
    allowed, the way around counts. Without a hub the trip's drones fly home.
    """
    if not hubs.network.any() or not len(trips):
        return trips
    near, away_m = _nearest(trips, hubs, np.broadcast_to(hubs.network, (len(trips), len(hubs))))
    if len(zones):
        count = near.shape[1]
        lat, lng = np.repeat([trips.dropoff_lat, trips.dropoff_lng], count, axis=1)
        legs = Legs(lat, lng, hubs.lat[near].ravel(), hubs.lng[near].ravel(), slice(None))
        away_m = away_m + _ways_m(legs, rules, zones, at).reshape(near.shape)
    best = away_m.argmin(axis=1)
    every = np.arange(len(trips))
    hub, found = near[every, best], np.isfinite(away_m[every, best])
    return replace(
        trips,
        landing_lat=np.where(found, hubs.lat[hub], np.nan),
        landing_lng=np.where(found, hubs.lng[hub], np.nan),
    )


def homeward(trips: TripTable) -> TripTable:
    """The trips with drones that land at their home."""
    nowhere = np.full(len(trips), np.nan)
    return replace(trips, landing_lat=nowhere, landing_lng=nowhere)


def _nearest(trips: TripTable, hubs: HubTable, may: Bools) -> tuple[Ints, Floats]:
    """The nearest hubs to each door, as indices and metres (T, up to NEAREST); infinite for hubs
    of another area and where `may` (T, H) is False.
    """
    door = trips.dropoff_lat[:, None], trips.dropoff_lng[:, None]
    away_m = distance_m(*door, hubs.lat, hubs.lng)
    away_m[~(may & (trips.area[:, None] == hubs.area))] = np.inf
    near = np.argsort(away_m, axis=1, kind="stable")[:, :NEAREST]
    return near, np.take_along_axis(away_m, near, axis=1)


def _ways_m(legs: Legs, rules: Rules, zones: Zones, at: datetime) -> Floats:
    """What a no-fly zone that is active within FLIGHT_S adds to each leg, in metres: the way around
    it, or BLOCKED_M without one.
    """
    until_s = at.timestamp() + FLIGHT_S
    since_s, _ = legs.blocked(zones, at, rules.zone_margin_m)
    blocked = np.flatnonzero(since_s <= until_s)
    more_m = np.zeros(len(since_s))
    more_m[blocked] = BLOCKED_M
    if rules.detours_allowed and len(blocked):
        way_m = detours.around_m(zones, legs.take(blocked)[:4], at, until_s, rules.zone_margin_m)
        found = np.isfinite(way_m)
        more_m[blocked[found]] = (way_m - legs.take(blocked).length_m())[found]
    return more_m


def receive(
    drones: DroneTable,
    trips: TripTable,
    d: Ints,
    t: Ints,
    stands: Ints,
    hubs: HubTable,
    rules: Rules,
    zones: Zones,
    at: datetime,
    winds: Winds | None = None,
    *,
    together: bool = True,
    balance_s: float = BALANCE_S,
) -> Landings:
    """The hubs that receive the drones d[i] after their trips t[i], which start now.

    together: all of them start, in order of value, and an earlier pair gets its pad first. If not,
    each pair is an alternative to the others. stands (N,): the index of the hub of each drone, or
    NONE. A drone has its own pad at its hub. A pair takes the hub with the least sum of drone time,
    wait for a charger and crowding, among those that it can reach.
    """
    count = len(d)
    landings = Landings(
        np.full(count, HOME), np.full(count, NONE), *(np.full(count, np.nan) for _ in range(4))
    )
    networked = np.isin(trips.area[t], hubs.area[hubs.network])
    networked &= trips.area[t] == drones.area[d]
    pairs = np.flatnonzero(networked)
    if not len(pairs):
        return landings
    d, t = d[pairs], t[pairs]
    own = stands[d][:, None] == np.arange(len(hubs))
    near, away_m = _nearest(trips.take(t), hubs, hubs.network & ((hubs.free_pads > 0) | own))
    judged = _judged_at(drones, trips, d, t, near, hubs, rules, zones, at, winds)
    able = np.isfinite(away_m) & np.isfinite(judged.busy_s).reshape(near.shape)
    able &= ~judged.has(BY_LANDING).reshape(near.shape)
    own = np.take_along_axis(own, near, axis=1)
    chosen = _choose(near, able, judged, own, hubs, together, balance_s)
    _write(landings, pairs, near, judged, *chosen)
    return landings


def _judged_at(
    drones: DroneTable,
    trips: TripTable,
    d: Ints,
    t: Ints,
    near: Ints,
    hubs: HubTable,
    rules: Rules,
    zones: Zones,
    at: datetime,
    winds: Winds | None,
) -> judge.Verdicts:
    """Each pair (k,) with each of its hubs (k, n) as home."""
    each = near.ravel()
    homes = replace(
        drones.take(np.repeat(d, near.shape[1])),
        home_lat=hubs.lat[each],
        home_lng=hubs.lng[each],
    )
    every = np.arange(len(homes))
    trip = np.repeat(t, near.shape[1])
    return judge.judge(homes, homeward(trips), every, trip, rules, zones, at, winds)


def _choose(
    near: Ints,
    able: Bools,
    judged: judge.Verdicts,
    own: Bools,
    hubs: HubTable,
    together: bool,
    balance_s: float,
) -> tuple[Ints, Ints, Floats]:
    """The column of `near` for landing and as alternate, and the free pads, of each pair (k,)."""
    taken, charging = hubs.taken.astype(float), hubs.charging.astype(float)
    busy_s, energy_pct = (
        figure.reshape(near.shape) for figure in (judged.busy_s, judged.energy_pct)
    )
    charge_s = energy_pct * judged.rules.full_charge_s / 100
    best, second = np.full(len(near), NONE), np.full(len(near), NONE)
    free_pads = np.full(len(near), np.nan)
    for i, hub in enumerate(near):
        more = ~own[i]
        free = hubs.pads[hub] - taken[hub] - more + 1
        queue = np.maximum(0.0, charging[hub] + more - hubs.chargers[hub]) / hubs.chargers[hub]
        full = (taken[hub] + more) / hubs.pads[hub]
        cost_s = busy_s[i] + balance_s * full**4 + queue * charge_s[i]
        cost_s[~(able[i] & (own[i] | (free > 0)))] = np.inf
        if not np.isfinite(cost_s).any():
            continue
        best[i] = first = cost_s.argmin()
        free_pads[i] = max(0.0, hubs.pads[hub[first]] - taken[hub[first]])
        if together:
            taken[hub[first]] += more[first]
            charging[hub[first]] += more[first]
        cost_s[first] = np.inf
        if np.isfinite(cost_s).any():
            second[i] = np.where(np.isfinite(cost_s), busy_s[i], np.inf).argmin()
    return best, second, free_pads


def _write(
    landings: Landings,
    pairs: Ints,
    near: Ints,
    judged: judge.Verdicts,
    best: Ints,
    second: Ints,
    free_pads: Floats,
) -> None:
    every, found = np.arange(len(near)), best != NONE
    landings.hub[pairs] = np.where(found, near[every, np.maximum(best, 0)], NONE)
    landings.alternate[pairs] = np.where(second != NONE, near[every, np.maximum(second, 0)], NONE)
    landings.free_pads[pairs] = free_pads
    for name in ("distance_m", "busy_s", "energy_pct"):
        figure = getattr(judged, name).reshape(near.shape)[every, np.maximum(best, 0)]
        getattr(landings, name)[pairs] = np.where(found, figure, np.nan)
