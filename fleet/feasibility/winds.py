"""The measured wind by place, and the wind that counts for drones and trips. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fleet.feasibility.geometry import EARTH_RADIUS_M, Floats, Ints, on_the_globe
from fleet.feasibility.tables import Bools, DroneTable, Table, Texts, TripTable

# A reading says nothing about a point further away than this.
MAX_DISTANCE_M = 15_000.0


class Blow(NamedTuple):
    """The strongest known wind in metres per second, 0 if none is known, and whether it is unknown
    at some point. (N,) for drones, (T,) for trips, (P,) for pairs.
    """

    mps: Floats
    unknown: Bools

    def take(self, index: Ints) -> "Blow":
        return Blow(self.mps[index], self.unknown[index])

    def joined(self, other: "Blow") -> "Blow":
        return Blow(np.maximum(self.mps, other.mps), self.unknown | other.unknown)


@dataclass(frozen=True, slots=True, eq=False)
class Winds(Table):
    """Fresh readings (K,). The nearest one within MAX_DISTANCE_M counts at a point; without one the
    wind there is unknown.

    lat, lng: NaN for a reading that counts everywhere. wind_mps: the larger of wind and gust.
    age_s: since it was measured. source: who measured it.
    """

    name: Texts
    source: Texts
    lat: Floats
    lng: Floats
    wind_mps: Floats
    age_s: Floats

    def nearest(self, lat: Floats, lng: Floats) -> Ints:
        """The index of the reading that counts at each point (n,); -1 for none."""
        if not len(self):
            return np.full(len(lat), -1)
        away_m = self._away_m(lat, lng)
        near = away_m.argmin(axis=1)
        counts = away_m[np.arange(len(near)), near] <= MAX_DISTANCE_M
        return np.where(counts, near, -1)

    def at(self, lat: Floats, lng: Floats) -> Blow:
        """The wind at each point (n,)."""
        near = self.nearest(lat, lng)
        known = near >= 0
        mps = np.append(self.wind_mps, 0.0)[near]  # -1 takes the last one
        return Blow(mps, ~known)

    def _away_m(self, lat: Floats, lng: Floats) -> Floats:
        """From each point to each reading (n, K)."""
        everywhere = np.isnan(self.lat)
        cosine = on_the_globe(lat, lng) @ on_the_globe(self.lat, self.lng).T
        half_chord = np.sqrt(np.clip((1 - cosine) / 2, 0.0, 1.0))
        return np.where(everywhere, 0.0, 2 * EARTH_RADIUS_M * np.arcsin(half_chord))

    def strongest(self, points: Iterable[tuple[str, float, float]]) -> tuple[float, str]:
        """The strongest known wind at these points (what it is, lat, lng), NaN if none is known,
        and where, from whom and how old: “at Osu (Open-Meteo, 3 min ago)”.
        """
        near = {i for _, lat, lng in points if (i := self._index(lat, lng)) >= 0}
        if not near:
            return np.nan, ""
        i = max(near, key=lambda index: float(self.wind_mps[index]))
        where = f"at {self.name[i]} " if self.name[i] else ""
        return float(self.wind_mps[i]), f"{where}({self.source[i]}, {_ago(self.age_s[i])})"

    def gap(self, points: Iterable[tuple[str, float, float]]) -> str:
        """Why the wind is unknown at the first of these points without one; empty if it is known
        at all of them, or if there is no reading at all.
        """
        for what, lat, lng in points:
            if len(self) and self._index(lat, lng) < 0:
                away_m = self._away_m(np.array([lat]), np.array([lng]))[0]
                near = int(away_m.argmin())
                return (
                    f"The wind at {what} is unknown: the nearest fresh reading is that of "
                    f"{self.name[near]}, {away_m[near] / 1000:.0f} km away; at most "
                    f"{MAX_DISTANCE_M / 1000:.0f} km count."
                )
        return ""

    def _index(self, lat: float, lng: float) -> int:
        return int(self.nearest(np.array([lat]), np.array([lng]))[0])


def at_drones(winds: Winds | None, drones: DroneTable) -> Blow:
    """The wind at the hub of each drone (N,) and where it is; none if the wind is not measured."""
    if winds is None:
        return _calm(len(drones))
    home = winds.at(drones.home_lat, drones.home_lng)
    here = winds.at(drones.lat, drones.lng)
    return _worst(home, Blow(here.mps, here.unknown & drones.placed))


def on_trips(winds: Winds | None, trips: TripTable) -> Blow:
    """The wind at pickup and door of each trip (T,), and where its drone lands if it names that."""
    if winds is None:
        return _calm(len(trips))
    landing = winds.at(trips.landing_lat, trips.landing_lng)
    lands = np.isfinite(trips.landing_lat)
    return _worst(
        winds.at(trips.pickup_lat, trips.pickup_lng),
        winds.at(trips.dropoff_lat, trips.dropoff_lng),
        Blow(np.where(lands, landing.mps, 0.0), landing.unknown & lands),
    )


def on_pairs(winds: Winds | None, drones: DroneTable, trips: TripTable, d: Ints, t: Ints) -> Blow:
    """The wind that counts for each pair (P,): at its drone and on its trip."""
    if winds is None:
        return _calm(len(d))
    return at_drones(winds, drones).take(d).joined(on_trips(winds, trips).take(t))


def points_of_drone(drones: DroneTable, d: int) -> list[tuple[str, float, float]]:
    """The points that count for drone d, as `at_drones` takes them."""
    drone_id = drones.drone_id[d]
    points = [(f"the hub of {drone_id}", float(drones.home_lat[d]), float(drones.home_lng[d]))]
    if drones.placed[d]:
        points.append((f"{drone_id}", float(drones.lat[d]), float(drones.lng[d])))
    return points


def points_of_trip(trips: TripTable, t: int) -> list[tuple[str, float, float]]:
    """The points that count for trip t, as `on_trips` takes them."""
    points = [
        ("the pickup", float(trips.pickup_lat[t]), float(trips.pickup_lng[t])),
        ("the drop point", float(trips.dropoff_lat[t]), float(trips.dropoff_lng[t])),
    ]
    if np.isfinite(trips.landing_lat[t]):
        landing = float(trips.landing_lat[t]), float(trips.landing_lng[t])
        points.append(("the hub where it lands", *landing))
    return points


def _worst(first: Blow, *others: Blow) -> Blow:
    for other in others:
        first = first.joined(other)
    return first


def _calm(count: int) -> Blow:
    return Blow(np.zeros(count), np.zeros(count, bool))


def _ago(age_s: float) -> str:
    """A reading stamped a little in the future counts as one of now."""
    return f"{age_s:.0f} s ago" if age_s < 120 else f"{age_s / 60:.0f} min ago"
