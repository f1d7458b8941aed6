"""The length of the shortest path around no-fly zones, for legs that they block. Pure.

A path runs between corners of polygons around the zones. Each polygon has SIDES sides, a little
outside the convex hull of the zone with its margin. Every segment is checked against the zones and
their margins, so a path that is found is clear. Its length is an upper bound: with more corners it
might be a little shorter (2 % for a round zone). If the corners leave no gap, no path is found.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from scipy.sparse.csgraph import shortest_path

from fleet.feasibility import margins
from fleet.feasibility.geometry import EARTH_RADIUS_M, Floats, Ints, Zones, distance_m
from fleet.feasibility.tables import Bools

SIDES = 12
# The sides lie outside the margin by this and by what a great circle between two corners may bend.
CLEAR_M = 1.0
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
    """The length in metres of each leg's path that keeps the margin to all zones that are active at
    any time between `at` and the POSIX time `until_s`. Infinite if no path is found.

    legs: lat1, lng1, lat2, lng2, each (L,). A leg that is not blocked keeps its straight length.
    """
    length = distance_m(*legs)
    clear = _Clear(zones, at, until_s, margin_m)
    blocked = np.flatnonzero(~clear.legs(*legs))
    if not len(blocked):
        return length
    lat1, lng1, lat2, lng2 = (end[blocked] for end in legs)
    length[blocked] = np.inf
    corners = clear.corners(clear.most_blocking(lat1, lng1, lat2, lng2))
    starts, start = np.unique([lat1, lng1], axis=1, return_inverse=True)
    ends, end = np.unique([lat2, lng2], axis=1, return_inverse=True)
    between = shortest_path(_direct_m(clear, corners, corners), directed=False)
    from_starts = _via_corner_m(_direct_m(clear, starts, corners), between)
    to_ends = _direct_m(clear, ends, corners)
    for block in np.array_split(
        np.arange(len(blocked)), 1 + len(blocked) * len(between) // BLOCK_CELLS
    ):
        paths_m = from_starts[start[block]] + to_ends[end[block]]
        length[blocked[block]] = paths_m.min(axis=1, initial=np.inf)
    return length


@dataclass(frozen=True, slots=True)
class _Clear:
    """Which ways are clear of zones and margins in a time."""

    zones: Zones
    at: datetime
    until_s: float
    margin_m: float

    def legs(self, lat1: Floats, lng1: Floats, lat2: Floats, lng2: Floats) -> Bools:
        since_s, _ = self.zones.in_the_way(lat1, lng1, lat2, lng2, self.at, self.margin_m)
        clear: Bools = since_s > self.until_s
        return clear

    def most_blocking(self, lat1: Floats, lng1: Floats, lat2: Floats, lng2: Floats) -> Ints:
        """Up to MAX_ZONES zones that are active then and near these legs, the most blocking
        first.
        """
        zones, legs, margin_m = self.zones, (lat1, lng1, lat2, lng2), self.margin_m
        near = zones.near(*legs, margin_m)
        starts_s, ends_s = zones.closures(self.at.timestamp())
        closed = (ends_s[near] > self.at.timestamp()) & (starts_s[near] <= self.until_s)
        active = near[closed]
        met = [np.count_nonzero(zones.meets(zone, *legs, margin_m)) for zone in active]
        return active[np.argsort(-np.array(met, int), kind="stable")[:MAX_ZONES]]

    def corners(self, indices: Ints) -> Floats:
        """Latitudes and longitudes (2, C) of the polygons around these zones."""
        outlines = [self.zones.outline(zone, self.margin_m) for zone in indices]
        lat, lng = np.concatenate([np.empty((2, 0)), *map(_around, outlines)], axis=1)
        here = ~margins.off_the_map(lat, lng, self.margin_m)
        return np.stack([lat[here], lng[here]])


def _around(outline: Floats) -> Floats:
    """Latitudes and longitudes (2, SIDES) of a polygon around longitudes and latitudes (2, n)."""
    turn = np.arange(SIDES) * 2 * np.pi / SIDES
    out = np.stack([np.cos(turn), np.sin(turn)])
    (west, south), (east, north) = outline.min(axis=1), outline.max(axis=1)
    clear_m = CLEAR_M + margins.bend_m(west, south, east, north)
    lng, lat = np.radians(outline)
    lng_scale = np.cos(lat.mean())
    plane_m = EARTH_RADIUS_M * np.stack([lng * lng_scale, lat])
    side_m = (out.T @ plane_m).max(axis=1) + clear_m
    # The intersection of two neighbouring sides at these distances from the origin.
    step = 2 * np.pi / SIDES
    along_m = (np.roll(side_m, -1) - side_m * np.cos(step)) / np.sin(step)
    x_m, y_m = out * side_m + np.stack([-out[1], out[0]]) * along_m
    corners: Floats = np.degrees(np.stack([y_m, x_m / lng_scale]) / EARTH_RADIUS_M)
    return corners


def _direct_m(clear: _Clear, a: Floats, b: Floats) -> Floats:
    """Straight distances (A, B) between points (2, A) and (2, B); infinite if a zone blocks."""
    rows, columns = a.shape[1], b.shape[1]
    legs = (*np.repeat(a, columns, axis=1), *np.tile(b, rows))
    direct = np.where(clear.legs(*legs), distance_m(*legs), np.inf)
    return direct.reshape(rows, columns)


def _via_corner_m(first_m: Floats, then_m: Floats) -> Floats:
    """The shortest sums via one intermediate corner: (A, C) and (C, C) -> (A, C)."""
    best = np.full_like(first_m, np.inf)
    for corner in range(len(then_m)):
        np.minimum(best, first_m[:, corner, None] + then_m[corner], out=best)
    return best
