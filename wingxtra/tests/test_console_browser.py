"""A dispatcher's shift in a real Chromium, from login to dark mode."""

import re
import threading
from collections.abc import Callable

import pytest
from django.db import connection
from playwright.sync_api import Page, expect

from dispatch import actors
from dispatch.models import WhatIf
from dispatch.tests import whatif_day
from fleet.models import GeoZone
from orders import lifecycle
from orders.models import Order
from orders.states import Status
from wingxtra.accounts.identity import GCS
from wingxtra.tests import scene
from wingxtra.tests.scene import Scene

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def order_page(order: Order) -> str:
    return scene.page_of(order.pk)


def test_a_dispatcher_assigns_a_drone_and_watches_it_move(
    visit: Callable[..., Page], city: Scene
) -> None:
    order = city.orders["urgent"]
    page = visit(order_page(order))
    page.get_by_role("link", name="Assign…").click()
    chosen = page.get_by_role("radio").and_(page.locator(":checked")).get_attribute("value")
    page.get_by_role("button", name="Assign").click()
    expect(page.get_by_text(f"{chosen} flies order {order}.")).to_be_visible()
    expect(page.get_by_label("Dispatch decision")).to_contain_text("By hand")

    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    city.orders["urgent"], city.progress["urgent"] = order, 0.1
    city.fly(0)
    page.goto("/admin/map/")
    page.get_by_role("combobox", name="State").select_option(label="On a mission")
    page.get_by_label("On the map").get_by_role("button", name=chosen).click()
    popup = page.locator(".leaflet-popup")
    expect(popup).to_contain_text(chosen or "")
    position = popup.locator("dt", has_text="Position").locator("+ dd")
    before = position.inner_text()
    city.fly(0.3)
    expect(position).not_to_have_text(before)


def test_an_order_is_canceled_with_a_reason(visit: Callable[..., Page], city: Scene) -> None:
    order = city.orders["queued"]
    page = visit(order_page(order))
    page.get_by_role("link", name="Cancel the order…").click()
    page.get_by_label("Reason").select_option("MERCHANT_REQUEST")
    page.get_by_role("button", name="Cancel the order").click()
    expect(page.get_by_text(f"Order {order} was canceled.")).to_be_visible()
    expect(page.get_by_label("Timeline")).to_contain_text("The merchant asked")
    expect(page.get_by_label("Timeline")).to_contain_text("ama")


def test_dispatch_is_paused_from_the_dashboard(visit: Callable[..., Page]) -> None:
    page = visit()
    page.get_by_label("Dispatch", exact=True).get_by_role(
        "link", name="Pause dispatch everywhere…"
    ).click()
    page.get_by_label("Reason").fill("Thunderstorm over Ridge.")
    page.get_by_role("button", name="Pause dispatch everywhere").click()
    expect(page.get_by_label("Dispatch", exact=True)).to_contain_text("paused everywhere")
    expect(page.get_by_label("Needs attention")).to_contain_text("Dispatch is paused everywhere")


def test_the_next_run_respects_a_zone_drawn_on_the_map(
    visit: Callable[..., Page], city: Scene
) -> None:
    page = visit("/admin/fleet/geozone/add/")
    page.get_by_label("Name").fill("Stadium")
    canvas = page.locator(".wx-polygon .wx-map")
    canvas.scroll_into_view_if_needed()
    # Wait until the map has fitted itself to the existing features.
    expect(canvas.locator('.wx-hub[title="Ridge hub"]')).to_be_visible()
    box = canvas.bounding_box()
    assert box is not None
    for x, y in ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)):
        canvas.click(position={"x": box["width"] * x, "y": box["height"] * y})
    expect(page.locator("[data-hint]")).to_have_text("4 points.")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    assert GeoZone.objects.filter(name="Stadium", active=True).exists()

    page.goto(order_page(city.orders["queued"]))
    page.get_by_role("link", name="Dispatch now…").click()
    page.get_by_role("button", name="Dispatch now").click()
    expect(page.get_by_role("alert")).to_contain_text("is in Stadium")


