"""A map without tiles: a few places and a path, drawn to scale. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.feasibility.geometry import EARTH_RADIUS_M

WIDTH_PX, HEIGHT_PX = 640, 260
MARGIN_PX = 50
MIN_EXTENT_M = 10.0
MAX_BAR_PX = 160


@dataclass(frozen=True, slots=True)
class Place:
    """`style`: the CSS class of its mark: pickup, drop, given or drone."""

    name: str
    style: str
    lat: float
    lng: float


@dataclass(frozen=True, slots=True)
class Mark:
    name: str
    style: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Sketch:
    """Pixels are integers, so that no locale writes a decimal comma. `path`: (x, y) in pixels."""

    marks: list[Mark]
    path: list[tuple[int, int]]
    bar_m: int
    bar_px: int
    width: int = WIDTH_PX
    height: int = HEIGHT_PX


def drawn(places: Sequence[Place], path: Sequence[tuple[float, float]] = ()) -> Sketch:
    """A sketch that contains all the places and a line along `path`, (lat, lng) in degrees.

    North is up. Equirectangular projection around the middle, exact enough for a few kilometres.
    """
    lats = [p.lat for p in places] + [lat for lat, _ in path]
    lngs = [p.lng for p in places] + [lng for _, lng in path]
    mid_lat, mid_lng = (min(lats) + max(lats)) / 2, (min(lngs) + max(lngs)) / 2
    m_per_deg = math.radians(EARTH_RADIUS_M)
    east_m = [(lng - mid_lng) * m_per_deg * math.cos(math.radians(mid_lat)) for lng in lngs]
    north_m = [(lat - mid_lat) * m_per_deg for lat in lats]
    px_per_m = min(
        (WIDTH_PX - 2 * MARGIN_PX) / max(MIN_EXTENT_M, 2 * max(map(abs, east_m))),
        (HEIGHT_PX - 2 * MARGIN_PX) / max(MIN_EXTENT_M, 2 * max(map(abs, north_m))),
    )
    pixels = [
        (round(WIDTH_PX / 2 + x * px_per_m), round(HEIGHT_PX / 2 - y * px_per_m))
        for x, y in zip(east_m, north_m, strict=True)
    ]
    marks = [Mark(p.name, p.style, x, y) for p, (x, y) in zip(places, pixels, strict=False)]
    bar_m = _round_length(MAX_BAR_PX / px_per_m)
    return Sketch(marks, pixels[len(places) :], bar_m, round(bar_m * px_per_m))


def _round_length(max_m: float) -> int:
    """The largest of 1, 2, 5, 10, 20, 50, ... metres that is at most `max_m`."""
    power = 10 ** max(0, math.floor(math.log10(max_m)))
    return int(max(power * step for step in (1, 2, 5) if step == 1 or power * step <= max_m))
