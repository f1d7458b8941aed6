"""Lists: by page with a total, or by cursor for long walks."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from django.core import signing
from django.db.models import Model, QuerySet
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from wingxtra.api.schema.components import component
from wingxtra.problems import FieldProblem, Invalid

PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
# Beyond this, the count costs more than the page itself.
MAX_COUNT = 10_000
PLACE: dict[str, Any] = {
    "page": {"type": "integer", "description": "Not there with `cursor`."},
    "page_size": {"type": "integer", "description": "Not there with `cursor`."},
    "total": {
        "type": "integer",
        "description": f"Exact up to {MAX_COUNT:,} rows, with a search up to fewer. With more "
        "rows, the count stops there and `total_is_at_least` is true. Later pages still work.",
    },
    "total_is_at_least": {
        "type": "boolean",
        "description": "True: there are more rows than `total`. Otherwise it is not there.",
    },
}
# The component: the same again, for clients that look for it there.
PAGINATION: dict[str, Any] = {
    "type": "object",
    "required": ["page", "page_size", "total"],
    "properties": PLACE,
}


# The time and the id of a row.
Place = tuple[datetime, Any]
Rows = TypeVar("Rows", bound=QuerySet[Any])


class Pageable(Protocol):
    """What `Envelope` shows: rows in a unique order."""

    @property
    def model(self) -> type[Model]: ...

    def count(self, most: int) -> int:
        """How many rows there are; `most` for any more."""

    def window(self, first: int, size: int) -> list[Any]:
        """`size` rows from number `first`, which counts from 0."""

    def after(self, place: Place | None, size: int) -> list[Any]:
        """The first `size` rows, or those after a place, in the order of places."""


class Envelope(BasePagination):
    """`?page=2&page_size=50` counts the rows; `?cursor=` starts a walk of constant cost per page.

    The count stops at `max_count`; the answer then has `total_is_at_least`. Later pages still work.

    A cursor names the last row by (time, id), so rows that are added or deleted during the walk
    neither repeat nor hide others, even when many rows share one time. The walk is newest first,
    unless `oldest_first`, and cannot be combined with `ordering`.
    """

    query_parameters = ("page", "page_size", "cursor")
    time_field = "created_at"
    oldest_first = False
    max_count = MAX_COUNT

    def paginate_queryset(  # type: ignore[override]
        self, queryset: QuerySet[Any], request: Request, view: Any = None
    ) -> list[Any]:
        """The rows of this page; `get_paginated_response` wraps their serialized form.

        The order of `queryset` must be unique. Raises Invalid.
        """
        return self.rows_of(_OfQueryset(queryset, self.time_field, self.oldest_first), request)

    def rows_of(self, rows: Pageable, request: Request) -> list[Any]:
        """The rows of this page. Raises Invalid."""
        self.page_size = _positive(request, "page_size", PAGE_SIZE, MAX_PAGE_SIZE)
        self.cursor = request.query_params.get("cursor")
        if self.cursor is None:
            return self._by_page(rows, _positive(request, "page", 1))
        for other in ("page", "ordering"):
            if other in request.query_params:
                message = f"“{other}” and “cursor” cannot be combined."
                raise Invalid([FieldProblem(other, "invalid", message)])
        found, self.next_cursor = _after_cursor(rows, self.cursor, self.page_size, self.time_field)
        return found

    def _by_page(self, rows: Pageable, page: int) -> list[Any]:
        self.page = page
        limit = self.max_count
        counted = rows.count(limit + 1)
        self.total, self.has_more_than_total = min(counted, limit), counted > limit
        first = (page - 1) * self.page_size
        if first >= counted and not self.has_more_than_total:
            return []
        return rows.window(first, self.page_size)

    def get_paginated_response(self, data: Iterable[Any]) -> Response:
        return Response(self.body(list(data)))

    def body(self, items: list[Any]) -> dict[str, Any]:
        """The answer with the items of this page."""
        if self.cursor is not None:
            return {"items": items, "next_cursor": self.next_cursor}
        place: dict[str, Any] = {
            "page": self.page,
            "page_size": self.page_size,
            "total": self.total,
        }
        if self.has_more_than_total:
            place["total_is_at_least"] = True
        return {"items": items, **place, "pagination": place}

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        def parameter(name: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
            return {"name": name, "in": "query", "description": text, "schema": schema}

        size = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE}
        return [
            parameter("page", "From 1; not with `cursor`.", {"type": "integer", "minimum": 1}),
            parameter("page_size", "Rows on a page.", size),
            parameter(
                "cursor",
                "Empty for the first page, then the last answer's `next_cursor`. "
                "The answer has no total.",
                {"type": "string"},
            ),
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "description": "With `cursor` it has a `next_cursor`; otherwise page and total.",
            "required": ["items"],
            "properties": {
                "items": schema,
                **PLACE,
                "next_cursor": {
                    "type": ["string", "null"],
                    "description": "The `cursor` of the next page; null on the last.",
                },
                "pagination": component("schemas", "Pagination"),
            },
        }


def after_cursor(
    queryset: QuerySet[Any],
    cursor: str,
    page_size: int,
    *,
    time_field: str = "created_at",
    oldest_first: bool = False,
) -> tuple[list[Any], str | None]:
    """The rows after a cursor, or the first ones, and the cursor of the next page, if there is one.

    Raises Invalid for a cursor that is not ours.
    """
    return _after_cursor(
        _OfQueryset(queryset, time_field, oldest_first), cursor, page_size, time_field
    )


def _after_cursor(
    rows: Pageable, cursor: str, page_size: int, time_field: str
) -> tuple[list[Any], str | None]:
    place = _decoded(cursor, rows.model) if cursor else None
    found = rows.after(place, page_size + 1)
    if len(found) <= page_size:
        return found, None
    found.pop()
    return found, _encoded(getattr(found[-1], time_field), found[-1].pk)


def after_place(
    queryset: Rows, place: Place, *, time_field: str = "created_at", oldest_first: bool = False
) -> Rows:
    """The rows of `queryset` after this place."""
    after = TupleGreaterThan if oldest_first else TupleLessThan
    return queryset.filter(after(Tuple(time_field, queryset.model._meta.pk.name), place))


@dataclass(frozen=True, slots=True)
class _OfQueryset:
    """The rows of a queryset."""

    queryset: QuerySet[Any]
    time_field: str
    oldest_first: bool

    @property
    def model(self) -> type[Model]:
        return self.queryset.model

    def count(self, most: int) -> int:
        return self.queryset.order_by()[:most].count()

    def window(self, first: int, size: int) -> list[Any]:
        return self._read(self.queryset, slice(first, first + size))

    def after(self, place: Place | None, size: int) -> list[Any]:
        sign = "" if self.oldest_first else "-"
        rows = self.queryset.order_by(f"{sign}{self.time_field}", f"{sign}pk")
        if place is not None:
            rows = after_place(
                rows, place, time_field=self.time_field, oldest_first=self.oldest_first
            )
        return self._read(rows, slice(0, size))

    @staticmethod
    def _read(queryset: QuerySet[Any], window: slice) -> list[Any]:
        """The joins run for the rows of the page only, not for all that a search finds."""
        joined = queryset.query.select_related
        if not joined or queryset.query.annotation_select:
            return list(queryset[window])
        ids = queryset.select_related(None).values("pk")[window]
        ordering = queryset.query.order_by or queryset.model._meta.ordering
        rows = queryset.model._default_manager.filter(pk__in=ids).order_by(*ordering)
        rows.query.select_related = joined
        return list(rows)


def _positive(request: Request, name: str, default: int, most: int | None = None) -> int:
    given = request.query_params.get(name)
    if given is None:
        return default
    value = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
    if value < 1 or (most is not None and value > most):
        bounds = f"from 1 to {most}" if most else "from 1"
        raise Invalid([FieldProblem(name, "invalid", f"Must be a whole number {bounds}.")])
    return value


def _encoded(moment: datetime, pk: Any) -> str:
    return signing.dumps([moment.isoformat(), str(pk)], salt="cursor")


def _decoded(cursor: str, model: type[Model]) -> tuple[datetime, Any]:
    try:
        moment, pk = signing.loads(cursor, salt="cursor")
        return datetime.fromisoformat(moment), model._meta.pk.to_python(pk)
    except (signing.BadSignature, ValueError) as error:
        message = "This cursor is not valid. Start again with an empty one."
        raise Invalid([FieldProblem("cursor", "invalid", message)]) from error