def test_a_bulk_action_shows_the_result_of_each(visit: Callable[..., Page], city: Scene) -> None:
    page = visit("/admin/orders/order/")
    for name in ("queued", "enroute"):
        row = page.get_by_role("row").filter(has_text=str(city.orders[name]))
        row.get_by_role("checkbox").check()
    page.locator("select[name=action]").first.select_option("cancel")
    page.get_by_role("button", name=re.compile("Run")).first.click()
    page.get_by_label("Reason").select_option("WEATHER")
    page.get_by_role("button", name="Cancel the order").click()
    expect(page.get_by_text("1 of 2 done.")).to_be_visible()
    done, refused = (
        page.get_by_role("row").filter(has_text=str(city.orders[name]))
        for name in ("queued", "enroute")
    )
    expect(done).to_contain_text("was canceled")
    expect(refused).to_contain_text("cannot be canceled any more")


def test_the_list_is_filtered_without_a_mouse(visit: Callable[..., Page], city: Scene) -> None:
    page = visit("/admin/orders/order/")
    page.get_by_role("button", name="Filters").focus()
    page.keyboard.press("Enter")
    filters = page.locator("#changelist-filter")
    expect(filters).to_be_visible()
    filters.get_by_label("From", exact=True).first.fill("2020-01-01")
    filters.get_by_label("To", exact=True).first.fill("2020-01-02")
    filters.get_by_role("button", name="Show", exact=True).first.press("Enter")
    expect(page.get_by_text("Nothing passes these filters.")).to_be_visible()
    page.get_by_role("link", name="Show all").press("Enter")
    expect(page.get_by_role("link", name=str(city.orders["queued"]))).to_be_visible()


def test_a_dry_run_shows_its_plan_on_a_map(visit: Callable[..., Page], city: Scene) -> None:
    page = visit("/admin/dispatch/dispatchrun/")
    page.get_by_role("link", name="Dry run…").click()
    page.get_by_role("button", name="Dry run").click()
    plan = page.get_by_label("What it would do")
    expect(plan.get_by_role("button", name=re.compile("Drop point of")).first).to_be_visible()
    assert Order.objects.get(pk=city.orders["queued"].pk).status == Status.QUEUED


def test_ops_ask_a_what_if_and_see_its_progress(visit: Callable[..., Page], city: Scene) -> None:
    whatif_day.orders_from_noon(400, apart_s=30.0, **whatif_day.IN_THE_CITY)
    page = visit("/admin/dispatch/whatif/")
    page.get_by_role("link", name="Ask “what if”…").click()
    page.get_by_label("More drones").fill("2")
    page.get_by_label("At the hub").select_option(label="Ridge hub")
    page.get_by_label("Wait for a better drone up to (s)").fill("240")
    page.get_by_role("button", name="Simulate").click()
    state = page.get_by_role("status")
    expect(state).to_contain_text("Waiting for a worker")
    worker = threading.Thread(target=_simulate)
    worker.start()
    expect(state).to_contain_text(re.compile(r"Being simulated: [1-9]\d? %"))
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(state).to_contain_text("With 2 more drones at Ridge hub", timeout=60_000)
    worker.join()
    comparison = page.get_by_role("region", name="Comparison")
    expect(comparison).to_contain_text("All orders (400)")
    page.get_by_role("link", name="Ask again with changes…").click()
    expect(page.get_by_label("Wait for a better drone up to (s)")).to_have_value("240")


def _simulate() -> None:
    """The work of a worker on this message."""
    actors.compute_what_if.fn(str(WhatIf.objects.get().pk))
    connection.close()


def test_without_a_tile_server_the_map_shows_a_grid_and_the_reason(
    visit: Callable[..., Page],
) -> None:
    page = visit("/admin/map/")
    expect(page.locator(".leaflet-control-attribution")).to_contain_text("plain grid instead")
    expect(page.get_by_label("On the map")).to_contain_text("Kotoka International Airport")


def test_the_documentation_of_the_api_runs_under_its_policy(visit: Callable[..., Page]) -> None:
    page = visit()
    page.goto("/api/docs")
    expect(page.locator(".swagger-ui .opblock").first).to_be_visible()


def test_an_unregistered_drone_is_shown_with_its_remedy(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator("#more-lines-open").click()  # it is not among the worst five
    item = page.get_by_role("listitem").filter(has_text=scene.UNREGISTERED)
    item.get_by_role("link", name="Register…").click()
    expect(page.get_by_label("Drone id")).to_have_value(scene.UNREGISTERED)
