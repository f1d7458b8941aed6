"""Distances and polygons on the globe. Pure: arrays in, arrays out; coordinates in degrees.

Polygons are planar in longitude and latitude, as GeoJSON defines their edges. A leg follows the
great circle (`margins.lines_of`). Polygons across the 180° meridian or near a pole are refused, and
legs there are named by `off_the_map`.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from fleet.feasibility import margins

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Window = tuple[datetime | None, datetime | None]

EARTH_RADIUS_M = margins.EARTH_RADIUS_M

MAX_POINTS = 10_000
MAX_SIDE_M = 500_000
MIN_AREA_M2 = 100


def distance_m(
    lat1: npt.ArrayLike, lng1: npt.ArrayLike, lat2: npt.ArrayLike, lng2: npt.ArrayLike
) -> Floats:
    """Great-circle distance in metres, elementwise and broadcasting; NaN where a coordinate is NaN.

    The haversine formula (R. W. Sinnott, "Virtues of the Haversine", Sky & Telescope 68, 1984) on
    a sphere of the mean Earth radius. It is accurate for small distances and within 0.6 % of the
    WGS 84 ellipsoid.
    """
    phi1, lambda1, phi2, lambda2 = (
        np.radians(np.asarray(degrees, float)) for degrees in (lat1, lng1, lat2, lng2)
    )
    haversine = (
        np.sin((phi2 - phi1) / 2) ** 2
        + np.cos(phi1) * np.cos(phi2) * np.sin((lambda2 - lambda1) / 2) ** 2
    )
    # Rounding takes antipodes slightly above 1.
    result: Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(haversine, 1.0)))
    return result


class InvalidPolygon(ValueError):
    """An unusable polygon. The message is for staff, `code` for programs.

    Codes: not_a_polygon, not_closed, too_few_points, too_many_points, not_a_number, off_the_globe,
    near_a_pole, crosses_itself, crosses_antimeridian, too_small, too_large.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def polygon(geojson: Any) -> shapely.Polygon:
    """Parses a GeoJSON Polygon object (RFC 7946). Raises InvalidPolygon.

    Altitudes are ignored, holes are kept, and both winding orders are accepted.
    """
    if not isinstance(geojson, dict) or geojson.get("type") != "Polygon":
        found = geojson.get("type") if isinstance(geojson, dict) else type(geojson).__name__
        raise InvalidPolygon(
            "not_a_polygon", f"This is not a GeoJSON Polygon: its type is {found!r}."
        )
    rings = geojson.get("coordinates")
    if not isinstance(rings, list) or not rings:
        raise InvalidPolygon("not_a_polygon", "The polygon has no list of rings in “coordinates”.")
    outline, *holes = [_ring(ring) for ring in rings]
    shape = shapely.Polygon(outline, holes)
    if not shape.is_valid:
        raise InvalidPolygon(
            "crosses_itself",
            f"The polygon's outline crosses or touches itself ({shapely.is_valid_reason(shape)}).",
        )
    _check_size(shape)
    return shape


def _ring(ring: Any) -> list[tuple[float, float]]:
    if not isinstance(ring, list):
        raise InvalidPolygon("not_a_polygon", "A ring of the polygon is not a list of points.")
    if len(ring) > MAX_POINTS:
        raise InvalidPolygon(
            "too_many_points",
            f"A ring of the polygon has {len(ring)} points; {MAX_POINTS} are allowed.",
        )
    points = [_point(point) for point in ring]
    if len(points) < 4:
        raise InvalidPolygon(
            "too_few_points",
            f"A ring of the polygon has {len(points)} points; it needs at least 4, "
            "and the last must equal the first.",
        )
    if points[0] != points[-1]:
        raise InvalidPolygon(
            "not_closed",
            f"The ring is not closed: it starts at {points[0]} and ends at {points[-1]}.",
        )
    return points


