"""What tracking does by itself: tell merchants and customers of events."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import dramatiq
from django.utils import timezone

from orders.models import DeliveryEvent
from tracking.messages import texts
from tracking.messages.models import CustomerMessage
from tracking.models import WebhookDelivery
from tracking.webhooks import events as webhook_events
from wingxtra import outbox
from wingxtra.broker import enqueue, every

# What is not hurried is found by the sweep.
HURRIED_AT_MOST = 50
STALE_AFTER_MS = 30_000


def tell_merchants(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receives `lifecycle.recorded`."""
    for delivery_id in webhook_events.note_down(events)[:HURRIED_AT_MOST]:
        enqueue(send_webhook, str(delivery_id))


# The sweep is the retry.
@dramatiq.actor(queue_name="webhooks", max_retries=0, max_age=STALE_AFTER_MS)
def send_webhook(delivery_id: str) -> None:
    if webhook_events.deliver(UUID(delivery_id)) and (
        after := webhook_events.due_after(UUID(delivery_id))
    ):
        send_webhook.send(str(after))


@every(5)
@dramatiq.actor(max_retries=0)
def sweep_webhooks() -> None:
    outbox.sweep(WebhookDelivery.objects.a_few_due(timezone.now()), send_webhook)


@every(3600)
@dramatiq.actor(max_retries=0)
def forget_old_webhooks() -> None:
    while webhook_events.purge(timezone.now()):
        pass


def tell_customers(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receives `lifecycle.recorded`."""
    _hurry(texts.note_down(events))


def _hurry(message_ids: Sequence[UUID]) -> None:
    for message_id in message_ids[:HURRIED_AT_MOST]:
        enqueue(send_message, str(message_id))


# The sweep is the retry.
@dramatiq.actor(queue_name="messages", max_retries=0, max_age=STALE_AFTER_MS)
def send_message(message_id: str) -> None:
    texts.deliver(UUID(message_id))


@every(5)
@dramatiq.actor(max_retries=0)
def sweep_messages() -> None:
    outbox.sweep(CustomerMessage.objects.due(timezone.now()), send_message)


@every(10)
@dramatiq.actor(max_retries=0)
def tell_of_arrivals() -> None:
    _hurry(texts.note_arrivals(timezone.now()))


@every(60)
@dramatiq.actor(max_retries=0)
def tell_of_delays() -> None:
    _hurry(texts.note_delays(timezone.now()))
