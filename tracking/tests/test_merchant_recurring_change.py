"""The merchant changes a recurring order on its page, as the API's PATCH does."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fleet.tests.factories import DroneFactory
from orders.models import Order, RecurringOrder
from orders.recurring import placer, verbs
from orders.tests.factories import StoreFactory
from orders.tests.test_api import body
from tracking.tests.test_merchant_access import client_of, user_of
from tracking.tests.test_merchant_recurring import text_of
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ORDER = body(
    payload_size_cm={"l": 30, "w": 20.5, "h": 10},
    payload_weight_kg=0.8,
    dropoff_lng=-0.00001,
    dropoff_accuracy_m=4.0,
    dropoff_instructions="Ring twice.\nThe dog is friendly.",
    metadata={"shelf": "B4"},
    customer_name="Achimota Clinic",
)


@pytest.fixture(autouse=True)
def _on_a_sunday() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def merchant() -> Merchant:
    DroneFactory()
    return MerchantFactory()


@pytest.fixture
def browser(merchant: Merchant) -> Client:
    return client_of(user_of(merchant))


@pytest.fixture
def row(merchant: Merchant) -> RecurringOrder:
    return round_of(merchant)


def round_of(merchant: Merchant, **values: Any) -> RecurringOrder:
    usual = {
        "name": "Clinic round",
        "order": ORDER | {"dropoff_lng": -0.175},
        "weekdays": ["MONDAY", "TUESDAY", "FRIDAY"],
        "local_time": time(7, 30),
        "starts_on": date(2026, 11, 1),
    }
    return verbs.create(merchant.pk, usual | values)


def address(row: RecurringOrder) -> str:
    return f"/merchant/recurring/{row.pk}/change/"


def shown(browser: Client, row: RecurringOrder) -> dict[str, str]:
    """What a browser sends if nothing is typed: each field, and what it showed at first."""
    form = browser.get(address(row)).context["form"]
    fields = {name: str(form[name].value() or "") for name in form.fields}
    return fields | {form[name].html_initial_name: value for name, value in fields.items()}


def change(browser: Client, row: RecurringOrder, **typed: str) -> Any:
    return browser.post(address(row), shown(browser, row) | typed)


def test_the_form_shows_what_it_has(browser: Client, row: RecurringOrder) -> None:
    fields = shown(browser, row)
    assert fields["weekdays"] == "Monday, Tuesday, Friday"
    assert fields["pickup"] == f"{ORDER['pickup_lat']}, {ORDER['pickup_lng']}"
    assert (fields["payload_weight_kg"], fields["payload_size_cm"]) == ("0.8", "30 x 20.5 x 10")
    assert (fields["metadata"], fields["priority"]) == ("shelf: B4", "NORMAL")
    assert fields["local_time"] == "07:30"


def test_a_changed_field_changes_nothing_else(browser: Client, row: RecurringOrder) -> None:
    answer = change(browser, row, customer_name="Korle Bu Clinic", local_time="09:15")
    assert answer.status_code == 303, text_of(answer)
    page = text_of(browser.get(answer["Location"]))
    assert "“Clinic round” is changed." in page
    assert "Mon 30 Nov, 09:15 Planned" in page
    now = RecurringOrder.objects.get()
    assert now.order == row.order | {"customer_name": "Korle Bu Clinic"}
    assert (now.weekdays, now.local_time) == (row.weekdays, time(9, 15))


def test_a_changed_place_replaces_the_place_as_a_whole(
    browser: Client, row: RecurringOrder, merchant: Merchant
) -> None:
    """The accuracy belongs to the former point."""
    change(browser, row, dropoff="5.62, -0.18")
    assert RecurringOrder.objects.get().order == {
        name: value for name, value in row.order.items() if name != "dropoff_accuracy_m"
    } | {"dropoff_lat": 5.62, "dropoff_lng": -0.18}
    store = StoreFactory(merchant=merchant)
    change(browser, row, store_id=str(store.pk))
    order = RecurringOrder.objects.get().order
    assert order["store_id"] == str(store.pk)
    assert not {"pickup_lat", "pickup_lng", "pickup_name"} & set(order)
    change(browser, row, store_id="", pickup="5.6037, -0.187")
    order = RecurringOrder.objects.get().order
    assert (order["pickup_lat"], "store_id" in order) == (5.6037, False)


def test_a_field_is_emptied_and_a_last_day_taken_away(browser: Client, row: RecurringOrder) -> None:
    change(browser, row, ends_on="2026-12-24", metadata="", dropoff_instructions="")
    now = RecurringOrder.objects.get()
    assert now.ends_on == date(2026, 12, 24)
    assert not {"metadata", "dropoff_instructions"} & set(now.order)
    change(browser, row, ends_on="")
    assert RecurringOrder.objects.get().ends_on is None


def test_a_store_that_takes_no_orders_any_more_stays_chosen(
    browser: Client, merchant: Merchant
) -> None:
    store = StoreFactory(merchant=merchant)
    order = {n: v for n, v in ORDER.items() if not n.startswith("pickup")}
    row = round_of(merchant, order={**order, "dropoff_lng": -0.175, "store_id": str(store.pk)})
    type(store).objects.update(active=False)
    assert shown(browser, row)["store_id"] == str(store.pk)
    assert store.name in text_of(browser.get(address(row)))


def test_from_a_day_on_a_new_one_goes_on(browser: Client, row: RecurringOrder) -> None:
    placer.place_due(NOW)
    answer = change(browser, row, from_on="2026-12-08", local_time="10:00")
    old, new = RecurringOrder.objects.order_by("starts_on")
    assert (old.pk, old.ends_on, old.local_time) == (row.pk, date(2026, 12, 7), time(7, 30))
    assert (new.starts_on, new.local_time) == (date(2026, 12, 8), time(10))
    assert answer["Location"] == f"/merchant/recurring/{new.pk}/"
    assert "ends on the day before" in text_of(browser.get(answer["Location"]))
    assert Order.objects.count() == 1, "the order of Monday stays"


def test_what_another_user_changed_since_stays(browser: Client, row: RecurringOrder) -> None:
    """The page was opened before the other change."""
    opened = shown(browser, row)
    change(browser, row, payload_weight_kg="1,2", weekdays="Sat")
    browser.post(address(row), opened | {"customer_name": "Korle Bu Clinic"})
    now = RecurringOrder.objects.get()
    assert (now.order["payload_weight_kg"], now.weekdays) == (1.2, ["SATURDAY"])
    assert now.order["customer_name"] == "Korle Bu Clinic"


def test_without_a_change_nothing_is_written(browser: Client, row: RecurringOrder) -> None:
    """Browsers end lines with CR LF, which is no change."""
    typed = {n: v.replace("\n", "\r\n") for n, v in shown(browser, row).items()}
    answer = browser.post(address(row), typed)
    assert "Nothing was changed." in text_of(browser.get(answer["Location"]))
    assert RecurringOrder.objects.values().get() == RecurringOrder.objects.values().get(pk=row.pk)
    assert RecurringOrder.objects.get().active_since == row.active_since


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ({"name": ""}, "This field is required."),
        ({"weekdays": "Funday"}, "is no day or range of days like Mon-Fri."),
        ({"weekdays": ""}, "This field is required."),
        ({"local_time": "25:00"}, "Must be a time like 08:00."),
        ({"hours_ahead": "0"}, "greater than or equal to 1"),
        ({"from_on": "someday"}, "Must be a date like 2026-12-25."),
        ({"from_on": "2029-01-01"}, "up to a year ahead"),
        ({"ends_on": "2020-01-01"}, "The last day lies before the first one."),
        ({"dropoff": "nowhere"}, "Give latitude and longitude"),
        ({"dropoff": "6.9, -0.1"}, "is in none of our service areas"),
        ({"payload_weight_kg": "50"}, "at most 2.5 kg can be carried here"),
        ({"payload_weight_kg": ""}, "required"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_changes(
    browser: Client, row: RecurringOrder, typed: dict[str, str], text: str
) -> None:
    answer = change(browser, row, customer_name="Korle Bu Clinic", **typed)
    assert answer.status_code == 400
    assert text in text_of(answer)
    assert set(answer.context["form"].errors) == set(typed)
    assert "Korle Bu Clinic" in answer.content.decode()
    assert RecurringOrder.objects.values().get() == RecurringOrder.objects.values().get(pk=row.pk)
    assert RecurringOrder.objects.get().order == row.order


def test_it_is_the_merchants_own_and_of_the_mode_of_the_page(row: RecurringOrder) -> None:
    other = client_of(user_of(MerchantFactory()))
    own_in_test_mode = client_of(user_of(row.merchant))
    for client, here in (
        (other, address(row)),
        (own_in_test_mode, address(row).replace("/merchant/", "/merchant/test/")),
    ):
        for method in (client.get, client.post):
            assert method(here, {"name": "Ours"}).status_code == 404
    assert RecurringOrder.objects.get().name == "Clinic round"


@pytest.mark.parametrize("role", [Role.OPS, Role.ADMIN, Role.READONLY, Role.LOADER])
def test_staff_have_no_page_here(row: RecurringOrder, role: Role) -> None:
    client = client_of(UserFactory(role=role))
    assert client.post(address(row), {"name": "Ours"}).status_code in (403, 404)
    assert RecurringOrder.objects.get().name == "Clinic round"


def test_it_takes_the_same_statements_for_any_number_of_fields_and_stores(
    browser: Client, row: RecurringOrder
) -> None:
    typed = shown(browser, row)  # fills the caches
    reading, changing = [], []
    for changed in ({"name": "A"}, {"name": "B", "weekdays": "Mon", "customer_name": "C"}):
        with CaptureQueriesContext(connection) as read:
            browser.get(address(row))
        with CaptureQueriesContext(connection) as written:
            assert browser.post(address(row), typed | changed).status_code == 303
        reading.append(len(read))
        changing.append(len(written))
        StoreFactory.create_batch(3, merchant=row.merchant)
    rulebook = 2  # kept in memory outside of a test's transaction
    assert reading[0] == reading[1] == 5 + rulebook
    assert changing[0] == changing[1] == 11 + rulebook
