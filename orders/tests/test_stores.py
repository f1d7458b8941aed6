"""Stores over HTTP: adding, listing, changing and removing them, with roles and bad input."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from fleet.tests.factories import ServiceAreaFactory
from orders import lifecycle, stores, unit_of_work
from orders.models import Order, Store
from orders.tests.factories import OrderFactory, StoreFactory
from orders.tests.test_api import errors_of
from orders.tests.test_lifecycle_races import at_once
from wingxtra.accounts.identity import SYSTEM, Role
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client, key_client
from wingxtra.problems import Invalid

pytestmark = pytest.mark.django_db
STORES = "/api/v1/stores"
HOURS = {
    "timezone": "Africa/Accra",
    "weekly": [{"weekday": "MONDAY", "opens": "08:00", "closes": "20:00"}],
    "exceptions": [{"date": "2026-12-25", "intervals": []}],
}


def body(**changes: Any) -> dict[str, Any]:
    """The body of a new store; a change to None removes the field."""
    fields = {"name": "Ridge", "lat": 5.6037, "lng": -0.1870, **changes}
    return {name: value for name, value in fields.items() if value is not None}


@pytest.fixture
def merchant() -> Merchant:
    ServiceAreaFactory()
    return MerchantFactory()


@pytest.fixture
def client(merchant: Merchant) -> APIClient:
    return api_client(UserFactory(merchant=merchant))


# --- adding --------------------------------------------------------------------------------------


def test_a_merchant_adds_a_store(client: APIClient, merchant: Merchant) -> None:
    answer = client.post(STORES, body(instructions="Back door.", hours=HOURS))
    assert answer.status_code == 201, answer.content
    shown = answer.json()
    assert answer["Location"] == f"{STORES}/{shown['id']}"
    assert (shown["merchant_id"], shown["live_mode"], shown["active"]) == (
        str(merchant.pk),
        True,
        True,
    )
    assert shown["hours"] == HOURS
    assert client.get(answer["Location"]).json() == shown


def test_hours_are_optional_and_weekdays_in_any_case(client: APIClient) -> None:
    assert client.post(STORES, body()).json()["hours"] is None
    entry = {"weekday": "friday", "opens": "20:00", "closes": "02:00"}
    shown = client.post(STORES, body(name="B", hours={**HOURS, "weekly": [entry]})).json()
    assert shown["hours"]["weekly"] == [{**entry, "weekday": "FRIDAY"}]


def test_an_administrator_names_the_merchant(merchant: Merchant) -> None:
    admin = api_client(UserFactory(admin=True))
    assert errors_of(admin.post(STORES, body())) == {("merchant_id", "required")}
    wrong = admin.post(STORES, body(merchant_id=str(uuid4())))
    assert errors_of(wrong) == {("merchant_id", "does_not_exist")}
    named = admin.post(STORES, body(merchant_id=str(merchant.pk)))
    assert named.json()["merchant_id"] == str(merchant.pk)


def test_a_merchant_adds_stores_for_itself_only(client: APIClient) -> None:
    answer = client.post(STORES, body(merchant_id=str(MerchantFactory().pk)))
    assert errors_of(answer) == {("merchant_id", "not_yours")}


@pytest.mark.parametrize("role", [Role.OPS, Role.READONLY])
def test_other_roles_have_no_stores(role: Role) -> None:
    caller = key_client(role=role)
    path = f"{STORES}/{StoreFactory().pk}"
    for answer in (
        caller.get(STORES),
        caller.post(STORES, body()),
        caller.get(path),
        caller.patch(path, {"name": "B"}),
        caller.delete(path),
    ):
        assert answer.status_code == 403


INTERVAL = {"opens": "08:00", "closes": "20:00"}


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"name": None}, "name", "required"),
        ({"name": " "}, "name", "blank"),
        ({"name": "x" * 121}, "name", "max_length"),
        ({"lat": 91}, "lat", "out_of_bounds"),
        ({"lng": "5.6"}, "lng", "invalid"),
        ({"lat": 6.9}, "lat", "outside_service_area"),
        ({"instructions": "x" * 301}, "instructions", "max_length"),
        ({"colour": "red"}, "colour", "unknown_field"),
        ({"hours": {}}, "hours.timezone", "required"),
        ({"hours": {**HOURS, "timezone": "Accra"}}, "hours.timezone", "hours_invalid"),
        ({"hours": {**HOURS, "weekly": [INTERVAL]}}, "hours.weekly.0.weekday", "required"),
        (
            {"hours": {**HOURS, "weekly": [{**INTERVAL, "weekday": "FUNDAY"}]}},
            "hours.weekly.0.weekday",
            "invalid_choice",
        ),
        (
            {"hours": {**HOURS, "weekly": [{**INTERVAL, "weekday": "MONDAY", "opens": "24:00"}]}},
            "hours.weekly.0.opens",
            "invalid",
        ),
        (
            {"hours": {**HOURS, "exceptions": [{"date": "2026-02-30", "intervals": []}]}},
            "hours.exceptions.0.date",
            "invalid_date",
        ),
        (
            {"hours": {**HOURS, "exceptions": HOURS["exceptions"] * 2}},
            "hours.exceptions.1.date",
            "hours_invalid",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_named(client: APIClient, changes: Any, field: str, code: str) -> None:
    answer = client.post(STORES, body(**changes))
    assert (field, code) in errors_of(answer), answer.content
    assert not Store.objects.exists()


def test_all_that_is_wrong_with_the_values_is_told_at_once(client: APIClient) -> None:
    answer = client.post(STORES, body(lat=6.9, hours={**HOURS, "timezone": "Accra"}))
    assert errors_of(answer) == {
        ("lat", "outside_service_area"),
        ("hours.timezone", "hours_invalid"),
    }


def test_a_name_is_used_once_per_merchant_in_any_case(client: APIClient) -> None:
    first = client.post(STORES, body()).json()
    answer = client.post(STORES, body(name="RIDGE"))
    assert (answer.status_code, answer.json()["code"]) == (409, "duplicate_store_name")
    assert answer.json()["store_id"] == first["id"]
    second = client.post(STORES, body(name="Osu")).json()
    assert client.patch(f"{STORES}/{second['id']}", {"name": "Ridge"}).status_code == 409
    assert client.patch(f"{STORES}/{first['id']}", {"name": "RIDGE"}).status_code == 200
    other = api_client(UserFactory(merchant=MerchantFactory()))
    assert other.post(STORES, body()).status_code == 201


def test_the_database_keeps_what_the_verbs_promise(merchant: Merchant) -> None:
    stores.create(merchant.pk, body())
    for wrong in (body(name="ridge"), body(name="B", lat=91), body(name="B", lng=float("nan"))):
        with pytest.raises(IntegrityError), transaction.atomic():
            Store.objects.create(merchant=merchant, **wrong)


# --- whose stores --------------------------------------------------------------------------------


def test_the_list_has_the_own_stores_only(client: APIClient, merchant: Merchant) -> None:
    mine = [StoreFactory(merchant=merchant) for _ in range(3)]
    theirs = StoreFactory()
    shown = client.get(f"{STORES}?page_size=2").json()
    assert [one["id"] for one in shown["items"]] == [str(mine[2].pk), str(mine[1].pk)]
    assert shown["total"] == 3
    admin = api_client(UserFactory(admin=True))
    assert admin.get(STORES).json()["total"] == 4
    of_one = admin.get(f"{STORES}?merchant_id={theirs.merchant_id}").json()
    assert [one["id"] for one in of_one["items"]] == [str(theirs.pk)]


def test_a_list_can_be_narrowed_to_open_stores(client: APIClient, merchant: Merchant) -> None:
    open_, _closed = StoreFactory(merchant=merchant), StoreFactory(merchant=merchant, active=False)
    assert [one["id"] for one in client.get(f"{STORES}?active=true").json()["items"]] == [
        str(open_.pk)
    ]
    assert client.get(f"{STORES}?open=true").json()["code"] == "unknown_parameter"


def test_another_merchants_store_is_not_there(client: APIClient, merchant: Merchant) -> None:
    test_store = StoreFactory(merchant=merchant, live_mode=False)
    for store in (StoreFactory(), test_store):
        path = f"{STORES}/{store.pk}"
        for answer in (
            client.get(path),
            client.patch(path, {"name": "Mine"}),
            client.delete(path),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert Store.objects.get(pk=store.pk).name == store.name
    by_test_key = key_client(merchant=merchant, live_mode=False).get(STORES).json()
    assert [one["id"] for one in by_test_key["items"]] == [str(test_store.pk)]


def test_a_list_takes_two_statements(client: APIClient, merchant: Merchant) -> None:
    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as sent:
            client.get(STORES)
        return len(sent)

    StoreFactory(merchant=merchant, hours=HOURS)
    with_one = statements()
    for _ in range(5):
        StoreFactory(merchant=merchant, hours=HOURS)
    assert statements() == with_one


# --- changing and removing -----------------------------------------------------------------------


def test_a_store_is_changed(client: APIClient, merchant: Merchant) -> None:
    store = StoreFactory(merchant=merchant, hours=HOURS)
    path = f"{STORES}/{store.pk}"
    changed = client.patch(path, {"lat": 5.61, "lng": -0.18, "hours": None, "active": False})
    assert changed.status_code == 200, changed.content
    shown = client.get(path).json()
    assert (shown["lat"], shown["hours"], shown["active"]) == (5.61, None, False)
    assert errors_of(client.patch(path, {"lat": 5.61})) == {("lng", "required")}
    outside = client.patch(path, {"lat": 6.9, "lng": -0.18})
    assert errors_of(outside) == {("lat", "outside_service_area")}


def test_an_unused_store_is_deleted(client: APIClient, merchant: Merchant) -> None:
    path = f"{STORES}/{StoreFactory(merchant=merchant).pk}"
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_a_store_that_orders_name_is_closed(client: APIClient, merchant: Merchant) -> None:
    store = StoreFactory(merchant=merchant)
    OrderFactory(merchant=merchant, store=store)
    path = f"{STORES}/{store.pk}"
    assert client.delete(path).status_code == 204
    assert client.get(path).json()["active"] is False
    assert client.patch(path, {"active": True}).json()["active"] is True


# --- races ---------------------------------------------------------------------------------------


def place_and_remove() -> tuple[list[Exception | None], Store]:
    store = StoreFactory()
    order = OrderFactory.build(
        merchant=store.merchant, service_area=ServiceAreaFactory(), store=store
    )
    raised = at_once(lambda: lifecycle.place(order, by=SYSTEM), lambda: stores.remove(store.pk))
    return raised, store


@pytest.mark.django_db(transaction=True)
def test_a_store_is_not_deleted_under_an_order_that_is_being_placed() -> None:
    for _ in range(5):
        (placing, removing), store = place_and_remove()
        assert removing is None
        assert Order.objects.filter(store=store).exists() == (placing is None)
        assert Store.objects.filter(pk=store.pk).exists() == (placing is None)
        assert placing is None or isinstance(placing, Invalid)


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_the_order_fails_at_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store is deleted after the order's check and before its commit."""
    store = StoreFactory()
    order = OrderFactory.build(
        merchant=store.merchant, service_area=ServiceAreaFactory(), store=store
    )

    def no_lock(row: Any) -> bool:
        assert at_once(lambda: stores.remove(store.pk)) == [None]
        return True

    monkeypatch.setattr(unit_of_work.few_rows, "lock_against_deletion", no_lock)
    with pytest.raises(DatabaseError):
        lifecycle.place(order, by=SYSTEM)


@pytest.mark.django_db(transaction=True)
def test_of_two_stores_with_one_name_one_is_refused() -> None:
    ServiceAreaFactory()
    merchant = MerchantFactory()
    raised = at_once(*[lambda: stores.create(merchant.pk, body()) for _ in range(4)])
    assert raised.count(None) == 1
    codes = {getattr(problem, "code", problem) for problem in raised if problem}
    assert codes == {"duplicate_store_name"}
