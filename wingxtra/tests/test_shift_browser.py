"""A shift in ten minutes: a dispatcher, a real Chromium and the whole stack, with faults.

Database, queue, web server, workers, scheduler and simulated drones are those of the drill.
"""

import re
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from fleet.demo import city
from fleet.simulator.airframe import moved
from wingxtra.tests import on_the_map
from wingxtra.tests.drill import city as drill_city
from wingxtra.tests.drill.machine import Machine
from wingxtra.tests.drill.outside import Outside
from wingxtra.tests.test_attention_browser import EARS

pytestmark = pytest.mark.browser

DRONES, SPEED = 24, 4.0
PHARMACY = city.SHOPS[0]
SPOKEN, PHONE = "024 412 3456", "+233244123456"
# Metres east and north of the pharmacy.
FAR, WEST, NEAR = (-5500.0, 1500.0), (-3500.0, -400.0), (300.0, -700.0)
AROUND_M = 400.0
SOON_MS, FLIGHT_MS = 20_000, 90_000
TILES_FAIL = "net::ERR_"  # there is no tile server


class Desk:
    """The dispatcher's browser, and the merchant who orders."""

    def __init__(self, machine: Machine, page: Page) -> None:
        self.page, self._machine = page, machine
        self.outside = Outside(machine.simulator_url)

    def order(self, place: tuple[float, float], phone: str = "+233201111111") -> dict[str, str]:
        """An order of the pharmacy to this place."""
        lat, lng = moved(PHARMACY.pickup.lat, PHARMACY.pickup.lng, *place)
        body = {
            "customer_name": "Ama Mensah",
            "customer_phone": phone,
            "pickup_name": PHARMACY.pickup.name,
            "pickup_lat": PHARMACY.pickup.lat,
            "pickup_lng": PHARMACY.pickup.lng,
            "dropoff_lat": lat,
            "dropoff_lng": lng,
            "payload_weight_kg": 0.4,
            "payload_type": "MEDICINE",
            "priority": "URGENT",
            "pod_requirement": "NONE",
        }
        key = self._machine.credentials.shop_keys[PHARMACY.name]
        url = f"{self._machine.url}/api/v1/orders"
        answer = requests.post(url, json=body, headers={"X-API-Key": key}, timeout=30)
        assert answer.status_code == 201, answer.text
        placed: dict[str, str] = answer.json()
        return placed

    def find(self, words: str) -> None:
        """Ctrl+K, the words, Enter."""
        self.page.keyboard.press("Control+k")
        expect(self.page.get_by_role("combobox", name="Find")).to_be_focused()
        self.page.keyboard.type(words)
        self.page.keyboard.press("Enter")

    def confirm(self, button: str, field: str, text: str) -> None:
        self.page.get_by_label(field).fill(text)
        self.page.get_by_role("button", name=button).click()

    def open_order(self, order: dict[str, str]) -> None:
        self.page.goto(f"/admin/orders/order/{order['id']}/change/")

    def line(self, words: str | re.Pattern[str]) -> Locator:
        self.page.evaluate("document.getElementById('more-lines')?.setAttribute('open', '')")
        return self.page.locator("#attention li[data-cause]").filter(has_text=words)

    def item(self, order: dict[str, str]) -> Locator:
        """The question where its parcel is, in its line or unfolded from it."""
        name = order["public_tracking_id"]
        for unfold in self.page.locator("#attention summary", has_text="Show all").all():
            if not unfold.evaluate("one => one.parentElement.open"):
                unfold.click()
        items = self.page.locator("#attention li[data-key]").filter(has_text=name)
        return items.filter(has=self.page.get_by_role("link", name="It is at a hub…"))

    def status(self, words: str, within_ms: float = FLIGHT_MS) -> None:
        """The open page of an order gets there by itself."""
        expect(self.page.get_by_role("status").first).to_contain_text(words, timeout=within_ms)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name)  # those of the other tests are back afterwards
    with Machine(drill_city.drones(DRONES), speed=SPEED, seed=1) as started:
        yield started


