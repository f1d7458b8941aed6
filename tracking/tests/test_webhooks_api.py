"""Webhooks by API: permissions, answers and refusals."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient
from standardwebhooks import Webhook

from orders.states import Status
from orders.tests.factories import order_in
from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.tests.receiver import Receiver, WebhookFactory, deliver, receiving
from tracking.webhooks import endpoints
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client, key_client

pytestmark = pytest.mark.django_db
WEBHOOKS = "/api/v1/webhooks"
URL = "https://shop.example/hooks"


@pytest.fixture
def merchant() -> Merchant:
    return MerchantFactory()


@pytest.fixture
def shop(merchant: Merchant) -> APIClient:
    return api_client(UserFactory(merchant=merchant))


@pytest.fixture
def admin() -> APIClient:
    return api_client(UserFactory(admin=True))


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.WEBHOOK_TRUSTED_HOSTS = ["127.0.0.1"]
    with receiving() as receiver:
        yield receiver


def problems(answer: Any) -> set[tuple[str, str]]:
    assert answer.status_code == 400, answer.content
    return {(error["field"], error["code"]) for error in answer.json()["errors"]}


def delivery_of(endpoint: WebhookEndpoint) -> WebhookDelivery:
    return endpoints.make_test(endpoint)


# --- create, read, change, delete ----------------------------------------------------------------


def test_a_merchant_adds_a_webhook_and_sees_its_secret_once(
    shop: APIClient, merchant: Merchant
) -> None:
    answer = shop.post(WEBHOOKS, {"url": URL, "events": ["order.delivered"]})
    assert answer.status_code == 201
    made = answer.json()
    assert made["secret"].startswith("whsec_")
    assert answer.headers["Location"] == f"{WEBHOOKS}/{made['id']}"
    shown = shop.get(f"{WEBHOOKS}/{made['id']}").json()
    assert shown == {
        "id": made["id"],
        "merchant_id": str(merchant.pk),
        "live_mode": True,
        "url": URL,
        "description": "",
        "events": ["order.delivered"],
        "enabled": True,
        "switched_off_at": None,
        "switched_off_because": None,
        "former_secret_until": None,
        "last_success_at": None,
        "created_at": made["created_at"],
        "updated_at": made["updated_at"],
    }
    assert shop.get(WEBHOOKS).json()["items"] == [shown]


def test_the_secret_of_the_answer_is_the_one_that_signs(
    shop: APIClient, receiver: Receiver
) -> None:
    made = shop.post(WEBHOOKS, {"url": receiver.url}).json()
    answer = shop.post(f"{WEBHOOKS}/{made['id']}/test")
    assert answer.status_code == 202
    assert (answer.json()["state"], answer.json()["type"]) == ("WAITING", "webhook.test")
    assert deliver(UUID(answer.json()["id"]))
    (got,) = receiver.received
    assert Webhook(made["secret"]).verify(got.body, got.headers)["type"] == "webhook.test"
    shown = shop.get(f"/api/v1/webhook-deliveries/{answer.json()['id']}").json()
    assert shown["state"] == "DELIVERED"
    assert [attempt["status"] for attempt in shown["attempts"]] == [204]


def test_a_repeated_request_adds_one_webhook_and_returns_the_same_secret() -> None:
    client = key_client(merchant=MerchantFactory())
    first, again = (
        client.post(WEBHOOKS, {"url": URL}, HTTP_IDEMPOTENCY_KEY="once") for _ in range(2)
    )
    assert first.json() == again.json()
    assert WebhookEndpoint.objects.count() == 1


def test_a_rotation_returns_a_new_secret_and_how_long_the_former_one_signs(
    shop: APIClient,
) -> None:
    made = shop.post(WEBHOOKS, {"url": URL}).json()
    rotated = shop.post(f"{WEBHOOKS}/{made['id']}/rotate-secret")
    assert rotated.status_code == 200
    assert rotated.json()["secret"] != made["secret"]
    assert rotated.json()["former_secret_until"] is not None


def test_a_webhook_can_be_changed_and_paused(shop: APIClient) -> None:
    path = f"{WEBHOOKS}/{shop.post(WEBHOOKS, {'url': URL}).json()['id']}"
    other = {"url": f"{URL}/2", "events": ["order.failed", "order.created"], "description": "Till"}
    changed = shop.patch(path, other).json()
    assert {name: changed[name] for name in other} == {
        **other,
        "events": ["order.created", "order.failed"],
    }
    paused = shop.patch(path, {"enabled": False}).json()
    assert (paused["enabled"], paused["switched_off_at"]) == (False, None)
    assert shop.post(f"{path}/test").json()["code"] == "webhook_is_off"
    assert shop.patch(path, {"enabled": True}).json()["enabled"]


def test_a_webhook_that_was_switched_off_says_why_and_can_be_switched_on(
    shop: APIClient, merchant: Merchant, receiver: Receiver
) -> None:
    receiver.respond = lambda _: 410
    endpoint = WebhookFactory(merchant=merchant, url=receiver.url)
    deliver(endpoints.make_test(endpoint).pk)
    path = f"{WEBHOOKS}/{endpoint.pk}"
    off = shop.get(path).json()
    assert off["enabled"] is False
    assert off["switched_off_at"] is not None
    assert off["switched_off_because"] == "It answered 410 (Gone)."
    on = shop.patch(path, {"enabled": True}).json()
    assert (on["enabled"], on["switched_off_because"]) == (True, None)


def test_pausing_gives_up_waiting_deliveries(shop: APIClient, merchant: Merchant) -> None:
    endpoint = WebhookFactory(merchant=merchant)
    delivery_of(endpoint)
    shop.patch(f"{WEBHOOKS}/{endpoint.pk}", {"enabled": False})
    (delivery,) = shop.get(f"{WEBHOOKS}/{endpoint.pk}/deliveries").json()["items"]
    assert delivery["state"] == "GIVEN_UP"
    assert delivery["given_up_because"] == "The webhook was switched off."
    assert delivery["next_try_at"] is None


def test_a_webhook_is_deleted_with_its_deliveries(shop: APIClient, merchant: Merchant) -> None:
    endpoint = WebhookFactory(merchant=merchant)
    delivery_of(endpoint)
    assert shop.delete(f"{WEBHOOKS}/{endpoint.pk}").status_code == 204
    assert shop.delete(f"{WEBHOOKS}/{endpoint.pk}").status_code == 404
    assert not WebhookDelivery.objects.exists()


def test_the_number_of_webhooks_per_merchant_is_limited(
    shop: APIClient, merchant: Merchant
) -> None:
    WebhookFactory.create_batch(endpoints.MAX_PER_MERCHANT, merchant=merchant)
    answer = shop.post(WEBHOOKS, {"url": URL})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")


# --- deliveries ----------------------------------------------------------------------------------


def test_deliveries_are_listed_newest_first_and_can_be_filtered(
    shop: APIClient, merchant: Merchant
) -> None:
    endpoint = WebhookFactory(merchant=merchant)
    order = order_in(Status.QUEUED, merchant=merchant)
    order_in(Status.QUEUED, merchant=merchant)
    path = f"{WEBHOOKS}/{endpoint.pk}/deliveries"
    assert shop.get(path).json()["total"] == 6
    found = shop.get(path, {"order_id": str(order.pk), "type": "order.queued"}).json()["items"]
    assert [(one["order_id"], one["type"]) for one in found] == [(str(order.pk), "order.queued")]
    assert shop.get(path, {"state": "DELIVERED"}).json()["total"] == 0
    assert shop.get(path, {"state": "NONSENSE"}).status_code == 400
    walked = shop.get(path, {"cursor": "", "page_size": 4}).json()
    assert len(walked["items"]) == 4
    rest = shop.get(path, {"cursor": walked["next_cursor"], "page_size": 4}).json()
    assert len(rest["items"]) == 2


def test_a_delivery_can_be_replayed(
    shop: APIClient, merchant: Merchant, receiver: Receiver
) -> None:
    delivery = delivery_of(WebhookFactory(merchant=merchant, url=receiver.url))
    deliver(delivery.pk)
    answer = shop.post(f"/api/v1/webhook-deliveries/{delivery.pk}/replay")
    assert (answer.status_code, answer.json()["state"]) == (202, "WAITING")
    assert deliver(delivery.pk)
    assert len(receiver.received) == 2


def test_nothing_is_replayed_to_a_webhook_that_is_off(shop: APIClient, merchant: Merchant) -> None:
    endpoint = WebhookFactory(merchant=merchant)
    delivery = delivery_of(endpoint)
    endpoints.change(endpoint.pk, {"enabled": False})
    answer = shop.post(f"/api/v1/webhook-deliveries/{delivery.pk}/replay")
    assert (answer.status_code, answer.json()["code"]) == (409, "webhook_is_off")


# --- permissions ---------------------------------------------------------------------------------


def calls(endpoint: WebhookEndpoint, delivery: WebhookDelivery) -> list[tuple[str, str]]:
    path = f"{WEBHOOKS}/{endpoint.pk}"
    return [
        ("get", path),
        ("patch", path),
        ("post", f"{path}/rotate-secret"),
        ("post", f"{path}/test"),
        ("get", f"{path}/deliveries"),
        ("get", f"/api/v1/webhook-deliveries/{delivery.pk}"),
        ("post", f"/api/v1/webhook-deliveries/{delivery.pk}/replay"),
        ("delete", path),
    ]


@pytest.fixture
def every_call(merchant: Merchant) -> list[tuple[str, str]]:
    endpoint = WebhookFactory(merchant=merchant)
    return calls(endpoint, delivery_of(endpoint))


def test_another_merchants_webhook_is_not_found(every_call: list[tuple[str, str]]) -> None:
    stranger = api_client(UserFactory(merchant=MerchantFactory()))
    before = list(WebhookEndpoint.objects.values()), list(WebhookDelivery.objects.values())
    for method, path in every_call:
        answer = getattr(stranger, method)(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    assert stranger.get(WEBHOOKS).json()["items"] == []
    after = list(WebhookEndpoint.objects.values()), list(WebhookDelivery.objects.values())
    assert before == after


def test_a_test_key_has_webhooks_of_its_own_and_sees_no_other(merchant: Merchant) -> None:
    live = key_client(merchant=merchant)
    test = key_client(merchant=merchant, live_mode=False)
    made = {}
    for client, is_live in ((live, True), (test, False)):
        made[is_live] = client.post(WEBHOOKS, {"url": URL}).json()
        assert made[is_live]["live_mode"] is is_live
        assert [one["id"] for one in client.get(WEBHOOKS).json()["items"]] == [made[is_live]["id"]]
    path = f"{WEBHOOKS}/{made[True]['id']}"
    delivery = delivery_of(WebhookEndpoint.objects.get(pk=made[True]["id"]))
    for answer in (
        test.get(path),
        test.patch(path, {"url": f"{URL}/stolen"}),
        test.post(f"{path}/rotate-secret"),
        test.get(f"{path}/deliveries"),
        test.get(f"/api/v1/webhook-deliveries/{delivery.pk}"),
        test.delete(path),
    ):
        assert answer.status_code == 404


def test_ops_and_strangers_may_do_nothing(every_call: list[tuple[str, str]]) -> None:
    ops = api_client(UserFactory(ops=True))
    for method, path in [*every_call, ("get", WEBHOOKS), ("post", WEBHOOKS)]:
        assert getattr(ops, method)(path).status_code == 403, path
        assert getattr(api_client(), method)(path).status_code == 401, path


def test_an_administrator_may_do_everything(
    admin: APIClient, every_call: list[tuple[str, str]]
) -> None:
    for method, path in every_call:
        assert getattr(admin, method)(path).status_code < 300, path


def test_an_administrator_names_the_merchant(admin: APIClient, merchant: Merchant) -> None:
    assert problems(admin.post(WEBHOOKS, {"url": URL})) == {("merchant_id", "required")}
    unknown = admin.post(WEBHOOKS, {"url": URL, "merchant_id": str(uuid4())})
    assert problems(unknown) == {("merchant_id", "does_not_exist")}
    made = admin.post(WEBHOOKS, {"url": URL, "merchant_id": str(merchant.pk)})
    assert made.json()["merchant_id"] == str(merchant.pk)
    WebhookFactory()
    assert admin.get(WEBHOOKS).json()["total"] == 2
    assert admin.get(WEBHOOKS, {"merchant_id": str(merchant.pk)}).json()["total"] == 1


def test_a_merchant_can_add_webhooks_only_for_itself(shop: APIClient, merchant: Merchant) -> None:
    own = {"url": URL, "merchant_id": str(merchant.pk)}
    assert shop.post(WEBHOOKS, own).status_code == 201
    other = {"url": URL, "merchant_id": str(MerchantFactory().pk)}
    assert problems(shop.post(WEBHOOKS, other)) == {("merchant_id", "not_yours")}


def test_read_only_keys_may_not_list_webhooks(merchant: Merchant) -> None:
    assert key_client(role=Role.READONLY).get(WEBHOOKS).status_code == 403


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {("url", "required")}),
        ({"url": None}, {("url", "null")}),
        ({"url": 7}, {("url", "invalid")}),
        ({"url": ""}, {("url", "blank")}),
        ({"url": "shop.example"}, {("url", "invalid")}),
        ({"url": "http://shop.example/"}, {("url", "https_required")}),
        ({"url": "https://10.0.0.1/"}, {("url", "private_address")}),
        ({"url": "https://[::ffff:127.0.0.1]/"}, {("url", "private_address")}),
        ({"url": "https://shop.example/" + "x" * 2000}, {("url", "max_length")}),
        ({"url": URL, "events": "order.created"}, {("events", "not_a_list")}),
        ({"url": URL, "events": ["order.exploded"]}, {("events", "unknown_event")}),
        ({"url": URL, "description": "x" * 201}, {("description", "max_length")}),
        ({"url": URL, "secret": "whsec_mine"}, {("secret", "unknown_field")}),
        ({"url": URL, "merchant_id": "x"}, {("merchant_id", "invalid")}),
        (
            {"url": "x", "events": ["y"], "colour": "red"},
            {("url", "invalid"), ("events", "unknown_event"), ("colour", "unknown_field")},
        ),
    ],
)
def test_bad_input_is_refused_with_all_errors(
    shop: APIClient, body: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    assert problems(shop.post(WEBHOOKS, body)) == expected
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"url": "http://shop.example/"}, {("url", "https_required")}),
        ({"enabled": "yes"}, {("enabled", "invalid")}),
        ({"enabled": None}, {("enabled", "null")}),
        ({"merchant_id": str(uuid4())}, {("merchant_id", "unknown_field")}),
    ],
)
def test_bad_changes_are_refused(
    shop: APIClient, merchant: Merchant, body: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    endpoint = WebhookFactory(merchant=merchant)
    assert problems(shop.patch(f"{WEBHOOKS}/{endpoint.pk}", body)) == expected
    assert WebhookEndpoint.objects.get().url == endpoint.url


@pytest.mark.parametrize("path", ["/api/v1/webhooks/7", "/api/v1/webhook-deliveries/x/replay"])
def test_a_malformed_id_is_not_found(shop: APIClient, path: str) -> None:
    assert shop.get(path).status_code == 404


# --- cost ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 15])
def test_lists_take_the_same_number_of_queries_at_any_length(
    shop: APIClient,
    merchant: Merchant,
    count: int,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    endpoints = WebhookFactory.create_batch(count, merchant=merchant)
    for _ in range(count):
        delivery_of(endpoints[0])
    with django_assert_num_queries(2):
        assert len(shop.get(WEBHOOKS).json()["items"]) == count
    with django_assert_num_queries(3):
        found = shop.get(f"{WEBHOOKS}/{endpoints[0].pk}/deliveries").json()["items"]
        assert len(found) == count