def _point(point: Any) -> tuple[float, float]:
    numbers = point[:2] if isinstance(point, list | tuple) else ()
    if len(numbers) < 2 or any(
        isinstance(number, bool)
        or not isinstance(number, int | float)
        or not abs(number) < math.inf
        for number in numbers
    ):
        raise InvalidPolygon(
            "not_a_number",
            f"A point must be [longitude, latitude] in numbers, not {_short(point)}.",
        )
    lng, lat = numbers
    if not (-180 <= lng <= 180 and -90 <= lat <= 90):
        raise InvalidPolygon(
            "off_the_globe",
            f"The point {_short(point)} is not on Earth. GeoJSON writes the longitude first "
            "(-180 to 180), then the latitude (-90 to 90).",
        )
    if abs(lat) > margins.MAX_LAT_DEG:
        raise InvalidPolygon(
            "near_a_pole",
            f"The point {_short(point)} is too near to a pole; polygons may reach up to "
            f"{margins.MAX_LAT_DEG:.0f}° of latitude.",
        )
    return float(lng), float(lat)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _check_size(shape: shapely.Polygon) -> None:
    west, south, east, north = shape.bounds
    if east - west > 180:
        raise InvalidPolygon(
            "crosses_antimeridian",
            f"The polygon reaches from {west:g}° to {east:g}° of longitude. If it should cross the "
            "180° meridian, draw two polygons that end there.",
        )
    nearest_equator = min(abs(south), abs(north)) if south * north > 0 else 0.0
    width_m = EARTH_RADIUS_M * math.radians(east - west) * math.cos(math.radians(nearest_equator))
    height_m = EARTH_RADIUS_M * math.radians(north - south)
    if max(width_m, height_m) > MAX_SIDE_M:
        raise InvalidPolygon(
            "too_large",
            f"The polygon is {width_m / 1000:,.0f} km by {height_m / 1000:,.0f} km; at most "
            f"{MAX_SIDE_M / 1000:.0f} km are allowed.",
        )
    share = shape.area / ((east - west) * (north - south))
    area_m2 = share * width_m * height_m
    if area_m2 < MIN_AREA_M2:
        raise InvalidPolygon(
            "too_small",
            f"The polygon covers {area_m2:.1f} m²; at least {MIN_AREA_M2} m² are needed.",
        )


