"""Removes webhooks and messages that name a customer whose data is forgotten."""

from typing import Any

from orders.models import Order
from tracking.messages import triggers
from tracking.models import WebhookDelivery


def forget(order: Order, **_signal: Any) -> None:
    """Receiver of `retention.forgetting`. Messages that still wait are not sent."""
    WebhookDelivery.objects.filter(order=order).delete()
    triggers.forget(order)
