"""The three legs of a flight, and the no-fly zones that block them. Pure."""

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np

from fleet.feasibility import detours, margins
from fleet.feasibility.geometry import Floats, Ints, Zones, distance_m
from fleet.feasibility.reasons import Rule
from fleet.feasibility.tables import Bits, Bools, DroneTable, TripTable

# A detour avoids every zone that is active within this time. A flight with a detour that takes
# longer is refused.
DETOUR_HORIZON_S = 4 * 3600.0
# Up to this many legs, judging each takes less time than finding those that pairs can share.
FEW_LEGS = 64


class Legs(NamedTuple):
    """Straight legs (L,). `of` (P,) is the leg index of each pair; pairs may share legs."""

    lat1: Floats
    lng1: Floats
    lat2: Floats
    lng2: Floats
    of: Any

    def length_m(self) -> Floats:
        length: Floats = distance_m(self.lat1, self.lng1, self.lat2, self.lng2)[self.of]
        return length

    def take(self, pairs: Ints) -> "Legs":
        """The legs of these pairs, one for each."""
        rows = pairs if isinstance(self.of, slice) else self.of[pairs]
        lat1, lng1, lat2, lng2 = (end[rows] for end in self[:4])
        return Legs(lat1, lng1, lat2, lng2, slice(None))

    def blocked(self, zones: Zones, at: datetime, margin_m: float) -> tuple[Floats, Ints]:
        """From when (POSIX seconds) and by which zone each pair's leg is blocked."""
        return _at(zones.in_the_way(*self[:4], at, margin_m), self.of)


def legs_of(drones: DroneTable, trips: TripTable, d: Ints, t: Ints) -> tuple[Legs, Legs, Legs]:
    """The three legs of every pair: to the pickup, to the door, and to where the drone lands."""
    pickup, door = (trips.pickup_lat, trips.pickup_lng), (trips.dropoff_lat, trips.dropoff_lng)
    to_pickup = Legs(drones.lat[d], drones.lng[d], pickup[0][t], pickup[1][t], slice(None))
    to_door = Legs(*pickup, *door, t)
    landing = Legs(*door, trips.landing_lat, trips.landing_lng, t)
    lands = np.isfinite(trips.landing_lat)
    if lands.all() and len(trips) and not drones.pads_taken.any():
        return to_pickup, to_door, landing
    home = _home_legs(drones, trips, d, t)
    if lands.any():
        home = _either(landing, home, _flies_home(drones, lands, d, t, landing, home))
    return to_pickup, to_door, home


def lengths_m_of(legs: tuple[Legs, Legs, Legs]) -> Floats:
    """The lengths (3, P) of every pair's legs."""
    ends, cuts = _joined(*(leg[:4] for leg in legs))
    way_m = distance_m(*ends)
    return np.stack([way_m[a:b][leg.of] for (a, b), leg in zip(cuts, legs, strict=True)])


def _home_legs(drones: DroneTable, trips: TripTable, d: Ints, t: Ints) -> Legs:
    door = trips.dropoff_lat, trips.dropoff_lng
    if len(d) > FEW_LEGS:
        hubs, hub = np.unique([drones.home_lat, drones.home_lng], axis=1, return_inverse=True)
        count = hubs.shape[1]
        if count * len(trips) <= len(d):
            door_lat, door_lng = np.tile(door, count)
            hub_lat, hub_lng = np.repeat(hubs, len(trips), axis=1)
            return Legs(door_lat, door_lng, hub_lat, hub_lng, hub[d] * len(trips) + t)
    return Legs(door[0][t], door[1][t], drones.home_lat[d], drones.home_lng[d], slice(None))


def _flies_home(
    drones: DroneTable, lands: Bools, d: Ints, t: Ints, landing: Legs, home: Legs
) -> Bools:
    """Pairs of a trip without a hub, and of a drone with a pad at home, if that is nearer."""
    nearer = drones.pads_taken[d] & (home.length_m() < landing.length_m())
    homeward: Bools = ~lands[t] | nearer
    return homeward


def _either(landing: Legs, home: Legs, homeward: Bools) -> Legs:
    if isinstance(home.of, slice):
        ends = (
            np.where(homeward, at_home, at_hub[landing.of])
            for at_home, at_hub in zip(home[:4], landing[:4], strict=True)
        )
        return Legs._make([*ends, home.of])
    ends = (np.concatenate(both) for both in zip(landing[:4], home[:4], strict=True))
    return Legs._make([*ends, np.where(homeward, len(landing.lat1) + home.of, landing.of)])