class Zones:
    """A set of polygons with optional time windows, for queries with many points or legs.

    polygons: GeoJSON Polygons. windows: of each, when it is closed: (from, until), aware, None for
    open, in order; none: at all times. names: one of each. Answers give a zone as its index in
    these lists. An edge belongs to its zone.
    Raises InvalidPolygon, and ValueError for a naive time or lists of different lengths.
    """

    def __init__(
        self,
        polygons: Sequence[dict[str, Any]],
        windows: Sequence[Sequence[Window]] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        count = len(polygons)
        windows = [[(None, None)]] * count if windows is None else windows
        self.names = [f"zone {i + 1}" for i in range(count)] if names is None else list(names)
        if len(windows) != count or len(self.names) != count:
            raise ValueError(f"{count} polygons, {len(windows)} windows, {len(self.names)} names")
        self._shapes = np.array([polygon(geojson) for geojson in polygons], dtype=object)
        self._bounds = shapely.bounds(self._shapes).reshape(count, 4)
        self._starts_s, self._ends_s = _columns(windows)
        shapely.prepare(self._shapes)
        self._widened: dict[tuple[int, float], tuple[shapely.Polygon, Any]] = {}

    def __len__(self) -> int:
        return len(self._shapes)

    def closures(self, now_s: float) -> tuple[Floats, Floats]:
        """Per zone the window at the POSIX time `now_s`, or the next one: from and until (Z,).

        A zone that is never closed again ends at minus infinity.
        """
        left = self._ends_s > now_s
        rows, window = np.arange(len(self)), np.argmax(left, axis=1)
        ends_s = np.where(left.any(axis=1), self._ends_s[rows, window], -math.inf)
        return self._starts_s[rows, window], ends_s

    def contains(self, lat: npt.ArrayLike, lng: npt.ArrayLike) -> tuple[Ints, Ints]:
        """Point indices and zone indices of all hits, sorted.

        Ignores time windows. A point with NaN is in no zone.
        """
        lat, lng = np.atleast_1d(lat), np.atleast_1d(lng)
        west, south, east, north = self._bounds.T
        y, x = lat[:, None], lng[:, None]
        in_box = (west <= x) & (x <= east) & (south <= y) & (y <= north)
        point, zone = in_box.nonzero()
        hit = shapely.intersects_xy(self._shapes[zone], lng[point], lat[point])
        return point[hit], zone[hit]

    def in_the_way(
        self,
        lat1: Floats,
        lng1: Floats,
        lat2: Floats,
        lng2: Floats,
        from_at: datetime,
        margin_m: float = 0.0,
    ) -> tuple[Floats, Ints]:
        """The zone that first blocks each leg (P,), and from when.

        Returns the POSIX time, not before `from_at`, from which a part of the leg is in an active
        zone or nearer to it than the margin, and that zone's index; infinity and -1 if there is
        none. A leg of length 0 tests a point; a leg with NaN is never blocked.
        """
        since_s = np.full(len(lat1), np.inf)
        first = np.full(len(lat1), -1, np.int64)
        if not len(self):
            return since_s, first
        legs = _Legs(lng1, lat1, lng2, lat2)
        near = self._near(legs, margin_m)
        if not len(near):
            return since_s, first
        now_s = _stamp(from_at, math.nan)
        starts_s, ends_s = self.closures(now_s)
        for zone in near[ends_s[near] > now_s]:
            closes_s = max(starts_s[zone], now_s)
            shape, bounds = self._within(zone, margin_m)
            (maybe,) = (legs.may_meet(bounds) & (closes_s < since_s)).nonzero()
            if len(maybe):
                met = maybe[shapely.intersects(shape, legs.lines(maybe))]
                since_s[met] = closes_s
                first[met] = zone
        return since_s, first

    def near(
        self, lat1: Floats, lng1: Floats, lat2: Floats, lng2: Floats, margin_m: float = 0.0
    ) -> Ints:
        """The zones that with their margin touch the bounding box of all legs, by index."""
        return self._near(_Legs(lng1, lat1, lng2, lat2), margin_m)

    def _near(self, legs: "_Legs", margin_m: float) -> Ints:
        left, low, right, high = legs.extent
        if not (left <= right and low <= high):  # no leg, or NaN alone
            return np.empty(0, np.int64)
        west, south, east, north = self._bounds.T
        pad_y = margins.in_degrees(margins.outer_m(margin_m) + legs.bend_m)
        pad_x = pad_y / margins.lng_scale(np.maximum(-south, north) + pad_y)
        beside = (west - pad_x > right) | (east + pad_x < left)
        beside |= (south - pad_y > high) | (north + pad_y < low)
        (near,) = (~beside).nonzero()
        return near

    def meets(
        self,
        zone: int,
        lat1: Floats,
        lng1: Floats,
        lat2: Floats,
        lng2: Floats,
        margin_m: float = 0.0,
    ) -> npt.NDArray[np.bool_]:
        """Which legs touch this zone or its margin; ignores its time window."""
        lines = _Legs(lng1, lat1, lng2, lat2).lines()
        met: npt.NDArray[np.bool_] = shapely.intersects(self._within(zone, margin_m)[0], lines)
        return met

    def outline(self, zone: int, margin_m: float = 0.0) -> Floats:
        """Longitudes and latitudes (2, n) of the convex hull of a zone with its margin."""
        return shapely.get_coordinates(shapely.convex_hull(self._within(zone, margin_m)[0])).T

    def _within(self, zone: int, margin_m: float) -> tuple[shapely.Polygon, Any]:
        """A zone widened by the margin, and its bounds. Made once."""
        key = (int(zone), margin_m)
        if key not in self._widened:
            shape = margins.widened(self._shapes[zone], margin_m)
            shapely.prepare(shape)
            self._widened[key] = shape, shape.bounds
        return self._widened[key]


class _Legs:
    """Legs (L,), with what is cheap to know about them first: the extent of all, boxes, lines.

    extent: west, south, east, north. bend_m: no leg leaves its straight line more than that.
    """

    def __init__(self, lng1: Floats, lat1: Floats, lng2: Floats, lat2: Floats) -> None:
        self._ends = lng1, lat1, lng2, lat2
        self.extent = margins.extent(lng1, lat1, lng2, lat2)
        self.bend_m = float(margins.bend_m(*self.extent))

    @cached_property
    def _boxes(self) -> tuple[Floats, ...]:
        """Half of the way from start to end, the centre, and how far the legs bend out of that."""
        lng1, lat1, lng2, lat2 = self._ends
        dx, dy = (lng2 - lng1) / 2, (lat2 - lat1) / 2
        x, y = (lng1 + lng2) / 2, (lat1 + lat2) / 2
        bulge_x = bulge_y = np.zeros(1)
        if not self.bend_m <= margins.STRAIGHT_M:
            bulge_y = np.degrees(margins.bend_m(*self._ends) / EARTH_RADIUS_M)
            farthest = np.maximum(np.abs(lat1), np.abs(lat2))
            bulge_x = bulge_y / margins.lng_scale(farthest)
        return dx, dy, np.abs(dx), np.abs(dy), x, y, bulge_x, bulge_y

    def may_meet(self, bounds: tuple[float, float, float, float]) -> npt.NDArray[np.bool_]:
        """Legs that may touch the box (west, south, east, north), by the separating axis test."""
        west, south, east, north = bounds
        dx, dy, wide, high, x, y, bulge_x, bulge_y = self._boxes
        # Slightly wider, so that rounding excludes no leg; the exact test follows.
        half_width = (east - west) / 2 + 1e-9 + bulge_x
        half_height = (north - south) / 2 + 1e-9 + bulge_y
        x, y = x - (west + east) / 2, y - (south + north) / 2
        meets: npt.NDArray[np.bool_] = (
            (np.abs(x) <= half_width + wide)
            & (np.abs(y) <= half_height + high)
            & (np.abs(dx * y - dy * x) <= half_width * high + half_height * wide + 1e-12)
        )
        return meets

    def lines(self, index: Any = slice(None)) -> npt.NDArray[np.object_]:
        """Those of these legs, as lines along the great circle."""
        is_straight = self.bend_m <= margins.STRAIGHT_M
        return margins.lines_of(*(end[index] for end in self._ends), are_straight=is_straight)


def on_the_globe(lat: Floats, lng: Floats) -> Floats:
    """Unit vectors (n, 3) from the centre of the Earth."""
    phi, lam = np.radians(lat), np.radians(lng)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=1)


def _columns(windows: Sequence[Sequence[Window]]) -> tuple[Floats, Floats]:
    """Starts and ends (Z, W) as POSIX times, infinite for open. A zone with fewer windows than W is
    filled up with some that are over.
    """
    widest = max((len(own) for own in windows), default=0)
    starts_s = np.full((len(windows), max(1, widest)), -math.inf)
    ends_s = np.full_like(starts_s, -math.inf)
    for zone, own in enumerate(windows):
        for i, (start, end) in enumerate(own):
            starts_s[zone, i] = _stamp(start, -math.inf)
            ends_s[zone, i] = _stamp(end, math.inf)
    return starts_s, ends_s


def _stamp(at: datetime | None, otherwise: float) -> float:
    if at is None:
        return otherwise
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone; give an aware time")
    return at.timestamp()
