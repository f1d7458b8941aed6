"""`/merchant/orders/new/`: a quote first, then the order, once."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from fleet.models import ServiceArea
from fleet.tests.factories import DroneFactory
from orders.models import Order
from orders.states import Scenario
from orders.tests.factories import OrderFactory
from tracking.tests.test_merchant_access import client_of, user_of
from wingxtra import redis_client
from wingxtra.accounts.identity import ActorKind
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory

pytestmark = pytest.mark.django_db
LIVE, TEST = "/merchant/orders/new/", "/merchant/test/orders/new/"


@pytest.fixture
def merchant() -> Merchant:
    DroneFactory()
    return MerchantFactory()


@pytest.fixture
def client(merchant: Merchant) -> Client:
    return client_of(user_of(merchant))


def typed(**changed: str) -> dict[str, str]:
    form = {
        "pickup_name": "Ridge Pharmacy",
        "pickup": "5.6037, -0.1870",
        "dropoff": "5.6150 -0.1750",
        "payload_type": "PARCEL",
        "payload_weight_kg": "0,8",
        "priority": "NORMAL",
        "pod_requirement": "NONE",
        "customer_name": "Ama Mensah",
        "customer_phone": "+233 24 123 4567",
        "external_id": "SHOP-1",
    }
    return {**form, **changed}


def quoted(client: Client, path: str = LIVE, **changed: str) -> tuple[Any, dict[str, str]]:
    """The answer to the question, and the form to place the order with."""
    answer = client.post(path, {**typed(**changed), "quote": "yes", "token": "first"})
    content = answer.content.decode()
    hidden = dict(
        re.findall(r'<input type="hidden" name="(token|quote_id)" value="([^"]+)"', content)
    )
    return answer, {**typed(**changed), **hidden, "place": "yes"}


def errors(answer: Any) -> dict[str, list[str]]:
    return {name: list(found) for name, found in answer.context["form"].errors.items()}


def test_the_form_starts_where_the_last_order_was_picked_up(client, merchant):
    assert 'name="pickup"' in client.get(LIVE).content.decode()
    OrderFactory(merchant=MerchantFactory(), pickup_name="Elsewhere")
    OrderFactory(merchant=merchant, pickup_name="Ridge Pharmacy", pickup_lat=5.6, pickup_lng=-0.19)
    content = client.get(LIVE).content.decode()
    assert 'value="Ridge Pharmacy"' in content
    assert 'value="5.600000, -0.190000"' in content


def test_a_quote_comes_first_and_places_nothing(client):
    answer, form = quoted(client)
    content = answer.content.decode()
    assert re.search(r"We can deliver this in \d+ to 60 minutes\.", content)
    assert "The way is 1.8 km long." in content
    assert "Place the order" in content
    assert 'value="SHOP-1"' in content
    assert set(form) > {"token", "quote_id"}
    assert "Place the order" not in client.get(LIVE).content.decode()
    assert not Order.objects.exists()


def test_a_trip_that_we_cannot_fly_has_named_reasons(client):
    answer, _ = quoted(client, dropoff="6.9, -0.17", payload_weight_kg="50")
    content = answer.content.decode()
    assert "We cannot deliver this." in content
    assert "is in none of our service areas" in content
    assert "50 kg" in content
    assert "Place the order" not in content


def test_the_order_is_placed_as_by_the_api(client, merchant):
    _, form = quoted(client)
    answer = client.post(LIVE, form)
    assert answer.status_code == 201
    order = Order.objects.get()
    assert (order.merchant, order.live_mode, order.test_scenario) == (merchant, True, "")
    assert (order.dropoff_lat, order.payload_weight_kg) == (5.615, 0.8)
    assert str(order.customer_phone) == "+233241234567"
    assert str(order.quote_id) == form["quote_id"]
    assert order.events.first().actor_kind == ActorKind.USER
    content = answer.content.decode()
    assert f"/merchant/orders/{order.pk}/" in content
    assert f"/track/{order.public_tracking_id}/" in content


def test_every_problem_is_at_its_field_and_nothing_is_lost(client):
    wrong = typed(
        pickup="Ridge",
        dropoff="95, -0.17",
        payload_weight_kg="much",
        customer_phone="024",
        customer_email="ama",
        external_id="no spaces",
        deliver_by="2020-01-01T10:00",
    )
    for button in ("quote", "place"):
        answer = client.post(LIVE, {**wrong, button: "yes", "token": button})
        assert answer.status_code == 400
        assert set(errors(answer)) == {
            "pickup",
            "dropoff",
            "payload_weight_kg",
            "customer_phone",
            "customer_email",
            "external_id",
            "deliver_by",
        }
        assert errors(answer)["pickup"] == ["Give latitude and longitude, like 5.60370, -0.18700."]
        assert errors(answer)["payload_weight_kg"] == ["Must be a number."]
        content = answer.content.decode()
        for text in wrong.values():
            assert f'value="{text}"' in content
    assert not Order.objects.exists()


def test_an_empty_form_names_what_is_missing(client):
    answer = client.post(LIVE, {"place": "yes", "token": "1"})
    assert set(errors(answer)) == {"pickup", "dropoff", "payload_weight_kg"}


def test_a_used_reference_is_a_409_that_names_the_order(client, merchant):
    first = OrderFactory(merchant=merchant, external_id="SHOP-1")
    _, form = quoted(client)
    answer = client.post(LIVE, form)
    assert answer.status_code == 409
    assert str(first.pk) in answer.content.decode()
    assert 'value="Ama Mensah"' in answer.content.decode()


def test_a_trip_that_was_changed_after_the_quote_asks_again(client):
    _, form = quoted(client)
    answer = client.post(LIVE, {**form, "payload_weight_kg": "1.2"})
    assert answer.status_code == 400
    assert "The quote was for another “Weight in kg”." in answer.content.decode()
    assert "Place the order" not in answer.content.decode()
    assert not Order.objects.exists()


@pytest.fixture
def redis_away(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A function that takes Redis away until the end of the test."""

    def leave() -> None:
        monkeypatch.setattr(redis_client, "_paused_until", 0.0)  # reset after the test
        settings.REDIS_URL = "unix:///nowhere/redis.sock"
        redis_client.client.cache_clear()

    yield leave
    redis_client.client.cache_clear()


