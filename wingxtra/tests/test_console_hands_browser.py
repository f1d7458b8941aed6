"""The console without a mouse, without eyes, on paper, and over a slow line."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Response, expect

from dispatch.shift import notes
from dispatch.tests import whatif_day
from orders.models import Order
from orders.states import Status
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.tests import scene
from wingxtra.tests.console_pages import serious_violations
from wingxtra.tests.scene import Scene

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ORDERS = "/admin/orders/order/"
MOST_KEYS = 8
COLD_BYTES = 900_000
MORE_PAGES = (
    "/admin/shift/people/?user=ama",
    "/admin/shift/drone/",
    "/admin/shift/pauses/",
    "/admin/dispatch/shiftnote/",
    "/admin/dispatch/shiftnote/add/",
)


# An icon that its font lacks is shown as its name.
WORDS_FOR_ICONS = """() => document.fonts.ready.then(() =>
  [...document.querySelectorAll('.material-symbols-outlined')]
    .filter((icon) => icon.offsetWidth > 1.7 * parseFloat(getComputedStyle(icon).fontSize))
    .map((icon) => icon.textContent.trim()))"""


class Keyboard:
    """Presses keys and counts them."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.count = 0

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.count += 1


def focused(page: Page) -> str:
    """The text or value of what has the focus."""
    found: str = page.evaluate("document.activeElement.textContent.trim()")
    return found


def test_from_the_list_to_a_confirmed_action_in_eight_keys(
    visit: Callable[..., Page], city: Scene
) -> None:
    page = visit(f"{ORDERS}?tab=queued")
    keys = Keyboard(page)
    keys.press("j")
    chosen = focused(page)
    keys.press("x", "a", "c")
    expect(page.locator("select[name=action]").first).to_have_value("cancel")
    keys.press("Enter")
    page.wait_for_url("**/cancel/**")
    expect(page.get_by_label("Reason")).to_be_focused()
    keys.press("w", "Enter")
    expect(page.get_by_text(f"Order {chosen} was canceled.")).to_be_visible()
    assert keys.count <= MOST_KEYS
    assert Order.objects.get(public_tracking_id=chosen).status == Status.CANCELED


def test_from_the_list_over_the_page_to_a_confirmed_action(
    visit: Callable[..., Page], city: Scene
) -> None:
    page = visit(f"{ORDERS}?tab=queued")
    keys = Keyboard(page)
    keys.press("j")
    chosen = focused(page)
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(chosen)
    keys.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    keys.press("Escape", "a")
    expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)
    name = focused(page)
    assert name.endswith("…")
    keys.press("Enter")
    page.wait_for_url("**/admin/do/**")
    assert keys.count <= MOST_KEYS


def test_the_dashboards_remedy_is_reached_by_keys(visit: Callable[..., Page]) -> None:
    page = visit()
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.closest('.wx-attention > li') !== null")
    page.keyboard.press("a")
    assert page.evaluate("document.activeElement.classList.contains('wx-button')")


def test_back_in_the_list_the_row_has_the_focus_again(visit: Callable[..., Page]) -> None:
    page = visit(ORDERS)
    for key in "jjj":
        page.keyboard.press(key)
    chosen = focused(page)
    page.keyboard.press("o")
    expect(page.get_by_role("heading", level=1)).to_contain_text(chosen)
    page.go_back()
    expect(page.get_by_role("link", name=chosen, exact=True)).to_be_focused()
    page.keyboard.press("k")
    assert focused(page) != chosen


def test_keys_that_are_typed_into_a_field_are_text(visit: Callable[..., Page]) -> None:
    page = visit(ORDERS)
    page.keyboard.press("/")
    page.keyboard.type("jax?")
    expect(page.locator("#searchbar")).to_have_value("jax?")


@pytest.mark.parametrize("path", ["/admin/", ORDERS, "/admin/map/", "/admin/shift/"])
def test_the_first_tab_skips_to_the_content(visit: Callable[..., Page], path: str) -> None:
    page = visit(path)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#content') !== null")


def test_a_focused_row_is_never_behind_a_bar(visit: Callable[..., Page]) -> None:
    page = visit(ORDERS, viewport={"width": 1440, "height": 600})
    page.keyboard.press("j")
    page.keyboard.press("x")
    bar = page.locator("#changelist-actions")
    expect(bar).to_be_visible()
    for _ in range(page.locator("#result_list tbody > tr").count()):
        page.keyboard.press("j")
        covered = page.evaluate(
            """() => {
              const row = document.activeElement.getBoundingClientRect();
              const bar = document.querySelector('#changelist-actions').getBoundingClientRect();
              return row.bottom > bar.top || row.top < 0;
            }"""
        )
        assert not covered, focused(page)


def navigation(page: Page) -> list[str]:
    """The addresses of all pages in the menu."""
    found = page.locator("#nav-sidebar a[href^='/admin/']").evaluate_all(
        "(links) => links.map((link) => new URL(link.href).pathname)"
    )
    return sorted(set(found))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_of_the_menu_is_accessible(
    visit: Callable[..., Page], city: Scene, scheme: str
) -> None:
    whatif_day.answered()
    notes.write("Drone 7 is loud.", by=User.objects.get(username="ama"))
    page = visit(user=UserFactory(username="boss", admin=True), color_scheme=scheme)
    paths = [*navigation(page), *MORE_PAGES, scene.page_of(city.orders["enroute"].pk)]
    paths.append(f"/admin/shift/drone/?drone={city.drone_of('enroute')}")
    assert len(paths) > 25
    found: dict[str, Any] = {}
    for path in paths:
        page.goto(path)
        found |= {path: bad} if (bad := serious_violations(page)) else {}
        shown = page.locator(".material-symbols-outlined:not([aria-hidden])")
        assert shown.count() == 0, path
        assert page.evaluate(WORDS_FOR_ICONS) == [], path
    assert not found


@pytest.mark.parametrize("path", ["/admin/", ORDERS, "/admin/shift/"])
def test_paper_has_the_content_and_not_the_frame(visit: Callable[..., Page], path: str) -> None:
    page = visit(path, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.locator("#nav-sidebar")).to_be_hidden()
    expect(page.locator("#content")).to_be_visible()
    for button in page.locator("a.wx-button").all():
        expect(button).to_be_hidden()
    ink = page.evaluate("getComputedStyle(document.querySelector('#content')).color")
    assert ink == "rgb(0, 0, 0)"


@pytest.mark.parametrize("path", ["/admin/", ORDERS, "/admin/map/", "/admin/shift/", "order"])
def test_a_cold_page_is_light(visit: Callable[..., Page], city: Scene, path: str) -> None:
    """All that a browser with an empty cache loads, not compressed."""
    page = visit("/admin/password_change/")
    address = scene.page_of(city.orders["enroute"].pk) if path == "order" else path
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    loaded: dict[str, int] = {}

    def note(answer: Response) -> None:
        if answer.ok and urlsplit(answer.url).hostname == urlsplit(page.url).hostname:
            loaded[urlsplit(answer.url).path] = len(answer.body())

    page.on("response", note)
    page.goto(address, wait_until="networkidle" if path not in ("/admin/map/",) else "load")
    heaviest = sorted(loaded.items(), key=lambda one: -one[1])
    print(path, sum(loaded.values()), heaviest[:14])
    assert sum(loaded.values()) <= COLD_BYTES, heaviest
