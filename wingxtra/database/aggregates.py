"""Aggregates that Django lacks."""

from collections.abc import Sequence
from typing import Any

from django.db import connections
from django.db.models import Aggregate, FloatField, QuerySet


class Percentile(Aggregate):
    """PostgreSQL's percentile_cont of an interval, in seconds."""

    template = (
        "EXTRACT(EPOCH FROM PERCENTILE_CONT(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s))"
    )
    output_field = FloatField()

    def __init__(self, expression: Any, share: float) -> None:
        super().__init__(expression, share=float(share))


def bounded_counts(querysets: Sequence[QuerySet[Any]], most: int) -> list[int]:
    """How many rows each has, in one statement; most + 1 for any more. All of one database."""
    parts: list[str] = []
    values: list[Any] = []
    for n, queryset in enumerate(querysets):
        some = queryset.order_by().values("pk")[: most + 1]
        sql, given = some.query.sql_with_params()
        # The SQL is Django's own.
        parts.append(f"(SELECT COUNT(*) FROM ({sql}) AS counted_{n})")  # noqa: S608
        values += given
    with connections[querysets[0].db].cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(parts)}", values)
        return list(cursor.fetchone())
