"""Filters of the console's lists, as fields of one form (`admin/change_list.html`)."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from wingxtra.console.lists.change_list import BadFilter
from wingxtra.console.times import house_zone
from wingxtra.database import together

# With more, the list of choices would weigh more than the list of orders.
MAX_OPTIONS = 100
DAY = timedelta(days=1)
LAST_DAY = date.max - DAY  # the day after it exists


class FieldFilter(admin.ListFilter):
    """A filter by one value. A value that it does not know is refused with BadFilter."""

    template = "console/choice_filter.html"
    is_field = True
    parameter_name: str
    example = ""

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.request = request
        self.given = str((params.pop(self.parameter_name, None) or [""])[-1]).strip()
        if self.given:
            self.used_parameters[self.parameter_name] = self.given

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [self.parameter_name]

    def options(self) -> Sequence[tuple[str, str]] | None:
        """(value, label) to choose from; None for a field to type into."""
        return None

    def note(self) -> str:
        return ""

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        raise NotImplementedError

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return self.narrow(queryset, self.given) if self.given else queryset

    def choices(self, changelist: Any) -> Iterator[Any]:
        yield {
            "name": self.parameter_name,
            "given": self.given,
            "options": self.options(),
            "example": self.example,
            "note": self.note(),
        }


class OneOf(FieldFilter):
    """A filter by a fixed set of values of one column, or by what `narrow` makes of them."""

    values: Sequence[tuple[str, str]]
    column = ""

    def options(self) -> Sequence[tuple[str, str]] | None:
        return self.values

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        known = [value for value, _ in self.values]
        if self.given and self.given not in known:
            known_ones = ", ".join(known)
            raise BadFilter(
                f"The filter “{self.title}” does not know “{self.given}”, only {known_ones}."
            )
        return super().queryset(request, queryset)

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(**{self.column: value})


class OneRow(FieldFilter):
    """A filter by a row that the objects refer to: the first MAX_OPTIONS by name to choose from.

    Those of all such filters of a list are read in one statement.
    """

    column: str
    where_others_are = ""
    is_cut = False
    chosen: Any = None
    found: list[Any]

    def rows(self) -> QuerySet[Any]:
        """All that can be chosen, by name."""
        raise NotImplementedError

    def label(self, row: Any) -> str:
        return str(row)

    def choices(self, changelist: Any) -> Iterator[Any]:
        filters = [one for one in changelist.filter_specs if isinstance(one, OneRow)]
        if not hasattr(self, "found"):
            rows = together.read(*(one.rows()[: MAX_OPTIONS + 1] for one in filters))
            for one, found in zip(filters, rows, strict=True):
                one.found = found
        return super().choices(changelist)

    def options(self) -> Sequence[tuple[str, str]] | None:
        self.is_cut = len(self.found) > MAX_OPTIONS
        found = [(str(row.pk), self.label(row)) for row in self.found[:MAX_OPTIONS]]
        if self.chosen is not None and self.given not in dict(found):
            found.insert(0, (self.given, self.label(self.chosen)))
        return found

    def note(self) -> str:
        return f"The first {MAX_OPTIONS} by name. {self.where_others_are}" if self.is_cut else ""

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        self.chosen = _found(self.rows().model, value)
        if self.chosen is None:
            raise BadFilter(f"The filter “{self.title}” does not know “{value}”.")
        return queryset.filter(**{self.column: self.chosen.pk})


def of_row(
    foreign_key: str, choices: Callable[[], QuerySet[Any]], *, name: str = ""
) -> type[OneRow]:
    """The filter by this foreign key. `choices()`: its rows by name, with what their names need.

    Django's own filter lists every row as a link, and asks the database for what each name needs.
    """

    class RowFilter(OneRow):
        title = name or foreign_key.rpartition("__")[2].replace("_", " ")
        parameter_name = column = f"{foreign_key}__id__exact"
        where_others_are = "Search for the others by name."

        def rows(self) -> QuerySet[Any]:
            return choices()

    return RowFilter


def _found(model: type[Model], pk: str) -> Model | None:
    try:
        return model._default_manager.filter(pk=pk).first()
    except (ValidationError, ValueError):
        return None


class DaysFilter(admin.FieldListFilter):
    """Filters a datetime field from one day to another, both included, by the house's clock, as the
    lists show times. Both are optional.

    An invalid day is refused with BadFilter.
    """

    template = "console/days_filter.html"
    is_field = True

    @staticmethod
    def parameters_of(one: Any) -> list[str]:
        return [f"{one[0]}_from", f"{one[0]}_to"]

    def expected_parameters(self) -> list[str | None]:
        return [f"{self.field_path}_from", f"{self.field_path}_to"]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, last = self._day("from"), self._day("to")
        if first:
            queryset = queryset.filter(**{f"{self.field_path}__gte": _midnight(first)})
        if last:
            queryset = queryset.filter(**{f"{self.field_path}__lt": _midnight(last + DAY)})
        return queryset

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Two fields of the list's form, and common spans as links."""
        today = timezone.now().astimezone(house_zone()).date()
        spans = {"Today": (today, today), "Last 7 days": (today - timedelta(days=6), today)}
        yield {
            "path": self.field_path,
            "zone": house_zone().key,
            "from": self._given("from"),
            "to": self._given("to"),
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
            return min(date.fromisoformat(given), LAST_DAY)
        except ValueError as error:
            raise BadFilter(f"“{given}” is not a day: write it like 2026-11-30.") from error


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=house_zone())
