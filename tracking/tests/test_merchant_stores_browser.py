"""Stores, and the choice of one for an order, in a real browser."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from orders.models import Order, Store
from orders.tests.factories import OrderFactory, StoreFactory
from tracking.tests.test_merchant_browser import (
    LAPTOP,
    NEW,
    PHONE,
    Open,
    browse,
    check,
    merchant,
)
from wingxtra.accounts.models import Merchant

__all__ = ["browse", "merchant"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
STORES, NEW_STORE = "/merchant/stores/", "/merchant/stores/new/"
HOURS: dict[str, Any] = {
    "timezone": "Africa/Accra",
    "weekly": [
        {"weekday": day, "opens": "08:00", "closes": "20:00"}
        for day in ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY")
    ],
    "exceptions": [{"date": "2026-12-25", "intervals": []}],
}


def stores_of(merchant: Merchant) -> dict[str, Store]:
    """Stores in every state, and an order of one that says everything an order can say."""
    names = ("Ridge", "Osu", "Airport, closed for now")
    ridge, osu, closed = (StoreFactory.build(merchant=merchant, name=name) for name in names)
    ridge.hours, ridge.instructions = HOURS, "Side door. Ring twice."
    osu.lat, osu.lng = 5.5560, -0.1820
    closed.active = False
    for store in (closed, osu, ridge):
        store.save()
    return {"hours": ridge, "always": osu, "closed": closed}


def told_order(merchant: Merchant, store: Store) -> Order:
    order: Order = OrderFactory(
        merchant=merchant,
        store=store,
        pickup_name=store.name,
        external_id="SHOP-1042",
        customer_email="ama@example.com",
        dropoff_address="12 Ring Road East, North Ridge",
        dropoff_instructions="Blue gate.\nThe dog is friendly.",
        payload_size_cm=[30, 20.5, 10],
        metadata={"shelf": "B4", "buyer": "17"},
    )
    return order


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [PHONE, LAPTOP], ids=["phone", "laptop"])
def test_no_page_has_an_axe_violation_or_is_too_wide(
    browse: Open, merchant: Merchant, device: Any, scheme: str
) -> None:
    page = browse(STORES, color_scheme=scheme, bypass_csp=True, **device)
    check(page)
    stores = stores_of(merchant)
    order = f"/merchant/orders/{told_order(merchant, stores['hours']).pk}/"
    ridge = f"{STORES}{stores['hours'].pk}/"
    for path in (
        STORES,
        NEW_STORE,
        ridge,
        f"{STORES}{stores['closed'].pk}/",
        f"{ridge}remove/",
        f"/merchant/?store_id={stores['hours'].pk}",
        order,
        f"{order}new-link/",
        f"{NEW}?store_id={stores['hours'].pk}",
    ):
        page.goto(path)
        page.evaluate("document.querySelectorAll('main details').forEach((one) => one.open = true)")
        check(page)
    page.goto(NEW_STORE)
    page.get_by_label("Name").fill("Ridge")
    page.get_by_label("Opening hours").fill("always")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("alert")).to_be_visible()
    check(page)


def test_all_sections_are_reached_on_a_phone_without_scrolling_sideways(browse: Open) -> None:
    page = browse("/merchant/", **{**PHONE, "viewport": {"width": 320, "height": 640}})
    sections = page.get_by_role("navigation", name="Sections")
    for name in ("Orders", "Place an order", "From a file", "Stores", "API keys", "Webhooks"):
        expect(sections.get_by_role("link", name=name)).to_be_in_viewport(ratio=1)
    assert sections.evaluate("(nav) => nav.scrollWidth <= nav.clientWidth")


def test_the_pin_of_a_store_and_its_field_follow_each_other(browse: Open) -> None:
    page = browse(NEW_STORE)
    place, surface = page.get_by_label("Where parcels are picked up"), page.locator("#map")
    expect(page.locator(".area")).to_have_count(1)
    surface.click(position={"x": 200, "y": 300})
    expect(place).to_have_value(re.compile(r"^5\.\d{6}, -0\.\d{6}$"))
    expect(page.locator(".pin-on-map")).to_have_count(1)
    before = place.input_value()
    page.locator(".pin-on-map").drag_to(surface, target_position={"x": 280, "y": 220})
    expect(place).not_to_have_value(before)
    page.get_by_label("Name").fill("Ridge")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("status")).to_have_text("The store “Ridge” is added.")
    expect(page.locator(".pin-on-map")).to_have_count(1)


def test_a_chosen_store_is_the_pickup_until_its_pin_is_moved(
    browse: Open, merchant: Merchant
) -> None:
    stores_of(merchant)
    page = browse(NEW)
    choice, point = (
        page.get_by_label("From", exact=True),
        page.get_by_label("Where it is picked up"),
    )
    surface = page.locator("#map")
    expect(point).to_be_visible()
    choice.select_option("Osu")
    expect(point).to_be_hidden()
    expect(page.locator(".pin-on-map.pickup")).to_have_count(1)
    page.get_by_text("Pickup", exact=True).last.click()
    surface.click(position={"x": 200, "y": 300})
    expect(choice).to_have_value("")
    expect(point).to_have_value(re.compile(r"^5\.\d{6}, -0\.\d{6}$"))


def _place_from_osu(page: Page) -> None:
    page.get_by_label("From", exact=True).select_option("Osu")
    page.get_by_label("Where it goes").fill("5.6150, -0.1750")
    page.get_by_label("Weight in kg").fill("0.8")
    page.get_by_role("button", name="Can you deliver this").click()
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The order is placed")


def test_without_javascript_a_store_is_made_and_an_order_is_placed_and_corrected(
    browse: Open, merchant: Merchant
) -> None:
    page = browse(NEW_STORE, java_script_enabled=False)
    expect(page.locator("#map")).to_be_hidden()
    page.get_by_label("Name").fill("Osu")
    page.get_by_label("Where parcels are picked up").fill("5.6037, -0.1870")
    page.get_by_role("button", name="Add it").click()
    page.get_by_role("link", name="Place an order from here").click()
    _place_from_osu(page)
    assert Order.objects.get().store == Store.objects.get()
    page.get_by_role("link", name=re.compile(r"^\w{4}-\w{4}-\w{5}$")).click()
    page.get_by_text("Correct the customer’s details").click()
    page.get_by_label("Instructions").fill("Blue gate.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("The order is changed.")
    page.get_by_role("button", name="The parcel is ready").click()
    expect(page.get_by_role("status")).to_contain_text("the parcel is ready")
    page.get_by_role("link", name="Renew it").click()
    page.get_by_role("button", name="Renew it").click()
    expect(page.get_by_role("status")).to_contain_text("The tracking link is new.")
