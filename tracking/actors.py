"""Background jobs of tracking: send webhooks to merchants and messages to customers."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import dramatiq
from django.utils import timezone

from orders.models import DeliveryEvent
from tracking.messages import sending, triggers
from tracking.messages.models import CustomerMessage
from tracking.models import WebhookDelivery
from tracking.webhooks import deliveries
from tracking.webhooks import events as webhook_events
from wingxtra import outbox
from wingxtra.broker import beside, enqueue, every

# The sweep finds the rest.
MAX_ENQUEUED = 50
STALE_AFTER_MS = 30_000


def write_webhooks(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receives `lifecycle.recorded`."""
    for delivery_id in webhook_events.write_deliveries(events)[:MAX_ENQUEUED]:
        enqueue(send_webhook, str(delivery_id))


# The sweep is the retry.
@dramatiq.actor(queue_name="webhooks", max_retries=0, max_age=STALE_AFTER_MS)
def send_webhook(delivery_id: str) -> None:
    if taken := deliveries.take(UUID(delivery_id)):
        # Slow receivers must not occupy the worker. `take` limits how many are sent at once.
        beside(_send, taken)


def _send(taken: deliveries.Taken) -> None:
    answer = deliveries.send(taken)
    if answer is None or not (answer.accepted or answer.refused):
        return  # the receiver is in trouble
    if after := deliveries.due_after(taken.delivery):
        send_webhook.send(str(after))


@every(5)
@dramatiq.actor(max_retries=0)
def sweep_webhooks() -> None:
    outbox.sweep(WebhookDelivery.objects.due_per_endpoint(timezone.now()), send_webhook)


def write_messages(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receives `lifecycle.recorded`."""
    _enqueue(triggers.write_messages(events))


def _enqueue(message_ids: Sequence[UUID]) -> None:
    for message_id in message_ids[:MAX_ENQUEUED]:
        enqueue(send_message, str(message_id))


# The sweep is the retry.
@dramatiq.actor(queue_name="messages", max_retries=0, max_age=STALE_AFTER_MS)
def send_message(message_id: str) -> None:
    sending.deliver(UUID(message_id))


@every(5)
@dramatiq.actor(max_retries=0)
def sweep_messages() -> None:
    outbox.sweep(CustomerMessage.objects.due(timezone.now()), send_message)


@every(10)
@dramatiq.actor(max_retries=0)
def tell_of_arrivals() -> None:
    _enqueue(triggers.write_arrivals(timezone.now()))
