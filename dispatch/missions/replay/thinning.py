"""Fewer points for the same picture of a flight. Pure."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dispatch.missions.following.tracks import Point
from fleet.feasibility.geometry import EARTH_RADIUS_M, Floats

# A point is kept per 3 s; after a longer pause nothing is known of the flight in between.
GAP_S = 15.0
TOLERANCE_M = 3.0


def runs_of(points: Sequence[Point]) -> list[list[Point]]:
    """The parts of a track between which nothing is known. Oldest first."""
    runs: list[list[Point]] = [[points[0]]] if points else []
    for before, point in pairwise(points):
        if (point.at - before.at).total_seconds() > GAP_S:
            runs.append([])
        runs[-1].append(point)
    return runs


def thinned(points: Sequence[Point], at_most: int) -> list[list[Point]]:
    """The runs of the track with at most `at_most` (>= 2) points in total.

    A drone that moves straight and evenly between the remaining points is never further than the
    tolerance from where it was at that time. The tolerance is TOLERANCE_M, and doubles until the
    points fit. If there are more runs than that allows, the shortest are left out: the gap is then
    longer, and nothing unknown is shown as known.
    """
    runs = sorted(runs_of(points), key=len, reverse=True)[: max(1, at_most // 2)]
    runs.sort(key=lambda run: run[0].at)
    arrays = [_arrays(run) for run in runs]
    tolerance_m = TOLERANCE_M
    while True:
        kept = [_kept(*each, tolerance_m) for each in arrays]
        if sum(map(len, kept)) <= at_most:
            return [[run[i] for i in indexes] for run, indexes in zip(runs, kept, strict=True)]
        tolerance_m *= 2


def _arrays(run: Sequence[Point]) -> tuple[Floats, Floats]:
    """Times in seconds (N,), and metres east, north and up (N, 3)."""
    t = np.array([point.at.timestamp() for point in run])
    degrees = np.radians([[point.lng, point.lat] for point in run])
    east = degrees[:, 0] * np.cos(degrees[0, 1])
    up = np.array([point.alt_m or 0.0 for point in run])
    return t, np.column_stack([east * EARTH_RADIUS_M, degrees[:, 1] * EARTH_RADIUS_M, up])


def _kept(t: Floats, place: Floats, tolerance_m: float) -> npt.NDArray[np.int64]:
    """Ramer, Douglas and Peucker's method, with the distance to where the drone would be at that
    time (N. Meratnia and R. A. de By, "Spatiotemporal Compression Techniques", EDBT 2004).
    """
    keep = np.zeros(len(t), bool)
    keep[[0, -1]] = True
    spans = [(0, len(t) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        between = slice(first + 1, last)
        share = (t[between] - t[first]) / (t[last] - t[first])
        straight = place[first] + share[:, None] * (place[last] - place[first])
        off_m = np.linalg.norm(place[between] - straight, axis=1)
        worst = int(np.argmax(off_m))
        if off_m[worst] > tolerance_m:
            middle = first + 1 + worst
            keep[middle] = True
            spans += [(first, middle), (middle, last)]
    return np.flatnonzero(keep)
