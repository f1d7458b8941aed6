"""Filters of the console's lists."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone


class DaysFilter(admin.FieldListFilter):
    """Filters a datetime field from one day to another, both included, in UTC. Both are optional.

    An invalid day leads to Django's page for bad filters.
    """

    template = "console/days_filter.html"

    def expected_parameters(self) -> list[str | None]:
        return [f"{self.field_path}_from", f"{self.field_path}_to"]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, last = self._day("from"), self._day("to")
        if first:
            queryset = queryset.filter(**{f"{self.field_path}__gte": _midnight(first)})
        if last:
            after = _midnight(last + timedelta(days=1))
            queryset = queryset.filter(**{f"{self.field_path}__lt": after})
        return queryset

    def choices(self, changelist: Any) -> Iterator[Any]:
        """One form that keeps the list's other filters, and common spans as links."""
        mine = {f"{self.field_path}_from", f"{self.field_path}_to", PAGE_VAR}
        today = timezone.now().date()
        spans = {"Today": (today, today), "Last 7 days": (today - timedelta(days=6), today)}
        yield {
            "path": self.field_path,
            "from": self._given("from"),
            "to": self._given("to"),
            "others": [(name, v) for name, v in changelist.params.items() if name not in mine],
            "spans": [
                (
                    label,
                    changelist.get_query_string(
                        {f"{self.field_path}_from": first, f"{self.field_path}_to": last}
                    ),
                )
                for label, (first, last) in spans.items()
            ],
            "clear": changelist.get_query_string(remove=[f"{self.field_path}_"]),
        }

    def _given(self, end: str) -> str:
        given = self.used_parameters.get(f"{self.field_path}_{end}", "")
        return str(given[-1] if isinstance(given, list) else given)

    def _day(self, end: str) -> date | None:
        given = self._given(end)
        if not given:
            return None
        try:
            return date.fromisoformat(given)
        except ValueError as error:
            raise IncorrectLookupParameters(error) from error


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
