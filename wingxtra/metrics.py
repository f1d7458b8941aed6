"""Prometheus metrics of the tables that are partitioned by month."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import Metric

from wingxtra.database import partitions
from wingxtra.observability import metrics


def histories(now: datetime) -> Iterator[Metric]:
    text = "1 while a table lacks the present or the next month, or has rows without their month."
    trouble = {(one.table,): float(one.is_troubled) for one in partitions.standing(now)}
    yield metrics.gauge("history_trouble", text, trouble, "table")


metrics.register("histories", histories)
