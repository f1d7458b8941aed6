"""The hub's list in a phone's browser: taps, double taps, bad networks, light and dark mode."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as current_settings
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from fleet.models import Hub
from fleet.tests.factories import HubFactory
from orders import lifecycle
from orders.loading import pages
from orders.models import DeliveryEvent, Order
from orders.states import EventType, Holder, Status
from orders.tests.factories import order_in
from orders.tests.loading import (
    FAR,
    back_with_its_parcel,
    browser_of,
    drone_of,
    loaded_by,
    loader_at,
    stored_at,
)
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

AXE = current_settings.BASE_DIR / "wingxtra" / "tests" / "vendor" / "axe.min.js"
PHONE: Any = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
    "locale": "en-GB",
    "timezone_id": "Africa/Accra",
}
TOO_WIDE = """
[...document.body.querySelectorAll("*")]
  .filter((part) => part.getBoundingClientRect().right > innerWidth)
  .map((part) => part.outerHTML.slice(0, 80))
"""
Visit = Callable[..., Page]


@pytest.fixture
def hub() -> Hub:
    made: Hub = HubFactory(name="Ridge hub")
    loader_at(made, username="kofi")
    return made


@pytest.fixture
def visit(
    hub: Hub, chromium: Browser, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Visit]:
    """Opens a page on the loader's phone. Fails on requests to other hosts, script errors and
    violations of the Content-Security-Policy.
    """
    monkeypatch.setattr(pages, "REFRESH_EVERY_S", 1)
    contexts: list[BrowserContext] = []
    trouble: list[str] = []

    def note(kind: str, text: str) -> None:
        if "Content Security Policy" in text or (kind == "error" and "Failed to load" not in text):
            trouble.append(text)

    def visit(path: str = "/load/", *, by_password: bool = False, **options: Any) -> Page:
        context = chromium.new_context(base_url=live_server.url, **{**PHONE, **options})
        contexts.append(context)
        context.set_default_timeout(10_000)
        context.on(
            "request",
            lambda request: (
                None if request.url.startswith(live_server.url) else trouble.append(request.url)
            ),
        )
        context.on("console", lambda message: note(message.type, message.text))
        page = context.new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        if not by_password:
            session = browser_of(User.objects.get(username="kofi")).cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        page.goto(path)
        if by_password:
            page.get_by_label("Username").fill("kofi")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            page.wait_for_url(f"**{path}")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not trouble


def fresh(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


def middle_of(page: Page, button: str) -> tuple[float, float]:
    box = page.get_by_role("button", name=button).bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def fill(hub: Hub, parcels: int) -> None:
    """Create this many parcels, alternating between the kinds of rows."""
    kinds: list[Callable[[], Order]] = [
        lambda: order_in(Status.MISSION_SUBMITTED, drone=drone_of(hub), priority="MEDICAL"),
        lambda: order_in(Status.ASSIGNED, drone=drone_of(hub)),
        lambda: back_with_its_parcel(drone_of(hub)),
        lambda: stored_at(hub),
        lambda: order_in(Status.QUEUED, priority="URGENT"),
        lambda: loaded_by(drone_of(hub), Status.ENROUTE),
        lambda: order_in(Status.ASSIGNED, drone=drone_of(hub), **FAR),
        lambda: loaded_by(drone_of(hub)),
    ]
    for number in range(parcels):
        kinds[number % len(kinds)]()


@pytest.mark.parametrize("parcels", [0, 1, 30])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_list_is_readable_in_light_and_dark_mode(
    visit: Visit, hub: Hub, parcels: int, scheme: str, tmp_path: Path
) -> None:
    fill(hub, parcels)
    page = visit(color_scheme=scheme)
    expect(page.get_by_role("heading", level=1)).to_have_text("Ridge hub")
    expect(page.locator("section li")).to_have_count(parcels)
    page.screenshot(path=tmp_path / f"loading-{parcels}-{scheme}.png", full_page=True)
    assert_easy_to_read_and_tap(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_one_parcel_is_readable_in_light_and_dark_mode(
    visit: Visit, hub: Hub, scheme: str, tmp_path: Path
) -> None:
    order = loaded_by(drone_of(hub), Status.ENROUTE, priority="MEDICAL")
    page = visit(f"/load/scan/{order.pk}", color_scheme=scheme)
    page.get_by_text("Came back…").tap()
    expect(page.get_by_role("button", name="Yes: came back")).to_be_visible()
    page.screenshot(path=tmp_path / f"loading-scan-{scheme}.png", full_page=True)
    assert_easy_to_read_and_tap(page)


def assert_easy_to_read_and_tap(page: Page) -> None:
    assert page.evaluate(TOO_WIDE) == []
    for button in page.locator("#list button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 48
    page.evaluate(AXE.read_text())  # the page's policy allows no script from other hosts
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []


def test_taps_report_a_parcel_ready_and_loaded(visit: Visit, hub: Hub) -> None:
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))
    page = visit()
    page.evaluate("window.same = true")

    page.get_by_role("button", name="Ready").tap()
    expect(page.locator("#result")).to_contain_text("ready to be loaded")
    expect(page.get_by_role("button", name="Ready")).to_have_count(0)
    page.wait_for_timeout(900)
    page.get_by_role("button", name="Loaded").tap()
    expect(page.locator("#result")).to_contain_text("loaded.")
    expect(page.locator("#list")).to_contain_text("Aboard, about to leave")

    assert fresh(order).holder == Holder.DRONE
    assert page.evaluate("window.same")


def test_the_second_tap_of_a_double_tap_does_nothing(visit: Visit, hub: Hub) -> None:
    """“Loaded” replaces “Ready” at the same place."""
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))
    page = visit()

    page.touchscreen.tap(*middle_of(page, "Ready"))
    expect(page.locator("#result")).to_contain_text("ready to be loaded")
    page.touchscreen.tap(*middle_of(page, "Loaded"))
    page.wait_for_timeout(1000)

    assert fresh(order).holder == Holder.SENDER
    assert DeliveryEvent.objects.filter(type=EventType.PARCEL_READY).count() == 1


def test_the_list_refreshes_and_keeps_unfinished_input(visit: Visit, hub: Hub) -> None:
    flying = loaded_by(drone_of(hub), Status.ENROUTE)
    page = visit(f"/load/{hub.pk}/")
    page.get_by_label("Scan or type a label").fill("7Q2K")
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))

    expect(page.locator(f"#parcel-{order.pk}")).to_be_visible()
    expect(page.get_by_label("Scan or type a label")).to_have_value("7Q2K")
    expect(page.get_by_label("Scan or type a label")).to_be_focused()

    # The list does not change while a finger is on the screen.
    page.evaluate("document.dispatchEvent(new PointerEvent('pointerdown', {bubbles: true}))")
    lifecycle.unloaded(flying.pk, hub.pk, by=SYSTEM)
    page.wait_for_timeout(2500)
    expect(page.locator("section.flying")).to_have_count(1)
    page.evaluate("document.dispatchEvent(new PointerEvent('pointerup', {bubbles: true}))")
    expect(page.locator("section.flying")).to_have_count(0)
    expect(page.locator("section.lying")).to_have_count(1)


def test_without_a_connection_the_tap_and_the_age_show_it(
    visit: Visit, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))
    page = visit()
    page.clock.install()
    page.reload()
    page.context.set_offline(True)
    page.clock.run_for(40_000)
    expect(page.locator("#age")).to_contain_text("this list is old")

    page.get_by_role("button", name="Ready").tap()
    expect(page.get_by_role("alert")).to_contain_text("this may not have been sent")
    assert fresh(order).parcel_ready_at is None

    page.context.set_offline(False)
    page.clock.run_for(2_000)
    page.get_by_role("button", name="Ready").tap()
    expect(page.locator("#result")).to_contain_text("ready to be loaded")
    expect(page.locator("#age")).to_have_text("Updates itself.")


def test_on_a_slow_network_a_tap_is_sent_once(visit: Visit, hub: Hub) -> None:
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))
    page = visit()
    sent: list[str] = []
    page.on(
        "request", lambda request: sent.append(request.url) if request.method == "POST" else None
    )
    slow = {"offline": False, "latency": 1500, "downloadThroughput": -1, "uploadThroughput": -1}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)

    spot = middle_of(page, "Ready")
    for _ in range(3):
        page.touchscreen.tap(*spot)
    expect(page.locator("#result")).to_contain_text("ready to be loaded")

    assert len(sent) == 1
    assert fresh(order).parcel_ready_at is not None


def test_a_label_that_the_camera_opens_leads_to_its_parcel(visit: Visit, hub: Hub) -> None:
    order = back_with_its_parcel(drone_of(hub))
    page = visit(f"/load/scan/{order.pk}", by_password=True)
    expect(page.locator(".name")).to_contain_text(order.public_tracking_id[:4])
    page.get_by_role("button", name="Came back").tap()
    expect(page.locator("#result")).to_contain_text("it is here")
    assert fresh(order).holder_hub == hub


def test_the_page_works_without_javascript(visit: Visit, hub: Hub) -> None:
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))
    page = visit(java_script_enabled=False)
    page.get_by_role("button", name="Ready").tap()
    expect(page.locator("#result")).to_contain_text("ready to be loaded")
    page.get_by_role("link", name="Refresh").tap()
    expect(page.locator("#result")).to_be_empty()
    page.get_by_label("Scan or type a label").fill(order.public_tracking_id[:8])
    page.get_by_role("button", name="Show").tap()
    expect(page.get_by_role("button", name="Loaded")).to_be_visible()