@pytest.fixture
def desk(machine: Machine, chromium: Browser) -> Iterator[Desk]:
    """Logged in as ops. Errors of scripts and violations of the policy fail the test."""
    trouble: list[str] = []
    context = chromium.new_context(
        base_url=machine.url, viewport={"width": 1440, "height": 900}, reduced_motion="reduce"
    )
    context.set_default_timeout(SOON_MS)
    context.add_init_script(f"({EARS})()")
    page = context.new_page()
    page.on("pageerror", lambda error: trouble.append(f"{page.url}: {error}"))
    page.on(
        "console",
        lambda said: (
            trouble.append(f"{page.url}: {said.text}")
            if said.type == "error" and TILES_FAIL not in said.text
            else None
        ),
    )
    page.goto("/admin/")
    page.get_by_label("Username").fill("ops")
    page.get_by_label("Password").fill(machine.credentials.password)
    page.get_by_role("button", name="Log in").click()
    yield Desk(machine, page)
    context.close()
    assert not trouble


def test_a_shift_in_ten_minutes(desk: Desk) -> None:
    page = desk.page
    for switch in ("Sound", "Notifications"):
        page.get_by_role("button", name=switch).click()
        expect(page.get_by_role("button", name=switch)).to_have_attribute("aria-pressed", "true")
    desk.find("pause dispatch")
    desk.confirm("Pause dispatch everywhere", "Reason", "A storm comes.")
    expect(page.get_by_label("Dispatch", exact=True)).to_contain_text("paused everywhere")

    far = desk.order(FAR, PHONE)
    near = [desk.order((NEAR[0], NEAR[1] + 60 * n)) for n in range(3)]
    by_hand = assigned_by_hand(desk)
    for drone in drill_city.drones(DRONES):
        if drone["drone_id"] != by_hand:
            desk.outside.fault(kind="land_short", drone_id=drone["drone_id"])
    desk.find("resume dispatch")
    desk.confirm("Resume dispatch everywhere", "Reason", "It has passed.")
    expect(page.get_by_label("Dispatch", exact=True)).to_contain_text("runs automatically")

    desk.open_order(far)
    page.evaluate("window.same = true")
    desk.status("En route")
    assert page.evaluate("window.same")
    aborted_by_a_zone(desk, far)
    worked_off(desk, near)
    closed_in_flight(desk)
    replayed(desk, far)
    handed_over(desk)


def assigned_by_hand(desk: Desk) -> str:
    """The order is found by the phone as it is spoken. Returns the drone."""
    page = desk.page
    desk.find(SPOKEN)
    expect(page.get_by_label("The order", exact=True)).to_contain_text(PHONE)
    desk.status("Queued", SOON_MS)
    expect(page.get_by_text("A storm comes.").first).to_be_visible()
    page.get_by_role("link", name="Assign…", exact=True).click()
    drone = page.get_by_role("radio").and_(page.locator(":checked")).get_attribute("value")
    page.get_by_role("button", name="Assign").click()
    expect(page.get_by_text(f"{drone} flies order")).to_be_visible()
    assert drone is not None
    return drone


def aborted_by_a_zone(desk: Desk, order: dict[str, str]) -> None:
    page = desk.page
    page.goto("/admin/fleet/geozone/add/")
    page.get_by_label("Name").fill("Fire")
    canvas = page.locator(".wx-polygon .wx-map")
    canvas.scroll_into_view_if_needed()
    expect(canvas.locator('.wx-pin.wx-hub[title="Ridge hub"]')).to_be_visible()
    for east_m, north_m in ((-1, -1), (-1, 1), (1, 1), (1, -1)):
        lat, lng = float(order["dropoff_lat"]), float(order["dropoff_lng"])
        corner = moved(lat, lng, east_m * AROUND_M, north_m * AROUND_M)
        canvas.click(position=on_the_map.place_on(page, *corner))
    would = page.get_by_role("region", name="Flights that it would cut")
    expect(would).to_contain_text(re.compile(r"It cuts \d flights?: [1-9] in the air"))
    page.get_by_role("button", name="Save", exact=True).click()
    now = page.get_by_role("region", name="Flights that it cuts now")
    name = re.compile(f"^Ask for abort.*{order['public_tracking_id']}")
    now.get_by_role("link", name=name).click()
    desk.confirm("Ask for abort", "Reason", "A fire at the door.")
    # The watch over the missions may have seen the zone in between: that stops no abort.
    expect(page.get_by_text("is asked to abort the flight").first).to_be_visible()


