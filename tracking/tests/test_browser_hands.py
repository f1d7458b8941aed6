"""A customer's actions in a real browser: move the pin, sign, confirm."""

import pytest
from playwright.sync_api import Page, expect

from fleet.feasibility.geometry import distance_m
from fleet.tests.factories import METRE_DEG
from orders.states import DropoffSource, EventType
from pod.models import ProofOfDelivery
from tracking.tests import looks
from tracking.tests.phone import Visit, fresh, headline, map_is_there

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_drop_point_moves_to_the_phones_position(visit: Visit) -> None:
    order = looks.waiting()
    here = (order.dropoff_lat + 60 * METRE_DEG, order.dropoff_lng)
    at = {"latitude": here[0], "longitude": here[1], "accuracy": 7}
    page = visit(order, geolocation=at, permissions=["geolocation"])
    save = page.get_by_role("button", name="Deliver here")
    expect(save).to_be_hidden()

    page.get_by_role("button", name="Put it where I stand").click()
    expect(page.locator("[data-fix]")).to_have_text("Your position is known to about 7 m.")
    save.click()

    expect(page.locator("#feedback")).to_have_text("The drop point was moved. We deliver there.")
    moved = fresh(order)
    assert (moved.dropoff_lat, moved.dropoff_lng) == pytest.approx(here, abs=1e-6)
    assert (moved.dropoff_source, moved.dropoff_accuracy_m) == (DropoffSource.CUSTOMER_GPS, 7)


def test_an_inaccurate_position_is_refused_with_advice(visit: Visit) -> None:
    order = looks.waiting()
    at = {"latitude": order.dropoff_lat, "longitude": order.dropoff_lng, "accuracy": 400}
    page = visit(order, geolocation=at, permissions=["geolocation"])

    page.get_by_role("button", name="Put it where I stand").click()
    page.get_by_role("button", name="Deliver here").click()

    expect(page.get_by_role("alert")).to_contain_text("Step into the open")
    assert fresh(order).dropoff_source == DropoffSource.MERCHANT


def test_without_permission_to_locate_the_page_suggests_to_move_the_pin(visit: Visit) -> None:
    page = visit(looks.waiting())

    page.get_by_role("button", name="Put it where I stand").click()

    expect(page.get_by_role("alert")).to_contain_text("or move the pin")


def test_the_pin_can_be_dragged_and_put_back(visit: Visit) -> None:
    order = looks.waiting()
    page = visit(order, is_mobile=False, has_touch=False)
    pin = page.locator(".pin-drop")
    pin.scroll_into_view_if_needed()

    def drag() -> None:
        box = pin.bounding_box()
        assert box
        page.mouse.move(box["x"] + 17, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + 47, box["y"] + 5, steps=5)
        page.mouse.up()

    drag()
    page.get_by_role("button", name="Leave it").click()
    expect(page.get_by_role("button", name="Deliver here")).to_be_hidden()
    drag()
    page.get_by_role("button", name="Deliver here").click()

    expect(page.locator("#feedback")).to_have_text("The drop point was moved. We deliver there.")
    moved = fresh(order)
    away_m = distance_m(moved.dropoff_lat, moved.dropoff_lng, order.dropoff_lat, order.dropoff_lng)
    assert 10 < float(away_m) < 150


def test_a_tap_on_the_map_moves_the_pin_and_shows_the_save_button(visit: Visit) -> None:
    order = looks.waiting()
    page = visit(order)
    map_is_there(page)
    map_ = page.locator("#map")
    map_.scroll_into_view_if_needed()
    map_.tap(position={"x": 220, "y": 150})
    save = page.get_by_role("button", name="Deliver here")
    expect(save).to_be_in_viewport(ratio=1)
    chosen = page.locator(".pin-drop").bounding_box()
    save.tap()

    expect(page.locator("#feedback")).to_have_text("The drop point was moved. We deliver there.")
    moved = fresh(order)
    away_m = distance_m(moved.dropoff_lat, moved.dropoff_lng, order.dropoff_lat, order.dropoff_lng)
    assert 10 < float(away_m) < 150
    assert moved.dropoff_source == DropoffSource.CUSTOMER_PIN
    # The server rounds the drop point, but this browser shows the exact pin after a reload as well.
    page.reload()
    page.locator("#map").scroll_into_view_if_needed()
    assert chosen
    assert page.evaluate("JSON.parse(sessionStorage.getItem(sessionStorage.key(0))).at") == (
        pytest.approx([moved.dropoff_lat, moved.dropoff_lng], abs=1e-6)
    )
    expect(page.locator("#map .around")).to_have_count(1)


def test_arrow_keys_move_the_pin(visit: Visit) -> None:
    order = looks.waiting()
    page = visit(order)
    page.locator(".pin-drop").focus()
    for _ in range(10):
        page.keyboard.press("ArrowUp")
    page.get_by_role("button", name="Deliver here").click()

    expect(page.locator("#feedback")).to_have_text("The drop point was moved. We deliver there.")
    north_m = (fresh(order).dropoff_lat - round(order.dropoff_lat, 3)) / METRE_DEG
    assert north_m == pytest.approx(30, abs=2)


def sign(page: Page) -> None:
    canvas = page.locator("canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    for start, end in (((30, 100), (120, 40)), ((120, 40), (260, 130))):
        page.mouse.move(box["x"] + start[0], box["y"] + start[1])
        page.mouse.down()
        page.mouse.move(box["x"] + end[0], box["y"] + end[1], steps=12)
        page.mouse.up()


def test_a_signature_is_drawn_and_two_taps_make_one_proof(visit: Visit) -> None:
    order = looks.here_for_a_signature()
    page = visit(order)
    button = page.get_by_role("button", name="Receive the parcel")

    button.click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was drawn")
    expect(page.get_by_role("button", name="Clear")).to_be_hidden()
    sign(page)
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("button", name="Clear")).to_be_hidden()
    sign(page)
    button.dblclick(no_wait_after=True)

    headline(page).to_have_text("Delivered")
    strokes = ProofOfDelivery.objects.get(pk=order.pk).strokes
    assert strokes is not None
    assert [len(stroke) > 5 for stroke in strokes] == [True, True]
    assert fresh(order).events.filter(type=EventType.PROOF_RECORDED).count() == 1


def test_confirming_in_two_tabs_delivers_once(visit: Visit) -> None:
    order = looks.here_for_a_word()
    tabs = [visit(order), visit(order)]

    for tab in tabs:
        tab.get_by_role("button", name="I have it").evaluate("button => button.click()")
    for tab in tabs:
        headline(tab).to_have_text("Delivered")

    assert fresh(order).events.filter(type=EventType.DELIVERED).count() == 1
