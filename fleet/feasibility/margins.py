"""Distances in metres between legs and zones, whose coordinates are in degrees. Pure.

A zone is widened by the margin, and a leg must not touch the widened zone. All errors are on the
safe side: no leg that is nearer than the margin is let through, on the WGS 84 ellipsoid and along
the great circle. A leg is kept away by at most 2 % and 1.5 m more than the margin from a zone of
20 km up to 60° from the equator. A taller zone keeps more away in the east and west: it is widened
there as if all of it were at its end towards the pole.
"""

import math

import numpy as np
import numpy.typing as npt
import shapely

Floats = npt.NDArray[np.float64]

EARTH_RADIUS_M = 6_371_008.8  # the mean radius (2a + b) / 3 of WGS 84

# Beyond this latitude a degree of longitude is too short for geometry in a plane.
MAX_LAT_DEG = 85.0
# A leg is a straight line in longitude and latitude if it differs from the great circle by at most
# this. Otherwise the great circle is cut into pieces that do. MAX_PIECES is enough for 280 km up
# to 50° from the equator.
STRAIGHT_M = 0.5
MAX_PIECES = 64
# A metre of the sphere is at least this part of a metre on the ellipsoid.
_ELLIPSOID = 0.994
# A quarter of a round corner is drawn with this number of sides.
_QUARTER_SIDES = 8


def in_degrees(metres: float) -> float:
    """The degrees of latitude, or of longitude on the equator, that are this long."""
    return math.degrees(metres / EARTH_RADIUS_M)


def outer_m(margin_m: float) -> float:
    """How far a zone is widened so that every leg outside keeps the margin; 0 for no margin."""
    if not margin_m:
        return 0.0
    cut = math.cos(math.pi / 4 / _QUARTER_SIDES)  # the sides of a round corner cut it
    return (margin_m / _ELLIPSOID + STRAIGHT_M) / cut


def off_the_map(lat: npt.ArrayLike, lng: npt.ArrayLike, margin_m: float) -> npt.NDArray[np.bool_]:
    """Places beyond MAX_LAT_DEG, or nearer to the 180° meridian than the margin. False for NaN."""
    east_deg = (180 - np.abs(lng)) * lng_scale(lat)
    off: npt.NDArray[np.bool_] = np.abs(lat) > MAX_LAT_DEG
    return off | (east_deg <= in_degrees(outer_m(margin_m)))


def lng_scale(lat: npt.ArrayLike) -> Floats:
    """The length of a degree of longitude, against that of a degree of latitude."""
    scale: Floats = np.cos(np.radians(np.minimum(np.abs(lat), MAX_LAT_DEG)))
    return scale


def widened(zone: shapely.Polygon, margin_m: float) -> shapely.Polygon:
    """The zone and all places nearer to it than the margin. Holes shrink."""
    if not margin_m:
        return zone
    pad_deg = in_degrees(outer_m(margin_m))
    _, south, _, north = zone.bounds
    scale = float(lng_scale(max(-south, north) + pad_deg))
    plane = shapely.transform(zone, lambda lng_lat: lng_lat * (scale, 1.0))
    wide = plane.buffer(pad_deg, quad_segs=_QUARTER_SIDES)
    return shapely.transform(wide, lambda lng_lat: lng_lat / (scale, 1.0))


def bend_m(
    lng1: npt.ArrayLike, lat1: npt.ArrayLike, lng2: npt.ArrayLike, lat2: npt.ArrayLike
) -> Floats:
    """At most how far the great circle leaves the straight line in longitude and latitude (L,).

    A great circle of heading a curves by tan(latitude) / R * sin(a) * (1 + cos(a) ** 2) in this
    plane; the factor of a is at most 1.089. A curve of length l and curvature k leaves its chord by
    k * l ** 2 / 8.
    """
    lng1, lat1, lng2, lat2 = (np.asarray(end, float) for end in (lng1, lat1, lng2, lat2))
    nearest = np.where(lat1 * lat2 < 0, 0.0, np.minimum(np.abs(lat1), np.abs(lat2)))
    farthest = np.minimum(np.maximum(np.abs(lat1), np.abs(lat2)), MAX_LAT_DEG)
    wide, high = np.radians(lng2 - lng1) * lng_scale(nearest), np.radians(lat2 - lat1)
    bend: Floats = EARTH_RADIUS_M * 1.09 / 8 * np.tan(np.radians(farthest)) * (wide**2 + high**2)
    return bend


def extent(
    lng1: Floats, lat1: Floats, lng2: Floats, lat2: Floats
) -> tuple[float, float, float, float]:
    """The bounds (west, south, east, north) of all legs without those with NaN. No leg bends more
    than their diagonal.
    """
    lngs, lats = np.concatenate([lng1, lng2]), np.concatenate([lat1, lat2])
    west, south = (float(np.fmin.reduce(ends, initial=math.inf)) for ends in (lngs, lats))
    east, north = (float(np.fmax.reduce(ends, initial=-math.inf)) for ends in (lngs, lats))
    return west, south, east, north


def lines_of(
    lng1: Floats, lat1: Floats, lng2: Floats, lat2: Floats, *, are_straight: bool
) -> npt.NDArray[np.object_]:
    """The legs (L,) as lines in longitude and latitude that follow the great circle.

    are_straight: none of them bends more than STRAIGHT_M.
    """
    ends = np.array([lng1, lat1, lng2, lat2]).T.reshape(-1, 2, 2)
    lines = np.asarray(shapely.linestrings(ends), object)
    if are_straight:
        return lines
    bends = bend_m(lng1, lat1, lng2, lat2) / STRAIGHT_M
    pieces = 2
    while (bent := bends > (pieces / 2) ** 2).any() and pieces <= MAX_PIECES:
        lines[bent] = shapely.linestrings(_great_circles(ends[bent], pieces))
        pieces *= 2
    return lines


def _great_circles(ends: Floats, pieces: int) -> Floats:
    """Longitudes and latitudes (L, pieces + 1, 2) of points between ends (L, 2, 2)."""
    lam, phi = np.radians(ends[..., 0]), np.radians(ends[..., 1])
    space = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)
    part = np.linspace(0, 1, pieces + 1)[:, None]
    x, y, z = np.moveaxis((1 - part) * space[:, :1] + part * space[:, 1:], -1, 0)
    return np.degrees(np.stack([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))], axis=-1))
