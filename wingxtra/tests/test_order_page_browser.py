"""The page of an order in a real Chromium: it renews itself and disturbs no one who uses it."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from orders import lifecycle
from orders.console import order_view
from orders.models import Order
from orders.states import CancelReason, Status
from wingxtra.accounts.identity import GCS
from wingxtra.tests import scene
from wingxtra.tests.scene import Scene

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Visit = Callable[..., Page]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_view, "EVERY_S", 1)


def page_of(order: Order) -> str:
    return scene.page_of(order.pk)


def test_an_open_page_renews_itself(visit: Visit, city: Scene) -> None:
    order = city.orders["queued"]
    page = visit(page_of(order))
    expect(page.get_by_role("link", name="Assign…", exact=True)).to_be_visible()
    lifecycle.cancel(order.pk, by=scene.AMA, reason=CancelReason.WEATHER)
    expect(page.get_by_role("status").first).to_have_text("Status: Canceled")
    expect(page.get_by_label("Timeline")).to_contain_text("ama")
    expect(page.get_by_role("link", name="Assign…", exact=True)).to_have_count(0)
    expect(page.get_by_role("link", name="Cancel the order…")).to_have_count(0)


def test_the_focus_and_unfolded_parts_stay(visit: Visit, city: Scene) -> None:
    order = city.orders["enroute"]
    page = visit(page_of(order))
    page.get_by_text("The mission as sent").click()
    expect(page.locator("pre.wx-code")).to_be_visible()
    page.get_by_role("link", name="Ask for abort…").focus()
    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)
    expect(page.get_by_role("status").first).to_contain_text("Arrived")
    expect(page.get_by_role("link", name="Ask for abort…")).to_be_focused()
    expect(page.locator("pre.wx-code")).to_be_visible()


def test_a_note_that_is_being_written_stays(visit: Visit, city: Scene) -> None:
    order = city.orders["queued"]
    page = visit(page_of(order))
    note = page.get_by_label("New note")
    note.press_sequentially("Kofi rang, the ")
    lifecycle.cancel(order.pk, by=scene.AMA, reason=CancelReason.WEATHER)
    expect(page.get_by_role("status").first).to_have_text("Status: Canceled")
    expect(note).to_be_focused()
    page.keyboard.type("gate is locked.")
    page.get_by_role("button", name="Add the note").click()
    written = page.get_by_label("Notes", exact=True)
    expect(written).to_contain_text("Kofi rang, the gate is locked.")
    expect(written).to_contain_text("ama")


def test_staff_place_an_order_with_a_click_on_the_map(visit: Visit, city: Scene) -> None:
    page = visit("/admin/orders/order/")
    page.get_by_role("link", name="Place an order…").click()
    page.get_by_label("Merchant", exact=True).fill("akoma")
    page.get_by_label("Merchant", exact=True).press("Enter")
    page.get_by_role("link", name="Akoma Pharmacy").click()
    canvas = page.locator("#map")
    expect(canvas.locator(".pin-on-map.pickup")).to_be_visible()
    box = canvas.bounding_box()
    assert box is not None
    canvas.click(position={"x": box["width"] * 0.55, "y": box["height"] * 0.6})
    expect(page.get_by_label("Where it goes")).not_to_have_value("")
    page.get_by_label("Weight in kg").fill("heavy")
    page.get_by_role("button", name="Can it be delivered, and when?").click()
    expect(page.get_by_role("alert")).to_contain_text("Weight in kg")
    page.get_by_label("Weight in kg").fill("0.5")
    page.get_by_role("button", name="Can it be delivered, and when?").click()
    page.get_by_role("button", name="Place the order for Akoma Pharmacy").click()
    expect(page.get_by_text("is placed for Akoma Pharmacy")).to_be_visible()
    expect(page.get_by_label("Timeline")).to_contain_text("ama")


def test_the_drone_moves_on_the_map_and_its_battery_falls(visit: Visit, city: Scene) -> None:
    order = city.orders["enroute"]
    page = visit(page_of(order))
    drone = page.locator(".wx-pin.wx-drone")
    expect(drone).to_have_count(1)
    before: Any = drone.get_attribute("style")
    shown = page.get_by_label("Where it is", exact=True).locator("dl").inner_text()
    city.fly(0.3)
    expect(drone).not_to_have_attribute("style", before)
    expect(page.get_by_label("Where it is", exact=True).locator("dl")).not_to_have_text(shown)


def test_without_an_answer_the_page_says_that_it_is_old(visit: Visit, city: Scene) -> None:
    page = visit(page_of(city.orders["queued"]))
    page.route("**/live/", lambda route: route.abort())
    expect(page.locator("#live-age")).to_contain_text("what you see is old", timeout=20_000)
    page.unroute("**/live/")
    expect(page.locator("#live-age")).to_contain_text("Renewed")


def test_a_lost_session_is_said_and_the_page_goes_on_after_the_login(
    visit: Visit, city: Scene
) -> None:
    page = visit(page_of(city.orders["queued"]))
    cookies = page.context.cookies()
    page.context.clear_cookies()
    expect(page.get_by_role("alert")).to_contain_text("You are logged out")
    page.context.add_cookies(cookies)
    expect(page.get_by_role("alert")).to_have_count(0)
