"""An open dashboard: visible, in a hidden tab, and without an answer."""

import re
from collections.abc import Callable

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from fleet import policy
from orders.models import Order
from orders.states import Status
from wingxtra.tests import scene
from wingxtra.tests.scene import Scene

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NOW = re.compile("/admin/now/")
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
# Records every text about the page's age from now on.
LISTEN = """() => {
    const age = document.getElementById("now-age");
    window.ages = [];
    new MutationObserver(() => window.ages.push(age.textContent)).observe(age, { childList: true });
}"""


def with_own_clock(page: Page) -> Page:
    page.clock.install()
    page.reload()
    page.evaluate(LISTEN)
    return page


def pass_time(page: Page, seconds: int) -> None:
    """Advance the clock second by second, with time for an answer in each."""
    for _ in range(seconds):
        page.clock.run_for(1_000)
        page.wait_for_timeout(60)


def warnings(page: Page) -> list[str]:
    ages: list[str] = page.evaluate("window.ages")
    return [age for age in ages if "No answer" in age]


def test_the_dashboard_renews_itself_and_keeps_the_focus(
    visit: Callable[..., Page], city: Scene
) -> None:
    page = visit()
    page.locator("summary", has_text="Acknowledge…").first.focus()
    focused = page.evaluate("document.activeElement.id")
    waiting = Order.objects.filter(status=Status.QUEUED).count()
    scene.place(scene.MARKET)
    figure = page.locator(".wx-number").filter(has_text="Queued").locator(".wx-figure")
    expect(figure).to_have_text(str(waiting + 1), timeout=15_000)
    assert page.evaluate("document.activeElement.id") == focused


def test_the_chart_stays_in_its_card(visit: Callable[..., Page]) -> None:
    page = visit()
    card = page.get_by_role("region", name="Orders per hour").bounding_box()
    assert card is not None
    bars = page.locator(".wx-bar").all()
    boxes = [box for box in (bar.bounding_box() for bar in bars) if box]
    assert len(boxes) == 48
    assert min(box["y"] for box in boxes) > card["y"]
    assert max(box["y"] + box["height"] for box in boxes) < card["y"] + card["height"]


def test_in_a_hidden_tab_the_count_in_the_title_stays_current(visit: Callable[..., Page]) -> None:
    page = with_own_clock(visit())
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    before = int(page.title().partition("(")[2].partition(")")[0])
    page.evaluate(HIDE, True)
    with page.expect_response(NOW):  # the request that was already due
        pass_time(page, 6)
    policy.change(by=scene.AMA, dispatch_paused=True)
    asked.clear()

    pass_time(page, 24)
    assert asked == []
    pass_time(page, 8)

    assert len(asked) == 1
    expect(page).to_have_title(re.compile(rf"^\({before + 1}\)"))
    assert warnings(page) == []


def test_when_shown_again_it_renews_itself_at_once_without_a_warning(
    visit: Callable[..., Page],
) -> None:
    page = with_own_clock(visit())
    page.evaluate(HIDE, True)
    pass_time(page, 27)

    with page.expect_response(NOW):
        page.evaluate(HIDE, False)
    pass_time(page, 2)

    expect(page.locator("#now-age")).to_have_text(re.compile(r"Renewed [0-3] s ago"))
    assert warnings(page) == []


@pytest.mark.parametrize("is_hidden", [False, True])
def test_without_an_answer_the_title_shows_it_too(
    visit: Callable[..., Page], is_hidden: bool
) -> None:
    page = with_own_clock(visit())
    page.evaluate(HIDE, is_hidden)
    page.route(NOW, lambda route: route.abort())
    pass_time(page, 44)

    expect(page.locator("#now-age")).to_contain_text("what you see is old")
    expect(page).to_have_title(re.compile(r"^\(\?\) "))

    page.unroute(NOW)
    page.evaluate(HIDE, False)
    pass_time(page, 8)
    expect(page.locator("#now-age")).to_contain_text("Renewed")
    expect(page).not_to_have_title(re.compile(r"\?"))


@pytest.mark.parametrize("path", ["/admin/", "/admin/map/"])
def test_a_lost_session_is_told_and_the_page_goes_on_after_the_login(
    path: str, visit: Callable[..., Page]
) -> None:
    page = visit(path)
    rows, cookies = list(Session.objects.all()), page.context.cookies()
    Session.objects.all().delete()
    notice = page.get_by_role("alert").filter(has_text="You are logged out.")
    expect(notice).to_be_visible(timeout=20_000)
    expect(notice.get_by_role("link", name="Log in in a new tab")).to_be_visible()

    Session.objects.bulk_create(rows)
    page.context.add_cookies(cookies)  # as after a login in another tab

    expect(notice).to_have_count(0, timeout=20_000)
