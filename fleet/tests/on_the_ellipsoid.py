"""How near legs come to zones on the WGS 84 ellipsoid, to check `judge` against.

It shares no code with feasibility. Places become points in space and are seen from above the middle
of a zone, in metres. A leg seen so is straight within a centimetre for 20 km, and an edge of a
zone, which is straight in longitude and latitude, is cut into many.
"""

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EQUATOR_M, FLATTENING = 6_378_137.0, 1 / 298.257223563
PIECES = 40


def nearest_m(zone: dict, legs: Floats) -> Floats:
    """The distance (L,) of each leg (L, 4: lat1, lng1, lat2, lng2) from a GeoJSON polygon without
    holes; 0 for legs that touch it.
    """
    ring = np.array(zone["coordinates"][0], float)
    part = np.linspace(0, 1, PIECES, endpoint=False)[:, None, None]
    outline = (ring[:-1] + part * (ring[1:] - ring[:-1])).transpose(1, 0, 2).reshape(-1, 2)
    lng, lat = ring[:-1].mean(axis=0)
    edges = _seen_from(lat, lng, outline[:, 1], outline[:, 0])
    starts = _seen_from(lat, lng, legs[:, 0], legs[:, 1])
    ends = _seen_from(lat, lng, legs[:, 2], legs[:, 3])
    away = _between(starts, ends, edges, np.roll(edges, -1, axis=0)).min(axis=1)
    return np.where(_inside(edges, starts), 0.0, away)


def _seen_from(lat: float, lng: float, lats: Floats, lngs: Floats) -> Floats:
    """Metres east and north (n, 2) on the plane that touches the ellipsoid at lat, lng."""
    phi, lam = math.radians(lat), math.radians(lng)
    x, y, z = (_in_space(lats, lngs) - _in_space(np.array([lat]), np.array([lng]))).T
    east = -math.sin(lam) * x + math.cos(lam) * y
    outward = math.cos(lam) * x + math.sin(lam) * y
    return np.stack([east, -math.sin(phi) * outward + math.cos(phi) * z], axis=1)


def _in_space(lats: Floats, lngs: Floats) -> Floats:
    phi, lam = np.radians(lats), np.radians(lngs)
    squeeze = FLATTENING * (2 - FLATTENING)
    radius_m = EQUATOR_M / np.sqrt(1 - squeeze * np.sin(phi) ** 2)
    flat = radius_m * np.cos(phi)
    z = (1 - squeeze) * radius_m * np.sin(phi)
    return np.stack([flat * np.cos(lam), flat * np.sin(lam), z], axis=1)


def _between(a: Floats, b: Floats, c: Floats, d: Floats) -> Floats:
    """The distances (L, E) of segments a-b (L, 2) from segments c-d (E, 2)."""
    a, b = a[:, None], b[:, None]
    away = np.minimum.reduce(
        [
            _from_segment(a, c, d),
            _from_segment(b, c, d),
            _from_segment(c, a, b),
            _from_segment(d, a, b),
        ]
    )
    crosses = (_side(a, b, c) * _side(a, b, d) <= 0) & (_side(c, d, a) * _side(c, d, b) <= 0)
    lies_apart = (a == b).all(axis=-1)
    return np.where(crosses & ~lies_apart, 0.0, away)


def _from_segment(point: Floats, start: Floats, end: Floats) -> Floats:
    way, to = end - start, point - start
    length2 = (way**2).sum(axis=-1)
    part = np.clip((to * way).sum(axis=-1) / np.where(length2 > 0, length2, 1), 0, 1)
    return np.hypot(*np.moveaxis(to - part[..., None] * way, -1, 0))


def _side(start: Floats, end: Floats, point: Floats) -> Floats:
    way, to = end - start, point - start
    return way[..., 0] * to[..., 1] - way[..., 1] * to[..., 0]


def _inside(outline: Floats, points: Floats) -> npt.NDArray[np.bool_]:
    """By the number of edges that a ray to the east crosses."""
    c, d, p = outline, np.roll(outline, -1, axis=0), points[:, None]
    spans = (c[:, 1] > p[..., 1]) != (d[:, 1] > p[..., 1])
    rise = np.where(d[:, 1] == c[:, 1], 1, d[:, 1] - c[:, 1])
    east = c[:, 0] + (p[..., 1] - c[:, 1]) / rise * (d[:, 0] - c[:, 0])
    return (spans & (east > p[..., 0])).sum(axis=1) % 2 == 1
