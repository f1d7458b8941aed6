"""The dashboard's content: what is on top, what needs attention, the numbers, the chart."""

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from django.db import DatabaseError
from django.utils import timezone
from redis import RedisError

from wingxtra.console import registry
from wingxtra.console.models import Acknowledgement
from wingxtra.console.registry import Attention, NotChecked

log = structlog.get_logger(__name__)

BROKEN = "the check itself failed (see attention_not_checked in the log)"


@dataclass(frozen=True, slots=True)
class Seen:
    """An item that somebody looks after."""

    item: Attention
    by: Acknowledgement


@dataclass(frozen=True, slots=True)
class Look:
    """What all sources found. `clear`: what was checked and is fine, as clauses.

    `unknown`: for each reason why something was not checked, the clauses that may be true or not.
    """

    items: list[Attention]
    clear: list[str]
    unknown: dict[str, list[str]]


def content(user: Any) -> dict[str, Any]:
    at = timezone.now()
    found = look(at)
    open_items, seen = split([for_user(item, user) for item in found.items], at)
    return {
        "at": at,
        "may_acknowledge": user.has_perm("console.add_acknowledgement"),
        "switches": switches(user, at),
        "items": open_items,
        "seen": seen,
        "clear": listed(found.clear),
        "unknown": {
            why: listed([f"that {clause}" for clause in clauses])
            for why, clauses in found.unknown.items()
        },
        "numbers": [number for source in registry.number_sources for number in _told(source, at)],
        "charts": [bars(source(at)) for source in registry.chart_sources],
    }


def switches(user: Any, at: datetime) -> list[registry.Switch]:
    found = [switch for source in registry.switch_sources for switch in source(at)]
    return [usable(switch, user) for switch in found]


def usable(switch: registry.Switch, user: Any) -> registry.Switch:
    """With only those buttons that the user may use."""
    allowed = tuple(button for button in switch.buttons if user.has_perm(button.permission))
    return replace(switch, buttons=allowed)


def for_user(item: Attention, user: Any) -> Attention:
    """With only those remedies that are the user's to apply."""
    may = tuple(button for button in item.remedies if user.has_perm(button.permission))
    return replace(item, remedies=may)


def items(at: datetime) -> list[Attention]:
    """All that needs attention, the gravest and oldest first."""
    return look(at).items


def look(at: datetime) -> Look:
    """Ask every source. One that fails hides no other, and counts as not checked."""
    found: list[Attention] = []
    clear: list[str] = []
    unknown: defaultdict[str, list[str]] = defaultdict(list)
    for source in registry.attention_sources:
        try:
            told = list(source.look(at))
        except NotChecked as reason:
            unknown[str(reason)].append(source.checks)
        except DatabaseError:
            raise  # the page itself needs the database
        except Exception as error:
            is_redis = isinstance(error, RedisError)
            log.warning("attention_not_checked", checks=source.checks, exc_info=True)
            unknown["Redis does not answer" if is_redis else BROKEN].append(source.checks)
        else:
            found += told
            clear += [] if told else [source.checks]
    found.sort(key=lambda item: (-item.level, item.since or at))
    return Look(found, clear, unknown)


def listed(clauses: list[str]) -> str:
    """ "a, b and c"."""
    *most, last = clauses or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _told(source: Any, at: datetime) -> list[Any]:
    """What a source of numbers says; nothing while Redis is away, which the attention list says."""
    try:
        return list(source(at))
    except RedisError as error:
        log.warning("dashboard_without_redis", source=source.__name__, error=str(error))
        return []


def split(found: list[Attention], at: datetime) -> tuple[list[Attention], list[Seen]]:
    """Those that nobody looks after, and those that somebody does and that grew no worse."""
    marks = {mark.key: mark for mark in Acknowledgement.objects.standing(at).select_related("by")}
    nobodys, somebodys = [], []
    for item in found:
        mark = marks.get(item.key)
        if mark is None or item.level > mark.level or (item.since and mark.at < item.since):
            nobodys.append(item)
        else:
            somebodys.append(Seen(item, mark))
    return nobodys, somebodys


def bars(chart: registry.Chart) -> dict[str, Any]:
    """The chart as heights in percent of the top of its scale, for the template."""
    top = _round_top(max((max(values) for values in chart.series.values()), default=0))
    hours = zip(*chart.series.values(), strict=True)
    return {
        "title": chart.title,
        "names": list(chart.series),
        "totals": _in_words(chart, tuple(sum(values) for values in chart.series.values())),
        "scale": [f"{top:g}", f"{top / 2:g}", "0"],
        "bars": [
            {
                "label": label[:2] if i % 3 == 0 else "",
                "title": f"{label}: {_in_words(chart, values)}",
                "heights": [round(100 * value / top) for value in values],
            }
            for i, (label, values) in enumerate(zip(chart.labels, hours, strict=True))
        ],
    }


def _round_top(highest: float) -> int:
    """The top of the scale: the next even 1, 2 or 5 times a power of ten."""
    steps = (step * 10**power for power in range(9) for step in (2, 4, 6, 10, 20))
    return next(step for step in steps if step >= highest)


def _in_words(chart: registry.Chart, values: tuple[float, ...]) -> str:
    named = zip(chart.series, values, strict=True)
    return ", ".join(f"{value:g} {name.lower()}" for name, value in named)
