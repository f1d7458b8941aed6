"""Sending messages to customers: gateways, retries and privacy."""

import json
import logging
from datetime import timedelta

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings

from orders.changes.details import change_details
from orders.states import PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from pod import codes
from tracking import actors
from tracking.messages import sending
from tracking.messages.models import CustomerMessage
from tracking.tests.mailbox import send_all
from tracking.tests.receiver import Receiver
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.redis_client import client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("gateways")]

State = CustomerMessage.State
PHONE, EMAIL = "+233241234567", "ama@mail.example"


def test_mail_has_a_stable_message_id():
    OrderFactory(customer_phone="", customer_email=EMAIL)
    assert send_all() == 1
    (sent,) = mail.outbox
    message = CustomerMessage.objects.get()
    assert sent.to == [EMAIL]
    assert "\n" not in sent.subject
    assert sent.extra_headers["Message-ID"] == f"<{message.pk}@delivery.example>"
    assert (message.address, message.subject, message.text) == (EMAIL, sent.subject, sent.body)


def test_the_sms_body_can_be_form_encoded(sms: Receiver, settings: Settings):
    settings.SMS_GATEWAY_HEADERS = {"content-type": "application/x-www-form-urlencoded"}
    settings.SMS_GATEWAY_BODY = "to={to}&reference={id}&message={text}"
    OrderFactory(merchant=MerchantFactory(name="{to} & Söhne"))
    send_all()
    body = sms.received[0].body.decode()
    assert body.startswith("to=%2B233241234567&reference=")
    assert "message=%7Bto%7D+%26+S%C3%B6hne%3A+your+order" in body


def test_a_changed_phone_number_applies_to_waiting_messages(sms: Receiver):
    order = OrderFactory()
    change_details(order.pk, {"customer_phone": "+233209999999"}, by=SYSTEM)
    send_all()
    assert json.loads(sms.received[0].body)["to"] == "+233209999999"


def test_a_failing_gateway_is_retried_with_growing_pauses_and_then_given_up(
    sms: Receiver,
):
    OrderFactory()
    message = CustomerMessage.objects.get()
    pauses = []
    sms.respond = lambda _: 503
    while message.state == State.WAITING:
        CustomerMessage.objects.update(next_try_at=timezone.now())
        before = timezone.now()
        assert not sending.deliver(message.pk)
        message.refresh_from_db()
        pauses.append((message.next_try_at - before).total_seconds())
    assert len(sms.received) == 8
    for pause_s, expected_s in zip(pauses, sending.PAUSES_S, strict=False):
        assert expected_s <= pause_s <= 1.1 * expected_s + 1
    assert message.problem == "The SMS gateway answered 503."
    assert CustomerMessage.objects.given_up().get() == message


@pytest.mark.parametrize(("status", "state"), [(400, State.GIVEN_UP), (401, State.WAITING)])
def test_a_permanent_refusal_is_not_retried(sms: Receiver, status: int, state: str):
    OrderFactory()
    sms.respond = lambda _: status
    assert send_all() == 0
    assert CustomerMessage.objects.get().state == state


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:9/send", "ConnectionRefusedError"),
        ("sms.example/send", "ValueError"),
    ],
)
def test_an_unreachable_gateway_is_retried(settings: Settings, url: str, why: str):
    settings.SMS_GATEWAY_URL = url
    OrderFactory()
    assert send_all() == 0
    message = CustomerMessage.objects.get()
    assert message.state == State.WAITING
    assert message.problem == f"The SMS gateway was not reached: {why}."


def test_redirects_of_a_gateway_are_not_followed(sms: Receiver):
    sms.respond = lambda _: (302, {"Location": sms.url}, b"")
    OrderFactory()
    assert send_all() == 0
    assert CustomerMessage.objects.get().problem == "The SMS gateway answered 302."
    assert len(sms.received) == 1


def test_a_claimed_message_is_sent_by_one_worker_only(sms: Receiver):
    OrderFactory()
    message = CustomerMessage.objects.get()
    soon = timezone.now() + timedelta(seconds=60)
    CustomerMessage.objects.update(claimed_until=soon)
    assert not sending.deliver(message.pk)
    # The first worker died; its claim expires.
    CustomerMessage.objects.update(claimed_until=timezone.now())
    assert sending.deliver(message.pk)
    assert not sending.deliver(message.pk)
    assert len(sms.received) == 1


def test_at_most_four_messages_are_sent_at_a_time():
    for _ in range(6):
        OrderFactory()
    busy = CustomerMessage.objects.values("pk")[:4]
    CustomerMessage.objects.filter(pk__in=busy).update(
        claimed_until=timezone.now() + timedelta(seconds=60)
    )
    assert not CustomerMessage.objects.due(timezone.now()).exists()


@pytest.mark.django_db(transaction=True)
def test_a_message_is_enqueued_at_commit_and_by_the_sweep():
    def queued() -> int:
        return client().hlen("dramatiq:messages.msgs")

    before = queued()
    with transaction.atomic():
        OrderFactory()
        assert queued() == before
    assert queued() == before + 1
    actors.sweep_messages()
    assert queued() == before + 2


# --- privacy -------------------------------------------------------------------------------------


def test_no_log_line_has_a_number_an_address_or_a_code(
    sms: Receiver, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    order = order_in(
        Status.LAUNCHED, pod_requirement=PodRequirement.OTP, customer_email="ama@mail..example"
    )
    code = codes.renew(order.pk, by=SYSTEM)
    sms.respond = lambda _: (503, {}, f"unknown number {PHONE}".encode())
    send_all()
    assert "message_tried" in caplog.text
    for secret in ("241234567", "ama@mail", "Mensah", code):
        assert secret not in caplog.text
    assert "241234567" not in "".join(CustomerMessage.objects.values_list("problem", flat=True))
