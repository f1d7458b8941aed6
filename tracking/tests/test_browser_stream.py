"""The page is told where its drone is by a stream, and asks where there is none."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from fleet.models import Drone
from orders import lifecycle
from orders.states import Status
from tracking.page import page_context
from tracking.tests import looks
from tracking.tests.phone import Visit, map_is_there
from tracking.tests.streaming import streaming
from tracking.tests.test_browser_polls import asked_by
from wingxtra.accounts.identity import GCS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


# Holds back what the page asked for until the stream has its first event. The answers are read
# before: the page's own limit of time does not end the wait.
HOLD_BACK = """
    let heard;
    const hears = new Promise((done) => { heard = done; });
    window.EventSource = class extends EventSource {
        constructor(url) {
            super(url);
            this.addEventListener("message", () => setTimeout(heard, 200));
        }
    };
    const ask = fetch;
    window.held = 0;
    window.released = false;
    window.fetch = async (url, options) => {
        const answer = await ask(url, options);
        if (!url.includes("/position")) return answer;
        const text = await answer.text();
        window.held += 1;
        await hears;
        window.released = true;
        return new Response(text, { status: answer.status });
    };
    window.drones = [];
    document.addEventListener("DOMContentLoaded", () => {
        const where = document.getElementById("where");
        const note = () => drones.push(where.dataset.drone);
        new MutationObserver(note).observe(where, { attributeFilter: ["data-drone"] });
    });
"""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, quick: None) -> Iterator[str]:
    """The page is not asked for because it is old."""
    monkeypatch.setattr(page_context, "REFRESH_IN_FLIGHT_S", 30)
    with streaming() as url:
        yield url


def flies_to(share: float, page: Page) -> None:
    """The page shows that the drone has flown this share of its way."""
    before = page.locator("#where").get_attribute("data-drone")
    looks.place(Drone.objects.get().pk, share)
    expect(page.locator("#where")).not_to_have_attribute("data-drone", str(before))


def until(page: Page, condition: str) -> None:
    """Playwright's own waiting for a condition is against the page's security policy."""
    for _ in range(600):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"not within 30 s: {condition}")


def test_the_drone_moves_by_events_and_nothing_is_asked_for(visit: Visit, url: str) -> None:
    with_events(visit, url)


def with_events(visit: Visit, url: str) -> Page:
    """A page that has stopped asking, because it is told."""
    page = visit(looks.on_its_way(), streams=url)
    map_is_there(page)
    page.wait_for_timeout(2_500)
    asked = asked_by(page)
    left = page.locator("[data-left]").inner_text()
    for share in (0.7, 0.8, 0.9):
        flies_to(share, page)
    expect(page.locator("[data-left]")).not_to_have_text(left)
    page.wait_for_timeout(2_000)
    assert asked == []
    return page


def test_a_step_brings_the_page_and_the_stream_goes_on(visit: Visit, url: str) -> None:
    order = looks.on_its_way()
    page = visit(order, streams=url)
    map_is_there(page)
    page.wait_for_timeout(2_500)
    asked = asked_by(page)

    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)

    expect(page.locator("#headline")).to_have_text("Your drone is here")
    flies_to(0.2, page)
    assert asked == ["page"]


def test_a_hidden_page_has_no_stream_until_it_is_shown(visit: Visit, url: str) -> None:
    page = with_events(visit, url)
    page.evaluate(HIDE, True)
    page.wait_for_timeout(500)
    before = page.locator("#where").get_attribute("data-drone")
    looks.place(Drone.objects.get().pk, 0.3)
    page.wait_for_timeout(2_000)
    assert page.locator("#where").get_attribute("data-drone") == before

    page.evaluate(HIDE, False)

    expect(page.locator("#where")).not_to_have_attribute("data-drone", str(before))
    asked = asked_by(page)
    flies_to(0.4, page)
    assert "page" not in asked


def test_with_save_data_it_asks(visit: Visit, url: str) -> None:
    page = visit(looks.on_its_way(), streams=url)
    page.add_init_script(
        "Object.defineProperty(navigator, 'connection', { value: { saveData: true } })"
    )
    address, opened = page.url, list[str]()
    page.goto("about:blank")
    page.on("request", lambda asked: opened.append(asked.url))
    page.goto(address)
    map_is_there(page)
    flies_to(0.9, page)
    assert [one for one in opened if one.endswith("/stream")] == []


def test_an_answer_from_before_the_stream_does_not_end_it(visit: Visit, url: str) -> None:
    """It may know another position than the first event: nothing holds the events back. The event
    is newer, so the drone stays where that says.
    """
    page = visit(looks.on_its_way(), streams=url)
    address, connects = page.url, list[Route]()
    page.goto("about:blank")
    page.route(re.compile(r"/stream$"), lambda route: connects.append(route))
    page.add_init_script(HOLD_BACK)
    page.goto(address)
    until(page, "held > 0")
    connects.pop(0).abort()
    looks.place(Drone.objects.get().pk, 0.9)
    for _ in range(600):  # it connects again after 3 s
        if not connects:
            page.wait_for_timeout(50)
    connects.pop(0).fallback()
    until(page, "released")
    page.wait_for_timeout(1_000)
    asked = asked_by(page)
    page.wait_for_timeout(2_500)
    assert (connects, asked) == ([], [])
    assert len(set(page.evaluate("drones"))) == 1


def test_where_the_stream_breaks_the_page_asks_until_it_is_back(
    visit: Visit, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    monkeypatch.setattr(page_context, "REFRESH_IN_FLIGHT_S", 30)
    with streaming() as url:
        page = with_events(visit, url)
    asked = asked_by(page)
    for share in (0.3, 0.4):
        flies_to(share, page)
    assert "position" in asked
    expect(page.locator("#lost")).to_be_empty()


def test_where_there_is_no_stream_the_page_asks(visit: Visit, quick: None) -> None:
    """As without the proxy: web processes answer 404."""
    page = visit(looks.on_its_way())
    map_is_there(page)
    asked = asked_by(page)
    for share in (0.7, 0.8):
        flies_to(share, page)
    assert "position" in asked
