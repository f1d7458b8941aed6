"""Every doubt on the dashboard in a real Chromium: shown, and settled by the remedy beside it."""

import re
from collections.abc import Callable
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from dispatch.models import Discrepancy, Mission, MissionPart, PublishingPause
from dispatch.tests import doubts
from fleet.models import DroneHold
from fleet.tests.factories import DroneFactory
from orders.models import Order
from orders.states import Holder, Status
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.tests import scene
from wingxtra.tests.console_pages import serious_violations
from wingxtra.tests.scene import Scene

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PHONE = {"width": 390, "height": 844}
SURE = "I went there and looked."
POLL_S = 5


@pytest.fixture(autouse=True)
def _other_drones() -> None:
    """The factory's drones have other names than the scene's."""
    DroneFactory.reset_sequence(500, force=True)


def line(page: Page, words: str | re.Pattern[str]) -> Locator:
    """The open line with these words. Lines behind the sixth cause are unfolded first."""
    page.evaluate("document.getElementById('more-lines')?.setAttribute('open', '')")
    return page.locator("#attention li[data-cause]").filter(has_text=words)


def take(page: Page, item: Locator, remedy: str, **fields: str) -> None:
    """Follow the remedy, fill in its form, and send it."""
    item.get_by_role("link", name=f"{remedy}…", exact=True).click()
    for label, value in fields.items():
        page.locator(f"form.wx-form [name={label}]").fill(value)
    page.locator("form.wx-form").get_by_role("button", name=remedy, exact=True).click()


def done(page: Page) -> None:
    """The remedy was carried out on the dashboard, which says what it did."""
    expect(page.locator("#now-dialog")).to_be_hidden()
    expect(page.locator("#now-told")).not_to_be_empty()


def gone(page: Page, words: str | re.Pattern[str]) -> None:
    page.goto("/admin/")
    expect(page.locator("#attention")).to_be_visible()
    expect(line(page, words)).to_have_count(0)


@pytest.mark.parametrize(
    ("remedy", "fields", "holder"),
    [
        ("It was delivered", {"note": SURE}, Holder.RECIPIENT),
        ("It is at a hub", {"note": "Shelf 2"}, Holder.HUB),
        ("It goes back to the sender", {"received_by": "Market, till 3"}, Holder.RETURNED),
        ("It is lost", {"note": SURE}, Holder.LOST),
    ],
)
def test_a_parcel_is_found(
    visit: Callable[..., Page], city: Scene, remedy: str, fields: dict[str, str], holder: Holder
) -> None:
    order = city.orders["astray"]
    page = visit()
    question = f"Where is the parcel of order {order}?"
    expect(line(page, question)).to_contain_text("from the drop point, motors off")
    take(page, line(page, question), remedy, **fields)
    done(page)
    page.goto(scene.page_of(order.pk))
    expect(page.get_by_label("Timeline")).to_contain_text("ama")
    assert Order.objects.get(pk=order.pk).holder == holder
    gone(page, question)


def test_a_reported_pickup_is_told_to_the_person_who_contradicts_it(
    visit: Callable[..., Page], city: Scene
) -> None:
    order = city.orders["astray"]
    page = visit()
    question = f"Where is the parcel of order {order}?"
    line(page, question).get_by_role("link", name="It never left the sender…").click()
    expect(page.get_by_text(f"that a drone picked up {order}.")).to_be_visible()
    page.get_by_label("How do you know?").fill(SURE)
    page.get_by_role("button", name="It never left the sender").click()
    done(page)
    assert Order.objects.get(pk=order.pk).holder == Holder.SENDER


def test_a_flight_that_failed_before_pickup_left_the_parcel_there(
    visit: Callable[..., Page], city: Scene
) -> None:
    page = visit()
    take(page, line(page, "Link lost to"), "It failed", note="It never took off.")
    done(page)
    page.goto(scene.page_of(city.orders["lost"].pk))
    answers = page.get_by_role("navigation", name="Answers")
    answers.get_by_role("link", name="It never left the sender…").click()
    page.get_by_label("How do you know?").fill(SURE)
    page.get_by_role("button", name="It never left the sender").click()
    expect(page.get_by_text("is with its sender.")).to_be_visible()
    assert Order.objects.get(pk=city.orders["lost"].pk).holder == Holder.SENDER


