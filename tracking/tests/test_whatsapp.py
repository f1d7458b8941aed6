"""WhatsApp: template messages to Meta's Cloud API, and the receipts that Meta sends us."""

import hashlib
import hmac
import json
import logging
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from orders.models import Order
from orders.personal_data import retention
from orders.states import PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from pod import codes
from tracking.messages import sending
from tracking.messages.console import unsent
from tracking.messages.models import CustomerMessage
from tracking.tests.mailbox import send_all, texts
from tracking.tests.receiver import Received, Receiver, receiving
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory
from wingxtra.console.look import Look

pytestmark = pytest.mark.django_db

Kind, State, Receipt = CustomerMessage.Kind, CustomerMessage.State, CustomerMessage.Receipt
SECRET, VERIFY = "the app's secret", "the verify token"
WAMID = "wamid.HBgMMjMzMjQxMjM0NTY3FQIAERgSMDhFNzkzQ0QzQUMzQTVGQjA2AA=="


@pytest.fixture
def meta(sms: Receiver, settings: Settings) -> Iterator[Receiver]:
    """Meta's Cloud API, over real HTTP, beside the SMS gateway."""
    answer = json.dumps(
        {
            "messaging_product": "whatsapp",
            "contacts": [{"input": "233241234567", "wa_id": "233241234567"}],
            "messages": [{"id": WAMID, "message_status": "accepted"}],
        }
    )
    with receiving() as graph:
        graph.respond = lambda _: (200, {"Content-Type": "application/json"}, answer.encode())
        base = urlsplit(graph.url)
        settings.MESSAGE_CHANNELS = ["whatsapp", "sms", "email"]
        settings.WHATSAPP_API_URL = f"{base.scheme}://{base.netloc}"
        settings.WHATSAPP_API_VERSION = "v23.0"
        settings.WHATSAPP_PHONE_NUMBER_ID = "106540352242922"
        settings.WHATSAPP_TOKEN = "EAAG-secret"
        settings.WHATSAPP_APP_SECRET, settings.WHATSAPP_VERIFY_TOKEN = SECRET, VERIFY
        yield graph


def refuse(code: int, status: int = 400) -> Any:
    error = {"error": {"message": "(#1) 233241234567", "code": code, "fbtrace_id": "Az8"}}
    return lambda _: (status, {}, json.dumps(error).encode())


def sent(order: Order | None = None) -> CustomerMessage:
    """The first message of an order, sent by WhatsApp."""
    order = order or OrderFactory()
    send_all()
    return CustomerMessage.objects.get(order=order, channel="whatsapp")


