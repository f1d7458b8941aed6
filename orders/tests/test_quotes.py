"""Quotes: their content, their validity, and the orders that name one."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import time_machine
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from fleet.live import weather
from fleet.models import ServiceArea
from fleet.tests.factories import DroneFactory
from orders.models import Order
from orders.tests.test_api import ORDERS, body, contract, errors_of
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client, key_client

pytestmark = pytest.mark.django_db
QUOTES = "/api/v1/quotes"


@pytest.fixture
def merchant() -> Merchant:
    DroneFactory()
    return MerchantFactory()


@pytest.fixture
def client(merchant: Merchant) -> APIClient:
    return api_client(UserFactory(merchant=merchant))


def test_a_quote_has_distance_and_eta_and_writes_nothing(client: APIClient) -> None:
    answer = client.post(QUOTES, body()).json()
    assert answer["serviceable"] is True
    assert answer["reasons"] == []
    assert answer["distance_m"] == pytest.approx(1829, abs=5)
    low, high = answer["eta_seconds"]["low"], answer["eta_seconds"]["high"]
    assert 120 < low <= high == 3600
    assert not Order.objects.exists()


def test_a_quote_of_a_test_key_knows_no_pause_and_no_storm(
    client: APIClient, merchant: Merchant, tmp_path: Path, settings: Settings
) -> None:
    """Test orders are flown by no drone, so nothing that grounds drones holds them up."""
    tests = key_client(merchant=merchant, live_mode=False)
    settings.WEATHER_SOURCE = str(tmp_path / "wind.json")
    reading = {"measured_at": timezone.now().isoformat(), "wind_mps": 30}
    (tmp_path / "wind.json").write_text(json.dumps(reading))
    weather.refresh()
    ServiceArea.objects.update(dispatch_paused=True)
    stopped = client.post(QUOTES, body()).json()
    assert stopped["eta_seconds"] == {"low": None, "high": None}
    answer = tests.post(QUOTES, body()).json()
    assert answer["eta_seconds"]["high"] == 3600
    assert (answer["serviceable"], answer["reasons"]) == (True, [])


def test_a_quote_for_an_undeliverable_trip_has_reasons(client: APIClient) -> None:
    answer = client.post(QUOTES, body(dropoff_lat=6.9, payload_weight_kg=50)).json()
    assert answer["serviceable"] is False
    assert {reason["code"] for reason in answer["reasons"]} == {
        "outside_service_area",
        "payload_too_heavy",
    }
    assert answer["eta_seconds"] == {"low": None, "high": None}
    assert answer["service_area_id"] is None


def test_an_order_keeps_the_quote_that_it_names(client: APIClient) -> None:
    quote = client.post(QUOTES, body()).json()
    left = datetime.fromisoformat(quote["expires_at"]) - timezone.now()
    assert timedelta(minutes=14) < left <= timedelta(minutes=15)
    answer = client.post(ORDERS, body(quote_id=quote["id"], customer_name="Ama Mensah"))
    assert (answer.status_code, answer.json()["quote_id"]) == (201, quote["id"])
    contract("order").validate(answer.json())


def test_a_quote_is_valid_for_15_minutes(client: APIClient) -> None:
    quote = client.post(QUOTES, body()).json()
    with time_machine.travel(timezone.now() + timedelta(minutes=15), tick=False):
        answer = client.post(ORDERS, body(quote_id=quote["id"]))
    assert errors_of(answer) == {("quote_id", "quote_expired")}
    assert not Order.objects.exists()


def test_another_merchants_quote_is_unknown(client: APIClient, merchant: Merchant) -> None:
    quote = client.post(QUOTES, body()).json()
    for other in (
        api_client(UserFactory(merchant=MerchantFactory())),
        key_client(merchant=merchant, live_mode=False),
    ):
        answer = other.post(ORDERS, body(quote_id=quote["id"]))
        assert errors_of(answer) == {("quote_id", "quote_unknown")}
    for wrong, code in ((str(uuid4()), "quote_unknown"), ("Q-1", "invalid")):
        answer = client.post(ORDERS, body(quote_id=wrong))
        assert errors_of(answer) == {("quote_id", code)}


def test_a_quote_is_for_one_trip(client: APIClient) -> None:
    quote = client.post(QUOTES, body()).json()
    answer = client.post(ORDERS, body(quote_id=quote["id"], payload_weight_kg=2.0))
    assert errors_of(answer) == {("quote_id", "quote_differs")}
    assert "payload_weight_kg" in answer.json()["detail"]


def test_an_order_with_a_quote_is_checked_again(client: APIClient, merchant: Merchant) -> None:
    quote = client.post(QUOTES, body(dropoff_lat=6.9)).json()
    assert not quote["serviceable"]
    answer = client.post(ORDERS, body(quote_id=quote["id"], dropoff_lat=6.9))
    assert errors_of(answer) == {("dropoff_lat", "outside_service_area")}


def test_a_quote_can_be_read_again_by_its_owner_only(client: APIClient) -> None:
    quote = client.post(QUOTES, body()).json()
    path = f"{QUOTES}/{quote['id']}"
    assert client.get(path).json() == quote
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        assert client.get(path).json() == quote  # expired, and it says so by expires_at
    assert key_client(merchant=MerchantFactory()).get(path).status_code == 404
    assert client.get(f"{QUOTES}/{uuid4()}").status_code == 404