def test_a_lost_link_takes_two_answers(visit: Callable[..., Page], city: Scene) -> None:
    order = city.orders["lost"]
    page = visit()
    take(page, line(page, "Link lost to"), "It failed", note="It sank in the lagoon.")
    expect(page.get_by_text("Say now where its parcel is.")).to_be_visible()
    page.goto(scene.page_of(order.pk))
    expect(page.get_by_label("How it ended")).to_contain_text("It is not known where the parcel is")
    page.get_by_role("navigation", name="Answers").get_by_role("link", name="It is lost…").click()
    page.get_by_label("How do you know?").fill(SURE)
    page.get_by_role("button", name="It is lost").click()
    expect(page.get_by_text(f"The parcel of order {order} is lost.")).to_be_visible()
    gone(page, "Link lost to")


def test_held_drones_are_released_one_by_one_and_all_at_once(
    visit: Callable[..., Page], city: Scene
) -> None:
    drone_id = next(iter(city.landed))
    page = visit()
    take(page, line(page, f"{drone_id} is on hold"), "Release from hold", note=SURE)
    expect(page.get_by_text(f"{drone_id} is released: {SURE}")).to_be_visible()
    for drone in city.drones[:5]:
        doubts.held(drone.pk)
    page.goto("/admin/")
    take(page, line(page, "5 drones are on hold"), "Release from hold", note="The radio was down.")
    expect(page.get_by_text("5 of 5 done.")).to_be_visible()
    gone(page, "on hold")
    assert not DroneHold.objects.standing().exists()


def test_publishing_is_resumed(visit: Callable[..., Page], city: Scene) -> None:
    because = "422: unknown member alt_datum. It names alt_datum: set GCS_INTENT_VERSION=1."
    PublishingPause.objects.create(because=because, refused=3)
    page = visit()
    item = line(page, "Publishing is paused")
    expect(item).to_contain_text(because)
    take(page, item, "Resume publishing")
    expect(page.get_by_text("Missions are sent again, the oldest first.")).to_be_visible()
    gone(page, "Publishing is paused")


def test_a_mission_is_marked_as_over(visit: Callable[..., Page], city: Scene) -> None:
    part = doubts.not_over()
    page = visit()
    words = f"still flies order {part.order}"
    take(page, line(page, words), "Its mission is over", note=SURE)
    expect(page.get_by_text(f"No mission of order {part.order} flies any more.")).to_be_visible()
    page.goto(scene.page_of(part.order.pk))
    expect(page.get_by_label("Missions")).to_contain_text(f"by ama: {SURE}")
    gone(page, words)


def test_an_unconfirmed_withdrawal_is_overridden(visit: Callable[..., Page], city: Scene) -> None:
    part = doubts.unconfirmed(Status.MISSION_SUBMITTED)
    page = visit()
    words = f"does not confirm the withdrawal of order {part.order}"
    item = line(page, words)
    take(page, item, "Requeue", reason="Storm.", override="It stands on pad 2, disarmed.")
    # Telemetry has not shown its drone: it may have flown.
    expect(
        page.get_by_text(f"Order {part.order} is on hold: say where its parcel is.")
    ).to_be_visible()
    assert not MissionPart.objects.live().filter(pk=part.pk).exists()
    assert Mission.objects.get(pk=part.mission_id).over_by == "user:ama"
    gone(page, words)


@pytest.mark.parametrize(
    ("code", "status", "remedy", "fields"),
    [
        ("UNCLEAR_LANDING", Status.DELIVERING, "It was delivered", {"note": SURE}),
        ("UNCLEAR_LANDING", Status.DELIVERING, "It failed", {"note": SURE}),
        ("AT_THE_DROP", Status.DELIVERING, "It was delivered", {"note": SURE}),
        ("STANDS_AT_HUB", Status.ENROUTE, "It failed", {"note": SURE}),
        ("DELIVERED_AFTER_END", Status.FAILED, "Correct the outcome", {"note": SURE}),
        ("DELIVERED_AFTER_END", Status.FAILED, "Settle", {"note": SURE}),
        ("FLIES_AFTER_END", Status.FAILED, "Settle", {"note": SURE}),
        ("FAILED_AFTER_DELIVERY", Status.DELIVERED, "Settle", {"note": SURE}),
        ("AIRSPACE", Status.ASSIGNED, "Requeue", {"reason": "The stadium is full."}),
        ("BATTERY", Status.MISSION_SUBMITTED, "Requeue", {"reason": "A cell is weak."}),
    ],
)
def test_a_doubt_is_settled(
    visit: Callable[..., Page],
    city: Scene,
    code: str,
    status: Status,
    remedy: str,
    fields: dict[str, str],
) -> None:
    doubt = doubts.doubtful(Discrepancy.Code(code), status)
    page = visit()
    words = f"{doubt.get_code_display()}: order {doubt.order}"
    take(page, line(page, words), remedy, **fields)
    done(page)
    gone(page, words)
    settled = Discrepancy.objects.get(pk=doubt.pk)
    assert settled.settled_by == "user:ama"


