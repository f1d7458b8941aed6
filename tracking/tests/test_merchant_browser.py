"""`/merchant/` in a real browser: every page by axe, the map, and all of it without JavaScript."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as current_settings
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from fleet.tests.factories import DroneFactory
from orders.models import Order
from orders.states import PodRequirement, Scenario, Status
from orders.tests.factories import OrderFactory, order_in
from pod import proofs
from tracking.tests.deliveries import STROKES, expect_in
from tracking.tests.test_merchant_access import user_of
from wingxtra.accounts.identity import CUSTOMER
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import PASSWORD, MerchantFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

AXE = current_settings.BASE_DIR / "wingxtra" / "tests" / "vendor" / "axe.min.js"
TILES = "https://tiles.example/{z}/{x}/{y}.png"
PHONE: Any = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
LAPTOP: Any = {"viewport": {"width": 1366, "height": 850}}
NEW = "/merchant/orders/new/"
TOO_WIDE = """
[...document.body.querySelectorAll("*")]
  .filter((part) => !part.closest("#map, .sections, .tabs, .skip, .unseen"))
  .filter((part) => part.getBoundingClientRect().right > innerWidth + 1)
  .map((part) => part.outerHTML.slice(0, 80))
"""
Open = Callable[..., Page]


@pytest.fixture
def merchant(settings: Settings) -> Merchant:
    settings.MAP_TILE_URL = ""
    DroneFactory()
    return MerchantFactory(name="Ridge Pharmacy")


@pytest.fixture
def browse(merchant: Merchant, chromium: Browser, live_server: LiveServer) -> Iterator[Open]:
    """Opens a page as the merchant's user. Violations of the security policy fail the test."""
    contexts: list[BrowserContext] = []
    trouble: list[str] = []
    user = user_of(merchant)

    def browse(path: str, **options: Any) -> Page:
        context = chromium.new_context(
            base_url=live_server.url, reduced_motion="reduce", **{**LAPTOP, **options}
        )
        contexts.append(context)
        context.set_default_timeout(10_000)
        context.route("https://tiles.example/**", lambda route: route.abort())
        context.on("console", lambda said: _note(trouble, said.type, said.text))
        page = context.new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto("/merchant/login/?next=" + path)
        page.get_by_label("Username").fill(user.username)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"**{path}")
        return page

    yield browse
    for context in contexts:
        context.close()
    assert not trouble


def _note(trouble: list[str], kind: str, text: str) -> None:
    if kind == "error" and "Failed to load resource" not in text:
        trouble.append(text)


def one_of_each(merchant: Merchant) -> dict[str, Order]:
    """Orders that show every part of the pages, by name."""
    flying = order_in(Status.ENROUTE, merchant=merchant, external_id="SHOP-1041")
    expect_in(flying, 6)
    signed = order_in(
        Status.DELIVERING,
        merchant=merchant,
        external_id="SHOP-1040",
        pod_requirement=PodRequirement.SIGNATURE,
    )
    proofs.record(signed.pk, proofs.Evidence.drawn_signature(STROKES), by=CUSTOMER)
    for status in (Status.FAILED, Status.CANCELED, Status.VALIDATED):
        order_in(status, merchant=merchant)
    waiting = OrderFactory(merchant=merchant, external_id="SHOP-1042")
    OrderFactory(merchant=merchant, live_mode=False, test_scenario=Scenario.LINK_LOST)
    return {"flying": flying, "delivered": signed, "waiting": waiting}


def fill(page: Page, **changed: str) -> None:
    values = {
        "Where it is picked up": "5.6037, -0.1870",
        "Where it goes": "5.6150, -0.1750",
        "Weight in kg": "0.8",
        **changed,
    }
    for label, value in values.items():
        page.get_by_label(label).fill(value)


