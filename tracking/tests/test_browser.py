"""The customer's page in a real browser: looks, languages, polling and lost connections."""

import gzip
import re
from typing import Any

import pytest
from django.conf import settings as current_settings
from playwright.sync_api import Page, Route, expect

from fleet.tests.factories import METRE_DEG, DroneFactory
from orders import lifecycle
from orders.states import PodRequirement, Status
from pod import codes
from pod.models import ProofOfDelivery
from tracking.tests import looks
from tracking.tests.deliveries import expect_in
from tracking.tests.phone import Visit, fresh, headline
from wingxtra.accounts.identity import DISPATCHER, GCS, SYSTEM

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

AXE = current_settings.BASE_DIR / "wingxtra" / "tests" / "vendor" / "axe.min.js"
FIRST_LOAD_BYTES = 100_000

# Elements that are wider than the screen. The map clips its own.
TOO_WIDE = """
[...document.body.querySelectorAll("*")]
  .filter((part) => !part.closest(".map") && part.getBoundingClientRect().right > innerWidth)
  .map((part) => part.outerHTML.slice(0, 80))
"""


def polls_of(page: Page) -> list[str]:
    """Grows with each poll that the page sends; other requests, as for the map, do not count."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if is_poll(request.url) else None)
    return asked


def is_poll(url: str) -> bool:
    """A stream is asked for once, and then again only after half a minute."""
    return "/track/" in url and not url.endswith("/stream")


def test_a_delivery_is_followed_from_received_to_delivered(visit: Visit) -> None:
    drone = DroneFactory()
    order = looks.order(Status.QUEUED, pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)
    page = visit(order)
    page.evaluate("window.same = true")
    headline(page).to_have_text("Waiting for a drone")

    lifecycle.assign(order.pk, drone.pk, by=DISPATCHER, why="The only one.")
    headline(page).to_have_text("Your drone is getting ready")

    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    order = fresh(order)
    expect_in(order, 3.5)
    looks.place(drone.pk, 0.3)
    headline(page).to_have_text("On its way, about 4 minutes")
    expect(page.locator(".pin-drone")).to_be_visible()
    expect(page.locator("#facts")).to_contain_text(re.compile(r"Expected\s+\d\d:\d\d – \d\d:\d\d"))
    assert page.title() == "On its way, about 4 minutes"

    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)
    looks.place(drone.pk, 1)
    headline(page).to_have_text("Your drone is here")
    field = page.get_by_label("Your six-digit code")
    field.fill(f"{(int(code) + 1) % 1_000_000:06d}")
    page.get_by_role("button", name="Receive the parcel").click()
    expect(page.get_by_role("alert")).to_have_text("This code is not right. 4 tries are left.")

    field.fill(code)
    page.get_by_role("button", name="Receive the parcel").click()
    headline(page).to_have_text("Delivered")
    expect(page.locator("#feedback")).to_have_text("The code is right. Thank you.")
    expect(page.locator("#ask form")).to_have_count(0)
    assert page.evaluate("window.same")  # never reloaded
    assert ProofOfDelivery.objects.get(pk=order.pk).method == "OTP"


def test_a_half_typed_code_survives_an_update_of_the_page(visit: Visit) -> None:
    order = looks.here_for_a_code()
    page = visit(order)
    page.get_by_label("Your six-digit code").fill("123")

    lifecycle.advance(order.pk, Status.DELIVERING, by=GCS)

    headline(page).to_have_text("Your parcel is coming down")
    expect(page.get_by_label("Your six-digit code")).to_have_value("123")


def test_the_page_reports_a_lost_connection_and_then_updates(visit: Visit) -> None:
    order = looks.on_its_way()
    page = visit(order)
    headline(page).to_contain_text("On its way")

    page.context.set_offline(True)
    expect(page.locator("#lost")).to_contain_text("No connection. This is from")
    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)
    page.context.set_offline(False)

    headline(page).to_have_text("Your drone is here")
    expect(page.locator("#lost")).to_be_empty()


def test_a_form_that_could_not_be_sent_can_be_sent_again(visit: Visit) -> None:
    order = looks.here_for_a_word()
    page = visit(order)
    button = page.get_by_role("button", name="I have it")

    page.context.set_offline(True)
    button.click()
    expect(page.get_by_role("alert")).to_contain_text("this was not sent")
    page.context.set_offline(False)
    button.click()

    headline(page).to_have_text("Delivered")


def test_polling_respects_retry_after(visit: Visit) -> None:
    page = visit(looks.on_its_way(), own_clock=True)
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=429, headers={"Retry-After": "30"}, body="")

    page.route(is_poll, refuse)
    with page.expect_response(lambda answer: is_poll(answer.url)):
        page.clock.fast_forward(2_000)
    page.wait_for_load_state("networkidle")
    page.clock.fast_forward(20_000)
    page.evaluate("window.dispatchEvent(new Event('online'))")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.clock.fast_forward(5_000)
    page.wait_for_timeout(200)
    assert len(asked) == 1
    with page.expect_response("**/track/**"):
        page.clock.fast_forward(20_000)
    headline(page).to_contain_text("On its way")


def test_a_form_that_meets_the_limit_of_the_address_stays(visit: Visit) -> None:
    page = visit(looks.here_for_a_word())
    notice = "<h1>One moment, please</h1>"

    def refuse(route: Route) -> None:
        headers = {"Retry-After": "30", "Content-Type": "text/html"}
        route.fulfill(status=429, headers=headers, body=notice)

    page.route("**/track/**", refuse)
    page.get_by_role("button", name="I have it").click()
    expect(page.get_by_role("alert")).to_contain_text("this was not sent")
    expect(page.get_by_role("button", name="I have it")).to_be_visible()


def test_a_hidden_page_polls_less_and_polls_at_once_when_shown(visit: Visit) -> None:
    page = visit(looks.on_its_way(), own_clock=True)
    asked = polls_of(page)
    hide = """hidden => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)

    page.clock.run_for(4_000)  # three times the polling interval of a visible page
    page.wait_for_timeout(200)
    assert asked == []
    with page.expect_response("**/track/**"):
        page.clock.run_for(3_000)
    with page.expect_response("**/track/**"):
        page.evaluate(hide, False)