def test_a_doubt_is_on_its_orders_page_and_later_shown_as_settled(
    visit: Callable[..., Page], city: Scene
) -> None:
    doubt = doubts.doubtful(Discrepancy.Code.FAILED_AFTER_DELIVERY, Status.DELIVERED)
    page = visit(scene.page_of(doubt.order_id))
    standing = page.get_by_role("region", name="What is not clear")
    expect(standing).to_contain_text("Two sources differ.")
    take(page, standing, "Settle", note=SURE)
    page.goto(scene.page_of(doubt.order_id))
    settled = page.get_by_role("region", name="What was not clear")
    expect(settled).to_contain_text(f"by ama: {SURE}")


def many(count: int) -> None:
    for _ in range(count):
        doubts.astray(drone=DroneFactory())


@pytest.mark.parametrize("count", [0, 30])
def test_the_list_is_short_with_none_and_with_thirty(
    visit: Callable[..., Page], city: Scene, count: int
) -> None:
    many(count)
    page = visit()
    questions = line(page, re.compile("Where (is|are) the parcel"))
    expect(questions).to_have_count(2 if count else 1)
    if count:
        take(page, line(page, "30 orders need an answer"), "It never left the sender", note=SURE)
        expect(page.get_by_text("30 of 30 done.")).to_be_visible()
        gone(page, "30 orders need an answer")


def test_two_polls_later_the_lines_and_their_remedies_are_there(
    visit: Callable[..., Page], city: Scene
) -> None:
    page = visit()
    item = line(page, f"Where is the parcel of order {city.orders['astray']}?")
    before = item.get_by_role("link").all_inner_texts()
    page.wait_for_timeout(2.5 * POLL_S * 1000)
    assert item.get_by_role("link").all_inner_texts() == before
    take(page, item, "It was delivered", note=SURE)
    expect(page.get_by_text("was delivered.").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, {"width": 1440, "height": 900}])
def test_doubts_are_readable_in_light_and_dark_on_phone_and_laptop(
    visit: Callable[..., Page],
    city: Scene,
    scheme: Literal["light", "dark"],
    size: dict[str, int],
) -> None:
    doubts.doubtful(Discrepancy.Code.UNCLEAR_LANDING)
    doubts.not_over()
    PublishingPause.objects.create(because="422: unknown member alt_datum.", refused=3)
    page = visit(color_scheme=scheme, viewport=size)
    order = city.orders["astray"]
    drone = next(iter(city.landed))
    for where in (
        "/admin/",
        scene.page_of(order.pk),
        f"/admin/fleet/drone/{drone}/change/",
        f"/admin/do/orders.order/at-hub/?id={order.pk}",
        "/admin/dispatch/discrepancy/",
        "/admin/fleet/dronehold/",
    ):
        page.goto(where)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], where
        assert not serious_violations(page), where


def test_a_reader_sees_the_questions_and_no_way_to_answer(
    visit: Callable[..., Page], city: Scene
) -> None:
    page = visit(user=UserFactory(username="auditor", role=Role.READONLY, is_staff=True))
    item = line(page, f"Where is the parcel of order {city.orders['astray']}?")
    expect(item).to_be_visible()
    expect(item.get_by_role("link")).to_have_count(1)
    page.goto(scene.page_of(city.orders["astray"].pk))
    expect(page.get_by_label("How it ended")).to_contain_text("Motor 3 failed")
    expect(page.get_by_role("navigation", name="Answers")).to_have_count(0)