# --- every page ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [PHONE, LAPTOP], ids=["phone", "laptop"])
def test_no_page_has_an_axe_violation_or_is_too_wide(
    browse: Open, merchant: Merchant, device: Any, scheme: str
) -> None:
    orders = one_of_each(merchant)
    page = browse("/merchant/", color_scheme=scheme, bypass_csp=True, **device)
    paths = [f"/merchant/orders/{order.pk}/" for order in orders.values()]
    for path in ["/merchant/", "/merchant/test/", *paths, NEW, "/merchant/password/"]:
        page.goto(path)
        check(page)
        if path == NEW:
            fill(page)
            page.get_by_role("button", name="Can you deliver this").click()
            expect(page.get_by_text("We can deliver this in")).to_be_in_viewport()
            check(page)
            page.get_by_label("Weight in kg").fill("much")
            page.get_by_role("button", name="Ask again").click()
            expect(page.get_by_text("Must be a number.").first).to_be_visible()
            expect(page.get_by_role("alert")).to_be_in_viewport()
            check(page)


def check(page: Page) -> None:
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run().then(({ violations }) => violations)")
    broken = [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found]
    assert broken == [], page.url
    assert page.evaluate(TOO_WIDE) == [], page.url


# --- a new order ---------------------------------------------------------------------------------


def test_pins_and_fields_follow_each_other(browse: Open) -> None:
    page = browse(NEW)
    pickup, drop = page.get_by_label("Where it is picked up"), page.get_by_label("Where it goes")
    surface = page.locator("#map")
    expect(page.locator(".area")).to_have_count(1)
    expect(surface).to_contain_text("a plain grid instead")
    page.get_by_text("Pickup", exact=True).last.click()
    surface.click(position={"x": 200, "y": 300})
    expect(pickup).to_have_value(re.compile(r"^5\.\d{6}, -0\.\d{6}$"))
    page.get_by_text("Drop point", exact=True).click()
    surface.click(position={"x": 260, "y": 250})
    expect(drop).to_have_value(re.compile(r"^5\.\d{6}, -0\.\d{6}$"))
    before = drop.input_value()
    page.locator(".pin-on-map.dropoff").drag_to(surface, target_position={"x": 320, "y": 200})
    expect(drop).not_to_have_value(before)
    drop.fill("5.6150, -0.1750")
    pickup.fill("5.6037, -0.1870")
    pickup.press("Tab")
    expect(page.locator(".pin-on-map")).to_have_count(2)
    expect(page.locator(".way-line")).to_be_visible()
    drop.fill("nowhere")
    drop.press("Tab")
    expect(page.locator(".pin-on-map")).to_have_count(1)


def test_without_tiles_the_map_is_a_grid_with_the_area(browse: Open, settings: Settings) -> None:
    settings.MAP_TILE_URL = TILES
    page = browse(NEW)
    expect(page.locator("#map")).to_contain_text("The street map cannot be reached")
    expect(page.locator(".area")).to_have_count(1)


def test_an_order_is_placed_after_its_quote_and_followed(browse: Open) -> None:
    page = browse("/merchant/test/orders/new/")
    fill(page)
    page.get_by_label("What happens to it").select_option("delivered")
    page.get_by_label("Where it goes").press("Enter")
    expect(page.get_by_text("We can deliver this in")).to_be_visible()
    page.get_by_label("Weight in kg").press("Enter")
    expect(page.get_by_text("We can deliver this in")).to_be_visible()
    assert not Order.objects.exists(), "the Enter key only asks"
    page.get_by_role("button", name="Place the test order").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("The order is placed")
    assert Order.objects.count() == 1
    page.get_by_role("link", name="Follow it").click()
    expect(page.get_by_text("This page loads itself again")).to_be_visible()
    expect(page.locator(".badge.large")).to_have_text("Waiting for a drone")


def test_everything_works_without_javascript(browse: Open) -> None:
    page = browse(NEW, java_script_enabled=False)
    expect(page.locator("#map")).to_be_hidden()
    fill(page)
    page.get_by_role("button", name="Can you deliver this").click()
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The order is placed")
    page.get_by_role("link", name=re.compile(r"^\w{4}-\w{4}-\w{5}$")).click()
    page.get_by_text("Cancel the order").click()
    page.get_by_label("Note").fill("A test.")
    page.get_by_role("button", name="Cancel this order").click()
    expect(page.get_by_role("status")).to_have_text("The order was canceled.")
    assert Order.objects.get().status == Status.CANCELED
