"""Ctrl+K and its plain page: orders, drones, merchants, stores, pages and actions."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fleet.tests.factories import DroneFactory
from orders.models import Order
from orders.tests.factories import OrderFactory, StoreFactory
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory
from wingxtra.console import actions

pytestmark = pytest.mark.django_db
DATA, PAGE = "/admin/find/data/", "/admin/find/"


def browser_of(role: Role) -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=role))
    return browser


@pytest.fixture
def ama() -> Client:
    return browser_of(Role.OPS)


def found(browser: Client, text: str) -> dict[str, list[str]]:
    """Titles by kind."""
    kinds: dict[str, list[str]] = {}
    for hit in browser.get(DATA, {"q": text}).json()["hits"]:
        kinds.setdefault(hit["kind"], []).append(hit["title"])
    return kinds


@pytest.fixture
def order() -> Order:
    order: Order = OrderFactory(
        external_id="shop-17", customer_name="Kofi Boateng", merchant__name="Ridge Bakery"
    )
    return order


def test_an_order_is_found_as_in_the_list(ama: Client, order: Order) -> None:
    for text in (
        "024 123 4567",
        "kofi boateng",
        "shop-17",
        f"https://delivery.example/track/{order}/",
    ):
        assert found(ama, text)["Orders"] == [str(order)], text
    (hit,) = ama.get(DATA, {"q": "boateng"}).json()["hits"]
    assert hit == {
        "kind": "Orders",
        "title": str(order),
        "detail": "Queued · Normal · Ridge Bakery · shop-17",
        "url": actions.page_of(order),
    }


def test_drones_merchants_and_stores_are_found(ama: Client) -> None:
    drone = DroneFactory(drone_id="WX-DRN-007")
    merchant = MerchantFactory(name="Osu Night Market")
    store = StoreFactory(name="Market hall", merchant=merchant)
    assert found(ama, "drn-007")["Drones"] == [drone.pk]
    assert found(ama, "night market") == {"Merchants": ["Osu Night Market"]}
    kinds = found(ama, "market")
    assert (kinds["Merchants"], kinds["Stores"]) == (["Osu Night Market"], ["Market hall"])
    hits = ama.get(DATA, {"q": "market hall"}).json()["hits"]
    assert [hit["url"] for hit in hits] == [f"/admin/orders/order/?store__id__exact={store.pk}"]
    for hit in ama.get(DATA, {"q": "market"}).json()["hits"]:
        assert ama.get(hit["url"]).status_code == 200


def test_actions_and_pages_are_found_by_their_words(ama: Client) -> None:
    assert "Pause dispatch everywhere" in found(ama, "pause disp")["Actions"]
    assert "Orders from a file" in found(ama, "csv")["Actions"]
    assert "New order" in found(ama, "new order")["Actions"]
    assert "New order" in found(ama, "place")["Actions"]
    assert "Live map" in found(ama, "map")["Pages"]
    everything = found(ama, "")
    assert {"Actions", "Pages"} == set(everything)
    for hit in ama.get(DATA).json()["hits"]:
        assert ama.get(hit["url"]).status_code == 200, hit


def test_readers_find_no_actions_and_nothing_by_personal_data(order: Order) -> None:
    reader = browser_of(Role.READONLY)
    for text in ("0241234567", "kofi", "boateng", "pause dispatch"):
        assert found(reader, text) == {}, text
    assert found(reader, "shop-17")["Orders"] == [str(order)]
    assert "Policy" not in found(reader, "")["Pages"]
    for hit in reader.get(DATA).json()["hits"]:
        assert reader.get(hit["url"]).status_code == 200, hit


def test_no_answer_has_personal_data(ama: Client, order: Order) -> None:
    for path in (DATA, PAGE):
        text = ama.get(path, {"q": "shop-17"}).content.decode()
        assert "Boateng" not in text
        assert "1234567" not in text


def test_others_find_nothing() -> None:
    for client in (Client(), browser_of(Role.LOADER)):
        for path in (DATA, PAGE):
            assert client.get(path, {"q": "map"}).status_code in (302, 403)


def test_short_long_and_strange_texts(ama: Client, order: Order) -> None:
    assert "Orders" not in found(ama, "ko")
    for text in ("x" * 5000, "%%%", "a\nb c", "' or 1=1", "\\", "(" * 50):
        assert ama.get(DATA, {"q": text}).status_code == 200, text
        assert ama.get(PAGE, {"q": text}).status_code == 200, text
    assert ama.get(DATA, {"q": "a\0b"}).status_code == 400
    assert ama.post(DATA).status_code == 405


def test_the_plain_page_shows_the_same_as_links(ama: Client, order: Order) -> None:
    page = ama.get(PAGE, {"q": "shop-17"}).content.decode()
    assert f'href="{actions.page_of(order)}"' in page
    assert "Nothing is found for “zzz”." in ama.get(PAGE, {"q": "zzz"}).content.decode()
    assert "from three characters on" in ama.get(PAGE, {"q": "ko"}).content.decode()
    assert 'href="/admin/find/"' in ama.get("/admin/").content.decode()


@pytest.mark.parametrize("role", [Role.OPS, Role.READONLY])
def test_an_answer_takes_at_most_five_statements(role: Role, order: Order) -> None:
    browser: Any = browser_of(role)
    for text in ("shop", "024 123 4567", ""):
        with CaptureQueriesContext(connection) as statements:
            browser.get(DATA, {"q": text})
        assert len(statements) <= 5, "\n".join(query["sql"] for query in statements)
