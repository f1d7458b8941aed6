"""The merchant's pages of webhooks: made, tried out, changed, and the log of deliveries."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from standardwebhooks import Webhook

from orders.tests.factories import OrderFactory
from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.tests.receiver import Receiver, WebhookFactory, deliver, receiving
from tracking.tests.test_merchant_access import client_of, user_of
from tracking.webhooks import deliveries, endpoints
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory

pytestmark = pytest.mark.django_db
LIVE, TEST = "/merchant/webhooks/", "/merchant/test/webhooks/"
URL = "https://shop.example/hooks"
SECRET = re.compile(r"whsec_[\w+/=]{32,}")
State = WebhookDelivery.State


@pytest.fixture
def merchant() -> Merchant:
    return MerchantFactory()


@pytest.fixture
def page(merchant: Merchant) -> Client:
    return client_of(user_of(merchant))


@pytest.fixture
def endpoint(merchant: Merchant) -> WebhookEndpoint:
    return WebhookFactory(merchant=merchant)


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.WEBHOOK_TRUSTED_HOSTS = ["127.0.0.1"]
    with receiving() as receiver:
        yield receiver


def content_of(answer: Any) -> str:
    return answer.content.decode()


def act(page: Client, endpoint: WebhookEndpoint, do: str, **form: Any) -> Any:
    return page.post(f"{LIVE}{endpoint.pk}/", {"do": do, **form})


# --- endpoints -----------------------------------------------------------------------------------


def test_a_webhook_is_added_and_its_secret_shown_once(
    page: Client, merchant: Merchant, receiver: Receiver
) -> None:
    form = {"url": receiver.url, "description": "shop", "events": ["order.delivered"]}
    answer = page.post(f"{TEST}new/", form)
    assert answer.status_code == 201
    [secret] = set(SECRET.findall(content_of(answer)))
    made = WebhookEndpoint.objects.get()
    assert (made.merchant, made.live_mode, made.url) == (merchant, False, receiver.url)
    assert (made.description, made.events) == ("shop", ["order.delivered"])

    [delivery] = [endpoints.make_test(made)]
    assert deliver(delivery.pk)
    [received] = receiver.received
    Webhook(secret).verify(received.body, received.headers)
    for path in (TEST, f"{TEST}{made.pk}/"):
        assert not SECRET.search(content_of(page.get(path)))


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"url": ""}, "blank"),
        ({"url": "http://shop.example/"}, "https"),
        ({"url": "https://127.0.0.1/"}, "127.0.0.1"),
        ({"url": URL, "description": "x" * 201}, "200"),
        ({"url": URL, "events": ["order.eaten"]}, "order.eaten"),
    ],
)
def test_bad_input_is_refused_like_the_apis(page: Client, form: dict[str, Any], words: str) -> None:
    answer = page.post(f"{LIVE}new/", form)
    assert answer.status_code == 400
    assert words in content_of(answer)
    assert not WebhookEndpoint.objects.exists()


def test_there_is_a_limit_of_webhooks(page: Client, merchant: Merchant) -> None:
    WebhookFactory.create_batch(endpoints.MAX_PER_MERCHANT, merchant=merchant)
    answer = page.post(f"{LIVE}new/", {"url": URL})
    assert answer.status_code == 400
    assert "16 webhooks already" in content_of(answer)


def test_a_webhook_is_changed(page: Client, endpoint: WebhookEndpoint) -> None:
    answer = act(page, endpoint, "change", url=f"{URL}/2", events=["order.failed"])
    assert answer.status_code == 303
    changed = WebhookEndpoint.objects.get()
    assert (changed.url, changed.events) == (f"{URL}/2", ["order.failed"])
    refused = act(page, endpoint, "change", url="nowhere")
    assert refused.status_code == 400
    assert 'value="nowhere"' in content_of(refused)
    assert WebhookEndpoint.objects.get().url == f"{URL}/2"


def test_a_webhook_is_switched_off_and_on(page: Client, endpoint: WebhookEndpoint) -> None:
    waiting = endpoints.make_test(endpoint)
    act(page, endpoint, "off")
    assert not WebhookEndpoint.objects.get().enabled
    assert WebhookDelivery.objects.get(pk=waiting.pk).state == State.GIVEN_UP
    refused = act(page, endpoint, "test")
    assert refused.status_code == 409
    assert "Switch it on first" in content_of(refused)
    act(page, endpoint, "on")
    assert WebhookEndpoint.objects.get().enabled


def test_a_webhook_that_we_switched_off_says_why(page: Client, endpoint: WebhookEndpoint) -> None:
    deliveries._switch_off(
        WebhookEndpoint.objects.all(), "It answered 410 (Gone).", endpoint.created_at
    )
    assert "Switched off by us" in content_of(page.get(LIVE))
    assert "It answered 410 (Gone)." in content_of(page.get(f"{LIVE}{endpoint.pk}/"))


def test_the_secret_is_changed_after_a_question(page: Client, endpoint: WebhookEndpoint) -> None:
    path = f"{LIVE}{endpoint.pk}/secret/"
    before = bytes(endpoint.secret)
    assert "both sign" in content_of(page.get(path))
    assert bytes(WebhookEndpoint.objects.get().secret) == before
    answer = page.post(path)
    assert SECRET.search(content_of(answer))
    assert "no-store" in answer["Cache-Control"]
    assert bytes(WebhookEndpoint.objects.get().former_secret or b"") == before
    assert "former secret signs until" in content_of(page.get(f"{LIVE}{endpoint.pk}/"))


def test_a_webhook_is_removed_after_a_question(page: Client, endpoint: WebhookEndpoint) -> None:
    path = f"{LIVE}{endpoint.pk}/remove/"
    page.get(path)
    assert WebhookEndpoint.objects.exists()
    assert page.post(path)["Location"] == LIVE
    assert not WebhookEndpoint.objects.exists()


def test_a_form_that_is_none_of_ours_changes_nothing(
    page: Client, endpoint: WebhookEndpoint
) -> None:
    assert act(page, endpoint, "explode").status_code == 400


# --- deliveries ----------------------------------------------------------------------------------


def test_a_test_event_is_sent_and_its_page_shows_the_answer(
    page: Client, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    endpoints.change(endpoint.pk, {"url": receiver.url})
    answer = act(page, endpoint, "test")
    delivery = WebhookDelivery.objects.get()
    assert answer["Location"] == f"{LIVE}deliveries/{delivery.pk}/?follow"
    assert 'http-equiv="refresh"' in content_of(page.get(answer["Location"]))

    receiver.respond = lambda _: (500, {}, b"<b>oh no</b>")
    deliver(delivery.pk)
    content = content_of(page.get(answer["Location"]))
    assert 'http-equiv="refresh"' not in content
    assert "&lt;b&gt;oh no&lt;/b&gt;" in content
    assert "The test event did not arrive." in content
    assert "This is a test. Your webhook works." in content


def test_a_delivery_is_sent_again_with_the_same_id(
    page: Client, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    endpoints.change(endpoint.pk, {"url": receiver.url})
    delivery = endpoints.make_test(endpoint)
    path = f"{LIVE}deliveries/{delivery.pk}/"
    receiver.respond = lambda _: 500
    deliver(delivery.pk)
    receiver.respond = lambda _: 204
    assert page.post(path).status_code == 303
    assert deliver(delivery.pk)
    assert receiver.ids == [str(delivery.pk)] * 2
    assert "Delivered" in content_of(page.get(path))

    endpoints.change(endpoint.pk, {"enabled": False})
    refused = page.post(path)
    assert refused.status_code == 409
    assert "Switch it on first" in content_of(refused)


def test_what_failed_is_sent_again_at_once(page: Client, merchant: Merchant) -> None:
    endpoint = WebhookFactory(merchant=merchant)
    OrderFactory(merchant=merchant)
    WebhookDelivery.objects.update(state=State.GIVEN_UP, tries=10)
    assert act(page, endpoint, "replay", hours="many").status_code == 400
    assert act(page, endpoint, "replay", hours="24").status_code == 303
    assert set(WebhookDelivery.objects.values_list("state", "tries")) == {("WAITING", 0)}
    content = content_of(page.get(f"{LIVE}{endpoint.pk}/"))
    assert "3 events are sent again, the oldest first." in content
    endpoints.change(endpoint.pk, {"enabled": False})
    assert act(page, endpoint, "replay", hours="24").status_code == 409


def test_the_log_is_filtered_by_state_and_goes_on_page_by_page(
    page: Client, endpoint: WebhookEndpoint
) -> None:
    for _ in range(30):
        endpoints.make_test(endpoint)
    given_up = WebhookDelivery.objects.first()
    assert given_up
    WebhookDelivery.objects.filter(pk=given_up.pk).update(state=State.GIVEN_UP)
    path = f"{LIVE}{endpoint.pk}/"

    def ids(content: str) -> set[str]:
        return set(re.findall(r"deliveries/([0-9a-f-]{36})/", content))

    assert ids(content_of(page.get(path, {"state": "GIVEN_UP"}))) == {str(given_up.pk)}
    first = content_of(page.get(path))
    found = re.search(r'href="([^"]*after=[^"#]*)', first)
    assert found
    second = content_of(page.get(found[1].replace("&amp;", "&")))
    assert (len(ids(first)), len(ids(second))) == (25, 5)
    assert len(ids(content_of(page.get(path, {"after": "broken"})))) == 25


def test_an_order_of_a_delivery_is_named_and_linked(page: Client, merchant: Merchant) -> None:
    endpoint = WebhookFactory(merchant=merchant)
    order = OrderFactory(merchant=merchant, external_id="A-1")
    content = content_of(page.get(f"{LIVE}{endpoint.pk}/"))
    assert f'<a href="/merchant/orders/{order.pk}/">A-1</a>' in content
    assert "order.created" in content


def test_each_page_takes_as_many_statements_for_many_rows(page: Client, merchant: Merchant) -> None:
    endpoint = WebhookFactory(merchant=merchant)
    OrderFactory(merchant=merchant)

    def statements(path: str) -> int:
        with CaptureQueriesContext(connection) as sent:
            assert page.get(path).status_code == 200
        return len(sent)

    paths = [LIVE, f"{LIVE}{endpoint.pk}/"]
    few = [statements(path) for path in paths]
    for _ in range(5):
        OrderFactory(merchant=merchant)
        WebhookFactory(merchant=merchant)
    assert [statements(path) for path in paths] == few
