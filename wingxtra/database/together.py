"""The rows of several querysets in one statement, for pages that show many kinds of rows.

Each queryset becomes a column of one row: its rows as JSON. So the number of statements of a page
does not grow with its content.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import EmptyResultSet
from django.db import connections, models
from django.db.models import QuerySet

from wingxtra.database.statements import maker

Parser = Callable[[Any], Any]

# JSON has no times and no UUIDs, and NaN and infinity only as texts. The first class that a field
# has counts; values without a function are as they are.
_PARSERS: dict[tuple[type, ...], Parser | None] = {
    (models.DateTimeField,): datetime.fromisoformat,
    (models.DateField,): date.fromisoformat,
    (models.UUIDField,): UUID,
    (models.FloatField,): float,
    (models.BinaryField,): lambda text: bytes.fromhex(text.removeprefix("\\x")),
    (models.BooleanField, models.IntegerField, models.JSONField): None,
    (models.CharField, models.TextField, models.FileField): None,
}


def read(*querysets: QuerySet[Any, Any]) -> list[list[Any]]:
    """The rows of each queryset: one statement for each database, none without a queryset that can
    have rows.

    `select_related`, `only`, `annotate` and `values_list` work. `prefetch_related` does not, and a
    column of intervals or decimals is refused with TypeError.
    """
    found: list[list[Any]] = [[] for _ in querysets]
    asked: dict[str, list[tuple[int, _Compiled]]] = {}
    for number, queryset in enumerate(querysets):
        if compiled := _compiled(queryset):
            asked.setdefault(queryset.db, []).append((number, compiled))
    for alias, some in asked.items():
        columns = ", ".join(sql for _, (sql, _, _) in some)
        with connections[alias].cursor() as cursor:
            cursor.execute(f"SELECT {columns}", [v for _, (_, given, _) in some for v in given])
            row = cursor.fetchone()
        for (number, (_, _, rows)), column in zip(some, row, strict=True):
            found[number] = rows(column)
    return found


def read_groups(groups: Sequence[Sequence[QuerySet[Any, Any]]]) -> list[list[list[Any]]]:
    """For each group the rows of each of its querysets; all in one statement."""
    rows = iter(read(*(queryset for group in groups for queryset in group)))
    return [[next(rows) for _ in group] for group in groups]


_Compiled = tuple[str, Sequence[Any], Callable[[str | None], list[Any]]]


def _compiled(queryset: QuerySet[Any, Any]) -> _Compiled | None:
    """The SQL of the column, its values, and the function from its JSON to the rows."""
    if queryset._prefetch_related_lookups:  # type: ignore[attr-defined]
        raise TypeError("prefetch_related needs statements of its own")
    compiler = queryset.query.get_compiler(queryset.db)
    try:
        sql, given = compiler.as_sql()
    except EmptyResultSet:
        return None
    names = [f"c{n}" for n in range(len(compiler.select))]
    parsers = [_parser(column[0].output_field) for column in compiler.select]
    as_tuples = queryset._fields is not None  # type: ignore[attr-defined]
    to_object = maker(compiler, as_tuples=as_tuples)
    known: Any = {} if as_tuples else queryset._known_related_objects  # type: ignore[attr-defined]

    def rows(text: str | None) -> list[Any]:
        parsed = msgspec.json.decode(text) if text else []
        found = [
            to_object(
                [
                    value if parse is None or value is None else parse(value)
                    for parse, value in zip(parsers, row.values(), strict=True)
                ]
            )
            for row in parsed
        ]
        for field, related in known.items():
            for one in found:
                setattr(one, field.name, related[getattr(one, field.attname)])
        return found

    # A row has more columns than json_build_array takes. The SQL is Django's own.
    column = f"(SELECT json_agg(r)::text FROM ({sql}) AS r({', '.join(names)}))"  # noqa: S608
    return column, given, rows


def _parser(field: Any) -> Parser | None:
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    for kinds, parser in _PARSERS.items():
        if isinstance(field, kinds):
            return parser
    if isinstance(field, ArrayField):
        parse = _parser(field.base_field)
        return None if parse is None else lambda values: [parse(value) for value in values]
    raise TypeError(f"{field!r} cannot be read as JSON")
