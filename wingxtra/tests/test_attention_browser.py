"""What needs attention, worked off in place: unfolded, acknowledged, remedied, heard."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from dispatch.models import DispatchDecision, DispatchRun
from dispatch.tests import doubts
from fleet.models import DroneHold
from fleet.tests.factories import DroneFactory, seconds_ago
from orders.models import Order
from orders.tests.factories import OrderFactory
from wingxtra.console.models import Acknowledgement
from wingxtra.tests.scene import Scene

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Counts what is heard and shown: there is no loudspeaker, and no person allows a notification.
EARS = """() => {
    window.heard = 0;
    window.noticed = [];
    const real = AudioContext.prototype.createOscillator;
    AudioContext.prototype.createOscillator = function () {
        window.heard += 1;
        return real.call(this);
    };
    window.Notification = class { constructor(text) { window.noticed.push(text); } };
    window.Notification.permission = "granted";
    window.Notification.requestPermission = async () => "granted";
}"""


@pytest.fixture(autouse=True)
def _other_drones() -> None:
    """The factory's drones have other names than the scene's."""
    DroneFactory.reset_sequence(500, force=True)


def without_a_drone(count: int) -> list[Order]:
    run = DispatchRun.objects.create(
        trigger=DispatchRun.Trigger.SCHEDULE, actor="dispatcher", policy_version=1
    )
    orders = OrderFactory.create_batch(count)
    Order.objects.filter(pk__in=[order.pk for order in orders]).update(created_at=seconds_ago(300))
    for order in orders:
        DispatchDecision.objects.create(
            run=run,
            order=order,
            outcome=DispatchDecision.Outcome.UNASSIGNED,
            ruled_out=[{"code": "battery_below_minimum", "drones": 12}],
            why="12 of 12 below the minimum charge.",
        )
    return orders


def line(page: Page, words: str) -> Locator:
    page.evaluate("document.getElementById('more-lines')?.setAttribute('open', '')")
    return page.locator("#attention li[data-cause]").filter(has_text=words)


def renewed(page: Page) -> None:
    with page.expect_response(re.compile("/admin/now/")):
        pass


def test_a_line_stays_open_and_a_note_stays_written_when_the_page_renews_itself(
    visit: Callable[..., Page], city: Scene
) -> None:
    without_a_drone(30)
    page = visit()
    many = line(page, "orders have no able drone")
    expect(many).to_contain_text("30 orders have no able drone")
    renewed(page)
    many.get_by_text("Show the worst 20").click()
    expect(many.locator("li[data-key]")).to_have_count(20, timeout=10_000)
    many.locator("summary", has_text="Acknowledge…").first.click()
    note = many.get_by_placeholder("Note (optional)").first
    note.fill("Charging the ba")
    without_a_drone(5)
    expect(many).to_contain_text("35 orders have no able drone", timeout=15_000)
    expect(many.locator("li[data-key]")).to_have_count(20)
    expect(note).to_have_value("Charging the ba")
    page.keyboard.type("tteries")  # the focus and the caret stay, too
    expect(note).to_have_value("Charging the batteries")


def test_a_line_and_one_of_its_items_are_acknowledged_in_place(
    visit: Callable[..., Page], city: Scene
) -> None:
    orders = without_a_drone(3)
    page = visit()
    page.evaluate("window.same = true")
    many = line(page, "orders have no able drone")
    many.get_by_text("Show all 3").click()
    item = many.locator("li[data-key]").filter(has_text=str(orders[0]))
    item.locator("summary", has_text="Acknowledge…").click()
    item.get_by_role("button", name="15 min").click()
    expect(page.locator("#now-told")).to_contain_text("Back in 15 min")
    expect(many).to_contain_text("2 orders have no able drone")

    many.locator("summary", has_text="Acknowledge…").first.click()
    many.get_by_placeholder("Note (optional)").first.fill("Batteries are charged.")
    many.get_by_role("button", name="Acknowledge", exact=True).first.click()
    expect(page.locator("#now-told")).to_contain_text("Acknowledged: 2 orders have no able drone")
    expect(many).to_have_count(0)
    page.locator("#seen-title").click()
    expect(page.locator("#seen")).to_contain_text("Batteries are charged.")
    assert page.evaluate("window.same")
    assert Acknowledgement.objects.get(note="Batteries are charged.").key.startswith("no-drone:")


def test_a_remedy_for_all_of_a_line_is_carried_out_in_place(
    visit: Callable[..., Page], city: Scene
) -> None:
    for drone in city.drones[:4]:
        doubts.held(drone.pk)
    page = visit()
    page.evaluate("window.same = true")
    held = line(page, "drones are on hold")
    held.get_by_role("link", name="Release from hold…").first.click()
    dialog = page.locator("#now-dialog")
    expect(dialog).to_contain_text("Release from hold: ")
    dialog.get_by_role("button", name="Release from hold").click()
    expect(dialog.get_by_role("alert")).to_contain_text("required")  # stays open with the problem
    dialog.locator("[name=note]").fill("The radio was down.")
    dialog.get_by_role("button", name="Release from hold").click()
    expect(dialog).to_contain_text(re.compile(r"\d of \d done"))
    dialog.get_by_role("link", name="Back to the list").click()
    expect(dialog).to_be_hidden()
    expect(held).to_have_count(0)
    assert page.evaluate("window.same")
    assert not DroneHold.objects.standing().exists()


def test_a_new_grave_line_is_heard_and_noticed_once_if_switched_on(
    visit: Callable[..., Page], city: Scene
) -> None:
    page = visit()
    page.evaluate(EARS)
    sound = page.get_by_role("button", name="Sound")
    expect(sound).to_have_attribute("aria-pressed", "false")
    doubts.held(city.drones[0].pk)
    expect(line(page, "on hold")).not_to_have_count(0, timeout=15_000)
    assert (page.evaluate("heard"), page.evaluate("noticed")) == (0, [])

    sound.click()
    page.get_by_role("button", name="Notifications").click()
    expect(sound).to_have_attribute("aria-pressed", "true")
    before = page.evaluate("heard")
    doubts.not_over()  # a warning
    doubts.contradicted()
    page.wait_for_function("noticed.length > 0", timeout=15_000)
    renewed(page)
    assert page.evaluate("heard") == before + 2
    assert len(page.evaluate("noticed")) == 1

    page.reload()
    expect(page.get_by_role("button", name="Sound")).to_have_attribute("aria-pressed", "true")
