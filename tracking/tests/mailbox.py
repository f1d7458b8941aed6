"""What customers were told in a test, and by which gateway."""

import json

from django.utils import timezone

from orders.models import Order
from tracking.messages import texts as messages
from tracking.messages.models import CustomerMessage
from tracking.tests.receiver import Receiver


def send_all() -> int:
    due = CustomerMessage.objects.due(timezone.now())
    return sum(messages.deliver(message_id) for message_id in due.values_list("pk", flat=True))


def told(order: Order, channel: str = "sms") -> list[str]:
    rows = CustomerMessage.objects.filter(order=order, channel=channel)
    return list(rows.order_by("created_at").values_list("kind", flat=True))


def texts(sms: Receiver) -> list[str]:
    return [json.loads(one.body)["text"] for one in sms.received]
