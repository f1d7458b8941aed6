"""On which days, and at which moment of each, an order recurs. Pure.

The clock on the wall decides: 07:30 stays 07:30 when the clock is changed. A time that the clock
skips is moved to the next minute that exists; of a time that it shows twice the first one counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from wingxtra.opening_hours import DAY, WEEKDAYS, clock_change

# Days without an occurrence that are looked through for the next one.
LOOK_AHEAD = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Schedule:
    """weekdays: names like MONDAY. ends_on: the last day; None: for ever."""

    weekdays: frozenset[str]
    local_time: time
    zone: ZoneInfo
    starts_on: date
    ends_on: date | None

    def has(self, day: date) -> bool:
        is_within = self.starts_on <= day and (self.ends_on is None or day <= self.ends_on)
        return is_within and WEEKDAYS[day.weekday()] in self.weekdays

    def moment(self, day: date) -> tuple[datetime, str]:
        """When the order of this day starts, in UTC, and a note if that is not `local_time`."""
        shown = datetime.combine(day, self.local_time, self.zone)
        at = shown.astimezone(UTC)
        if at.astimezone(self.zone).time() == self.local_time:
            return at, ""
        # With fold 1 the offset after the change is used, which gives a moment before it.
        change = clock_change(self.zone, shown.replace(fold=1).astimezone(UTC), at)
        if change is None:
            raise ValueError(f"{shown} does not exist, and the clock is not changed")
        note = (
            f"There is no {self.local_time:%H:%M} on {day} in {self.zone.key}: the clock is put "
            f"forward. The order starts at {change.astimezone(self.zone):%H:%M}."
        )
        return change, note

    def days_from(self, at: datetime) -> Iterator[date]:
        """The days whose moment is `at` or later, in order."""
        first = max(at.astimezone(self.zone).date() - DAY, self.starts_on)
        for n in range(LOOK_AHEAD.days):
            day = first + n * DAY
            if self.ends_on is not None and day > self.ends_on:
                return
            if self.has(day) and self.moment(day)[0] >= at:
                yield day
