"""Choosing a drone by hand among 500, in a real Chromium."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from fleet.models import Drone
from fleet.tests.factories import TelemetryFactory, show
from orders import lifecycle
from orders.states import CancelReason
from wingxtra.tests import scene
from wingxtra.tests.scene import Scene

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Visit = Callable[..., Page]
# 25 rows with a map; all 500 drones would take more than 20,000.
MAX_HEIGHT_PX = 3000


def many_drones(city: Scene) -> None:
    hub, kind = city.drones[0].hub, city.drones[0].kind
    many = [Drone(drone_id=f"WX-MANY-{n:03d}", hub=hub, base=hub, kind=kind) for n in range(500)]
    Drone.objects.bulk_create(many)
    show(
        *(
            TelemetryFactory(
                drone_id=one.pk,
                lat=hub.lat + n / 1e5,
                lng=hub.lng + n % 25 / 1e4,
                battery_pct=float(70 + n % 30),
            )
            for n, one in enumerate(many)
        )
    )


def address(city: Scene) -> str:
    return f"/admin/do/orders.order/assign/?id={city.orders['urgent'].pk}"


def test_a_drone_is_found_among_500_and_assigned(visit: Visit, city: Scene) -> None:
    many_drones(city)
    page = visit(address(city))
    expect(page.get_by_role("radio")).to_have_count(25)
    expect(page.locator(".wx-pin.wx-drone")).to_have_count(25)
    assert page.evaluate("document.documentElement.scrollHeight") < MAX_HEIGHT_PX
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("26 to 50 of")).to_be_visible()
    page.get_by_role("searchbox", name="Find").fill("many-123")
    page.get_by_role("searchbox", name="Find").press("Enter")
    expect(page.get_by_role("radio")).to_have_count(1)
    page.get_by_role("radio").check()
    page.get_by_role("button", name="Assign").click()
    expect(page.get_by_text(re.compile("WX-MANY-123 flies order"))).to_be_visible()


def test_the_form_says_that_the_order_changed_and_keeps_what_is_written(
    visit: Visit, city: Scene
) -> None:
    page = visit(address(city))
    page.get_by_label("Why limits may be overridden").fill("I see it on the pad.")
    lifecycle.cancel(city.orders["urgent"].pk, by=scene.AMA, reason=CancelReason.WEATHER)
    notice = page.get_by_role("status").filter(has_text="Changed since you opened this page")
    expect(notice).to_contain_text("ama: Canceled.", timeout=15_000)
    expect(page.get_by_label("Why limits may be overridden")).to_have_value("I see it on the pad.")
    page.get_by_role("button", name="Assign").click()
    expect(page.get_by_role("alert").first).to_contain_text("nothing was done")
