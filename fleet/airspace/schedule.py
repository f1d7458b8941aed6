"""When a geographical zone applies: weekly hours, sunrise and sunset. Pure.

Where the clock or the sun leaves a doubt, the longer time counts: a zone that is closed for too
long costs a flight, one that is open too early costs more.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Self
from zoneinfo import ZoneInfo

from astral import Observer, sun

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
ANY_DAY = "ANY"
# Names of ED-269 and ED-318: begin of morning civil twilight, sunrise, sunset, end of evening civil
# twilight. The sun is 6° below the horizon at both ends of the twilight.
SUN_EVENTS: dict[str, Callable[..., datetime]] = {
    "BMCT": sun.dawn,
    "SR": sun.sunrise,
    "SS": sun.sunset,
    "EECT": sun.dusk,
}
DAY = timedelta(days=1)
# How far ahead the hours of a zone are worked out. After that it counts as closed.
HORIZON = 8 * DAY
# A shorter opening is none: some files end a day at 23:59:59.
SHORTEST_OPENING = timedelta(minutes=1)

# How one rule is stored. `days`: of DAYS, or ANY_DAY. `from` and `until`: "HH:MM", with an offset
# if it is not by the zone's clock, or one of SUN_EVENTS. A rule that ends at or before its start
# ends on the next day. `starts_at`, `ends_at`: ISO 8601, or null.
Json = Mapping[str, Any]
Span = tuple[datetime, datetime]


class InvalidSchedule(ValueError):
    """A rule that cannot be read. The message is for staff."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of the day: of the clock, or of the sun at a place."""

    at: time | str

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises InvalidSchedule."""
        if text in SUN_EVENTS:
            return cls(text)
        if text.startswith("24:00"):
            text = "00:00" + text[5:]
        try:
            return cls(time.fromisoformat(text))
        except ValueError as error:
            events = ", ".join(SUN_EVENTS)
            raise InvalidSchedule(
                f"{text!r} is no time of the day; give one like 16:00, or one of {events}."
            ) from error

    def on(self, day: date, zone: tzinfo, where: Observer) -> tuple[datetime, datetime]:
        """The earliest and the latest moment that it may mean, in UTC.

        Raises ValueError where the sun does not rise or set on that day.
        """
        if isinstance(self.at, str):
            moment = SUN_EVENTS[self.at](where, day, tzinfo=zone).astimezone(UTC)
            return moment, moment
        local = datetime.combine(day, self.at, self.at.tzinfo or zone)
        both = [local.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
        return min(both), max(both)


@dataclass(frozen=True, slots=True)
class WeeklyRule:
    """weekdays: Monday is 0."""

    weekdays: frozenset[int]
    opens: Clock
    closes: Clock
    starts_at: datetime | None
    ends_at: datetime | None

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Raises InvalidSchedule."""
        unknown = set(data["days"]) - {*DAYS, ANY_DAY}
        if unknown or not data["days"]:
            raise InvalidSchedule(f"{sorted(data['days'])} are no days; use {', '.join(DAYS)}.")
        named = DAYS if ANY_DAY in data["days"] else data["days"]
        return cls(
            frozenset(DAYS.index(day) for day in named),
            Clock.read(data["from"]),
            Clock.read(data["until"]),
            moment_of(data.get("starts_at")),
            moment_of(data.get("ends_at")),
        )

    def on(self, day: date, zone: tzinfo, where: Observer) -> Span | None:
        """When the zone is closed by the hours that begin on this day."""
        if day.weekday() not in self.weekdays:
            return None
        try:
            begins = self.opens.on(day, zone, where)[0]
            ends = self.closes.on(day, zone, where)[1]
            if ends <= begins:
                ends = self.closes.on(day + DAY, zone, where)[1]
        except ValueError:  # polar day or night: the sun says nothing about the hours
            begins = datetime.combine(day, time(), zone).astimezone(UTC)
            ends = datetime.combine(day + DAY, time(), zone).astimezone(UTC)
        begins = max(begins, self.starts_at or begins)
        ends = min(ends, self.ends_at or ends)
        return (begins, ends) if begins < ends else None


def closures(
    rules: Iterable[Json], time_zone: str, lat: float, lng: float, start: datetime
) -> list[Span]:
    """When the zone is closed within HORIZON after `start`: (from, until) in UTC, in order.

    Raises InvalidSchedule.
    """
    zone, where = ZoneInfo(time_zone), Observer(lat, lng)
    weekly = [WeeklyRule.from_json(rule) for rule in rules]
    first = start.astimezone(UTC).date() - 2 * DAY
    days = [first + i * DAY for i in range(HORIZON.days + 4)]
    found = [span for rule in weekly for day in days if (span := rule.on(day, zone, where))]
    return [
        (begins, min(ends, start + HORIZON))
        for begins, ends in merged(found)
        if ends > start and begins < start + HORIZON
    ]


def goes_on(rules: Iterable[Json], at: datetime) -> bool:
    """Whether any rule may close the zone after `at`. Raises InvalidSchedule."""
    ends = [WeeklyRule.from_json(rule).ends_at for rule in rules]
    return any(end is None or end > at for end in ends)


def merged(spans: Sequence[Span]) -> Iterator[Span]:
    """The spans in order, those that overlap or nearly meet as one."""
    last: Span | None = None
    for begins, ends in sorted(spans):
        if last and begins - last[1] < SHORTEST_OPENING:
            last = (last[0], max(last[1], ends))
            continue
        if last:
            yield last
        last = (begins, ends)
    if last:
        yield last


def moment_of(text: str | None) -> datetime | None:
    """An ISO 8601 time with its offset, in UTC. Raises InvalidSchedule."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidSchedule(f"{text!r} is no date and time.") from error
    if moment.tzinfo is None:
        raise InvalidSchedule(f"{text!r} has no time zone; end it with Z or an offset.")
    return moment.astimezone(UTC)
