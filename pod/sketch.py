"""A map without tiles: a few places, drawn to scale. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.geometry import EARTH_RADIUS_M

WIDTH_PX, HEIGHT_PX = 640, 260
MARGIN_PX = 50
SMALLEST_EXTENT_M = 10.0
LONGEST_BAR_PX = 160


@dataclass(frozen=True, slots=True)
class Place:
    """`look` names its drawing: pickup, drop, given or drone."""

    name: str
    look: str
    lat: float
    lng: float


@dataclass(frozen=True, slots=True)
class Mark:
    name: str
    look: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Sketch:
    """Pixels are whole ones, so that no language writes them with a comma."""

    marks: list[Mark]
    bar_m: int
    bar_px: int
    width: int = WIDTH_PX
    height: int = HEIGHT_PX


def drawn(places: Sequence[Place]) -> Sketch:
    """North is up. Equirectangular around the middle: good for the few kilometres of a delivery."""
    lats, lngs = [p.lat for p in places], [p.lng for p in places]
    mid_lat, mid_lng = (min(lats) + max(lats)) / 2, (min(lngs) + max(lngs)) / 2
    m_per_deg = math.radians(EARTH_RADIUS_M)
    east_m = [(lng - mid_lng) * m_per_deg * math.cos(math.radians(mid_lat)) for lng in lngs]
    north_m = [(lat - mid_lat) * m_per_deg for lat in lats]
    px_per_m = min(
        (WIDTH_PX - 2 * MARGIN_PX) / max(SMALLEST_EXTENT_M, 2 * max(map(abs, east_m))),
        (HEIGHT_PX - 2 * MARGIN_PX) / max(SMALLEST_EXTENT_M, 2 * max(map(abs, north_m))),
    )
    marks = [
        Mark(
            place.name,
            place.look,
            round(WIDTH_PX / 2 + x * px_per_m),
            round(HEIGHT_PX / 2 - y * px_per_m),
        )
        for place, x, y in zip(places, east_m, north_m, strict=True)
    ]
    bar_m = _round_length(LONGEST_BAR_PX / px_per_m)
    return Sketch(marks, bar_m, round(bar_m * px_per_m))


def _round_length(longest_m: float) -> int:
    """The longest of 1, 2, 5, 10, 20, 50, ... metres that is no longer than this."""
    power = 10 ** max(0, math.floor(math.log10(longest_m)))
    return int(max(power * step for step in (1, 2, 5) if step == 1 or power * step <= longest_m))
