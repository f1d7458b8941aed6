"""Aggregates that Django lacks."""

from typing import Any

from django.db.models import Aggregate, FloatField


class Percentile(Aggregate):
    """PostgreSQL's percentile_cont of an interval, in seconds."""

    template = (
        "EXTRACT(EPOCH FROM PERCENTILE_CONT(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s))"
    )
    output_field = FloatField()

    def __init__(self, expression: Any, share: float) -> None:
        super().__init__(expression, share=float(share))
