"""Acknowledged lines: what they cover, for how long, and what opens them again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from wingxtra.console import actions
from wingxtra.console.attention.groups import Group, groups, is_worse, level_of, one_each
from wingxtra.console.models import LASTS, Acknowledgement
from wingxtra.console.registry import Attention

# Longer than any source shows an item that is listed until it is seen.
SEEN_LASTS = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A line with its acknowledgement."""

    group: Group
    by: Acknowledgement


def split(
    found: Iterable[Attention], marks: Iterable[Acknowledgement]
) -> tuple[list[Group], list[Acknowledged]]:
    """Open lines, and acknowledged ones that have not become worse since.

    A mark that stands has the key of an item, or the cause of a line: it then covers the line's
    other items, also those that come later. Another item about the same object is open until it
    has its own.
    """
    by_key = {mark.key: mark for mark in marks}
    covered: list[Attention] = []
    open_items: list[Attention] = []
    for item in found:
        mark = by_key.get(item.key)
        is_covered = mark and _covers(mark, level_of(item, item.count), item.since)
        (covered if is_covered else open_items).append(item)
    acknowledged = [
        Acknowledged(group, by_key[item.key])
        for item in one_each(covered)
        for group in groups([item])
    ]
    lines = []
    for group in groups(one_each(open_items)):
        mark = by_key.get(group.cause)
        if mark and _covers(mark, group.level, group.since):
            acknowledged.append(Acknowledged(group, mark))
        else:
            lines.append(group)
    return lines, acknowledged


def _covers(mark: Acknowledgement, level: int, since: datetime | None) -> bool:
    return not is_worse(level, mark.level) and not (since and mark.at < since)


def standing(now: datetime) -> QuerySet[Acknowledgement]:
    """The marks that count at this time."""
    return Acknowledgement.objects.standing(now).select_related("by")


def acknowledge(
    group: Group, *, at: datetime, by: Any, note: str = "", lasts: timedelta = LASTS
) -> None:
    """Acknowledge a line by a user. Two statements.

    A line that is listed until it is seen ends for good, and its later items are not covered.
    """
    if group.count == 1 or group.until_seen:
        of_items = {key: mark for item in group.items for key, mark in _marks_of(item, at, lasts)}
        marks = list(of_items.values())
    else:
        marks = [_mark(group.cause, group.level, group.text, at, at + lasts)]
    for mark in marks:
        mark.by, mark.note = by, note[:300]
    kept = _keep(marks)
    actions.log(by, kept[0], f"Acknowledged: {group.text[:200]}. {note}".strip())


def acknowledge_there(
    cause: str, *, level: int, text: str, at: datetime, by_name: str, lasts: timedelta = LASTS
) -> None:
    """Acknowledge a line up to this level by a name from another system, which shows none of its
    items: nothing counts as seen. One statement.
    """
    mark = _mark(cause, level, text, at, at + lasts)
    mark.by_name = by_name[:180]
    _keep([mark])


def _marks_of(
    item: Attention, at: datetime, lasts: timedelta
) -> Iterator[tuple[str, Acknowledgement]]:
    """For all that the item shows of its object; for nothing if it only counts objects."""
    if item.count > 1:
        return
    level = level_of(item, item.count)
    for one in (item, *item.others):
        is_seen = item.until_seen and one.until_seen
        until = at + (SEEN_LASTS if is_seen else lasts)
        yield one.key, _mark(one.key, level, one.text, at, until)


def _mark(key: str, level: int, text: str, at: datetime, until: datetime) -> Acknowledgement:
    return Acknowledgement(key=key, level=level, text=text[:300], at=at, until=until)


def _keep(marks: list[Acknowledgement]) -> list[Acknowledgement]:
    return Acknowledgement.objects.bulk_create(
        marks,
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=["level", "text", "note", "by", "by_name", "at", "until"],
    )
