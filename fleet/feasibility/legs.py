"""The three legs of a flight, and the no-fly zones that block them. Pure."""

from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from fleet.feasibility import detours
from fleet.feasibility.geometry import Floats, Ints, Zones, distance_m
from fleet.feasibility.tables import Bools, DroneTable, TripTable

# A detour avoids every zone that is active within this time. A flight with a detour that takes
# longer is refused.
DETOUR_HORIZON_S = 4 * 3600.0


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

    def blocked(self, zones: Zones, at: datetime) -> tuple[Floats, Ints]:
        """From when (POSIX seconds) and by which zone each pair's leg is blocked."""
        since_s, zone = zones.in_the_way(self.lat1, self.lng1, self.lat2, self.lng2, at)
        return since_s[self.of], zone[self.of]


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


def _home_legs(drones: DroneTable, trips: TripTable, d: Ints, t: Ints) -> Legs:
    door = trips.dropoff_lat, trips.dropoff_lng
    hubs, hub = np.unique([drones.home_lat, drones.home_lng], axis=1, return_inverse=True)
    count = hubs.shape[1]
    if count * len(trips) > len(d):
        return Legs(door[0][t], door[1][t], drones.home_lat[d], drones.home_lng[d], slice(None))
    door_lat, door_lng = np.tile(door, count)
    hub_lat, hub_lng = np.repeat(hubs, len(trips), axis=1)
    return Legs(door_lat, door_lng, hub_lat, hub_lng, hub[d] * len(trips) + t)


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
    trips: TripTable,
    t: Ints,
    legs: tuple[Legs, Legs, Legs],
    zones: Zones,
    at: datetime,
    busy_s: Floats,
) -> tuple[Ints, Bools]:
    """Per pair: the zone that blocks it (-1: none), and whether an end of the trip is in it."""
    until_s = at.timestamp() + np.nan_to_num(busy_s)
    pickup = (trips.pickup_lat, trips.pickup_lng)
    door = (trips.dropoff_lat, trips.dropoff_lng)
    in_since_s, in_zone = _earliest(
        zones.in_the_way(*pickup, *pickup, at), zones.in_the_way(*door, *door, at)
    )
    to_pickup, to_door, home = legs
    since_s, zone = _earliest(to_door.blocked(zones, at), home.blocked(zones, at))
    # Most legs are these; skip them if the trip is already blocked.
    still = np.flatnonzero(since_s > at.timestamp())
    since_s[still], zone[still] = _earliest(
        (since_s[still], zone[still]), to_pickup.take(still).blocked(zones, at)
    )
    inside = in_since_s[t] <= until_s
    return np.where(inside, in_zone[t], np.where(since_s <= until_s, zone, -1)), inside


def around_m(
    legs: tuple[Legs, Legs, Legs], pairs: Ints, zones: Zones, at: datetime, margin_m: float
) -> Floats:
    """The lengths (3, n) of these pairs' legs around all zones; infinite if no path is found."""
    until_s = at.timestamp() + DETOUR_HORIZON_S
    return np.stack(
        [detours.around_m(zones, leg.take(pairs)[:4], at, until_s, margin_m) for leg in legs]
    )


def _earliest(*closures: tuple[Floats, Ints]) -> tuple[Floats, Ints]:
    """The elementwise earliest of several (since_s, zone)."""
    since_s, zone = closures[0]
    for other_since_s, other_zone in closures[1:]:
        zone = np.where(other_since_s < since_s, other_zone, zone)
        since_s = np.minimum(other_since_s, since_s)
    return since_s, zone
