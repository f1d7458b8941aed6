"""Messages to customers in tests: send them, and read what was written and received."""

import json
from datetime import timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone

from orders import lifecycle
from orders.models import Order
from tracking.messages import sending
from tracking.messages.models import CustomerMessage
from tracking.tests.receiver import Receiver


def send_all() -> int:
    due = CustomerMessage.objects.due(timezone.now())
    return sum(sending.deliver(message_id) for message_id in due.values_list("pk", flat=True))


def kinds(order: Order, channel: str = "sms") -> list[str]:
    rows = CustomerMessage.objects.filter(order=order, channel=channel)
    return list(rows.order_by("created_at").values_list("kind", flat=True))


def texts(sms: Receiver) -> list[str]:
    return [json.loads(one.body)["text"] for one in sms.received]


def told_eta(order: Order, zone: str = "UTC") -> str:
    """The ETA as messages write it, to the nearest minute."""
    eta_at = lifecycle.job_of(Order.objects.get(pk=order.pk)).eta_at
    assert eta_at
    return f"{eta_at.astimezone(ZoneInfo(zone)) + timedelta(seconds=30):%H:%M}"