def zones_in_the_way(
    drones: DroneTable,
    trips: TripTable,
    d: Ints,
    t: Ints,
    legs: tuple[Legs, Legs, Legs],
    zones: Zones,
    at: datetime,
    flown_s: Floats,
    margin_m: float,
) -> tuple[Ints, Bits]:
    """Per pair: the zone that blocks it (-1: none), and by which rule (0: none).

    flown_s: from `at` until the drone is on the ground in any case.
    """
    to_pickup, to_door, home = legs
    landing, of = (drones.home_lat, drones.home_lng), d
    if np.isfinite(trips.landing_lat).any():
        landing, of = (home.lat2, home.lng2), home.of
    ways = (to_door, home, to_pickup)
    # A place is a leg of length 0.
    places = (
        (drones.lat, drones.lng),
        landing,
        (trips.pickup_lat, trips.pickup_lng),
        (trips.dropoff_lat, trips.dropoff_lng),
    )
    *on_ways, start, end, pickup, door = _closures(
        zones, at, margin_m, *(way[:4] for way in ways), *(2 * place for place in places)
    )
    since_s, zone = _earliest(
        *(_at(closed, way.of) for closed, way in zip(on_ways, ways, strict=True))
    )
    until_s = at.timestamp() + np.where(np.isnan(flown_s), 0.0, flown_s)
    crosses = since_s <= until_s
    rule: Bits = crosses * np.uint32(Rule.CROSSES_NO_FLY_ZONE)
    zone = np.where(crosses, zone, -1)
    if not crosses.any():
        return zone, rule
    for name, (ends_since_s, ends_zone) in (
        (Rule.TAKEOFF_OR_LANDING_IN_ZONE, _earliest(_at(start, d), _at(end, of))),
        (Rule.IN_NO_FLY_ZONE, _at(_earliest(pickup, door), t)),
    ):
        inside = np.flatnonzero(ends_since_s <= until_s)
        rule[inside], zone[inside] = name, ends_zone[inside]
    return zone, rule


def touches(zones: Zones, zone: int, legs: tuple[Legs, Legs, Legs], rule: int) -> bool:
    """Whether one pair's flight is in the zone where `rule` says; if not, it is in the margin."""
    lat1, lng1, lat2, lng2 = (
        np.concatenate(ends) for ends in zip(*(leg[:4] for leg in legs), strict=True)
    )
    if rule & Rule.IN_NO_FLY_ZONE:
        lat1, lng1, lat2, lng2 = lat1[1:], lng1[1:], lat1[1:], lng1[1:]
    elif rule & Rule.TAKEOFF_OR_LANDING_IN_ZONE:
        lat1, lng1 = np.append(lat1[0], lat2[2]), np.append(lng1[0], lng2[2])
        lat2, lng2 = lat1, lng1
    known = np.flatnonzero(np.isfinite([lat1, lng1, lat2, lng2]).all(axis=0))
    ends = lat1[known], lng1[known], lat2[known], lng2[known]
    return bool(zones.meets(zone, *ends).any())


def beyond_the_map(drones: DroneTable, margin_m: float) -> Bools:
    """Drones (N,) that are or live beside the 180° meridian, or near a pole."""
    lat, lng = np.array([drones.lat, drones.home_lat]), np.array([drones.lng, drones.home_lng])
    beyond: Bools = np.logical_or.reduce(margins.off_the_map(lat, lng, margin_m))
    return beyond


def off_the_map(
    drones: DroneTable,
    trips: TripTable,
    d: Ints,
    t: Ints,
    legs: tuple[Legs, Legs, Legs],
    margin_m: float,
) -> Bools:
    """Pairs with a leg across the 180° meridian, or whose trip is beside it or near a pole."""
    lat = np.array([trips.pickup_lat, trips.dropoff_lat, trips.landing_lat])
    lng = np.array([trips.pickup_lng, trips.dropoff_lng, trips.landing_lng])
    off: Bools = np.logical_or.reduce(margins.off_the_map(lat, lng, margin_m))[t]
    lngs = np.concatenate([drones.lng, drones.home_lng, lng.ravel()])
    if np.fmax.reduce(lngs, initial=0) - np.fmin.reduce(lngs, initial=0) > 180:
        for leg in legs:
            off |= (np.abs(leg.lng1 - leg.lng2) > 180)[leg.of]
    return off


def around_m(
    legs: tuple[Legs, Legs, Legs], pairs: Ints, zones: Zones, at: datetime, margin_m: float
) -> Floats:
    """The lengths (3, n) of these pairs' legs around all zones; infinite if no path is found."""
    until_s = at.timestamp() + DETOUR_HORIZON_S
    return np.stack(
        [detours.around_m(zones, leg.take(pairs)[:4], at, until_s, margin_m) for leg in legs]
    )


def _closures(
    zones: Zones, at: datetime, margin_m: float, *legs: tuple[Floats, Floats, Floats, Floats]
) -> list[tuple[Floats, Ints]]:
    """`Zones.in_the_way` of several sets of legs, in one call: few legs cost as much as one."""
    (lat1, lng1, lat2, lng2), cuts = _joined(*legs)
    since_s, zone = zones.in_the_way(lat1, lng1, lat2, lng2, at, margin_m)
    return [(since_s[a:b], zone[a:b]) for a, b in cuts]


def _joined(*legs: Sequence[Floats]) -> tuple[list[Floats], list[tuple[int, int]]]:
    """Several sets of legs as one, and where each of them starts and ends in it."""
    ends = [np.concatenate(end) for end in zip(*legs, strict=True)]
    return ends, list(pairwise(accumulate((len(one[0]) for one in legs), initial=0)))


def _at(closures: tuple[Floats, Ints], index: Any) -> tuple[Floats, Ints]:
    return closures[0][index], closures[1][index]


def _earliest(*closures: tuple[Floats, Ints]) -> tuple[Floats, Ints]:
    """The elementwise earliest of several (since_s, zone)."""
    since_s, zone = closures[0]
    for other_since_s, other_zone in closures[1:]:
        zone = np.where(other_since_s < since_s, other_zone, zone)
        since_s = np.minimum(other_since_s, since_s)
    return since_s, zone
