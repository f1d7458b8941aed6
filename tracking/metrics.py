"""Prometheus metrics of webhooks: deliveries that wait, and endpoints that are switched off."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, Min
from prometheus_client.core import Metric

from tracking.models import WebhookDelivery, WebhookEndpoint
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


metrics.register("webhooks", webhooks)
