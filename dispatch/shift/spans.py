"""The days of a report, by the clock of a time zone. Pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

LENGTHS = (1, 7, 30)
EARLIEST = date(2020, 1, 1)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Span:
    """`days` whole days, of which `last` is the last. A day has 23 to 25 hours."""

    last: date
    days: int
    zone: ZoneInfo

    @property
    def first(self) -> date:
        return self.last - timedelta(days=self.days - 1)

    @property
    def start(self) -> datetime:
        return midnight(self.first, self.zone)

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return midnight(self.last + timedelta(days=1), self.zone)

    @property
    def hours(self) -> float:
        return (self.end - self.start) / HOUR

    @property
    def by_hour(self) -> bool:
        """Whether its plots have one slot per hour, and not one per day."""
        return self.days == 1

    @property
    def slots(self) -> list[datetime]:
        """When each slot begins (UTC): each hour of one day, or each day of several."""
        if self.by_hour:
            return [self.start + n * HOUR for n in range(-int(-self.hours // 1))]
        return [midnight(self.first + timedelta(days=n), self.zone) for n in range(self.days)]

    def label(self, at: datetime) -> str:
        """The local name of a slot that begins at `at`: “14:00” or “3 Mar”."""
        local = at.astimezone(self.zone)
        return f"{local:%H:%M}" if self.by_hour else f"{local.day} {local:%b}"

    def __str__(self) -> str:
        last = f"{self.last.day} {self.last:%B %Y}"
        return last if self.days == 1 else f"{self.first.day} {self.first:%B %Y} to {last}"


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When the day begins there (UTC). Where the clock skips midnight, the day's first moment."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def today(now: datetime, zone: ZoneInfo) -> date:
    return now.astimezone(zone).date()


def day_of(text: str, latest: date) -> date:
    """Raises ValueError, with a sentence, unless it is a day from EARLIEST to `latest`."""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"“{text[:40]}” is no day: write 2026-03-29, for example.") from error
    if not EARLIEST <= day <= latest:
        raise ValueError(f"The day must be from {EARLIEST} to {latest}.")
    return day
