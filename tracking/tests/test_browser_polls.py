"""Polling updates the page but leaves the map to Leaflet."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from dispatch import testmode
from fleet.models import Drone
from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from orders import lifecycle
from orders.states import JobStatus, Scenario, Status
from tracking.page import page_context
from tracking.tests import looks
from tracking.tests.phone import Visit, map_is_there
from wingxtra.accounts.identity import DISPATCHER, GCS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def slow_pages(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is not asked for because it is old."""
    monkeypatch.setattr(page_context, "REFRESH_IN_FLIGHT_S", 30)


TABLET: dict[str, Any] = {"viewport": {"width": 1024, "height": 768}}
OVER = ("delivered", "handed-over", "told", "canceled", "failed")
WITH_A_MAP = [look for look in looks.ALL if look not in OVER]

PAGE = re.compile(r"/track/\w+/(\?.*)?$")
ASKED = re.compile(r"/track/\w+/(position)?(?:\?.*)?$")
# The map's classes and style, its box within its card, and how many elements it covers.
MAP_STATE = """() => {
    const map = document.getElementById("map");
    const box = map.getBoundingClientRect();
    const card = map.parentElement.getBoundingClientRect();
    const isOnTop = (part) => {
        const { left, top, width, height } = part.getBoundingClientRect();
        return part.contains(document.elementFromPoint(left + width / 2, top + height / 2));
    };
    scrollTo(0, 0);
    const hidden = [...document.querySelectorAll(".brand p, h1")].filter((part) => !isOnTop(part));
    return {
        classes: [...map.classList].sort(),
        style: map.getAttribute("style"),
        box: [box.left - card.left, box.top - card.top, box.width, box.height],
        covered: hidden.length,
    };
}"""


def poll_twice(page: Page) -> None:
    """The whole page, twice, as when it is shown again."""
    for _ in range(2):
        with page.expect_response(is_page) as polled:
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        polled.value.finished()
    page.evaluate("new Promise(requestAnimationFrame)")


def is_page(answer: Any) -> bool:
    return bool(PAGE.search(answer.url) and answer.ok)


def asked_by(page: Page) -> list[str]:
    """Grows with each poll: "page" or "position"."""
    found: list[str] = []

    def note(request: Request) -> None:
        if kind := ASKED.search(request.url):
            found.append(kind[1] or "page")

    page.on("request", note)
    return found


@pytest.mark.parametrize("look", WITH_A_MAP)
def test_the_map_is_the_same_after_two_polls(look: str, visit: Visit) -> None:
    page = visit(looks.ALL[look]())
    map_is_there(page)
    before = page.evaluate(MAP_STATE)

    poll_twice(page)

    after = page.evaluate(MAP_STATE)
    assert "leaflet-container" in after["classes"]
    assert after["covered"] == 0
    assert after == before


def test_the_map_is_the_same_after_two_polls_on_a_wide_screen(visit: Visit) -> None:
    page = visit(looks.on_its_way(), **TABLET)
    map_is_there(page)
    before = page.evaluate(MAP_STATE)

    poll_twice(page)

    assert page.evaluate(MAP_STATE) == before


def test_the_map_shows_new_data(visit: Visit) -> None:
    order = looks.waiting()
    page = visit(order)
    pin = page.locator(".pin-drop")
    expect(pin).to_have_attribute("tabindex", "0")

    lifecycle.assign(order.pk, DroneFactory().pk, by=DISPATCHER, why="The only one.")

    expect(pin).to_have_attribute("tabindex", "-1")


@pytest.mark.parametrize("end", [Status.DELIVERED, Status.FAILED])
def test_the_map_is_removed_when_the_delivery_is_over(end: Status, visit: Visit) -> None:
    # With the parcel aboard a failed flight is not over: the parcel is on its way back.
    order = looks.flying(Status.ENROUTE, share=0.55, minutes=3.6)
    page = visit(order)
    page.evaluate("window.same = true")
    expect(page.locator(".pin-drone")).to_be_visible()

    if end == Status.DELIVERED:
        lifecycle.advance(order.pk, end, by=GCS)
    else:
        lifecycle.mission_over(
            order.pk, ended=JobStatus.FAILED, by=GCS, why="Motor 3 failed.", max_attempts=1
        )

    expect(page.locator("#map")).to_have_count(0)
    expect(page.locator("#lost")).to_be_empty()
    assert page.evaluate("window.same")  # never reloaded


