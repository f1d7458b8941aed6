"""The map's ground: pictures of streets, or a plan to scale where there are none."""

from typing import Any

import pytest
from django.conf import settings as current_settings
from playwright.sync_api import Page, Route, expect
from pytest_django import Settings

from fleet.feasibility.geometry import distance_m
from orders.models import Order
from tracking.tests import looks
from tracking.tests.phone import Visit, fresh, headline, map_is_there

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TILES = "https://tiles.example/{z}/{x}/{y}.png"
TILE = current_settings.BASE_DIR / "wingxtra/static/vendor/leaflet/images/layers.png"
A_PLAN = {
    "en-GB": "No map pictures here: a plan to scale.",
    "fr-FR": "Pas d’images de carte ici : un plan à l’échelle.",
}
TAP = {"en-GB": "tap the spot", "fr-FR": "touchez l’endroit"}
DRAG = {"en-GB": "drag the pin: it moves by metres", "fr-FR": "faites glisser le repère"}
LANGUAGES = pytest.mark.parametrize("locale", ["en-GB", "fr-FR"])


def expect_plan(page: Page, locale: str = "en-GB") -> None:
    expect(page.locator("#where .caption")).to_contain_text(A_PLAN[locale])
    expect(page.get_by_text(A_PLAN[locale])).to_be_visible()
    expect(page.get_by_text(DRAG[locale])).to_be_visible()
    expect(page.get_by_text(TAP[locale])).to_be_hidden()
    expect(page.locator(".square").first).to_be_visible()
    expect(page.locator(".leaflet-control-scale-line")).to_have_text("100 m")


def expect_pictures(page: Page, locale: str = "en-GB") -> None:
    expect(page.locator("img.leaflet-tile-loaded").first).to_be_visible()
    expect(page.get_by_text(TAP[locale])).to_be_visible()
    expect(page.get_by_text(DRAG[locale])).to_be_hidden()
    expect(page.get_by_text(A_PLAN[locale])).to_be_hidden()


def open_with_tiles(visit: Visit, order: Order, answer: Any, **options: Any) -> Page:
    """The page, whose map pictures are answered by `answer`."""
    page = visit(order, **options)
    page.route("https://tiles.example/**", answer)
    page.reload(wait_until="domcontentloaded")  # pictures may never come
    map_is_there(page)
    return page


def serve(route: Route) -> None:
    route.fulfill(path=TILE)


@LANGUAGES
def test_without_map_pictures_there_is_a_plan(locale: str, visit: Visit) -> None:
    page = visit(looks.waiting(), locale=locale)
    map_is_there(page)
    expect_plan(page, locale)


@LANGUAGES
def test_map_pictures_are_shown(locale: str, visit: Visit, settings: Settings) -> None:
    settings.PUBLIC_MAP_TILE_URL = TILES
    settings.PUBLIC_MAP_TILE_ATTRIBUTION = "Example Maps"

    page = open_with_tiles(visit, looks.waiting(), serve, locale=locale)

    expect_pictures(page, locale)
    expect(page.locator(".leaflet-control-attribution")).to_contain_text("Example Maps")


def test_map_pictures_that_fail_leave_a_plan(visit: Visit, settings: Settings) -> None:
    settings.PUBLIC_MAP_TILE_URL = TILES

    page = open_with_tiles(visit, looks.waiting(), lambda route: route.abort())

    page.wait_for_load_state("networkidle")
    expect_plan(page)


def test_slow_map_pictures_replace_the_plan_when_they_come(
    visit: Visit, settings: Settings
) -> None:
    settings.PUBLIC_MAP_TILE_URL = TILES
    held: list[Route] = []
    page = open_with_tiles(visit, looks.waiting(), lambda route: held.append(route))
    page.wait_for_timeout(500)
    expect_plan(page)

    for route in held:
        serve(route)

    expect_pictures(page)


def test_map_pictures_that_fail_later_leave_a_plan_until_the_phone_is_online(
    visit: Visit, settings: Settings
) -> None:
    settings.PUBLIC_MAP_TILE_URL = TILES
    page = open_with_tiles(visit, looks.waiting(), serve)
    expect_pictures(page)
    page.unroute("https://tiles.example/**")
    page.route("https://tiles.example/**", lambda route: route.abort())

    page.get_by_role("button", name="Closer").click()
    page.get_by_role("button", name="Closer").click()
    expect(page.get_by_text(A_PLAN["en-GB"])).to_be_visible()
    expect(page.get_by_text(TAP["en-GB"])).to_be_hidden()

    page.unroute("https://tiles.example/**")
    page.route("https://tiles.example/**", serve)
    page.evaluate("dispatchEvent(new Event('online'))")

    expect_pictures(page)


def test_the_squares_are_to_scale(visit: Visit) -> None:
    page = visit(looks.waiting())
    map_is_there(page)
    sides_m = []
    for _ in range(3):
        bar = page.locator(".leaflet-control-scale-line")
        boxes = [page.locator(".square").first.bounding_box(), bar.bounding_box()]
        square_px, bar_px = (box["width"] for box in boxes if box)
        bar_m = float(bar.inner_text().removesuffix(" m"))
        sides_m.append(square_px * bar_m / bar_px)
        page.get_by_role("button", name="Closer").click()
        page.wait_for_timeout(500)  # the zoom's animation

    assert sides_m == [pytest.approx(side_m, rel=0.03) for side_m in (50, 50, 20)]


def test_a_pin_dragged_on_a_plan_moves_the_drop_point_by_as_much(visit: Visit) -> None:
    """The page knows the drop point only to 110 m, and must not put that error into the new one."""
    order = looks.order(looks.Status.QUEUED, dropoff_lat=5.61543, dropoff_lng=-0.17544)
    page = visit(order)
    map_is_there(page)
    page.locator(".pin-drop").focus()
    for key, times in (("ArrowUp", 10), ("ArrowRight", 4)):
        for _ in range(times):
            page.keyboard.press(key)
    expect(page.locator("[data-fix]")).to_have_text("This is 32 m from the address that was given.")
    page.get_by_role("button", name="Deliver here").click()

    expect(page.locator("#feedback")).to_have_text("The drop point was moved. We deliver there.")
    moved = fresh(order)
    east_m = distance_m(moved.dropoff_lat, moved.dropoff_lng, moved.dropoff_lat, order.dropoff_lng)
    north_m = distance_m(moved.dropoff_lat, moved.dropoff_lng, order.dropoff_lat, moved.dropoff_lng)
    assert (float(north_m), float(east_m)) == pytest.approx((30, 12), abs=0.5)

    # The next move counts from where the pin is now.
    page.locator(".pin-drop").focus()
    page.keyboard.press("ArrowUp")
    expect(page.locator("[data-fix]")).to_have_text("This is 35 m from the address that was given.")


def test_without_javascript_there_is_a_drawn_plan(visit: Visit) -> None:
    page = visit(looks.on_its_way(), java_script_enabled=False, locale="fr-FR")

    headline(page).to_contain_text("En route")
    expect(page.get_by_role("img", name="Plan")).to_be_visible()
    expect(page.locator(".drawn .drone")).to_be_visible()
    expect(page.get_by_text(A_PLAN["fr-FR"])).to_be_visible()
    expect(page.locator("#bearing")).to_contain_text("au sud-ouest du point de dépôt.")
