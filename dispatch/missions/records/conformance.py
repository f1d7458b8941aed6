"""How well a flight kept to its planned corridor, in the terms of ASTM F3548-21. Pure.

The corridor is everything within `width_m` of the straight legs of the route. Height is not judged.
Only time that the track shows counts; a gap counts neither as inside nor as outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from dispatch.missions.records.track import Leg
from fleet.feasibility.geometry import EARTH_RADIUS_M

Place = tuple[float, float]  # latitude and longitude in degrees


@dataclass(frozen=True, slots=True)
class Excursion:
    """A time outside the corridor, in POSIX seconds; it ends where the track ends or has a gap."""

    began: float
    ended: float
    farthest_m: float


@dataclass(frozen=True, slots=True)
class Conformance:
    """inside: share of the seen time that was inside the corridor, from 0 to 1."""

    inside: float
    seen_s: float
    width_m: float
    excursions: tuple[Excursion, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "inside": round(self.inside, 4),
            "seen_s": round(self.seen_s, 1),
            "width_m": self.width_m,
            "excursions": [
                {
                    "from": round(one.began, 1),
                    "until": round(one.ended, 1),
                    "farthest_m": round(one.farthest_m, 1),
                }
                for one in self.excursions
            ],
        }


def conformance(legs: Sequence[Leg], route: Sequence[Place], width_m: float) -> Conformance | None:
    """None when no leg of the track has any duration. Between two samples, the distance from the
    route changes evenly.
    """
    seen_s = sum(leg[-1].at - leg[0].at for leg in legs)
    if seen_s <= 0:
        return None
    excursions = [found for leg in legs for found in _excursions(leg, route, width_m)]
    outside_s = sum(one.ended - one.began for one in excursions)
    return Conformance(1 - outside_s / seen_s, seen_s, width_m, tuple(excursions))


def _excursions(leg: Leg, route: Sequence[Place], width_m: float) -> list[Excursion]:
    away_m = from_route_m([(s.lat, s.lng) for s in leg], route)
    found: list[Excursion] = []
    began, farthest_m = (leg[0].at, away_m[0]) if away_m[0] > width_m else (None, 0.0)
    for (a, a_m), (b, b_m) in pairwise(zip(leg, away_m, strict=True)):
        crosses = (a_m > width_m) != (b_m > width_m)
        at = a.at + (b.at - a.at) * (width_m - a_m) / (b_m - a_m) if crosses else b.at
        if crosses and began is None:
            began, farthest_m = at, b_m
        elif crosses and began is not None:
            found.append(Excursion(began, at, farthest_m))
            began = None
        farthest_m = max(farthest_m, b_m)
    if began is not None:
        found.append(Excursion(began, leg[-1].at, farthest_m))
    return found


def from_route_m(places: Sequence[Place], route: Sequence[Place]) -> list[float]:
    """The distance of each place from the nearest point of the route, in metres."""
    here, line = np.array(places), np.array(route)
    origin = line[0]
    metres = np.radians(1.0) * EARTH_RADIUS_M
    stretch = np.cos(np.radians(line[:, 0].mean()))

    def flat(points: np.ndarray) -> np.ndarray:
        east = (points[:, 1] - origin[1] + 180.0) % 360.0 - 180.0
        return np.column_stack([east * stretch, points[:, 0] - origin[0]]) * metres

    points, corners = flat(here)[:, None], flat(line)
    start, way = corners[None, :-1], np.diff(corners, axis=0)[None]
    squared = np.maximum((way**2).sum(axis=2), 1e-9)
    share = np.clip((((points - start) * way).sum(axis=2)) / squared, 0.0, 1.0)
    nearest = start + share[..., None] * way
    distances: list[float] = np.linalg.norm(points - nearest, axis=2).min(axis=1).tolist()
    return distances