def test_without_redis_nothing_is_placed_and_nothing_is_lost(client, redis_away):
    _, form = quoted(client)
    redis_away()
    for sent in ({**typed(), "quote": "yes"}, form):
        answer = client.post(LIVE, sent)
        assert answer.status_code == 503
        assert "nothing was placed. Try again in a minute." in answer.content.decode()
        assert 'value="Ama Mensah"' in answer.content.decode()
    assert not Order.objects.exists()


# --- once ----------------------------------------------------------------------------------------


def test_a_second_click_shows_the_same_page_with_the_same_code(client):
    _, form = quoted(client, pod_requirement="OTP", external_id="")
    first, second = (client.post(LIVE, form) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    code = re.search(r'<p class="code number">(\d{6})</p>', first.content.decode())
    assert code
    assert code[0] in second.content.decode()
    assert Order.objects.count() == 1
    assert code[1] not in client.get(f"/merchant/orders/{Order.objects.get().pk}/").content.decode()


def test_a_form_that_was_sent_before_with_other_values_places_nothing(client):
    _, form = quoted(client)
    client.post(LIVE, form)
    answer = client.post(LIVE, {**form, "customer_name": "Kofi"})
    assert answer.status_code == 422
    assert "This form was sent before" in answer.content.decode()
    assert client.post(LIVE, {**typed(), "place": "yes"}).status_code == 422, "without a token"
    assert Order.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("same_form", "orders"), [(True, 1), (False, 4)])
def test_four_clicks_at_once_place_one_order(merchant, same_form, orders):
    """The control: four forms place four orders."""
    user = user_of(merchant)
    forms = [quoted(client_of(user), external_id="")[1] for _ in range(4)]

    def click(number: int) -> Any:
        try:
            return client_of(user).post(LIVE, forms[0 if same_form else number])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(click, range(4)))
    assert [answer.status_code for answer in answers] == [201] * 4
    assert Order.objects.count() == orders
    assert len({answer.content for answer in answers}) == orders


# --- test mode -----------------------------------------------------------------------------------


def test_a_test_order_has_a_scenario_and_stays_in_test_mode(client):
    content = client.get(TEST).content.decode()
    for scenario in Scenario:
        assert f'<option value="{scenario}"' in content
    assert "test_scenario" not in client.get(LIVE).content.decode()
    _, form = quoted(client, TEST, test_scenario="link_lost")
    answer = client.post(TEST, form)
    assert answer.status_code == 201
    order = Order.objects.get()
    assert (order.live_mode, order.test_scenario) == (False, Scenario.LINK_LOST)
    assert f'href="/merchant/test/orders/{order.pk}/?follow"' in answer.content.decode()


def test_a_scenario_that_needs_a_code_says_so_at_its_field(client):
    _, form = quoted(client, TEST, test_scenario="wrong_otp")
    answer = client.post(TEST, form)
    assert "needs" in errors(answer)["test_scenario"][0]


def test_a_live_quote_is_of_no_use_in_test_mode(client):
    _, form = quoted(client)
    answer = client.post(TEST, form)
    assert answer.status_code == 400
    assert "You have no such quote." in answer.content.decode()


def test_the_map_gets_the_areas_that_we_serve_and_its_tiles(client, settings):
    settings.MAP_TILE_URL = "https://tiles.example/{z}/{x}/{y}.png"
    answer = client.get(LIVE)
    assert "img-src 'self' data: https://tiles.example" in answer["Content-Security-Policy"]
    assert answer.context["areas"] == [ServiceArea.objects.get().polygon]
