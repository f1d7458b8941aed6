"""The dashboard's content: switches, items that need attention, numbers and charts."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from django.db import DatabaseError
from django.utils import timezone
from redis import RedisError

from wingxtra.console import registry
from wingxtra.console.attention.acknowledging import Acknowledged, split, standing
from wingxtra.console.attention.groups import Group
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, AttentionSource, Button, NotChecked, Number, Piece

log = structlog.get_logger(__name__)

# More causes than this are folded into the last line.
MAX_LINES = 6
# Items of a line that the page shows; the others are on a page of their own.
SHOWN = 20
# Minutes -> label: an acknowledgement with an end.
SNOOZES = {15: "15 min", 60: "1 h", 240: "4 h"}
BROKEN = "the check itself failed (see attention_not_checked in the log)"


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of all sources. `clear`: clauses for the checks that found nothing.

    `unknown`: by reason, the clauses of the checks that could not run. `source_of`: by the key of
    an item, the clause of the check that found it.
    """

    items: list[Attention]
    clear: list[str]
    unknown: dict[str, list[str]]
    source_of: dict[str, str]


@dataclass(frozen=True, slots=True)
class Board:
    """What needs attention at a time: the open lines, and the acknowledged ones."""

    lines: list[Group]
    acknowledged: list[Acknowledged]
    findings: Findings

    def line(self, cause: str) -> Group | None:
        """The open line with this cause."""
        return next((group for group in self.lines if group.cause == cause), None)

    def item(self, key: str) -> Attention | None:
        """The open item with this key."""
        items = (item for group in self.lines for item in group.items)
        return next((item for item in items if item.key == key), None)


def board(at: datetime) -> Board:
    """Run all checks and compose the lines."""
    return _board(_look(at, registry.attention_sources))


def _board(look: Look) -> Board:
    found = check_all(look)
    lines, acknowledged = split(found.items, look.rows(standing))
    return Board(lines, acknowledged, found)


def _look(at: datetime, *pieces: Iterable[AttentionSource | Piece[Any]]) -> Look:
    return Look(at, [standing, *(of for some in pieces for one in some for of in one.reads)])


def content(user: Any) -> dict[str, Any]:
    look = _look(
        at := timezone.now(),
        registry.attention_sources,
        registry.switch_sources,
        registry.number_sources,
        registry.chart_sources,
    )
    now = _board(look)
    lines = [for_user(group, user) for group in now.lines]
    return {
        "at": at,
        **how_to_acknowledge(user),
        "switches": [
            usable(switch, user) for one in registry.switch_sources for switch in one.find(look)
        ],
        "lines": lines[:MAX_LINES] if len(lines) <= MAX_LINES else lines[: MAX_LINES - 1],
        "more_lines": [] if len(lines) <= MAX_LINES else lines[MAX_LINES - 1 :],
        "open": sum(group.count for group in lines),
        "shown": SHOWN,
        "acknowledged": now.acknowledged,
        "clear": now.findings.clear,
        "unknown": {
            why: listed([f"that {clause}" for clause in clauses])
            for why, clauses in now.findings.unknown.items()
        },
        "numbers": [number for one in registry.number_sources for number in _from(one, look)],
        "charts": [bars(chart) for one in registry.chart_sources for chart in one.find(look)],
    }


def how_to_acknowledge(user: Any) -> dict[str, Any]:
    return {"may_acknowledge": user.has_perm("console.add_acknowledgement"), "snoozes": SNOOZES}


def usable(switch: registry.Switch, user: Any) -> registry.Switch:
    """The switch with only the buttons that the user may use."""
    return replace(switch, buttons=_allowed(switch.buttons, user))


def for_user(group: Group, user: Any) -> Group:
    """The line with only the remedies that the user may apply, and its SHOWN first items with
    theirs.
    """
    shown = (item_for(item, user) for item in group.items[:SHOWN])
    items = (*shown, *group.items[SHOWN:])
    return replace(group, items=items, remedies=_allowed(group.remedies, user))


def item_for(item: Attention, user: Any) -> Attention:
    """The item with only the remedies that the user may apply."""
    return replace(item, remedies=_allowed(item.remedies, user))


def _allowed(buttons: tuple[Button, ...], user: Any) -> tuple[Button, ...]:
    return tuple(button for button in buttons if user.has_perm(button.permission))


def check_all(look: Look) -> Findings:
    """Run all checks. One that fails counts as not checked, and the others still run."""
    found: list[Attention] = []
    clear: list[str] = []
    unknown: defaultdict[str, list[str]] = defaultdict(list)
    source_of: dict[str, str] = {}
    for source in registry.attention_sources:
        try:
            items = list(source.find(look))
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
            source_of |= dict.fromkeys((item.key for item in items), source.checks)
            clear += [] if items else [source.checks]
    return Findings(found, clear, unknown, source_of)


def listed(clauses: list[str]) -> str:
    """ "a, b and c"."""
    *most, last = clauses or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _from(source: Piece[Number], look: Look) -> list[Number]:
    """The numbers of a source; none while Redis is down, which is an attention item."""
    try:
        return list(source.find(look))
    except RedisError as error:
        log.warning("dashboard_without_redis", source=source.find.__name__, error=str(error))
        return []


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
