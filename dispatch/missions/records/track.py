"""The track of a flight record: thinned, and within WITHIN_M of each sample at its time. Pure.

A track is a list of legs. Inside a leg no two samples are more than GAP_S apart; between legs the
flight was not seen. Stored, a track is an object whose `coordinates` are those of a GeoJSON
MultiLineString, with the times and altitudes of the same points in `at` and `alt_m`.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from dispatch.missions.flight.state import between_m
from fleet.feasibility.geometry import EARTH_RADIUS_M

# Samples come about every 4 s: with a longer pause it is not known where the drone flew.
GAP_S = 10.0
WITHIN_M = 15.0
# Room for the flat geometry here against the sphere of a checker.
TOLERANCE_M = WITHIN_M - 0.1


class Sample(NamedTuple):
    """at: POSIX seconds. alt_m: as the drone reports it; None if it did not."""

    at: float
    lat: float
    lng: float
    alt_m: float | None


Leg = list[Sample]


def legs_of(samples: Iterable[Sample]) -> list[Leg]:
    """The samples by leg. Those that are not later than the one before are left out."""
    legs: list[Leg] = []
    for sample in samples:
        if not legs or sample.at - legs[-1][-1].at > GAP_S:
            legs.append([sample])
        elif sample.at > legs[-1][-1].at:
            legs[-1].append(sample)
    return legs


def thinned(leg: Sequence[Sample], within_m: float = TOLERANCE_M) -> Leg:
    """The fewest points that Douglas and Peucker's method finds such that the position interpolated
    at the time of each sample is within `within_m` of it, height included.

    A known and an unknown altitude are never interpolated from each other.
    """
    at, place = _flat(leg)
    kept = {0, len(leg) - 1}
    open_spans = [(0, len(leg) - 1)]
    while open_spans:
        first, last = open_spans.pop()
        if last - first < 2:
            continue
        away_m = _away_m(at, place, first, last)
        worst = int(away_m.argmax())
        if away_m[worst] > within_m:
            middle = first + 1 + worst
            kept.add(middle)
            open_spans += [(first, middle), (middle, last)]
    return [leg[index] for index in sorted(kept)]


def _flat(leg: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Times (n,) in seconds, and east, north, up (n, 3) in metres; an unknown altitude is NaN.

    East is stretched as at the latitude nearest to the equator, so that no error looks smaller.
    """
    at = np.array([sample.at for sample in leg])
    lat = np.array([sample.lat for sample in leg])
    lng = np.array([sample.lng for sample in leg])
    east = (lng - lng[0] + 180.0) % 360.0 - 180.0  # across the date line
    up = np.array([np.nan if s.alt_m is None else s.alt_m for s in leg])
    metres = np.radians(1.0) * EARTH_RADIUS_M
    stretch = float(np.cos(np.radians(lat)).max())
    return at, np.column_stack([east * metres * stretch, (lat - lat[0]) * metres, up])


def _away_m(at: np.ndarray, place: np.ndarray, first: int, last: int) -> np.ndarray:
    """How far each sample between `first` and `last` is from the straight way, at its time."""
    between = slice(first + 1, last)
    share = ((at[between] - at[first]) / (at[last] - at[first]))[:, None]
    error = place[first] + share * (place[last] - place[first]) - place[between]
    unknown = np.isnan(place[between, 2])
    is_mixed = unknown != np.isnan(place[[first, last], 2]).any()
    away_m = np.sqrt(np.nansum(error**2, axis=1))
    return np.where(is_mixed, np.inf, away_m)


def length_m(legs: Sequence[Leg]) -> float:
    """Along all samples; a gap counts as the straight way across it."""
    samples = [sample for leg in legs for sample in leg]
    return sum(between_m(a.lat, a.lng, b.lat, b.lng) for a, b in pairwise(samples))


def stored(legs: Sequence[Leg]) -> dict[str, Any] | None:
    """The thinned legs as JSON; None without a sample. A leg of one sample has it twice, because a
    line of GeoJSON has two positions at least.
    """
    lines = [leg * 2 if len(leg) == 1 else thinned(leg) for leg in legs]
    if not lines:
        return None
    return {
        "coordinates": [[[s.lng, s.lat] for s in line] for line in lines],
        "at": [[round(s.at, 1) for s in line] for line in lines],
        "alt_m": [[s.alt_m for s in line] for line in lines],
    }
