"""The arithmetic of a soak: slopes and verdicts of measured series. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

HOUR_S = 3600.0
FEWEST_POINTS = 4  # of a second half; a line through fewer says nothing

Points = Sequence[tuple[float, float]]  # (seconds, value), in order of time


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured at one time. `at_s`: seconds since the start."""

    at_s: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`kept` is None where nothing was judged."""

    kept: bool | None
    words: str


@dataclass(frozen=True, slots=True)
class Flat:
    """May rise by `per_h` an hour. A rise of up to `noise` within the second half is no rise: a
    short run cannot tell it from chance.
    """

    per_h: float
    noise: float

    def verdict(self, late: Points) -> Verdict:
        slope = slope_per_h(late)
        rise = slope * (late[-1][0] - late[0][0]) / HOUR_S
        if slope <= self.per_h:
            return Verdict(True, "flat")
        if rise <= self.noise:
            return Verdict(True, f"flat: rose by {rise:.2g}, at most {self.noise:g} is chance")
        return Verdict(False, f"GROWS by {slope:.3g} an hour, at most {self.per_h:g}")


@dataclass(frozen=True, slots=True)
class AtMost:
    """`of` makes one value of those of the second half: the largest one, or the median."""

    limit: float
    of: Callable[[Sequence[float]], float] = max

    def verdict(self, late: Points) -> Verdict:
        found = self.of([value for _, value in late])
        if found <= self.limit:
            return Verdict(True, f"{found:.3g}, at most {self.limit:g}")
        return Verdict(False, f"TOO MUCH: {found:.3g}, at most {self.limit:g}")


def usually(limit: float) -> AtMost:
    """For values with outliers that a busy machine explains."""
    return AtMost(limit, median)


@dataclass(frozen=True, slots=True)
class Told:
    """Shown and not judged."""

    why: str = ""

    def verdict(self, late: Points) -> Verdict:
        return Verdict(None, self.why)


Bound = Flat | AtMost | Told


@dataclass(frozen=True, slots=True)
class Line:
    """One measured thing over a whole run."""

    name: str
    start: float
    middle: float  # where the second half starts
    end: float
    slope_per_h: float | None
    verdict: Verdict


def line(samples: Sequence[Sample], name: str, bound: Bound) -> Line:
    """Raises ValueError if it was never measured."""
    points = series(samples, name)
    if not points:
        raise ValueError(f"{name} was never measured.")
    late = second_half(points)
    start, middle, end = points[0][1], late[0][1], points[-1][1]
    if len(late) < FEWEST_POINTS:
        few = Verdict(None, f"not judged: {len(late)} samples in the second half")
        return Line(name, start, middle, end, None, few)
    return Line(name, start, middle, end, slope_per_h(late), bound.verdict(late))


def series(samples: Sequence[Sample], name: str) -> list[tuple[float, float]]:
    return [(one.at_s, one.values[name]) for one in samples if name in one.values]


def first_half(points: Points) -> list[tuple[float, float]]:
    """The points up to the middle of the time."""
    return [point for point in points if point[0] <= _middle_s(points)]


def second_half(points: Points) -> list[tuple[float, float]]:
    """The points from the middle of the time on: in the first half the stack warms up."""
    return [point for point in points if point[0] >= _middle_s(points)]


def _middle_s(points: Points) -> float:
    return (points[0][0] + points[-1][0]) / 2


def slope_per_h(points: Points) -> float:
    """The slope of the points per hour, by least squares; times are in seconds. Raises ValueError
    if all points have the same time.
    """
    mean_s = math.fsum(at_s for at_s, _ in points) / len(points)
    spread = math.fsum((at_s - mean_s) ** 2 for at_s, _ in points)
    if not spread:
        raise ValueError("A slope needs two different times.")
    return HOUR_S * math.fsum((at_s - mean_s) * value for at_s, value in points) / spread


def per_unit(
    samples: Sequence[Sample],
    name: str,
    unit: str,
    half: Callable[[Points], Sequence[tuple[float, float]]] = second_half,
) -> float | None:
    """How much `name` grew for each one of `unit` in a half; None without one more."""
    units = half(series(samples, unit))
    values = dict(series(samples, name))
    (first_s, first), (last_s, last) = units[0], units[-1]
    if last <= first or first_s not in values or last_s not in values:
        return None
    return (values[last_s] - values[first_s]) / (last - first)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of `values` does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
