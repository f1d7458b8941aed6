"""The report of a span: the figures by group with their names, the plots, and the files."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dispatch.shift import charts, figures, queue, reading
from dispatch.shift.charts import Plot
from dispatch.shift.figures import NO_FLIGHTS, NOTHING, By, Figures, Flights, Key
from dispatch.shift.queue import Point
from dispatch.shift.spans import Span
from fleet.feasibility.rules import Priority
from fleet.models import Hub, ServiceArea
from orders.states import CancelReason, ReasonCode
from wingxtra.accounts.models import Merchant

TITLES = {By.AREA: "Area", By.PRIORITY: "Priority", By.MERCHANT: "Merchant", By.HUB: "Hub"}
WITHOUT_A_DRONE = "No drone yet"
OUTCOMES = {"FAILED": "Failed", "ABORTED": "Aborted", "CANCELED": "Canceled"}


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    orders: Figures
    flights: Flights


@dataclass(frozen=True, slots=True)
class Report:
    """tables: by group, the rows with the most orders first. reasons: outcome, reason, orders."""

    span: Span
    area: ServiceArea | None
    at: datetime
    whole: Row
    tables: dict[By, list[Row]]
    reasons: list[tuple[str, str, int]]
    by_slot: dict[Key, Figures]
    queue: list[Point]

    @property
    def plots(self) -> list[Plot]:
        return [
            charts.of_orders(self.span, self.by_slot),
            charts.of_times(self.span, self.by_slot),
            charts.of_queue(self.span, self.queue),
        ]


def compose(span: Span, area: ServiceArea | None, areas: list[ServiceArea], at: datetime) -> Report:
    """Four statements. `areas`: all areas, for their names."""
    area_id = area.pk if area else None
    orders, flights = reading.columns(span, area_id, at)
    told, flown = orders.figures(), flights.figures()
    names: dict[By, dict[Any, str]] = {
        By.AREA: {one.pk: one.name for one in areas},
        By.PRIORITY: {one.value: str(one.label) for one in Priority},
        By.MERCHANT: _names(Merchant, told[By.MERCHANT], flown[By.MERCHANT]),
        By.HUB: _names(Hub, told[By.HUB], flown[By.HUB]),
    }
    return Report(
        span=span,
        area=area,
        at=at,
        whole=Row("All", told[By.ALL].get(None, NOTHING), flown[By.ALL].get(None, NO_FLIGHTS)),
        tables={by: _table(names[by], told[by], flown[by]) for by in figures.GROUPS},
        reasons=_reasons(told[By.REASON]),
        by_slot=told[By.SLOT],
        queue=queue.lengths(span, area_id, at),
    )


def _names(model: Any, *found: dict[Key, Any]) -> dict[Any, str]:
    keys = {key for one in found for key in one if key is not None}
    return dict(model.objects.filter(pk__in=keys).values_list("pk", "name"))


def _table(names: dict[Any, str], told: dict[Key, Figures], flown: dict[Key, Flights]) -> list[Row]:
    rows = [
        Row(
            WITHOUT_A_DRONE if key is None else names[key],
            told.get(key, NOTHING),
            flown.get(key, NO_FLIGHTS),
        )
        for key in {*told, *flown}
    ]
    return sorted(rows, key=lambda row: (-row.orders.orders, -row.flights.flights, row.name))


def _reasons(found: dict[Key, Figures]) -> list[tuple[str, str, int]]:
    rows = []
    for key, one in found.items():
        outcome, _, code = str(key).partition(":")
        labels: Any = CancelReason if outcome == "CANCELED" else ReasonCode
        label = str(labels(code).label) if code in labels.values else "no reason was given"
        rows.append((OUTCOMES[outcome], label, one.orders))
    return sorted(rows, key=lambda row: (-row[2], row[0], row[1]))


# --- files ---------------------------------------------------------------------------------------

Cells = list[Any]
COLUMNS = (
    *("orders", "delivered", "kept", "broken", "not_decided", "canceled", "failed", "kept_pct"),
    *("median_min", "p95_min", "flights", "air_h", "battery_pct", "flights_with_battery"),
)


def cells(row: Row) -> Cells:
    """The figures of a row for a file. What is not known is empty."""
    one, flown = row.orders, row.flights
    return [
        *(one.orders, one.delivered, one.kept, one.broken, one.open, one.canceled, one.failed),
        _rounded(one.kept_pct),
        _rounded(one.median_s, 60),
        _rounded(one.p95_s, 60),
        flown.flights,
        round(flown.air_s / 3600, 3),
        _rounded(flown.battery_pct),
        flown.metered,
    ]


def _rounded(value: float | None, unit: float = 1) -> float | str:
    return "" if value is None else round(value / unit, 2)


def _file_of(by: By) -> Callable[[Report], list[Cells]]:
    def lines(report: Report) -> list[Cells]:
        head = [str(by), *COLUMNS]
        return [head, *([row.name, *cells(row)] for row in report.tables[by])]

    return lines


def _file_of_slots(report: Report) -> list[Cells]:
    head = ["start_local", "start_utc", *COLUMNS[:10]]
    rows = []
    for n, at in enumerate(report.span.slots):
        one = Row("", report.by_slot.get(n, NOTHING), NO_FLIGHTS)
        rows.append([*_both(at, report.span), *cells(one)[:10]])
    return [head, *rows]


def _file_of_queue(report: Report) -> list[Cells]:
    rows = [[*_both(point.at, report.span), point.length] for point in report.queue]
    return [["at_local", "at_utc", "waiting"], *rows]


def _both(at: datetime, span: Span) -> list[str]:
    return [f"{zone:%Y-%m-%d %H:%M}" for zone in (at.astimezone(span.zone), at.astimezone(UTC))]


FILES: dict[str, Callable[[Report], list[Cells]]] = {
    **{str(by): _file_of(by) for by in figures.GROUPS},
    "reasons": lambda report: [["outcome", "reason", "orders"], *map(list, report.reasons)],
    "time": _file_of_slots,
    "queue": _file_of_queue,
}


def area_named(areas: list[ServiceArea], pk: str) -> ServiceArea | None:
    """The area with this id; None for an empty one. Raises ValueError for an unknown one."""
    if not pk:
        return None
    found = next((area for area in areas if str(area.pk) == pk), None)
    if found is None:
        raise ValueError(f"There is no service area “{pk[:40]}”.")
    return found