def test_the_drone_of_a_test_order_flies_on_the_map(visit: Visit) -> None:
    order = looks.order(Status.QUEUED, live_mode=False, test_scenario=Scenario.STEP_BY_STEP)
    for _ in ("assigned", "accepted", "launched", "en route"):
        testmode.advance(order.pk)
    page = visit(order)
    expect(page.get_by_text("No real drone flies this delivery.")).to_be_visible()
    drone = page.locator("#where")
    first = drone.get_attribute("data-drone")
    assert first

    expect(drone).not_to_have_attribute("data-drone", first)


# --- the position, each second -------------------------------------------------------------------


def test_a_new_position_moves_the_drone_and_renews_no_page(visit: Visit, slow_pages: None) -> None:
    page = visit(looks.on_its_way())
    map_is_there(page)
    asked, drone = asked_by(page), page.locator(".pin-drone")
    before = {"place": drone.bounding_box(), "left": page.locator("[data-left]").inner_text()}
    bearing = page.locator("#bearing").inner_text()

    looks.place(Drone.objects.get().pk, 0.9)

    expect(page.locator("[data-left]")).not_to_have_text(before["left"])
    expect(page.locator("#bearing")).not_to_have_text(bearing)
    page.wait_for_timeout(600)  # it glides
    assert drone.bounding_box() != before["place"]
    assert set(asked) == {"position"}


def test_a_drone_without_a_fix_leaves_the_map(visit: Visit, slow_pages: None) -> None:
    page = visit(looks.on_its_way())
    map_is_there(page)
    expect(page.locator(".pin-drone")).to_be_visible()
    drone_id = Drone.objects.get().pk

    show(TelemetryFactory(drone_id=drone_id, lat=None, lng=None))
    expect(page.locator(".pin-drone")).to_have_count(0)

    looks.place(drone_id, 0.7)
    expect(page.locator(".pin-drone")).to_be_visible()


def test_a_step_brings_the_page_with_the_next_position(visit: Visit, slow_pages: None) -> None:
    order = looks.on_its_way()
    page = visit(order)
    expect(page.locator("#headline")).to_contain_text("On its way")

    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)

    expect(page.locator("#headline")).to_have_text("Your drone is here")
    assert page.locator("#page").get_attribute("data-position")


# What the page asks within `for_s` seconds, by its own clock; it asks each second in flight.
PAUSES: dict[str, tuple[str, float, dict[str, int]]] = {
    "visible": ("", 4.5, {"position": 4}),
    "hidden": (
        """Object.defineProperty(document, "hidden", { value: true, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"))""",
        170,
        {"page": 1},
    ),
    "saving data": (
        "Object.defineProperty(navigator, 'connection', { value: { saveData: true } })",
        10,
        {"position": 2},
    ),
}


class UnderWay:
    """The requests of a page that have no answer yet."""

    def __init__(self, page: Page) -> None:
        self._page, self._asked = page, set[Request]()
        page.on("request", lambda request: self._asked.add(request))
        page.on("requestfinished", lambda request: self._asked.discard(request))
        page.on("requestfailed", lambda request: self._asked.discard(request))

    def end(self, then_ms: float) -> None:
        """The page's own clock stands still here, so that a slow answer is none of its pauses.

        then_ms: for the page to read the answer.
        """
        self._page.wait_for_timeout(then_ms)
        while self._asked:
            self._page.wait_for_timeout(max(10, then_ms))


@pytest.mark.parametrize("how", PAUSES)
def test_how_often_the_page_asks(how: str, visit: Visit, slow_pages: None) -> None:
    script, for_s, expected = PAUSES[how]
    page = visit(looks.on_its_way(), own_clock=True)
    under_way = UnderWay(page)
    page.evaluate(script or "0")
    page.clock.run_for(1_300)
    under_way.end(then_ms=300)
    asked = asked_by(page)
    for _ in range(round(for_s * 4)):
        page.clock.run_for(250)
        under_way.end(then_ms=30 if for_s < 20 else 2)
    found = {kind: asked.count(kind) for kind in set(asked)}
    assert found.keys() == expected.keys()
    assert all(abs(found[kind] - number) <= 1 for kind, number in expected.items()), found


def test_a_position_that_fails_is_no_lost_connection_but_a_page(visit: Visit) -> None:
    page = visit(looks.on_its_way())
    page.route("**/position", lambda route: route.fulfill(status=503, body=""))
    asked = asked_by(page)

    with page.expect_response(is_page):
        pass
    with page.expect_response(is_page):
        pass

    assert asked[:4] == ["position", "page", "position", "page"]
    expect(page.locator("#lost")).to_be_empty()
