"""The dashboard's content: switches, items that need attention, numbers and charts."""

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
class Acknowledged:
    """An item with its acknowledgement."""

    item: Attention
    by: Acknowledgement


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of all sources. `clear`: clauses for the checks that found nothing.

    `unknown`: by reason, the clauses of the checks that could not run.
    """

    items: list[Attention]
    clear: list[str]
    unknown: dict[str, list[str]]


def content(user: Any) -> dict[str, Any]:
    at = timezone.now()
    found = check_all(at)
    open_items, acknowledged = split([for_user(item, user) for item in found.items], at)
    return {
        "at": at,
        "may_acknowledge": user.has_perm("console.add_acknowledgement"),
        "switches": switches(user, at),
        "items": open_items,
        "acknowledged": acknowledged,
        "clear": listed(found.clear),
        "unknown": {
            why: listed([f"that {clause}" for clause in clauses])
            for why, clauses in found.unknown.items()
        },
        "numbers": [number for source in registry.number_sources for number in _from(source, at)],
        "charts": [bars(source(at)) for source in registry.chart_sources],
    }


def switches(user: Any, at: datetime) -> list[registry.Switch]:
    found = [switch for source in registry.switch_sources for switch in source(at)]
    return [usable(switch, user) for switch in found]


def usable(switch: registry.Switch, user: Any) -> registry.Switch:
    """The switch with only the buttons that the user may use."""
    allowed = tuple(button for button in switch.buttons if user.has_perm(button.permission))
    return replace(switch, buttons=allowed)


def for_user(item: Attention, user: Any) -> Attention:
    """The item with only the remedies that the user may apply."""
    may = tuple(button for button in item.remedies if user.has_perm(button.permission))
    return replace(item, remedies=may)


def items(at: datetime) -> list[Attention]:
    """All items that need attention, the gravest and oldest first."""
    return check_all(at).items


def check_all(at: datetime) -> Findings:
    """Run all sources. One that fails counts as not checked, and the others still run."""
    found: list[Attention] = []
    clear: list[str] = []
    unknown: defaultdict[str, list[str]] = defaultdict(list)
    for source in registry.attention_sources:
        try:
            items = list(source.find(at))
        except NotChecked as reason:
            unknown[str(reason)].append(source.checks)
        except DatabaseError:
            raise  # the page itself needs the database
        except Exception as error:
            is_redis = isinstance(error, RedisError)
            log.warning("attention_not_checked", checks=source.checks, exc_info=True)
            unknown["Redis does not answer" if is_redis else BROKEN].append(source.checks)
        else:
            found += items
            clear += [] if items else [source.checks]
    found.sort(key=lambda item: (-item.level, item.since or at))
    return Findings(found, clear, unknown)


def listed(clauses: list[str]) -> str:
    """ "a, b and c"."""
    *most, last = clauses or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _from(source: Any, at: datetime) -> list[Any]:
    """The numbers of a source; none while Redis is down, which is an attention item."""
    try:
        return list(source(at))
    except RedisError as error:
        log.warning("dashboard_without_redis", source=source.__name__, error=str(error))
        return []


def split(found: list[Attention], at: datetime) -> tuple[list[Attention], list[Acknowledged]]:
    """Open items, and acknowledged ones that have not become worse since."""
    marks = {mark.key: mark for mark in Acknowledgement.objects.standing(at).select_related("by")}
    open_items, acknowledged = [], []
    for item in found:
        mark = marks.get(item.key)
        if mark is None or item.level > mark.level or (item.since and mark.at < item.since):
            open_items.append(item)
        else:
            acknowledged.append(Acknowledged(item, mark))
    return open_items, acknowledged


def bars(chart: registry.Chart) -> dict[str, Any]:
    """The chart for the template: bar heights in percent of the top of the scale."""
    top = _round_top(max((max(values) for values in chart.series.values()), default=0))
    hours = zip(*chart.series.values(), strict=True)
    return {
        "title": chart.title,
        "names": list(chart.series),
        "totals": _as_text(chart, tuple(sum(values) for values in chart.series.values())),
        "scale": [f"{top:g}", f"{top / 2:g}", "0"],
        "bars": [
            {
                "label": label[:2] if i % 3 == 0 else "",
                "title": f"{label}: {_as_text(chart, values)}",
                "heights": [round(100 * value / top) for value in values],
            }
            for i, (label, values) in enumerate(zip(chart.labels, hours, strict=True))
        ],
    }


def _round_top(highest: float) -> int:
    """The top of the scale: the next of 2, 4, 6, 10 or 20 times a power of ten."""
    steps = (step * 10**power for power in range(9) for step in (2, 4, 6, 10, 20))
    return next(step for step in steps if step >= highest)


def _as_text(chart: registry.Chart, values: tuple[float, ...]) -> str:
    named = zip(chart.series, values, strict=True)
    return ", ".join(f"{value:g} {name.lower()}" for name, value in named)
