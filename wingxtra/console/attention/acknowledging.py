"""Acknowledged lines: what they cover, for how long, and what opens them again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from wingxtra.console import actions
from wingxtra.console.attention.groups import Group, groups, one_each
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
    found: Iterable[Attention], marks: Mapping[str, Acknowledgement]
) -> tuple[list[Group], list[Acknowledged]]:
    """Open lines, and acknowledged ones that have not become worse since. `marks`: by key.

    A mark has the key of an item, or the cause of a line: it then covers the line's other items,
    also those that come later.
    """
    open_items, acknowledged = [], []
    for item in one_each(found):
        mark = marks.get(item.key)
        if mark and _covers(mark, item):
            acknowledged += [Acknowledged(group, mark) for group in groups([item])]
        else:
            open_items.append(item)
    lines = []
    for group in groups(open_items):
        mark = marks.get(group.cause)
        if mark and _covers(mark, group):
            acknowledged.append(Acknowledged(group, mark))
        else:
            lines.append(group)
    return lines, acknowledged


def _covers(mark: Acknowledgement, line: Attention | Group) -> bool:
    return line.level <= mark.level and not (line.since and mark.at < line.since)


def standing(at: datetime) -> dict[str, Acknowledgement]:
    """The marks that count at this time, by key. One statement."""
    return {mark.key: mark for mark in Acknowledgement.objects.standing(at).select_related("by")}


def acknowledge(
    group: Group,
    *,
    at: datetime,
    by: Any = None,
    by_name: str = "",
    note: str = "",
    lasts: timedelta = LASTS,
) -> None:
    """Acknowledge a line by a user, or by a name from another system. Two statements.

    A line that is listed until it is seen ends for good, and its later items are not covered.
    """
    covered: list[Attention | Group] = [group]
    if group.count == 1 or group.until_seen:
        covered = [item for item in group.items if item.count == 1]
    until = at + (SEEN_LASTS if group.until_seen else lasts)
    marks = [
        Acknowledgement(
            key=one.key if isinstance(one, Attention) else one.cause,
            level=one.level,
            text=one.text[:300],
            note=note[:300],
            by=by,
            by_name=by_name[:180],
            at=at,
            until=until,
        )
        for one in covered
    ]
    kept = Acknowledgement.objects.bulk_create(
        marks,
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=["level", "text", "note", "by", "by_name", "at", "until"],
    )
    if by is not None:
        actions.log(by, kept[0], f"Acknowledged: {group.text[:200]}. {note}".strip())
