"""Prometheus metrics of the tables that are partitioned by month."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import Metric

from wingxtra.database import partitions
from wingxtra.observability import metrics


def histories(now: datetime) -> Iterator[Metric]:
    found = partitions.standing(now)
    text = "Partitions by month of a table, without the default one."
    months = {(one.table,): float(len(one.months)) for one in found}
    yield metrics.gauge("history_months", text, months, "table")
    text = "1 while the present or the next month is missing, or rows are in no month."
    troubled = {(one.table,): float(one.is_troubled) for one in found}
    yield metrics.gauge("history_trouble", text, troubled, "table")


metrics.register("histories", histories)
