"""Orders and quotes that name a store as their pickup, and the store's opening hours."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from fleet.tests.factories import DroneFactory, HubFactory
from orders import lifecycle, stores
from orders.changes import dropoff
from orders.models import Order, Store
from orders.states import DropoffSource
from orders.tests.factories import OrderFactory, StoreFactory
from orders.tests.test_api import ORDERS, body, contract, errors_of
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client, key_client

pytestmark = pytest.mark.django_db
QUOTES = "/api/v1/quotes"
MONDAY = "2026-11-30T"
BY_DAY = {
    "timezone": "Africa/Accra",
    "weekly": [{"weekday": "MONDAY", "opens": "08:00", "closes": "20:00"}],
    "exceptions": [],
}


@pytest.fixture
def merchant() -> Merchant:
    DroneFactory()
    return MerchantFactory()


@pytest.fixture
def client(merchant: Merchant) -> APIClient:
    return key_client(merchant=merchant)


@pytest.fixture
def store(merchant: Merchant) -> Store:
    made: Store = StoreFactory(merchant=merchant, name="Ridge")
    return made


def from_store(store: Store, **changes: Any) -> dict[str, Any]:
    return body(pickup_lat=None, pickup_lng=None, store_id=str(store.pk), **changes)


def at(text: str) -> Any:
    return time_machine.travel(datetime.fromisoformat(text), tick=False)


# --- placing -------------------------------------------------------------------------------------


def test_an_order_copies_the_pickup_of_its_store(client: APIClient, store: Store) -> None:
    answer = client.post(ORDERS, from_store(store))
    assert answer.status_code == 201, answer.content
    shown = answer.json()
    contract("order").validate(shown)
    assert (shown["store_id"], shown["pickup_name"]) == (str(store.pk), "Ridge")
    assert (shown["pickup_lat"], shown["pickup_lng"]) == (store.lat, store.lng)
    assert shown["custody"]["place"] == "Ridge"

    stores.change(store.pk, {"lat": 5.61, "lng": -0.18, "name": "Osu"})
    again = client.get(answer["Location"]).json()
    assert (again["pickup_lat"], again["pickup_name"]) == (shown["pickup_lat"], "Ridge")
    assert client.post(ORDERS, body()).json()["store_id"] is None


def test_a_null_store_is_none(client: APIClient) -> None:
    assert client.post(ORDERS, body() | {"store_id": None}).status_code == 201


@pytest.mark.parametrize("path", [ORDERS, QUOTES])
def test_an_order_has_a_store_or_a_pickup_and_not_both(
    client: APIClient, store: Store, path: str
) -> None:
    neither = client.post(path, body(pickup_lat=None, pickup_lng=None))
    assert errors_of(neither) == {("pickup_lat", "required"), ("pickup_lng", "required")}
    assert "store_id" in neither.json()["detail"]
    for more in (
        {"pickup_lat": 5.6},
        {"pickup_name": "Here"},
        {"pickup_lat": 5.6, "pickup_lng": -0.187},
    ):
        both = client.post(path, from_store(store) | more)
        assert errors_of(both) == {("store_id", "store_or_pickup")}, more
        assert set(more) <= set(both.json()["detail"].replace(",", "").split())


@pytest.mark.parametrize("path", [ORDERS, QUOTES])
def test_a_store_must_be_the_merchants_own_and_open(
    client: APIClient, merchant: Merchant, path: str
) -> None:
    not_theirs = [StoreFactory(), StoreFactory(merchant=merchant, live_mode=False)]
    for store_id in (*[one.pk for one in not_theirs], uuid4()):
        answer = client.post(path, from_store(Store(pk=store_id)))
        assert ("store_id", "store_unknown") in errors_of(answer)
    closed = client.post(path, from_store(StoreFactory(merchant=merchant, active=False)))
    assert errors_of(closed) == {("store_id", "store_inactive")}
    assert errors_of(client.post(path, body(pickup_lat=None, pickup_lng=None) | {"store_id": "B"}))
    assert not Order.objects.exists()


def test_a_foreign_store_tells_nothing_of_its_hours(client: APIClient) -> None:
    theirs = StoreFactory(hours={**BY_DAY, "weekly": [{**BY_DAY["weekly"][0]}]})
    with at(MONDAY + "21:00Z"):
        assert errors_of(client.post(ORDERS, from_store(theirs))) == {("store_id", "store_unknown")}


def test_staff_order_from_the_stores_of_the_merchant_that_they_name(store: Store) -> None:
    ops = api_client(UserFactory(ops=True))
    mine = from_store(store, merchant_id=str(store.merchant_id))
    assert ops.post(ORDERS, mine).json()["store_id"] == str(store.pk)
    other = ops.post(ORDERS, {**mine, "merchant_id": str(MerchantFactory().pk)})
    assert errors_of(other) == {("store_id", "store_unknown")}
    assert ops.post(QUOTES, from_store(store)).json()["serviceable"]


def test_a_test_key_orders_from_test_stores(merchant: Merchant, store: Store) -> None:
    caller = key_client(merchant=merchant, live_mode=False)
    assert errors_of(caller.post(ORDERS, from_store(store))) == {("store_id", "store_unknown")}
    of_tests = StoreFactory(merchant=merchant, name=store.name, live_mode=False)
    shown = caller.post(ORDERS, from_store(of_tests)).json()
    assert (shown["store_id"], shown["live_mode"]) == (str(of_tests.pk), False)


def test_the_pickup_of_a_store_is_checked_like_any_other(
    client: APIClient, merchant: Merchant
) -> None:
    far = StoreFactory(merchant=merchant, lat=6.9)
    assert errors_of(client.post(ORDERS, from_store(far))) == {
        ("pickup_lat", "outside_service_area")
    }


def test_a_store_costs_two_statements(client: APIClient, store: Store) -> None:
    def statements(sent: dict[str, Any]) -> int:
        with CaptureQueriesContext(connection) as found:
            assert client.post(ORDERS, sent).status_code == 201
        return len(found)

    client.post(ORDERS, body())
    assert statements(from_store(store)) == statements(body()) + 2


def test_orders_are_listed_by_store(client: APIClient, store: Store) -> None:
    order = client.post(ORDERS, from_store(store)).json()
    client.post(ORDERS, body())
    shown = client.get(f"{ORDERS}?store_id={store.pk}").json()
    assert [one["id"] for one in shown["items"]] == [order["id"]]
    assert client.get(f"{ORDERS}?store_id={uuid4()}").json()["total"] == 0
    assert client.get(f"{ORDERS}?store_id=Ridge").status_code == 400
    other = api_client(UserFactory(merchant=MerchantFactory()))
    assert other.get(f"{ORDERS}?store_id={store.pk}").json()["total"] == 0


# --- quotes --------------------------------------------------------------------------------------


def test_a_quote_by_store_is_for_an_order_by_store(client: APIClient, store: Store) -> None:
    quote = client.post(QUOTES, from_store(store)).json()
    assert quote["serviceable"] is True
    assert client.post(ORDERS, from_store(store, quote_id=quote["id"])).status_code == 201
    stores.change(store.pk, {"lat": 5.61, "lng": -0.18})
    moved = client.post(ORDERS, from_store(store, quote_id=quote["id"]))
    assert ("quote_id", "quote_differs") in errors_of(moved)


def test_a_quote_while_the_store_is_closed_says_until_when(
    client: APIClient, merchant: Merchant
) -> None:
    store = StoreFactory(merchant=merchant, name="Osu", hours=BY_DAY)
    with at(MONDAY + "07:30Z"):
        quote = client.post(QUOTES, from_store(store)).json()
        assert client.get(f"{QUOTES}/{quote['id']}").json() == quote
    assert quote["serviceable"] is False
    assert quote["reasons"] == [
        {
            "code": "closed",
            "message": "Osu is closed on Monday 30 November at 07:30 (Africa/Accra). "
            "It opens on Monday 30 November at 08:00.",
            "until": "2026-11-30T08:00:00Z",
        }
    ]


# --- opening hours -------------------------------------------------------------------------------


@pytest.fixture
def by_day(merchant: Merchant) -> Store:
    made: Store = StoreFactory(merchant=merchant, hours=BY_DAY)
    return made


@pytest.mark.parametrize(
    ("now", "window", "is_open"),
    [
        ("08:00Z", {}, True),
        ("07:59Z", {}, False),
        ("20:00Z", {}, False),
        ("07:00Z", {"not_before": MONDAY + "09:00Z"}, True),
        ("07:00Z", {"not_before": MONDAY + "07:30Z"}, False),
        ("07:30Z", {"ready_at": MONDAY + "08:10Z"}, True),
        ("12:00Z", {"not_before": MONDAY + "21:00Z"}, False),
        ("12:00Z", {"not_before": MONDAY + "18:00Z", "ready_at": MONDAY + "20:30Z"}, False),
    ],
)
def test_an_order_is_taken_if_its_pickup_is_within_the_hours(
    client: APIClient, by_day: Store, now: str, window: dict[str, str], is_open: bool
) -> None:
    with at(MONDAY + now):
        answer = client.post(ORDERS, from_store(by_day, **window))
    if is_open:
        assert answer.status_code == 201, answer.content
    else:
        assert errors_of(answer) == {("not_before", "closed")}


def test_the_refusal_names_the_next_opening_as_an_instant(client: APIClient, by_day: Store) -> None:
    with at(MONDAY + "20:00Z"):
        (error,) = client.post(ORDERS, from_store(by_day)).json()["errors"]
        assert error["until"] == "2026-12-07T08:00:00Z"
        again = client.post(ORDERS, from_store(by_day, not_before=error["until"]))
    assert again.status_code == 201
    assert "until" not in client.post(ORDERS, body(dropoff_lat=6.9)).json()["errors"][0]


def test_a_time_that_no_calendar_has_is_no_fault_of_ours(client: APIClient, by_day: Store) -> None:
    far = from_store(by_day, not_before="9999-12-31T23:59:59Z", ready_at="9999-12-31T23:59:59Z")
    assert ("not_before", "window_invalid") in errors_of(client.post(ORDERS, far))


def test_an_order_is_rescheduled_into_the_hours_only(client: APIClient, by_day: Store) -> None:
    with at(MONDAY + "12:00Z"):
        order = client.post(ORDERS, from_store(by_day)).json()
        path = f"{ORDERS}/{order['id']}/reschedule"
        assert errors_of(client.post(path, {"not_before": MONDAY + "21:00:00Z"})) == {
            ("not_before", "closed")
        }
        assert client.post(path, {"not_before": MONDAY + "18:00:00Z"}).status_code == 200


def test_a_parcel_at_a_hub_does_not_depend_on_the_stores_hours(
    client: APIClient, by_day: Store
) -> None:
    with at(MONDAY + "12:00Z"):
        order = client.post(ORDERS, from_store(by_day)).json()
        lifecycle.unloaded(order["id"], HubFactory().pk, by=SYSTEM)
        path = f"{ORDERS}/{order['id']}/reschedule"
        assert client.post(path, {"not_before": MONDAY + "21:00:00Z"}).status_code == 200


def test_the_drop_point_can_be_moved_after_the_store_has_closed(by_day: Store) -> None:
    with at(MONDAY + "19:59Z"):
        until = timezone.now() + timedelta(hours=1)
        order = OrderFactory(merchant=by_day.merchant, store=by_day, deliver_by=until)
    with at(MONDAY + "20:10Z"):
        drop = dropoff.Drop(lat=5.6152, lng=-0.1752, source=DropoffSource.MERCHANT)
        assert dropoff.move_dropoff(order.pk, drop, by=SYSTEM).changed
