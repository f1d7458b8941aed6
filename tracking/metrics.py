"""Prometheus metrics of webhooks (deliveries that wait, endpoints that are switched off), and of
the streams of open tracking pages.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Count, Min
from prometheus_client.core import Metric

from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.stream import news
from wingxtra import redis_client
from wingxtra.observability import metrics


def webhooks(now: datetime) -> Iterator[Metric]:
    waiting = WebhookDelivery.objects.waiting().aggregate(
        count=Count("pk"), oldest=Min("created_at")
    )
    text = "Messages to merchants that have not arrived yet."
    yield metrics.gauge("webhooks_waiting", text, {(): waiting["count"]})
    age_s = (now - waiting["oldest"]).total_seconds() if waiting["oldest"] else 0.0
    text = "How long the oldest of them waits."
    yield metrics.gauge("webhooks_waiting_seconds_max", text, {(): age_s})
    text = "Endpoints that were switched off because nothing arrived."
    off = WebhookEndpoint.objects.filter(switched_off_at__isnull=False)
    yield metrics.gauge("webhook_endpoints_switched_off", text, {(): off.count()})


def streams(now: datetime) -> Iterator[Metric]:
    """How many streams are open, summed over the processes that reported within TOLD_FOR_S."""
    told: Any = redis_client.ask(lambda client: client.hgetall(news.OPEN))
    numbers = [value.split() for value in told.values()]
    latest_s = now.timestamp() - news.TOLD_FOR_S
    number = sum(int(count) for count, told_at_s in numbers if float(told_at_s) >= latest_s)
    yield metrics.gauge("streams_open", "Tracking pages that are told by a stream.", {(): number})


metrics.register("webhooks", webhooks)
metrics.register("streams", streams)
