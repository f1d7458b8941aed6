"""What goes of webhooks and messages when a customer is forgotten: they name the customer."""

from typing import Any

from orders.models import Order
from tracking.messages import texts
from tracking.models import WebhookDelivery


def forget(order: Order, **_signal: Any) -> None:
    """Receiver of `retention.forgetting`. What still waits is not told any more."""
    WebhookDelivery.objects.filter(order=order).delete()
    texts.forget(order)
