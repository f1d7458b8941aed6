"""Prometheus metrics of orders: events, deliveries on time, open orders and their delay."""

from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from prometheus_client import Counter
from prometheus_client.core import Metric

from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.models.sla import sla_of
from orders.states import TERMINAL, EventType, Status
from wingxtra.observability import metrics

order_events = Counter(
    "wingxtra_order_events_total", "What happened to orders, test orders aside.", ["type"]
)
delivered = Counter("wingxtra_orders_delivered_total", "Deliveries by promise.", ["on_time"])


def count_events(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receiver of `lifecycle.recorded`. Counts after commit, so a rollback counts nothing."""
    transaction.on_commit(partial(_count, events), robust=True)


def _count(events: Sequence[DeliveryEvent]) -> None:
    for event in events:
        if not event.order.live_mode:
            continue
        order_events.labels(event.type).inc()
        if event.type == EventType.DELIVERED:
            delivered.labels("yes" if event.payload.get("on_time") else "no").inc()


def open_orders(now: datetime) -> Iterator[Metric]:
    rows = Order.objects.live().exclude(status__in=TERMINAL).order_by()
    columns = ("status", "created_at", "not_before", "deliver_by", "current_job__eta_at")
    tally: Tally[tuple[str, ...]] = Tally()
    queued_s = late_s = 0.0
    for status, created_at, not_before, deliver_by, eta_at in rows.values_list(*columns):
        starts_at = max(created_at, not_before or created_at)
        tally[status, sla_of(starts_at, deliver_by, None, eta_at, now)] += 1
        late_s = max(late_s, (now - deliver_by).total_seconds())
        if status == Status.QUEUED:
            queued_s = max(queued_s, (now - starts_at).total_seconds())
    statuses = [status for status in Status if status not in TERMINAL]
    counts: dict[tuple[str, ...], float] = {
        (s.value, sla): 0.0 for s in statuses for sla in ("on_time", "at_risk", "late")
    }
    text = "Orders that are not over, by status and promise."
    yield metrics.gauge("orders_open", text, counts | tally, "status", "sla")
    text = "How long the longest waiting order is in the queue."
    yield metrics.gauge("orders_queued_seconds_max", text, {(): queued_s})
    text = "How long the promise of the latest open order is broken."
    yield metrics.gauge("orders_late_seconds_max", text, {(): late_s})


lifecycle.recorded.connect(count_events)
metrics.register("orders", open_orders)
