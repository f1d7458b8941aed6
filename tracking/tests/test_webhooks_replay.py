"""“Send again what failed since then”: which messages, in which order, and once."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from orders.models import Order
from orders.states import Status
from orders.tests.factories import order_in
from tracking.models import WebhookDelivery, WebhookDeliveryQuerySet, WebhookEndpoint
from tracking.tests.receiver import Receiver, WebhookFactory, deliver, receiving
from tracking.webhooks import endpoints
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import (
    MerchantFactory,
    UserFactory,
    api_client,
    key_client,
)
from wingxtra.problems import Conflict

pytestmark = pytest.mark.django_db
State = WebhookDelivery.State
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.WEBHOOK_TRUSTED_HOSTS = ["127.0.0.1"]
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def endpoint(receiver: Receiver) -> WebhookEndpoint:
    return WebhookFactory(url=receiver.url)


def failed_order(endpoint: WebhookEndpoint, at: datetime = START) -> Order:
    """An order with three events: two were given up, the last one waits for its next try."""
    order = order_in(Status.QUEUED, merchant=endpoint.merchant)
    rows = WebhookDelivery.objects.filter(order=order)
    rows.update(created_at=at, tries=10, state=State.GIVEN_UP, given_up_because="Ten tries.")
    rows.filter(type="order.queued").update(
        tries=3,
        state=State.WAITING,
        given_up_because="",
        next_try_at=timezone.now() + DAY,
        first_tried_at=at,
        holds_until=at,
    )
    return order


def ids_of(*orders: Order) -> list[str]:
    """The ids of the messages of these orders, in the order of events."""
    return [
        str(pk)
        for order in orders
        for pk in order.webhook_deliveries.order_by("event_id").values_list("pk", flat=True)
    ]


def drain() -> None:
    while row := WebhookDelivery.objects.due(timezone.now()).first():
        assert deliver(row.pk)


def test_the_oldest_go_first_and_each_order_in_order(
    receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    later, earlier = failed_order(endpoint, START + DAY), failed_order(endpoint, START)
    assert endpoints.replay_failed(endpoint.pk, START) == 6
    first = WebhookDelivery.objects.due(timezone.now()).first()
    assert first is not None
    assert str(first.pk) == ids_of(earlier)[0]
    drain()
    for order in (earlier, later):
        assert [pk for pk in receiver.ids if pk in ids_of(order)] == ids_of(order)
    assert receiver.ids[0] == ids_of(earlier)[0]
    assert not WebhookDelivery.objects.exclude(state=State.DELIVERED).exists()


def test_a_second_call_finds_nothing(receiver: Receiver, endpoint: WebhookEndpoint) -> None:
    failed_order(endpoint)
    assert endpoints.replay_failed(endpoint.pk, START) == 3
    assert endpoints.replay_failed(endpoint.pk, START) == 0
    drain()
    assert endpoints.replay_failed(endpoint.pk, START) == 0
    assert len(receiver.ids) == len(set(receiver.ids)) == 3


def test_only_what_failed_since_then_at_this_endpoint(endpoint: WebhookEndpoint) -> None:
    failed_order(endpoint, START - timedelta(seconds=1))
    failed_order(WebhookFactory())
    test = endpoints.make_test(endpoint)
    WebhookDelivery.objects.filter(pk=test.pk).update(state=State.GIVEN_UP, tries=1)
    fresh = order_in(Status.QUEUED, merchant=endpoint.merchant)
    created, validated, queued = ids_of(fresh)
    WebhookDelivery.objects.filter(pk=created).update(state=State.DELIVERED, tries=1)
    WebhookDelivery.objects.filter(pk=queued).update(
        tries=1, claimed_until=timezone.now() + DAY
    )  # it is being tried
    before = list(WebhookDelivery.objects.order_by("pk").values())
    assert endpoints.replay_failed(endpoint.pk, START) == 0
    assert list(WebhookDelivery.objects.order_by("pk").values()) == before
    WebhookDelivery.objects.filter(pk=validated).update(tries=1)
    assert endpoints.replay_failed(endpoint.pk, START) == 1


def test_each_message_has_all_its_tries_and_holds_back_again(endpoint: WebhookEndpoint) -> None:
    order = failed_order(endpoint)
    endpoints.replay_failed(endpoint.pk, START)
    for row in WebhookDelivery.objects.filter(order=order):
        assert (row.state, row.tries, row.given_up_because) == (State.WAITING, 0, "")
        assert (row.first_tried_at, row.holds_until, row.next_try_at) == (None, None, START)


def test_one_statement_for_any_number(
    endpoint: WebhookEndpoint, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(5):
        failed_order(endpoint)
    with django_assert_num_queries(4):  # savepoint, lock, update, release
        assert endpoints.replay_failed(endpoint.pk, START) == 15


def test_an_endpoint_that_is_off_refuses(endpoint: WebhookEndpoint) -> None:
    failed_order(endpoint)
    endpoints.change(endpoint.pk, {"enabled": False})
    with pytest.raises(Conflict, match="switched off"):
        endpoints.replay_failed(endpoint.pk, START)


# --- two at the same time ------------------------------------------------------------------------


def replayed_twice_at_once(endpoint: WebhookEndpoint) -> list[int]:
    ready = threading.Barrier(2)

    def replay() -> int:
        ready.wait(10)
        try:
            return endpoints.replay_failed(endpoint.pk, START)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        return sorted(done.result(30) for done in [pool.submit(replay) for _ in range(2)])


@pytest.mark.django_db(transaction=True)
def test_of_two_calls_at_the_same_time_one_finds_nothing(endpoint: WebhookEndpoint) -> None:
    failed_order(endpoint)
    assert replayed_twice_at_once(endpoint) == [0, 3]


@pytest.mark.django_db(transaction=True)
def test_control_with_ids_that_were_read_before_both_find_them(
    endpoint: WebhookEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_order(endpoint)
    both_have_read = threading.Barrier(2)
    failed_since: Callable[..., Any] = WebhookDeliveryQuerySet.failed_since

    def read_before(rows: Any, *arguments: Any) -> Any:
        pks = list(failed_since(rows, *arguments).values_list("pk", flat=True))
        both_have_read.wait(10)
        return rows.filter(pk__in=pks)

    monkeypatch.setattr(WebhookDeliveryQuerySet, "failed_since", read_before)
    monkeypatch.setattr(endpoints, "_locked", lambda pk, no_key: WebhookEndpoint.objects.get(pk=pk))
    assert replayed_twice_at_once(endpoint) == [3, 3]


# --- by API and in the console -------------------------------------------------------------------


def path_of(endpoint: WebhookEndpoint) -> str:
    return f"/api/v1/webhooks/{endpoint.pk}/replay"


def test_a_merchant_and_an_administrator_are_told_how_many(endpoint: WebhookEndpoint) -> None:
    shop = api_client(UserFactory(merchant=endpoint.merchant))
    failed_order(endpoint)
    answer = shop.post(path_of(endpoint), {"since": "2026-03-01T12:00:00Z"})
    assert answer.status_code == 202
    assert answer.json() == {"webhook_id": str(endpoint.pk), "replayed": 3}
    failed_order(endpoint)
    admin = api_client(UserFactory(admin=True))
    answer = admin.post(path_of(endpoint), {"since": "2026-03-01T13:00:00+01:00"})
    assert answer.json()["replayed"] == 3


def strangers(endpoint: WebhookEndpoint) -> list[tuple[APIClient, int]]:
    return [
        (api_client(UserFactory(merchant=MerchantFactory())), 404),
        (key_client(merchant=endpoint.merchant, live_mode=False), 404),
        (api_client(UserFactory(ops=True)), 403),
        (key_client(role=Role.READONLY), 403),
        (api_client(), 401),
    ]


def test_no_other_may(endpoint: WebhookEndpoint) -> None:
    failed_order(endpoint)
    for client, status in strangers(endpoint):
        answer = client.post(path_of(endpoint), {"since": "2026-03-01T12:00:00Z"})
        assert answer.status_code == status
    assert WebhookDelivery.objects.filter(tries=10).count() == 2


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, ("since", "required")),
        ({"since": None}, ("since", "null")),
        ({"since": "yesterday"}, ("since", "invalid")),
        ({"since": "2026-03-01T12:00:00"}, ("since", "naive")),
        ({"since": "2026-03-01T12:00:00Z", "until": "now"}, ("until", "unknown_field")),
    ],
)
def test_bad_input_is_named(
    endpoint: WebhookEndpoint, body: dict[str, Any], problem: tuple[str, str]
) -> None:
    shop = api_client(UserFactory(merchant=endpoint.merchant))
    answer = shop.post(path_of(endpoint), body)
    assert answer.status_code == 400
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [problem]


def test_a_webhook_that_is_off_is_a_conflict(endpoint: WebhookEndpoint) -> None:
    endpoints.change(endpoint.pk, {"enabled": False})
    shop = api_client(UserFactory(merchant=endpoint.merchant))
    answer = shop.post(path_of(endpoint), {"since": "2026-03-01T12:00:00Z"})
    assert (answer.status_code, answer.json()["code"]) == (409, "webhook_is_off")


def test_the_console_offers_the_same(client: Client, endpoint: WebhookEndpoint) -> None:
    client.force_login(UserFactory(ops=True), backend="wingxtra.console.roles.RoleBackend")
    failed_order(endpoint, timezone.now() - timedelta(hours=2))
    action = reverse("admin:act", args=["tracking.webhookendpoint", "replay-failed"])
    form = client.get(f"{action}?id={endpoint.pk}").content.decode()
    assert "Events since (UTC)" in form
    too_late = timezone.now() - timedelta(hours=1)
    for since, count in ((too_late, 0), (too_late - timedelta(hours=2), 3)):
        moment = since.strftime("%Y-%m-%dT%H:%M")
        answer = client.post(f"{action}?id={endpoint.pk}", {"since": moment}, follow=True)
        assert f"{count} messages that failed since" in answer.content.decode()
    endpoints.change(endpoint.pk, {"enabled": False})
    assert "It is switched off." in client.get(f"{action}?id={endpoint.pk}").content.decode()