def notification(message_id: Any, status: str, **more: Any) -> dict[str, Any]:
    """As Meta documents it."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
        "statuses": [
            {
                "id": WAMID,
                "status": status,
                "timestamp": "1764441300",
                "recipient_id": "233241234567",
                "biz_opaque_callback_data": str(message_id),
                "pricing": {"billable": True, "pricing_model": "PMP", "category": "utility"},
                **more,
            }
        ],
    }
    entry = {"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def post(body: Any, signature: str | None = None) -> int:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    if signature is None:
        signature = f"sha256={hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()}"
    headers = {"X-Hub-Signature-256": signature}
    url = reverse("whatsapp-hook")
    answer = Client().post(url, raw, content_type="application/json", headers=headers)
    return answer.status_code


# --- sending -------------------------------------------------------------------------------------


def test_a_message_is_sent_as_a_template_in_the_customers_language(meta: Receiver, sms: Receiver):
    order = OrderFactory(customer_language="fr", merchant=MerchantFactory(name="Ama’s"))
    message = sent(order)
    (request,) = meta.received
    assert request.path == "/v23.0/106540352242922/messages"
    assert request.headers["authorization"] == "Bearer EAAG-secret"
    link = f"https://delivery.example/track/{order.public_tracking_id}/?lang=fr"
    text = f"Ama’s : votre commande arrive par drone. Suivez-la : {link}"
    assert json.loads(request.body) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "233241234567",
        "type": "template",
        "template": {
            "name": "delivery_update",
            "language": {"code": "fr"},
            "components": [{"type": "body", "parameters": [{"type": "text", "text": text}]}],
        },
        "biz_opaque_callback_data": str(message.pk),
    }
    assert (message.state, message.gateway_id) == (State.SENT, WAMID)
    assert sms.received == []


@pytest.mark.parametrize("setting", ["WHATSAPP_TOKEN", "WHATSAPP_PHONE_NUMBER_ID"])
def test_a_channel_that_is_not_configured_is_never_chosen(
    meta: Receiver, sms: Receiver, settings: Settings, setting: str
):
    setattr(settings, setting, "")
    order = OrderFactory()
    send_all()
    assert list(order.messages.values_list("channel", flat=True)) == ["sms"]
    assert (len(meta.received), len(sms.received)) == (0, 1)


def test_a_refused_message_becomes_an_sms_once(meta: Receiver, sms: Receiver):
    meta.respond = refuse(131026)
    order = OrderFactory()
    for _ in range(3):
        send_all()
    message = order.messages.get(channel="whatsapp")
    assert (message.state, message.problem) == (
        State.REPLACED,
        "WhatsApp answered 400 (code 131026).",
    )
    assert order.messages.get(channel="sms").state == State.SENT
    assert (len(meta.received), len(sms.received)) == (1, 1)
    assert not list(unsent(Look(timezone.now())))


@pytest.mark.parametrize("respond", [lambda _: 503, refuse(131056), refuse(190, status=401)])
def test_a_temporary_refusal_is_retried_twice_before_the_sms(
    meta: Receiver, sms: Receiver, respond: Any
):
    meta.respond = respond
    order = OrderFactory()
    for _ in range(4):
        CustomerMessage.objects.update(next_try_at=timezone.now())
        send_all()
    assert order.messages.get(channel="whatsapp").state == State.REPLACED
    assert (len(meta.received), len(sms.received)) == (3, 1)


def test_without_sms_a_refused_message_is_given_up_and_shown(meta: Receiver, settings: Settings):
    settings.MESSAGE_CHANNELS = ["whatsapp"]
    meta.respond = refuse(131026)
    order = OrderFactory()
    send_all()
    assert order.messages.get().state == State.GIVEN_UP
    (item,) = unsent(Look(timezone.now()))
    assert "WhatsApp answered 400 (code 131026)." in item.detail


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b'{"messages": []}'])
def test_an_accepted_message_needs_no_readable_answer(meta: Receiver, answer: bytes):
    meta.respond = lambda _: (200, {}, answer)
    assert sent().state == State.SENT


def test_an_unreachable_api_is_retried(meta: Receiver, settings: Settings):
    settings.WHATSAPP_API_URL = "http://127.0.0.1:9"
    message = sent()
    assert message.state == State.WAITING
    assert message.problem == "WhatsApp was not reached: ConnectionRefusedError."


def test_no_number_no_code_and_no_token_is_logged(meta: Receiver, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    order = order_in(Status.LAUNCHED, pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)
    send_all()
    fail(order.messages.get(kind=Kind.LAUNCHED))
    assert any(code in request.body.decode() for request in meta.received)
    assert sending.REDACTED in order.messages.get(kind=Kind.LAUNCHED, channel="whatsapp").text
    for secret in ("24123", "EAAG", WAMID, code):
        assert secret not in caplog.text


def test_a_forgotten_customer_leaves_no_number_in_metas_id(meta: Receiver):
    order = order_in(Status.FAILED)
    send_all()
    message = order.messages.filter(channel="whatsapp").exclude(gateway_id="").get()
    retention.forgetting.send(Order, order=order)
    message.refresh_from_db()
    assert message.gateway_id == ""


# --- receipts ------------------------------------------------------------------------------------


def test_receipts_are_kept_in_any_order_and_shown(meta: Receiver, client: Client):
    message = sent()
    for status, kept in [
        ("delivered", Receipt.DELIVERED),
        ("sent", Receipt.DELIVERED),
        ("read", Receipt.READ),
        ("delivered", Receipt.READ),
        ("failed", Receipt.READ),
        ("warmed_up", Receipt.READ),
    ]:
        assert post(notification(message.pk, status)) == 200
        message.refresh_from_db()
        assert (message.receipt, message.state) == (kept, State.SENT)
    client.force_login(UserFactory(ops=True), backend="wingxtra.console.roles.RoleBackend")
    url = reverse("admin:orders_order_change", args=[message.order_id])
    _, _, section = client.get(url).content.decode().partition("Messages to the customer")
    assert re.search(r"Sent, read <time [^>]*>[^<]*18:35", section)


def fail(message: CustomerMessage) -> int:
    errors = [{"code": 131026, "title": "Message undeliverable", "message": "233241234567"}]
    return post(notification(message.pk, "failed", errors=errors))


def test_a_failed_message_becomes_an_sms_once(meta: Receiver, sms: Receiver):
    message = sent()
    for _ in range(3):
        assert fail(message) == 200
        send_all()
    message.refresh_from_db()
    assert (message.state, message.receipt) == (State.REPLACED, Receipt.FAILED)
    assert message.problem == "WhatsApp: Message undeliverable (131026)."
    (text,) = texts(sms)
    assert "your order comes by drone" in text


@pytest.mark.django_db(transaction=True)
def test_a_failure_that_is_reported_before_the_answer_counts(meta: Receiver, sms: Receiver):
    message = OrderFactory().messages.get()
    answer = meta.respond

    def fail_first(request: Received) -> Any:
        fail(message)  # in the thread of the server, with a connection of its own
        connection.close()
        return answer(request)

    meta.respond = fail_first
    for _ in range(2):
        send_all()
    message.refresh_from_db()
    assert (message.state, message.receipt) == (State.REPLACED, Receipt.FAILED)
    assert len(sms.received) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"entry": []},
        {"object": "whatsapp_business_account", "entry": [{"changes": [{"value": {}}]}]},
        notification(uuid4(), "delivered"),
        notification("of another system", "failed"),
        notification("", "read"),
    ],
)
def test_notifications_about_other_things_are_accepted(meta: Receiver, body: Any):
    assert post(body) == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"entry": {}}', b'"entry"'])
def test_a_body_of_another_form_is_refused(meta: Receiver, body: bytes):
    assert post(body) == 400


@pytest.mark.parametrize("signature", ["", "sha256=", "sha256=00", "sha1=00", "é"])
def test_an_unsigned_notification_changes_nothing(meta: Receiver, signature: str):
    message = sent()
    assert post(notification(message.pk, "failed"), signature) == 403
    message.refresh_from_db()
    assert (message.state, message.receipt) == (State.SENT, "")


def test_the_signature_is_of_the_very_bytes(meta: Receiver):
    message = sent()
    raw = json.dumps(notification(message.pk, "read")).encode()
    signature = f"sha256={hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()}"
    assert post(raw.replace(b": ", b":"), signature) == 403
    assert post(raw, signature) == 200


def test_a_large_body_is_refused(meta: Receiver, settings: Settings):
    settings.API_MAX_BODY_BYTES = 100
    assert post(b"x" * 101) == 413


# --- the handshake -------------------------------------------------------------------------------


def shake_hands(**asked: str) -> Any:
    query = {f"hub.{name}": value for name, value in asked.items()}
    return Client().get(reverse("whatsapp-hook"), query)


def test_the_handshake_answers_the_challenge(meta: Receiver):
    answer = shake_hands(mode="subscribe", verify_token=VERIFY, challenge="1158201444")
    assert (answer.status_code, answer.content) == (200, b"1158201444")
    assert answer.headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"mode": "subscribe", "verify_token": "other", "challenge": "1"},
        {"mode": "unsubscribe", "verify_token": VERIFY, "challenge": "1"},
    ],
)
def test_another_handshake_is_refused(meta: Receiver, asked: dict[str, str]):
    assert shake_hands(**asked).status_code == 403


@pytest.mark.parametrize("setting", ["WHATSAPP_APP_SECRET", "WHATSAPP_VERIFY_TOKEN"])
def test_without_its_settings_there_is_no_hook(meta: Receiver, settings: Settings, setting: str):
    setattr(settings, setting, "")
    assert shake_hands(mode="subscribe", verify_token=VERIFY).status_code == 404
    assert post(notification(uuid4(), "read")) == 404
