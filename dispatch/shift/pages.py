"""The page “Shift”: its report, and its files."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dispatch.shift import notes, presentation, report, spans
from dispatch.shift.report import Report
from dispatch.shift.spans import Span
from fleet.models import ServiceArea
from orders.files.exports import BOM, harmless
from wingxtra.console.times import house_zone

# A page shows this many rows of a table; its file has all.
MAX_ROWS = 25


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for."""

    span: Span
    area: ServiceArea | None
    areas: list[ServiceArea]

    @property
    def query(self) -> dict[str, str]:
        query = {"day": self.span.last.isoformat(), "days": str(self.span.days)}
        return query | ({"area": str(self.area.pk)} if self.area else {})

    def url(self, name: str = "admin:shift", **other: str) -> str:
        return f"{reverse(name)}?{urlencode({**self.query, **other})}"


def asked(request: HttpRequest) -> Asked:
    """Raises Http404 for a day that does not exist or lies ahead, and for an unknown area."""
    areas = list(ServiceArea.objects.order_by("name"))
    try:
        area = report.area_named(areas, request.GET.get("area", ""))
        zone = area.zone if area else common_zone(areas)
        latest = spans.today(timezone.now(), zone)
        day = request.GET.get("day", "")
        last = spans.day_of(day, latest) if day else latest
        days = request.GET.get("days") or "1"
        if days not in {str(length) for length in spans.LENGTHS}:
            raise ValueError(f"A report is about {spans.LENGTHS} days, not {days[:10]}.")
    except ValueError as problem:
        raise Http404(str(problem)) from problem
    return Asked(Span(last, int(days), zone), area, areas)


def common_zone(areas: list[ServiceArea]) -> ZoneInfo:
    """The time zone of all areas in service; the house's when they have several."""
    zones = {area.time_zone for area in areas if area.active}
    return ZoneInfo(zones.pop()) if len(zones) == 1 else house_zone()


def composed(wanted: Asked) -> Report:
    return report.compose(wanted.span, wanted.area, wanted.areas, timezone.now())


def may_see(request: HttpRequest, permission: str = "orders.view_order") -> None:
    user: Any = request.user
    if not user.has_perm(permission):
        raise PermissionDenied


@require_safe
def shift(request: HttpRequest) -> HttpResponse:
    may_see(request)
    user: Any = request.user
    wanted = asked(request)
    found = composed(wanted)
    files = {name: wanted.url("admin:shift-csv", table=name) for name in report.FILES}
    context = {
        **admin.site.each_context(request),
        "title": "Shift",
        **choice(wanted),
        "report": found,
        "sentences": presentation.sentences(found),
        "plots": found.plots,
        "tables": _tables(found, files),
        "spans": _links(wanted),
        "files": files,
        "unread": notes.unread(timezone.now()),
        "may_write": user.has_perm("dispatch.add_shiftnote"),
    }
    return TemplateResponse(request, "console/shift/shift.html", context)


def choice(wanted: Asked) -> dict[str, Any]:
    """The context of a form that chooses days."""
    return {
        "asked": wanted,
        "lengths": spans.LENGTHS,
        "latest": spans.today(timezone.now(), wanted.span.zone).isoformat(),
        "zone_words": presentation.zone_words(wanted.span),
    }


def _tables(found: Report, files: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "by": by,
            "title": title,
            "file": files[by],
            "rows": [presentation.shown(row) for row in found.tables[by][:MAX_ROWS]],
            "more": max(0, len(found.tables[by]) - MAX_ROWS),
        }
        for by, title in report.TITLES.items()
    ]


def _links(wanted: Asked) -> list[tuple[str, str, bool]]:
    """Links to common spans: label, address, and whether it is shown now."""
    latest = spans.today(timezone.now(), wanted.span.zone)
    choices = [
        ("Today", latest, 1),
        ("Yesterday", latest - timedelta(days=1), 1),
        ("7 days", latest, 7),
        ("30 days", latest, 30),
    ]
    return [
        (label, replace(wanted, span=span).url(), span == wanted.span)
        for label, last, days in choices
        for span in [Span(last, days, wanted.span.zone)]
    ]


@require_safe
def shift_csv(request: HttpRequest) -> HttpResponse:
    """One table of the report as a file."""
    may_see(request)
    name = request.GET.get("table", "")
    if name not in report.FILES:
        raise Http404(f"There is no table “{name[:40]}”.")
    wanted = asked(request)
    lines = report.FILES[name](composed(wanted))
    answer = HttpResponse(_written(lines), content_type="text/csv; charset=utf-8")
    file = f"shift-{name}-{wanted.span.first}-to-{wanted.span.last}.csv"
    answer["Content-Disposition"] = f'attachment; filename="{file}"'
    return answer


class _Line:
    def write(self, line: str) -> str:
        return line


def _written(lines: list[list[Any]]) -> Iterator[str]:
    writer: Any = csv.writer(_Line())
    yield BOM
    for line in lines:
        yield writer.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in line])