def test_polling_backs_off_after_errors_and_says_so(visit: Visit) -> None:
    page = visit(looks.waiting(), own_clock=True)
    page.route("**/track/**", lambda route: route.fulfill(status=500, body=""))
    pauses_s = [1.3, 2.7, 5.3, 10.6]  # doubling, with jitter

    for pause_s in pauses_s:
        with page.expect_response("**/track/**"):
            page.clock.run_for(int(pause_s * 1000 * 1.15))
        page.wait_for_timeout(100)
        asked = polls_of(page)
        page.clock.run_for(int(pause_s * 1000 * 0.6))
        assert asked == []

    expect(page.locator("#lost")).to_contain_text("No connection. This is from")


def test_the_page_works_without_javascript(visit: Visit) -> None:
    order = looks.here_for_a_code()
    code = codes.renew(order.pk, by=SYSTEM)
    page = visit(order, java_script_enabled=False)
    headline(page).to_have_text("Your drone is here")
    expect(page.locator("#map")).to_be_hidden()
    expect(page.get_by_role("list", name="Progress").get_by_role("listitem")).to_have_count(5)

    page.get_by_label("Your six-digit code").fill(code)
    page.get_by_role("button", name="Receive the parcel").click()

    headline(page).to_have_text("Delivered")
    expect(page.locator("#feedback")).to_have_text("The code is right. Thank you.")


def test_the_drop_point_can_be_typed_without_javascript(visit: Visit) -> None:
    order = looks.waiting()
    page = visit(order, java_script_enabled=False)

    page.get_by_label("Latitude").fill(f"{order.dropoff_lat + 50 * METRE_DEG:.6f}")
    page.get_by_label("Longitude").fill(f"{order.dropoff_lng:.6f}")
    page.get_by_role("button", name="Deliver here").click()

    expect(page.locator("#feedback")).to_have_text("The drop point was moved. We deliver there.")


def test_the_headline_shows_while_scripts_load(visit: Visit) -> None:
    order = looks.on_its_way()
    page = visit(order, java_script_enabled=False)
    slow = page.context.browser.new_page()  # type: ignore[union-attr]
    slow.route("**/*.js", lambda route: None)  # never answered

    slow.goto(page.url, wait_until="commit")

    headline(slow).to_be_visible()
    slow.close()


def test_the_first_load_is_under_100_kb(visit: Visit) -> None:
    page = visit(looks.waiting())
    sizes: dict[str, int] = {}

    def weigh(answer: Any) -> None:
        sizes[answer.url] = len(gzip.compress(answer.body()))

    page.on("response", weigh)
    page.reload(wait_until="networkidle")

    assert any(url.endswith("leaflet.js") for url in sizes)
    assert sum(sizes.values()) < FIRST_LOAD_BYTES, sizes


def test_the_page_uses_the_browsers_language(visit: Visit) -> None:
    page = visit(looks.on_its_way(), locale="fr-FR")

    headline(page).to_have_text("En route, environ 4 minutes")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    page.get_by_role("link", name="English").click()
    headline(page).to_have_text("On its way, about 4 minutes")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("color", ["#ffffff", "#000000", "#ffe600", "#767676", "#ff00ff"])
def test_text_has_enough_contrast_on_any_merchant_color(
    color: str, scheme: str, visit: Visit
) -> None:
    order = looks.here_for_a_code()
    order.merchant.brand_color = color
    order.merchant.save()
    page = visit(order, color_scheme=scheme)

    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, { runOnly: ['color-contrast'] })")

    assert [broken["nodes"][0]["html"] for broken in found["violations"]] == []
    assert found["passes"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("look", looks.ALL)
def test_every_look_is_accessible_and_fits_the_smallest_phone(
    look: str, scheme: str, visit: Visit
) -> None:
    small = {"width": 320, "height": 640}
    page = visit(looks.ALL[look](), color_scheme=scheme, viewport=small, reduced_motion="reduce")
    expect(page).not_to_have_title("Your delivery")
    for more in page.locator("details").all():
        more.evaluate("details => (details.open = true)")

    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")

    serious = [
        (broken["id"], [node["html"] for node in broken["nodes"]])
        for broken in found["violations"]
        if broken["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate("document.getAnimations().length") == 0
