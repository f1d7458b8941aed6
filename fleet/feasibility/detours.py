"""How long the way around no-fly zones is, for legs that cannot go straight. Pure.

A way goes from corner to corner of polygons around the zones: each touches its zone's convex hull
on SIDES sides, moved out by a margin. Every piece of a way is checked against the zones themselves,
so a way that is found is clear. It is an upper bound: with more corners it might be a little
shorter (for a round zone by 2 %), and where the corners leave no gap it is not found at all.
"""

from datetime import datetime

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import shortest_path

from fleet.feasibility.geometry import EARTH_RADIUS_M, Floats, Ints, Zones, distance_m

SIDES = 12
# Corners of so many zones are tried; those that stop the most legs come first.
MOST_ZONES = 25
BLOCK_CELLS = 2_000_000


def around_m(
    zones: Zones,
    legs: tuple[Floats, Floats, Floats, Floats],
    at: datetime,
    until_s: float,
    margin_m: float,
) -> Floats:
    """The length of each leg (lat1, lng1, lat2, lng2; each (L,)) that stays clear of every zone
    that is active at any time from `at` until the POSIX time `until_s`; infinite where none is
    found. A leg that is clear keeps its straight length.
    """
    length = distance_m(*legs)
    blocked = np.flatnonzero(~_clear(zones, legs, at, until_s))
    if not len(blocked):
        return length
    lat1, lng1, lat2, lng2 = (end[blocked] for end in legs)
    length[blocked] = np.inf
    corners = _corners(zones, _worst(zones, (lat1, lng1, lat2, lng2), at, until_s), margin_m)
    starts, start = np.unique([lat1, lng1], axis=1, return_inverse=True)
    ends, end = np.unique([lat2, lng2], axis=1, return_inverse=True)
    between = shortest_path(_direct_m(zones, corners, corners, at, until_s), directed=False)
    from_starts = _by_way_of(_direct_m(zones, starts, corners, at, until_s), between)
    to_ends = _direct_m(zones, ends, corners, at, until_s)
    for block in np.array_split(
        np.arange(len(blocked)), 1 + len(blocked) * len(between) // BLOCK_CELLS
    ):
        ways_m = from_starts[start[block]] + to_ends[end[block]]
        length[blocked[block]] = ways_m.min(axis=1, initial=np.inf)
    return length


def _clear(
    zones: Zones, legs: tuple[Floats, Floats, Floats, Floats], at: datetime, until_s: float
) -> npt.NDArray[np.bool_]:
    since_s, _ = zones.in_the_way(*legs, at)
    clear: npt.NDArray[np.bool_] = since_s > until_s
    return clear


def _worst(
    zones: Zones, legs: tuple[Floats, Floats, Floats, Floats], at: datetime, until_s: float
) -> Ints:
    """The zones whose corners are worth trying: active then, and near these legs."""
    near = zones.near(*legs)
    active = near[(zones.ends_s[near] > at.timestamp()) & (zones.starts_s[near] <= until_s)]
    stopped = np.array([np.count_nonzero(zones.meets(zone, *legs)) for zone in active], int)
    return active[np.argsort(-stopped, kind="stable")[:MOST_ZONES]]


def _corners(zones: Zones, which: Ints, margin_m: float) -> Floats:
    """Latitudes and longitudes (2, C) of the polygons around these zones."""
    turn = np.arange(SIDES) * 2 * np.pi / SIDES
    out = np.stack([np.cos(turn), np.sin(turn)])
    found = [np.empty((2, 0))]
    for zone in which:
        lng, lat = np.radians(zones.outline(zone))
        squeeze = np.cos(lat.mean())
        plane_m = EARTH_RADIUS_M * np.stack([lng * squeeze, lat])
        side_m = (out.T @ plane_m).max(axis=1) + margin_m
        # Where two neighbouring sides, at these distances from the origin, meet.
        step = 2 * np.pi / SIDES
        along_m = (np.roll(side_m, -1) - side_m * np.cos(step)) / np.sin(step)
        x_m, y_m = out * side_m + np.stack([-out[1], out[0]]) * along_m
        corner = np.stack([y_m, x_m / squeeze]) / EARTH_RADIUS_M
        found.append(np.degrees(corner))
    return np.concatenate(found, axis=1)


def _direct_m(zones: Zones, a: Floats, b: Floats, at: datetime, until_s: float) -> Floats:
    """Straight distances between places (2, A) and (2, B); infinite where a zone is between."""
    rows, columns = a.shape[1], b.shape[1]
    legs = (*np.repeat(a, columns, axis=1), *np.tile(b, rows))
    direct = np.where(_clear(zones, legs, at, until_s), distance_m(*legs), np.inf)
    return direct.reshape(rows, columns)


def _by_way_of(first_m: Floats, then_m: Floats) -> Floats:
    """The shortest sums over a corner between, (A, C) and (C, C) -> (A, C)."""
    best = np.full_like(first_m, np.inf)
    for corner in range(len(then_m)):
        np.minimum(best, first_m[:, corner, None] + then_m[corner], out=best)
    return best
