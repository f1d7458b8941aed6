"""Stores in the console: ADMIN adds and changes them, the others see them."""

from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from fleet.tests.factories import ServiceAreaFactory
from orders.models import Store
from orders.states import Status
from orders.tests.factories import StoreFactory, order_in
from orders.tests.loading import browser_of
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory

pytestmark = pytest.mark.django_db
ADD = "/admin/orders/store/add/"
LIST = "/admin/orders/store/"


@pytest.fixture
def merchant() -> Merchant:
    ServiceAreaFactory()
    return MerchantFactory()


@pytest.fixture
def admin() -> Client:
    return browser_of(UserFactory(admin=True, is_staff=True))


def form(merchant: Merchant | None = None, **changes: Any) -> dict[str, Any]:
    fields = {"name": "Ridge", "active": "on", "lat": "5.6037", "lng": "-0.1870", **changes}
    return {**fields, "merchant": merchant.pk} if merchant else fields


def change_page(store: Store) -> str:
    return reverse("admin:orders_store_change", args=[store.pk])


def test_an_administrator_adds_a_store_with_its_hours(admin: Client, merchant: Merchant) -> None:
    assert "data-point" in admin.get(ADD).text
    hours = {
        "timezone": "Africa/Accra",
        "weekly": "Mon-Tue 08:00-20:00",
        "exceptions": "2026-12-25 closed",
    }
    answer = admin.post(ADD, form(merchant, **hours))
    assert answer.status_code == 302, answer.text
    store = Store.objects.get()
    assert (store.merchant, store.live_mode) == (merchant, True)
    assert store.hours == {
        "timezone": "Africa/Accra",
        "weekly": [
            {"weekday": day, "opens": "08:00", "closes": "20:00"} for day in ("MONDAY", "TUESDAY")
        ],
        "exceptions": [{"date": "2026-12-25", "intervals": []}],
    }
    page = admin.get(change_page(store)).text
    assert "Monday-Tuesday 08:00-20:00" in page
    assert reverse("loading-store", args=[store.pk]) in page


def test_a_store_is_changed_and_switched_off(admin: Client, merchant: Merchant) -> None:
    store = StoreFactory(merchant=merchant)
    sent = form(name="Osu", timezone="")
    del sent["active"]
    assert admin.post(change_page(store), sent).status_code == 302
    store = Store.objects.get()
    assert (store.name, store.active, store.hours) == ("Osu", False, None)
    assert store.merchant == merchant


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lat": "6.9"}, "none of our service areas"),
        ({"lat": "91"}, "less than or equal to 90"),
        ({"timezone": "Accra", "weekly": "Mon 08:00-09:00"}, "no IANA time zone"),
        ({"weekly": "Mon 08:00-09:00"}, "need their time zone"),
        ({"timezone": "Africa/Accra", "weekly": "Funday"}, "no line like"),
        ({"timezone": "Africa/Accra", "weekly": "Mon 08:00-08:00"}, "opens and closes at the same"),
        ({"name": "OSU"}, "already"),
    ],
)
def test_what_is_wrong_is_told_beside_its_field(
    admin: Client, merchant: Merchant, changes: dict[str, str], message: str
) -> None:
    StoreFactory(merchant=merchant, name="Osu")
    answer = admin.post(ADD, form(merchant, **changes))
    assert answer.status_code == 200
    assert message in answer.text
    assert Store.objects.count() == 1


@pytest.mark.parametrize("role", [Role.OPS, Role.READONLY])
def test_ops_and_readonly_see_stores_only(role: Role, merchant: Merchant) -> None:
    hours = {
        "timezone": "Africa/Accra",
        "weekly": [{"weekday": "MONDAY", "opens": "08:00", "closes": "20:00"}],
        "exceptions": [],
    }
    store = StoreFactory(merchant=merchant, hours=hours)
    browser = browser_of(UserFactory(role=role, is_staff=True))
    with time_machine.travel("2026-11-30T21:00Z", tick=False):
        assert "Opens Monday 7 December at 08:00" in browser.get(LIST).text
    page = browser.get(change_page(store)).text
    assert "Monday 08:00-20:00" in page
    assert 'name="lat"' not in page
    assert browser.post(change_page(store), form(name="Osu")).status_code == 403
    assert browser.get(ADD).status_code == 403
    assert Store.objects.get().name == store.name


def test_the_page_of_an_order_names_its_store(admin: Client, merchant: Merchant) -> None:
    store = StoreFactory(merchant=merchant, name="Ridge", instructions="Ring twice.")
    order = order_in(Status.QUEUED, merchant=merchant, store=store)
    page = admin.get(reverse("admin:orders_order_change", args=[order.pk])).text
    assert change_page(store) in page
    assert "Ring twice." in page
