"""The length of the shortest path around no-fly zones, for legs that they block. Pure.

A path runs between corners of polygons around the zones. Each polygon has SIDES sides that touch
the zone's convex hull, moved out by a margin. Every segment is checked against the zones, so a path
that is found is clear. Its length is an upper bound: with more corners it might be a little shorter
(2 % for a round zone). If the corners leave no gap, no path is found.
"""

from datetime import datetime

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import shortest_path

from fleet.feasibility.geometry import EARTH_RADIUS_M, Floats, Ints, Zones, distance_m

SIDES = 12
# Only the corners of this many zones are tried, those that block the most legs.
MAX_ZONES = 25
BLOCK_CELLS = 2_000_000


def around_m(
    zones: Zones,
    legs: tuple[Floats, Floats, Floats, Floats],
    at: datetime,
    until_s: float,
    margin_m: float,
) -> Floats:
    """The length in metres of each leg's path clear of all zones that are active at any time
    between `at` and the POSIX time `until_s`. Infinite if no path is found.

    legs: lat1, lng1, lat2, lng2, each (L,). A leg that is not blocked keeps its straight length.
    """
    length = distance_m(*legs)
    blocked = np.flatnonzero(~_clear(zones, legs, at, until_s))
    if not len(blocked):
        return length
    lat1, lng1, lat2, lng2 = (end[blocked] for end in legs)
    length[blocked] = np.inf
    corners = _corners(
        zones, _most_blocking(zones, (lat1, lng1, lat2, lng2), at, until_s), margin_m
    )
    starts, start = np.unique([lat1, lng1], axis=1, return_inverse=True)
    ends, end = np.unique([lat2, lng2], axis=1, return_inverse=True)
    between = shortest_path(_direct_m(zones, corners, corners, at, until_s), directed=False)
    from_starts = _via_corner_m(_direct_m(zones, starts, corners, at, until_s), between)
    to_ends = _direct_m(zones, ends, corners, at, until_s)
    for block in np.array_split(
        np.arange(len(blocked)), 1 + len(blocked) * len(between) // BLOCK_CELLS
    ):
        paths_m = from_starts[start[block]] + to_ends[end[block]]
        length[blocked[block]] = paths_m.min(axis=1, initial=np.inf)
    return length


def _clear(
    zones: Zones, legs: tuple[Floats, Floats, Floats, Floats], at: datetime, until_s: float
) -> npt.NDArray[np.bool_]:
    since_s, _ = zones.in_the_way(*legs, at)
    clear: npt.NDArray[np.bool_] = since_s > until_s
    return clear


def _most_blocking(
    zones: Zones, legs: tuple[Floats, Floats, Floats, Floats], at: datetime, until_s: float
) -> Ints:
    """Up to MAX_ZONES zones that are active then and near these legs, the most blocking first."""
    near = zones.near(*legs)
    active = near[(zones.ends_s[near] > at.timestamp()) & (zones.starts_s[near] <= until_s)]
    blocked = np.array([np.count_nonzero(zones.meets(zone, *legs)) for zone in active], int)
    return active[np.argsort(-blocked, kind="stable")[:MAX_ZONES]]


def _corners(zones: Zones, indices: Ints, margin_m: float) -> Floats:
    """Latitudes and longitudes (2, C) of the polygons around these zones."""
    turn = np.arange(SIDES) * 2 * np.pi / SIDES
    out = np.stack([np.cos(turn), np.sin(turn)])
    found = [np.empty((2, 0))]
    for zone in indices:
        lng, lat = np.radians(zones.outline(zone))
        lng_scale = np.cos(lat.mean())
        plane_m = EARTH_RADIUS_M * np.stack([lng * lng_scale, lat])
        side_m = (out.T @ plane_m).max(axis=1) + margin_m
        # The intersection of two neighbouring sides at these distances from the origin.
        step = 2 * np.pi / SIDES
        along_m = (np.roll(side_m, -1) - side_m * np.cos(step)) / np.sin(step)
        x_m, y_m = out * side_m + np.stack([-out[1], out[0]]) * along_m
        corner = np.stack([y_m, x_m / lng_scale]) / EARTH_RADIUS_M
        found.append(np.degrees(corner))
    return np.concatenate(found, axis=1)


def _direct_m(zones: Zones, a: Floats, b: Floats, at: datetime, until_s: float) -> Floats:
    """Straight distances (A, B) between points (2, A) and (2, B); infinite if a zone blocks."""
    rows, columns = a.shape[1], b.shape[1]
    legs = (*np.repeat(a, columns, axis=1), *np.tile(b, rows))
    direct = np.where(_clear(zones, legs, at, until_s), distance_m(*legs), np.inf)
    return direct.reshape(rows, columns)


def _via_corner_m(first_m: Floats, then_m: Floats) -> Floats:
    """The shortest sums via one intermediate corner: (A, C) and (C, C) -> (A, C)."""
    best = np.full_like(first_m, np.inf)
    for corner in range(len(then_m)):
        np.minimum(best, first_m[:, corner, None] + then_m[corner], out=best)
    return best
