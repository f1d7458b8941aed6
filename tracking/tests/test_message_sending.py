"""How messages to customers are sent: by which gateway, how often, and what nobody else reads."""

import json
import logging
from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone
from pytest_django import Settings

from orders import placement
from orders.states import PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from pod import codes
from tracking import actors
from tracking.messages import texts
from tracking.messages.models import CustomerMessage
from tracking.tests.mailbox import send_all
from tracking.tests.receiver import Receiver
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.tests.factories import MerchantFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("gateways")]

State = CustomerMessage.State
PHONE, EMAIL = "+233241234567", "ama@mail.example"


def test_mail_names_the_message_so_that_a_second_one_can_be_told():
    OrderFactory(customer_phone="", customer_email=EMAIL)
    assert send_all() == 1
    (sent,) = mail.outbox
    message = CustomerMessage.objects.get()
    assert sent.to == [EMAIL]
    assert "\n" not in sent.subject
    assert sent.extra_headers["Message-ID"] == f"<{message.pk}@delivery.example>"
    assert (message.address, message.subject, message.text) == (EMAIL, sent.subject, sent.body)


def test_a_gateway_that_wants_forms_gets_them(sms: Receiver, settings: Settings):
    settings.SMS_GATEWAY_HEADERS = {"content-type": "application/x-www-form-urlencoded"}
    settings.SMS_GATEWAY_BODY = "to={to}&reference={id}&message={text}"
    OrderFactory(merchant=MerchantFactory(name="{to} & Söhne"))
    send_all()
    body = sms.received[0].body.decode()
    assert body.startswith("to=%2B233241234567&reference=")
    assert "message=%7Bto%7D+%26+S%C3%B6hne%3A+we+have" in body


def test_the_number_that_counts_is_that_of_the_moment(sms: Receiver):
    order = OrderFactory()
    placement.change_details(order.pk, {"customer_phone": "+233209999999"}, by=SYSTEM)
    send_all()
    assert json.loads(sms.received[0].body)["to"] == "+233209999999"


def test_a_gateway_that_is_away_is_tried_again_with_growing_pauses_and_then_no_more(
    sms: Receiver,
):
    OrderFactory()
    message = CustomerMessage.objects.get()
    pauses = []
    sms.respond = lambda _: 503
    while message.state == State.WAITING:
        CustomerMessage.objects.update(next_try_at=timezone.now())
        before = timezone.now()
        assert not texts.deliver(message.pk)
        message.refresh_from_db()
        pauses.append((message.next_try_at - before).total_seconds())
    assert len(sms.received) == 8
    for pause_s, expected_s in zip(pauses, texts.PAUSES_S, strict=False):
        assert expected_s <= pause_s <= 1.1 * expected_s + 1
    assert message.problem == "The SMS gateway answered 503."
    assert CustomerMessage.objects.given_up().get() == message


@pytest.mark.parametrize(("status", "state"), [(400, State.GIVEN_UP), (401, State.WAITING)])
def test_what_a_gateway_refuses_for_good_is_not_tried_again(sms: Receiver, status: int, state: str):
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
def test_a_gateway_that_is_not_reached_is_tried_again(settings: Settings, url: str, why: str):
    settings.SMS_GATEWAY_URL = url
    OrderFactory()
    assert send_all() == 0
    message = CustomerMessage.objects.get()
    assert message.state == State.WAITING
    assert message.problem == f"The SMS gateway was not reached: {why}."


def test_a_redirect_is_no_gateway(sms: Receiver):
    sms.respond = lambda _: (302, {"Location": sms.url}, b"")
    OrderFactory()
    assert send_all() == 0
    assert CustomerMessage.objects.get().problem == "The SMS gateway answered 302."
    assert len(sms.received) == 1


def test_while_one_sends_nobody_else_does(sms: Receiver):
    OrderFactory()
    message = CustomerMessage.objects.get()
    soon = timezone.now() + timedelta(seconds=60)
    CustomerMessage.objects.update(claimed_until=soon)
    assert not texts.deliver(message.pk)
    # It died; its claim does not.
    CustomerMessage.objects.update(claimed_until=timezone.now())
    assert texts.deliver(message.pk)
    assert not texts.deliver(message.pk)
    assert len(sms.received) == 1


def test_only_so_many_are_sent_at_once():
    for _ in range(6):
        OrderFactory()
    busy = CustomerMessage.objects.values("pk")[:4]
    CustomerMessage.objects.filter(pk__in=busy).update(
        claimed_until=timezone.now() + timedelta(seconds=60)
    )
    assert not CustomerMessage.objects.due(timezone.now()).exists()


@pytest.mark.django_db(transaction=True)
def test_it_is_sent_as_soon_as_it_is_committed(monkeypatch: pytest.MonkeyPatch):
    hurried: list[str] = []
    monkeypatch.setattr(actors.send_message, "send", hurried.append)
    OrderFactory()
    assert hurried == [str(CustomerMessage.objects.get().pk)]
    actors.sweep_messages()
    assert hurried == [str(CustomerMessage.objects.get().pk)] * 2


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
