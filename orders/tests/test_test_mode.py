"""Test keys place test orders; live and test orders are separate; scenarios are checked."""

from datetime import datetime

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import Order
from orders.tests.factories import OrderFactory
from orders.tests.test_api import ORDERS, body, contract, errors_of
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client, key_client

pytestmark = pytest.mark.django_db


@pytest.fixture
def merchant() -> Merchant:
    DroneFactory()
    return MerchantFactory()


@pytest.fixture
def test_key(merchant: Merchant) -> APIClient:
    return key_client(merchant=merchant, live_mode=False)


@pytest.fixture
def live_key(merchant: Merchant) -> APIClient:
    return key_client(merchant=merchant)


def test_an_order_placed_with_a_test_key_is_a_test_order(test_key: APIClient) -> None:
    for asked, got in (({}, "delivered"), ({"test_scenario": "aborted"}, "aborted")):
        answer = test_key.post(ORDERS, body(**asked))
        contract("order").validate(answer.json())
        assert (answer.status_code, answer.json()["live_mode"]) == (201, False)
        assert answer.json()["test_scenario"] == got


def test_a_live_order_has_no_scenario(live_key: APIClient) -> None:
    assert live_key.post(ORDERS, body()).json()["test_scenario"] is None
    answer = live_key.post(ORDERS, body(test_scenario="delivered"))
    assert errors_of(answer) == {("test_scenario", "test_key_needed")}
    assert Order.objects.count() == 1


def test_an_impossible_scenario_is_refused(test_key: APIClient) -> None:
    for scenario, code in (
        ("wrong_otp", "otp_needed"),
        ("code_locked", "otp_needed"),
        ("proof_missing", "proof_needed"),
        ("explodes", "invalid_choice"),
    ):
        answer = test_key.post(ORDERS, body(test_scenario=scenario))
        assert errors_of(answer) == {("test_scenario", code)}
    for scenario, promise_s in (("late", 40), ("at_risk", 80)):
        placed = test_key.post(ORDERS, body(test_scenario=scenario)).json()
        promise = datetime.fromisoformat(placed["deliver_by"]) - timezone.now()
        assert promise.total_seconds() == pytest.approx(promise_s, abs=10)
        refused = test_key.post(
            ORDERS, body(test_scenario=scenario, deliver_by=placed["deliver_by"])
        )
        assert errors_of(refused) == {("deliver_by", "set_by_scenario")}
    answer = test_key.post(ORDERS, body(test_scenario="wrong_otp", pod_requirement="OTP"))
    assert (answer.status_code, len(answer.json()["otp_code"])) == (201, 6)


def test_a_merchant_sees_only_the_mode_of_its_key(
    merchant: Merchant, live_key: APIClient, test_key: APIClient
) -> None:
    live, test = OrderFactory(merchant=merchant), OrderFactory(merchant=merchant, live_mode=False)
    user = api_client(UserFactory(merchant=merchant))
    for client, own, others in (
        (live_key, live, test),
        (user, live, test),
        (test_key, test, live),
    ):
        assert ids(client.get(ORDERS)) == {str(own.pk)}
        assert ids(client.get(f"{ORDERS}?live_mode=all")) == {str(own.pk)}
        mode = str(others.live_mode).lower()
        assert ids(client.get(f"{ORDERS}?live_mode={mode}")) == set()
        assert client.get(f"{ORDERS}/{own.pk}").status_code == 200
        for answer in (
            client.get(f"{ORDERS}/{others.pk}"),
            client.get(f"{ORDERS}/{others.pk}/events"),
            client.patch(f"{ORDERS}/{others.pk}", {"priority": "URGENT"}),
            client.post(f"{ORDERS}/{others.pk}/cancel", {}),
        ):
            assert answer.status_code == 404


def test_staff_see_test_orders_only_on_request() -> None:
    live, test = OrderFactory(), OrderFactory(live_mode=False)
    lifecycle.assign(test.pk, None, by=SYSTEM, why="A test.")
    ops = api_client(UserFactory(ops=True))
    for query, shown in (
        ("", {live}),
        ("?live_mode=true", {live}),
        ("?live_mode=false", {test}),
        ("?live_mode=all", {live, test}),
    ):
        assert ids(ops.get(f"{ORDERS}{query}")) == {str(order.pk) for order in shown}
    assert ops.get(f"{ORDERS}/{test.pk}").json()["live_mode"] is False
    assert ops.get("/api/v1/jobs").json()["total"] == 0
    assert ops.get("/api/v1/jobs?live_mode=all").json()["total"] == 1
    assert errors_of(ops.get(f"{ORDERS}?live_mode=perhaps")) == {("live_mode", "invalid_choice")}


def ids(answer: object) -> set[str]:
    return {item["id"] for item in answer.json()["items"]}  # type: ignore[attr-defined]
