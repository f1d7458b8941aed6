"""What was sent before does not make the next webhook or message slower."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from orders.tests.factories import OrderFactory
from tracking.messages import triggers
from tracking.messages.models import CustomerMessage
from tracking.models import WebhookDelivery
from tracking.tests.mailbox import send_all
from tracking.tests.receiver import Receiver, WebhookFactory, deliver, receiving

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("gateways")]

BEFORE = 3_000


@contextmanager
def no_scan_of(table: str) -> Iterator[None]:
    """Reads it by indexes only. Months count as their table."""
    before = _scanned(table)
    yield
    assert _scanned(table) == before


def _scanned(table: str) -> int:
    """Rows of the table that this transaction has read by scanning it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname LIKE %s",
            [f"{table}%"],
        )
        return int(cursor.fetchone()[0])


def analyzed(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {table}")


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.WEBHOOK_TRUSTED_HOSTS = ["127.0.0.1"]
    with receiving() as receiver:
        yield receiver


def test_a_webhook_is_sent_without_reading_those_that_were_sent(receiver: Receiver) -> None:
    endpoint = WebhookFactory(url=receiver.url)
    order = OrderFactory(merchant=endpoint.merchant)
    waiting = WebhookDelivery.objects.filter(order=order).order_by("event_id")
    first = waiting[0]
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            endpoint=endpoint,
            order_id=order.pk,
            event_id=first.event_id,
            type=first.type,
            body=first.body,
            state=WebhookDelivery.State.DELIVERED,
            delivered_at=timezone.now(),
        )
        for _ in range(BEFORE)
    )
    analyzed("tracking_webhookdelivery")
    with no_scan_of("tracking_webhookdelivery"):
        assert deliver(first.pk)


def test_a_message_is_written_and_sent_without_reading_those_that_were_sent(sms: Receiver) -> None:
    order = OrderFactory()
    kinds = CustomerMessage.Kind
    others = [OrderFactory() for _ in range(20)]
    CustomerMessage.objects.all().delete()
    CustomerMessage.objects.bulk_create(
        [
            CustomerMessage(
                order=other,
                event_id=other.history().values_list("pk", flat=True)[0],
                kind=kinds.NEW_TIME,
                channel=f"c{n}",
                state=CustomerMessage.State.SENT,
                sent_at=timezone.now(),
            )
            for other in others
            for n in range(BEFORE // len(others))
        ]
    )
    triggers.write([triggers.Wanted(order, kinds.RECEIVED)])
    analyzed("tracking_customermessage")
    with no_scan_of("tracking_customermessage"):
        assert send_all() == 1
        triggers.write_arrivals(timezone.now())
    assert len(sms.received) == 1
