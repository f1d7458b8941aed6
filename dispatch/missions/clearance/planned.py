"""The flight that a clearance is asked for: legs, heights and times. Pure.

The legs are straight, because ground control plans the waypoints. Heights are above ground (AGL).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import cos, hypot, radians
from typing import Any
from uuid import UUID

from fleet.feasibility.geometry import distance_m

Place = tuple[float, float]

METRES_PER_DEGREE = 111_195.0
# Half the width of the corridor around a leg, and how far it reaches beyond both ends.
CORRIDOR_M = 60.0
# The start is later than now by this: clocks differ, and no service takes a start in the past.
STARTS_IN = timedelta(seconds=5)
# A flight takes this much longer than the straight legs: turns, wind, ways around zones.
DETOUR_FACTOR = 1.3
# For a launch that waits and a landing that takes long.
SPARE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Leg:
    """Straight, (lat, lng) each; from the ground up to `upper_m` above ground."""

    start: Place
    end: Place
    upper_m: float

    def outside_m(self, lat: float, lng: float, half_width_m: float = CORRIDOR_M) -> float:
        """How far this place is outside of the corridor, seen from above; 0 inside."""
        east_m = METRES_PER_DEGREE * cos(radians(self.start[0]))
        dx = (self.end[1] - self.start[1]) * east_m
        dy = (self.end[0] - self.start[0]) * METRES_PER_DEGREE
        px = (lng - self.start[1]) * east_m
        py = (lat - self.start[0]) * METRES_PER_DEGREE
        length_m = hypot(dx, dy)
        ux, uy = (dx / length_m, dy / length_m) if length_m else (1.0, 0.0)
        along_m, across_m = px * ux + py * uy, abs(py * ux - px * uy)
        beyond_m = max(-along_m, along_m - length_m) - half_width_m
        return hypot(max(beyond_m, 0.0), max(across_m - half_width_m, 0.0))

    def corridor(self) -> list[Place]:
        """The four corners of the rectangle around it, counterclockwise."""
        (lat, lng), (end_lat, end_lng) = self.start, self.end
        east_m = METRES_PER_DEGREE * cos(radians(lat))
        dx, dy = (end_lng - lng) * east_m, (end_lat - lat) * METRES_PER_DEGREE
        length_m = hypot(dx, dy)
        ux, uy = (dx / length_m, dy / length_m) if length_m else (1.0, 0.0)
        ux, uy = ux * CORRIDOR_M, uy * CORRIDOR_M
        corners = [
            (-ux + uy, -uy - ux),
            (dx + ux + uy, dy + uy - ux),
            (dx + ux - uy, dy + uy + ux),
            (-ux - uy, -uy + ux),
        ]
        return [(lat + y / METRES_PER_DEGREE, lng + x / east_m) for x, y in corners]


@dataclass(frozen=True, slots=True)
class PlannedFlight:
    mission_id: UUID
    drone_id: str
    legs: tuple[Leg, ...]
    starts_at: datetime
    ends_at: datetime
    takes: timedelta


def flight(
    mission_id: UUID,
    body: dict[str, Any],
    *,
    takes_off: Place,
    lands: Place,
    speed_mps: float,
    on_ground_s: float,
    now: datetime,
) -> PlannedFlight:
    """The flight of an intent. `on_ground_s`: launch, loading and hand-over together."""
    legs = _legs(body, takes_off, lands)
    way_m = sum(float(distance_m(*leg.start, *leg.end)) for leg in legs)
    takes = timedelta(seconds=on_ground_s + DETOUR_FACTOR * way_m / speed_mps)
    starts_at = now + STARTS_IN
    return PlannedFlight(
        mission_id, body["drone_id"], legs, starts_at, starts_at + takes + SPARE, takes
    )


def _legs(body: dict[str, Any], takes_off: Place, lands: Place) -> tuple[Leg, ...]:
    if "pickup" not in body:
        return (Leg(takes_off, lands, body["cruise_alt_m"]),)
    pickup, drop = body["pickup"], body["dropoff"]
    first, second = ((place["lat"], place["lng"]) for place in (pickup, drop))
    return (
        Leg(takes_off, first, pickup["alt_m"]),
        Leg(first, second, drop["alt_m"]),
        Leg(second, lands, drop["alt_m"]),
    )
