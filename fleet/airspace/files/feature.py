"""What the readers of all formats give: zones that can be taken, and features that are refused."""

import math
from dataclasses import dataclass, replace
from typing import Any

from fleet.airspace.schedule import InvalidSchedule, Json, WeeklyRule, moment_of
from fleet.feasibility import geometry
from fleet.feasibility.margins import EARTH_RADIUS_M

FEET_M = 0.3048
CIRCLE_SIDES = 72
MAX_IDENTIFIER, MAX_NAME, MAX_AUTHORITY = 100, 120, 300
# A metre of the sphere is at least this part of a metre on the ellipsoid.
ELLIPSOID = 0.994


class Unusable(ValueError):
    """A feature, or the whole file, that cannot be taken. The message is for staff."""


@dataclass(frozen=True, slots=True)
class Zone:
    """One volume of a feature. lower_m, upper_m: None for the ground and for no limit.

    schedule: see `airspace.schedule`; empty: at all times between starts_at and ends_at (ISO 8601).
    """

    identifier: str
    name: str
    kind: str
    polygon: dict[str, Any]
    lower_m: float | None = None
    lower_datum: str = "AGL"
    upper_m: float | None = None
    upper_datum: str = "AGL"
    schedule: tuple[Json, ...] = ()
    starts_at: str | None = None
    ends_at: str | None = None
    condition: str = ""
    authority: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    identifier: str
    why: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds. A feature is either taken with all its volumes or refused."""

    format: str
    zones: tuple[Zone, ...]
    refused: tuple[Refusal, ...]


def checked(zone: Zone) -> Zone:
    """The zone with its texts cut to size and its times in UTC. Raises Unusable if its texts,
    outline, heights or times cannot be used.
    """
    if not 0 < len(zone.identifier) <= MAX_IDENTIFIER:
        raise Unusable(f"Its identifier must have 1 to {MAX_IDENTIFIER} characters.")
    if any("\0" in text for text in (zone.identifier, zone.name, zone.condition, zone.authority)):
        raise Unusable("One of its texts has a NUL character.")
    try:
        geometry.polygon(zone.polygon)
        for rule in zone.schedule:
            WeeklyRule.from_json(rule)
        starts_at, ends_at = moment_of(zone.starts_at), moment_of(zone.ends_at)
    except (geometry.InvalidPolygon, InvalidSchedule) as problem:
        raise Unusable(str(problem)) from problem
    if starts_at and ends_at and starts_at >= ends_at:
        raise Unusable(f"It ends ({zone.ends_at}) before it starts ({zone.starts_at}).")
    lower, upper = zone.lower_m or 0.0, zone.upper_m
    if zone.lower_datum == zone.upper_datum and upper is not None and upper <= lower:
        raise Unusable(f"Its upper limit of {upper:g} m is not above its lower one of {lower:g} m.")
    return replace(
        zone,
        name=zone.name[:MAX_NAME],
        authority=zone.authority[:MAX_AUTHORITY],
        starts_at=starts_at.isoformat() if starts_at else None,
        ends_at=ends_at.isoformat() if ends_at else None,
    )


def metres(value: float, unit: str) -> float:
    """unit: "m" or "ft", in any case."""
    return round(value * FEET_M, 2) if unit.lower() == "ft" else float(value)


def circle(lng: float, lat: float, radius_m: float) -> dict[str, Any]:
    """A GeoJSON Polygon around the circle: no place of the circle is outside. Raises Unusable."""
    if not 0 < radius_m <= geometry.MAX_SIDE_M / 2:
        raise Unusable(
            f"A circle of {radius_m:g} m cannot be used; at most {geometry.MAX_SIDE_M / 2:g} m are."
        )
    if abs(lat) > 89:
        raise Unusable(f"The centre of the circle, at {lat:g}° of latitude, is at a pole.")
    angle = radius_m / ELLIPSOID / math.cos(math.pi / CIRCLE_SIDES) / EARTH_RADIUS_M
    phi, lam = math.radians(lat), math.radians(lng)
    ring = []
    for side in range(CIRCLE_SIDES):
        bearing = 2 * math.pi * side / CIRCLE_SIDES
        north = math.sin(phi) * math.cos(angle)
        north += math.cos(phi) * math.sin(angle) * math.cos(bearing)
        across = math.sin(bearing) * math.sin(angle) * math.cos(phi)
        east = math.atan2(across, math.cos(angle) - math.sin(phi) * north)
        ring.append([math.degrees(lam + east), math.degrees(math.asin(north))])
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
