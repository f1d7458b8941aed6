"""Opening hours as people write them: a line per weekday or range, and a line per date. Pure.

Mon-Fri 08:00-12:00, 14:00-20:00        2026-12-25 closed
Saturday 20:00-02:00                    2026-12-31 08:00-12:00
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from itertools import groupby
from typing import Any

from wingxtra.opening_hours import WEEKDAYS, Json

WEEKLY_LINE = re.compile(
    r"([a-z]{3,9})(?:\s*[-–]\s*([a-z]{3,9}))?:?\s+(\d.*)", re.ASCII | re.IGNORECASE
)
DATE_LINE = re.compile(r"(\d{4}-\d\d-\d\d):?\s+(.+)", re.ASCII)
TIMES = re.compile(
    r"(?:([01]?\d|2[0-3]):([0-5]\d))\s*[-–]\s*(?:([01]?\d|2[0-3]):([0-5]\d)|24:00)", re.ASCII
)
CLOSED = "closed"
MIN_LETTERS = 3  # of the name of a day

Entry = dict[str, Any]


class Unreadable(ValueError):
    """A line that is no hours; the message quotes it, for people."""


def read_weekly(text: str) -> list[Entry]:
    """The `weekly` of opening hours. Raises Unreadable."""
    entries: list[Entry] = []
    for line in _lines(text):
        found = WEEKLY_LINE.fullmatch(line)
        days = _days(found[1], found[2] or found[1]) if found else []
        if not found or not days:
            raise Unreadable(f"“{line}” is no line like “Mon-Fri 08:00-20:00”.")
        intervals = _intervals(line, found[3])
        entries += [{"weekday": day, **interval} for day in days for interval in intervals]
    return entries


def read_exceptions(text: str) -> list[Entry]:
    """The `exceptions` of opening hours. Raises Unreadable."""
    entries = []
    for line in _lines(text):
        found = DATE_LINE.fullmatch(line)
        try:
            day = date.fromisoformat(found[1]) if found else None
        except ValueError:  # well formed, but there is no such day
            day = None
        if not found or day is None:
            raise Unreadable(f"“{line}” is no line like “2026-12-25 closed”.")
        is_closed = found[2].casefold() == CLOSED
        intervals = [] if is_closed else _intervals(line, found[2])
        entries.append({"date": day.isoformat(), "intervals": intervals})
    return entries


def read_days(text: str) -> list[str]:
    """The weekdays of “Mon-Fri” or “Mon, Wed, Sat-Sun”, Monday first. Raises Unreadable."""
    found: set[str] = set()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in re.sub("–", "-", part).partition("-"))
        last = last if dash else first
        days = _days(first, last) if min(len(first), len(last)) >= MIN_LETTERS else []
        if not days:
            raise Unreadable(f"“{part.strip()}” is no day or range of days like Mon-Fri.")
        found.update(days)
    return [day for day in WEEKDAYS if day in found]


def days_said(days: Iterable[str]) -> str:
    """“Monday-Friday, Sunday”, “Every day”."""
    known = set(days)
    if known == set(WEEKDAYS):
        return "Every day"
    runs = [list(group) for is_on, group in groupby(WEEKDAYS, known.__contains__) if is_on]
    names = [[day.title() for day in run] for run in runs]
    return ", ".join(f"{run[0]}-{run[-1]}" if run[1:] else run[0] for run in names)


def weekly_lines(hours: Json) -> str:
    """Days with the same hours that follow each other share a line."""
    by_day: dict[str, list[Json]] = {day: [] for day in WEEKDAYS}
    for entry in hours["weekly"]:
        by_day[entry["weekday"]].append(entry)
    lines = []
    for said, group in groupby(WEEKDAYS, key=lambda day: _said(by_day[day])):
        days = [day.title() for day in group]
        if said:
            lines.append(f"{days[0]}-{days[-1]} {said}" if days[1:] else f"{days[0]} {said}")
    return "\n".join(lines)


def exception_lines(hours: Json) -> str:
    return "\n".join(
        f"{entry['date']} {_said(entry['intervals']) or CLOSED}" for entry in hours["exceptions"]
    )


def _said(intervals: Iterable[Mapping[str, str]]) -> str:
    return ", ".join(f"{one['opens']}-{one['closes']}" for one in intervals)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _days(first: str, last: str) -> list[str]:
    """The weekdays from the first to the last, also over Sunday; empty for words that are none."""
    ends = [[day for day in WEEKDAYS if day.startswith(word.upper())] for word in (first, last)]
    if not all(ends):
        return []
    start, end = (WEEKDAYS.index(found[0]) for found in ends)
    return [WEEKDAYS[(start + n) % 7] for n in range((end - start) % 7 + 1)]


def _intervals(line: str, text: str) -> list[Entry]:
    intervals = []
    for part in text.split(","):
        found = TIMES.fullmatch(part.strip())
        if not found:
            raise Unreadable(f"“{part.strip()}” in “{line}” is no time like 08:00-20:00.")
        closes = f"{int(found[3]):02}:{found[4]}" if found[3] else "24:00"
        intervals.append({"opens": f"{int(found[1]):02}:{found[2]}", "closes": closes})
    return intervals
