"""When maintenance is due, from the counters of a drone and its last maintenance. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

HOUR_S = 3600
DAY_S = 86_400


class Due(IntEnum):
    """The state of a rule for a drone; a later one is worse."""

    LATER = 0
    SOON = 1
    OVERDUE = 2


@dataclass(frozen=True, slots=True)
class Counters:
    """Flights and seconds in the air since the drone was built."""

    flights: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A rule: after so many flights, hours in the air or days, the first of them that comes.

    None: this measure does not count. due_soon_pct: the share of each interval before its end in
    which the rule is due soon.
    """

    name: str
    every_flights: int | None
    every_hours: float | None
    every_days: int | None
    due_soon_pct: float


@dataclass(frozen=True, slots=True)
class Done:
    """When the rule was last fulfilled, with the counters of that time."""

    at: datetime
    counters: Counters


@dataclass(frozen=True, slots=True)
class Standing:
    """A rule for a drone, by the measure that is nearest to its end. used, every: in `unit`."""

    name: str
    due: Due
    used: float
    every: float
    unit: str

    @property
    def left(self) -> float:
        """Until it is due; negative if it is overdue."""
        return self.every - self.used

    def __str__(self) -> str:
        if self.due == Due.OVERDUE:
            if self.left == 0:
                return f"due now: {self.name} ({self._of()})"
            over = _amount(-self.left, self.unit)
            return f"overdue: {self.name} since {over} ({self._of()})"
        if self.due == Due.SOON:
            return f"due soon: {self.name} in {_amount(self.left, self.unit)} ({self._of()})"
        return f"{self.name} in {_amount(self.left, self.unit)} ({self._of()})"

    def _of(self) -> str:
        return f"{_figure(self.used)} of {_amount(self.every, self.unit)}"


def standing(counters: Counters, done: Done, rule: Interval, now: datetime) -> Standing:
    """Where the drone stands with this rule at `now`.

    A rule is overdue as soon as its interval is used up: the next flight would go beyond it. Days
    are spans of 24 hours, so that no change of clocks moves them. Raises ValueError for a rule
    without an interval.
    """
    found = [_measured(rule, *measure) for measure in _measures(counters, done, rule, now)]
    if not found:
        raise ValueError(f"the rule {rule.name!r} has no interval")
    return max(found, key=lambda one: (one.due, one.used / one.every))


def _measures(
    counters: Counters, done: Done, rule: Interval, now: datetime
) -> Iterator[tuple[float, float, str]]:
    # Counters may have been corrected to less than they were at the last maintenance.
    if rule.every_flights is not None:
        yield max(0, counters.flights - done.counters.flights), rule.every_flights, "flights"
    if rule.every_hours is not None:
        seconds = max(0, counters.seconds - done.counters.seconds)
        yield seconds / HOUR_S, rule.every_hours, "h"
    if rule.every_days is not None:
        yield max(0.0, (now - done.at).total_seconds()) / DAY_S, rule.every_days, "days"


def _measured(rule: Interval, used: float, every: float, unit: str) -> Standing:
    due = Due.LATER
    if used >= every:
        due = Due.OVERDUE
    elif used >= every * (1 - rule.due_soon_pct / 100):
        due = Due.SOON
    return Standing(rule.name, due, used, every, unit)


def _amount(value: float, unit: str) -> str:
    """“3 h”, “4 flights”, “1 flight”, “2.5 days”."""
    figure = _figure(value)
    return f"{figure} {unit.removesuffix('s') if figure == '1' else unit}"


def _figure(value: float) -> str:
    """With one decimal below 10."""
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:.0f}"
