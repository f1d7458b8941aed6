"""Prometheus metrics of the database: the tables that are partitioned by month, and the replica."""

from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from prometheus_client.core import Metric

from wingxtra.database import partitions, replica
from wingxtra.observability import metrics


def histories(now: datetime) -> Iterator[Metric]:
    text = "1 while a table lacks the present or the next month, or has rows without their month."
    trouble = {(one.table,): float(one.is_troubled) for one in partitions.standing(now)}
    yield metrics.gauge("history_trouble", text, trouble, "table")


def the_replica(now: datetime) -> Iterator[Metric]:
    """Without values if there is none."""
    found = replica.standing() if settings.REPLICA_DATABASE_URL else None
    text = "1 while lists and reports are read from the replica, 0 while from the primary."
    used = {(): float(found.is_usable)} if found else {}
    yield metrics.gauge("replica_read", text, used)
    text = "How far the replica is behind the primary; missing if it does not answer."
    behind = {(): found.behind_s} if found and found.behind_s is not None else {}
    yield metrics.gauge("replica_behind_seconds", text, behind)


metrics.register("histories", histories)
metrics.register("replica", the_replica)
