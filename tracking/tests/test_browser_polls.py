"""Polling updates the page but leaves the map to Leaflet."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dispatch import testmode
from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.states import JobStatus, Scenario, Status
from tracking.tests import looks
from tracking.tests.phone import Visit, map_is_there
from wingxtra.accounts.identity import DISPATCHER, GCS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TABLET: dict[str, Any] = {"viewport": {"width": 1024, "height": 768}}
OVER = ("delivered", "handed-over", "told", "canceled", "failed")
WITH_A_MAP = [look for look in looks.ALL if look not in OVER]

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
    for _ in range(2):
        with page.expect_response(lambda answer: "/track/" in answer.url and answer.ok) as polled:
            pass
        polled.value.finished()
    page.evaluate("new Promise(requestAnimationFrame)")


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

    poll_twice(page)

    assert drone.get_attribute("data-drone") != first
