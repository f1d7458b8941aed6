"""When a place is open: weekly hours in its own time zone, and exceptions by date. Pure.

The clock on the wall decides, also on the two days a year when it is changed: an hour that it skips
is never open, and an hour that it shows twice is open twice or not at all.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any, Self
from zoneinfo import ZoneInfo, available_timezones

WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
DAY = timedelta(days=1)
DAY_MIN = 24 * 60
# An opening that is further away is not looked for.
LOOK_AHEAD = timedelta(days=366)

# How hours are stored and exchanged. Times are "HH:MM" by the clock on the wall; `closes` may be
# "24:00". An interval that closes at or before the time at which it opens ends on the next day.
#   {"timezone": "Africa/Accra",
#    "weekly": [{"weekday": "MONDAY", "opens": "08:00", "closes": "20:00"}, ...],
#    "exceptions": [{"date": "2026-12-25", "intervals": [{"opens": ..., "closes": ...}, ...]}, ...]}
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Interval:
    """Minutes since the midnight at which its day begins; `closes` may lie on the next day."""

    opens: int
    closes: int

    @classmethod
    def from_json(cls, data: Json) -> Self:
        opens, closes = _minutes(data["opens"]), _minutes(data["closes"])
        return cls(opens, closes if closes > opens else closes + DAY_MIN)


Intervals = tuple[Interval, ...]
ALL_DAY: Intervals = (Interval(0, DAY_MIN),)


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """weekly: by weekday, Monday first; all empty: always open. exceptions: what replaces the
    intervals that begin on a date; empty: closed. Hours that began on the day before still end as
    they do.
    """

    zone: ZoneInfo
    weekly: tuple[Intervals, ...]
    exceptions: Mapping[date, Intervals]

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """`data` must be without `problems`."""
        weekly: list[list[Interval]] = [[] for _ in WEEKDAYS]
        for entry in data["weekly"]:
            weekly[WEEKDAYS.index(entry["weekday"])].append(Interval.from_json(entry))
        if not any(weekly):
            weekly = [list(ALL_DAY) for _ in WEEKDAYS]
        exceptions = {
            date.fromisoformat(entry["date"]): tuple(map(Interval.from_json, entry["intervals"]))
            for entry in data["exceptions"]
        }
        return cls(ZoneInfo(data["timezone"]), tuple(map(tuple, weekly)), exceptions)

    def beginning_on(self, day: date) -> Intervals:
        return self.exceptions.get(day, self.weekly[day.weekday()])

    def is_open(self, at: datetime) -> bool:
        local = at.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        today, day_before = local.date(), local.date() - DAY
        return any(i.opens <= minute < i.closes for i in self.beginning_on(today)) or any(
            minute + DAY_MIN < i.closes for i in self.beginning_on(day_before)
        )

    def next_opening(self, at: datetime) -> datetime | None:
        """The first moment from `at` on at which it is open, in UTC: `at` itself if it is open
        then. None: not within LOOK_AHEAD.
        """
        return self._first(at, LOOK_AHEAD, is_open=True)

    def next_closing(self, at: datetime, within: timedelta = LOOK_AHEAD) -> datetime | None:
        """The first moment from `at` on at which it is closed, as `next_opening`."""
        return self._first(at, within, is_open=False)

    def spans(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """When it is open between `start` and `end`: (from, until) in UTC, in order. Hours that
        end later are cut off at `end`.
        """
        opens = self._first(start, end - start, is_open=True)
        while opens is not None and opens < end:
            closes = self.next_closing(opens, end - opens) or end
            yield opens, min(closes, end)
            opens = self._first(closes, end - closes, is_open=True)

    def _first(self, at: datetime, within: timedelta, *, is_open: bool) -> datetime | None:
        start = at.astimezone(UTC)
        if self.is_open(start) == is_open:
            return start
        for days in range(1 + within.days):
            for moment in sorted(self._changes(start + days * DAY)):
                if self.is_open(moment) == is_open:
                    return moment
        return None

    def said(self, at: datetime) -> str:
        """“Monday 30 November at 08:00”, by the clock there."""
        local = at.astimezone(self.zone)
        return f"{local:%A} {local.day} {local:%B} at {local:%H:%M}"

    def _changes(self, start: datetime) -> Iterator[datetime]:
        """When it may open or close in the 24 hours after `start`: as hours begin or end, or the
        clock changes.
        """
        end = start + DAY
        moments = [clock_change(self.zone, start, end)]
        day, last = start.astimezone(self.zone).date() - DAY, end.astimezone(self.zone).date()
        while day <= last:
            for minutes in {m for i in self.beginning_on(day) for m in (i.opens, i.closes)}:
                days, minute = divmod(minutes, DAY_MIN)
                shown = datetime.combine(day + days * DAY, time(*divmod(minute, 60)), self.zone)
                # A time that the clock shows twice is two moments.
                moments += [shown.replace(fold=fold) for fold in (0, 1)]
            day += DAY
        yield from (at.astimezone(UTC) for at in moments if at and start < at <= end)


def first_common_opening(hours: Iterable[OpeningHours], at: datetime) -> datetime | None:
    """The first moment from `at` on, in UTC, at which all of them are open; None: not within
    LOOK_AHEAD.
    """
    found, every = at.astimezone(UTC), tuple(hours)
    while shut := next((one for one in every if not one.is_open(found)), None):
        opens_at = shut.next_opening(found)
        if opens_at is None or opens_at - at > LOOK_AHEAD:
            return None
        found = opens_at
    return found


def clock_change(zone: ZoneInfo, start: datetime, end: datetime) -> datetime | None:
    """The second at which the clock is changed; None if it is not."""

    def offset(at_s: int) -> timedelta | None:
        return datetime.fromtimestamp(at_s, zone).utcoffset()

    low, high = int(start.timestamp()), int(end.timestamp())
    if offset(low) == offset(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if offset(middle) == offset(low):
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


# --- what may be wrong with hours that are well formed -------------------------------------------


@cache
def time_zones() -> frozenset[str]:
    """The names in the IANA time zone database."""
    return frozenset(available_timezones())


def problems(data: Json) -> list[tuple[str, str]]:
    """The member and a message for people, for each problem. `data` has the form of Json."""
    found = []
    if data["timezone"] not in time_zones():
        message = f"“{data['timezone']}” is no IANA time zone; one is Africa/Accra."
        found.append(("timezone", message))
    found += _bad_intervals(data["weekly"], "weekly")
    dates: set[str] = set()
    for position, entry in enumerate(data["exceptions"]):
        place = f"exceptions.{position}"
        if entry["date"] in dates:
            message = f"{entry['date']} is there twice; put its hours into one exception."
            found.append((f"{place}.date", message))
        dates.add(entry["date"])
        found += _bad_intervals(entry["intervals"], f"{place}.intervals")
    return found


def _bad_intervals(entries: list[Json], place: str) -> Iterator[tuple[str, str]]:
    for position, entry in enumerate(entries):
        if entry["opens"] == entry["closes"]:
            message = "It opens and closes at the same time; a whole day is 00:00 to 24:00."
            yield f"{place}.{position}.closes", message