def worked_off(desk: Desk, orders: list[dict[str, str]]) -> None:
    """Three drones land in the field: heard, acknowledged, answered for one, released for all."""
    page = desk.page
    page.goto("/admin/")
    page.evaluate("window.same = true")
    held = desk.line("drones are on hold")
    expect(held).to_contain_text(re.compile("[3-9] drones are on hold"), timeout=FLIGHT_MS)
    page.wait_for_function("heard > 0 && noticed.length > 0")

    desk.outside.clear_faults()
    first = orders[0]
    desk.outside.collect(first["id"], city.HUBS[0].lat, city.HUBS[0].lng)
    found = desk.item(first)
    found.get_by_role("link", name="It is at a hub…").click()
    dialog = page.locator("#now-dialog")
    dialog.get_by_label("Hub").select_option(label=city.HUBS[0].name)
    dialog.get_by_role("button", name="It is at a hub").click()
    expect(found).to_have_count(0)

    acknowledged = desk.item(orders[1])
    acknowledged.locator("summary", has_text="Acknowledge…").click()
    acknowledged.get_by_role("button", name="15 min").click()
    expect(page.locator("#now-told")).to_contain_text("Back in 15 min")
    expect(acknowledged).to_have_count(0)

    for drone in drill_city.drones(DRONES):
        desk.outside.bring_home(drone["drone_id"])
    held.get_by_role("link", name="Release from hold…").first.click()
    dialog.locator("[name=note]").fill("They are back on their pads.")
    dialog.get_by_role("button", name="Release from hold").click()
    expect(dialog).to_contain_text(re.compile(r"(\d) of \1 done"))
    dialog.get_by_role("link", name="Back to the list").click()
    expect(held).to_have_count(0)
    assert page.evaluate("window.same")


def closed_in_flight(desk: Desk) -> None:
    page = desk.page
    desk.open_order(desk.order(WEST))
    desk.status("En route")
    page.get_by_role("link", name="Close this attempt…").click()
    page.get_by_label("Where is the parcel?").select_option("drone")
    page.get_by_label("Its mission at ground control").select_option("recall")
    desk.confirm("Close this attempt", "How do you know?", "The shop packed a wrong parcel.")
    expect(page.locator("#order-head")).to_contain_text(re.compile("Queued.*On WX-DRN-"))
    expect(page.get_by_label("Timeline")).to_contain_text("ops")


def replayed(desk: Desk, order: dict[str, str]) -> None:
    page = desk.page
    desk.open_order(order)
    page.get_by_role("link", name="Replay this flight").first.click()
    notes = page.get_by_role("region", name="Events and decisions")
    expect(notes).to_contain_text("On the way")
    clock = page.locator("#replay-clock")
    before = clock.inner_text()
    page.get_by_label("Speed").select_option("60")
    page.get_by_role("button", name="Play").click()
    expect(clock).not_to_have_text(before)


def handed_over(desk: Desk) -> None:
    page = desk.page
    page.goto("/admin/shift/")
    page.get_by_role("link", name="Write the handover note…").click()
    desk.confirm("Save the note", "What must the next shift know?", "Fire near Abossey Okai.")
    expect(page.get_by_text("Fire near Abossey Okai.")).to_be_visible()
