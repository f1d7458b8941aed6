"""The list and the page of orders in the console."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory
from wingxtra.console import actions

pytestmark = pytest.mark.django_db
LIST = "admin:orders_order_changelist"
EXPORT = "/admin/orders/order/export.csv"


def browser_of(role: Role) -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=role))
    return browser


@pytest.fixture
def browser() -> Client:
    return browser_of(Role.OPS)


def test_the_list_masks_names_and_phone_numbers(browser: Client) -> None:
    OrderFactory(customer_name="Ama Mensah", customer_phone="+233241234567")
    page = browser.get(reverse(LIST)).content.decode()
    assert "Mensah" not in page
    assert "+233241234567" not in page
    assert "***567" in page


PRIVATE = {
    "dropoff_address": "12 Ring Road",
    "dropoff_instructions": "Mind the dog",
    "metadata": {"basket": "of Kofi"},
}


def test_the_page_shows_them_in_full_to_operations(browser: Client) -> None:
    order = OrderFactory(payload_size_cm=[30, 20, 12.5], **PRIVATE)
    page = browser.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()
    for shown in ("Ama Mensah", "+233241234567", "12 Ring Road", "Mind the dog", "basket: of Kofi"):
        assert shown in page
    assert "Parcel, 0.8 kg, 30 × 20 × 12.5 cm" in page


def test_the_page_masks_them_for_readers() -> None:
    order = OrderFactory(**PRIVATE)
    url = reverse("admin:orders_order_change", args=[order.pk])
    page = browser_of(Role.READONLY).get(url).content.decode()
    for hidden in ("Mensah", "+233241234567", "Ring Road", "the dog", "of Kofi"):
        assert hidden not in page


def test_readers_do_not_find_by_what_they_may_not_read() -> None:
    order = OrderFactory(customer_name="Ama Mensah", customer_phone="+233241234567")
    link = reverse("admin:orders_order_change", args=[order.pk])
    reader = browser_of(Role.READONLY)
    for text in ("0241234567", "+233 24 123 4567", "Mensah"):
        page = reader.get(reverse(LIST), {"q": text}).content.decode()
        assert link not in page, text
        assert "name or phone" not in page
    assert reader.get(reverse(LIST), {"q": order.public_tracking_id}).headers["Location"] == link


@pytest.mark.parametrize(
    ("tab", "inside"),
    [
        ("queued", Status.QUEUED),
        ("assigned", Status.MISSION_SUBMITTED),
        ("in_flight", Status.ENROUTE),
        ("scheduled", Status.VALIDATED),
        ("done", Status.DELIVERED),
        ("", Status.CANCELED),
    ],
)
def test_a_tab_shows_its_orders_and_no_others(browser: Client, tab: str, inside: Status) -> None:
    orders = {status: order_in(status) for status in (*Status,) if status != Status.CREATED}
    page = browser.get(reverse(LIST), {"tab": tab} if tab else {}).content.decode()
    assert orders[inside].public_tracking_id in page
    shown = [o for o in orders.values() if o.public_tracking_id in page]
    assert len(shown) < len(orders) or not tab


def test_an_empty_tab_says_so_in_a_sentence(browser: Client) -> None:
    page = browser.get(reverse(LIST), {"tab": "queued"}).content.decode()
    assert "No order is waiting for a drone." in page


NAMES = {
    "tracking id": "{tracking}",
    "tracking id, lower case": "{tracking_lower}",
    "tracking link": "https://delivery.example/track/{tracking}/?from=sms",
    "order id": "{id}",
    "reference": "shop-17",
    "phone": "+233241234567",
    "phone with spaces": "+233 24 123 4567",
    "phone as spoken": "024 123 4567",
    "phone without spaces": "0241234567",
}


@pytest.mark.parametrize("how", NAMES)
def test_an_exact_hit_opens_the_order(browser: Client, how: str) -> None:
    wanted = OrderFactory(external_id="shop-17", customer_name="Kofi Boateng")
    OrderFactory(customer_phone="+233200000001")
    tracking = wanted.public_tracking_id
    text = NAMES[how].format(tracking=tracking, tracking_lower=tracking.lower(), id=wanted.pk)
    answer = browser.get(reverse(LIST), {"q": text})
    assert answer.status_code == 302
    assert answer.headers["Location"] == actions.page_of(wanted)


@pytest.mark.parametrize("text", ["boateng", "kofi boateng", "boateng 4567", "shop kofi", "4567"])
def test_a_part_lists_the_orders_that_match_every_word(browser: Client, text: str) -> None:
    wanted = OrderFactory(external_id="shop-17", customer_name="Kofi Boateng")
    other = OrderFactory(external_id="shop-18", customer_phone="+233200000001")
    page = browser.get(reverse(LIST), {"q": text}).content.decode()
    assert wanted.public_tracking_id in page
    assert other.public_tracking_id not in page


def test_a_phone_of_two_orders_lists_both(browser: Client) -> None:
    both = OrderFactory.create_batch(2)
    page = browser.get(reverse(LIST), {"q": "024 123 4567"}).content.decode()
    assert all(order.public_tracking_id in page for order in both)


def test_the_list_takes_at_most_12_statements_for_any_length(browser: Client) -> None:
    for status in (Status.QUEUED, Status.ENROUTE, Status.DELIVERED, Status.FAILED):
        for _ in range(3):
            order_in(status)
    with CaptureQueriesContext(connection) as statements:
        assert browser.get(reverse(LIST), {"tab": "done", "q": "ama"}).status_code == 200
    assert len(statements) <= 12, "\n".join(query["sql"] for query in statements)


def exported(browser: Client, query: str = "") -> str:
    answer: Any = browser.get(EXPORT + query)
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode("utf-8-sig")


def test_the_list_is_exported_as_it_is_filtered_and_masked(browser: Client) -> None:
    OrderFactory(external_id="A-1", pickup_name="=1+1")
    order_in(Status.CANCELED, external_id="A-2")
    for client in (browser, browser_of(Role.READONLY)):
        whole = exported(client)
        assert len(whole.splitlines()) == 3
        assert "Mensah" not in whole
        assert "+233241234567" not in whole
        assert ",'=1+1," in whole
    assert "A-2" not in exported(browser, "?q=A-1")
    page = browser.get(f"{reverse(LIST)}?q=A-").content.decode()
    assert f'href="{EXPORT}?q=A-"' in page


def test_the_export_is_for_staff() -> None:
    for client in (Client(), browser_of(Role.LOADER)):
        assert client.get(EXPORT).status_code in (302, 403)


def test_the_page_shows_who_did_what(browser: Client) -> None:
    order = order_in(Status.DELIVERED)
    page = browser.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()
    for text in ("Order placed", "Drone assigned", "Dispatcher", "Delivered", "Ground control"):
        assert text in page
    assert "DELIVERED" not in page.split("<main")[-1].replace('"DELIVERED"', "")


@pytest.mark.parametrize("pk", ["nonsense", "00000000-0000-0000-0000-000000000000"])
def test_an_order_that_does_not_exist_redirects_with_a_message(browser: Client, pk: str) -> None:
    answer = browser.get(reverse("admin:orders_order_change", args=[pk]), follow=True)
    assert "doesn’t exist" in answer.content.decode()


@pytest.mark.parametrize(("days", "inside"), [(-1, False), (0, True), (1, False)])
def test_the_day_filter_includes_its_first_and_last_day(
    browser: Client, days: int, inside: bool
) -> None:
    order = OrderFactory()
    day = (order.created_at + timedelta(days=days)).date().isoformat()
    page = browser.get(reverse(LIST), {"created_at_from": day, "created_at_to": day})
    assert (order.public_tracking_id in page.content.decode()) == inside


def test_an_invalid_day_is_refused(browser: Client) -> None:
    answer = browser.get(reverse(LIST), {"created_at_from": "yesterday"})
    assert answer.status_code == 400
    assert "“yesterday” is not a day" in answer.content.decode()


def test_filters_keep_the_tab_and_each_other(browser: Client) -> None:
    waiting, done = order_in(Status.QUEUED), order_in(Status.DELIVERED)
    today = waiting.created_at.date().isoformat()
    page = browser.get(reverse(LIST), {"tab": "queued", "created_at_from": today}).content.decode()
    assert waiting.public_tracking_id in page
    assert done.public_tracking_id not in page
    assert '<input type="hidden" name="tab" value="queued">' in page


def test_a_search_without_a_result_repeats_the_search_text(browser: Client) -> None:
    page = browser.get(reverse(LIST), {"q": "nobody"}).content.decode()
    assert "Nothing is found for “nobody”." in page


def test_an_action_describes_its_order_without_personal_data(browser: Client) -> None:
    order = OrderFactory()
    url = actions._actions["orders.order", "cancel"].url(order.pk)
    page = browser.get(url).content.decode()
    assert f"Parcel, 0.8 kg · from {order.merchant}" in page
    assert "Mensah" not in page


def test_an_action_takes_the_same_statements_for_many_orders(browser: Client) -> None:
    def statements(count: int) -> int:
        orders = [OrderFactory(merchant=MerchantFactory()) for _ in range(count)]
        url = actions._actions["orders.order", "cancel"].url(*(order.pk for order in orders))
        with CaptureQueriesContext(connection) as taken:
            assert browser.get(url).status_code == 200
        return len(taken)

    assert statements(12) == statements(3)
