"""A delivery in a customer's hands: one order through every state, on a phone."""

import gettext
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from orders.states import (
    IN_FLIGHT,
    TERMINAL,
    EventType,
    Holder,
    PodRequirement,
    ReasonCode,
    Status,
)
from pod import codes
from tracking.page import cache, page_context
from tracking.tests.journey import DELIVERED, ENDS, WAY, Delivery, Step
from tracking.tests.phone import Visit, fresh, headline, map_is_there
from tracking.tests.test_french import CATALOG, sentences, tables
from wingxtra.accounts.identity import SYSTEM

POLLS = 3
EVERY_S = 0.4
# The page shows times to the minute.
ROUNDED = timedelta(minutes=1)
# These are the same in both languages, or names.
NAMES = re.compile(r"Ridge Pharmacy|Wingxtra|English|Français")
RAW = sorted({str(value) for kind in (Status, EventType, Holder, PodRequirement, ReasonCode)
              for value in kind} - {"OTHER"})  # fmt: skip
# Everything a customer can read, hear or point at.
READABLE = """() => {
    const named = ["aria-label", "alt", "title", "placeholder"];
    const texts = [document.title, document.body.innerText];
    for (const part of document.querySelectorAll("*")) {
        for (const { name, value } of part.attributes) {
            if (named.includes(name) || name.startsWith("data-words")) texts.push(value);
        }
    }
    texts.push(...Object.values(document.getElementById("words").dataset));
    return texts.join("\\n");
}"""
MAP = """() => {
    const map = document.getElementById("map");
    return map && { height: map.offsetHeight, isLeaflets: map.matches(".leaflet-container") };
}"""
PROMISED = "[...document.querySelectorAll('#headline time, #facts time')].map((t) => t.dateTime)"

Language = gettext.NullTranslations
LANGUAGES: dict[str, Language] = {"en-GB": gettext.NullTranslations()}
with CATALOG.open("rb") as file:
    LANGUAGES["fr-FR"] = gettext.GNUTranslations(file)


def words(texts: Any) -> set[str]:
    return {word.lower() for text in texts for word in re.findall(r"[^\W\d_]{3,}", text)}


@pytest.fixture(scope="session")
def english() -> set[str]:
    """The words of the catalog that are in no French text."""
    known = sentences() | tables()
    assert words(known) > {"parcel", "drone", "your", "delivery"}
    return words(known) - words(LANGUAGES["fr-FR"].gettext(text) for text in known)


# --- the customer --------------------------------------------------------------------------------


class Customer:
    """Reads the page in one language and checks all that it says."""

    def __init__(self, page: Page, delivery: Delivery, locale: str, english: set[str]) -> None:
        self.page, self.delivery, self.locale, self.english = page, delivery, locale, english
        self.complaints: list[str] = []
        self.online = True
        self.map: Any = None
        page.on("console", self._hear)

    def _hear(self, said: Any) -> None:
        # There is no process of streams here; the page asks instead.
        is_stream = said.location["url"].endswith("/stream")
        if said.type in ("error", "warning") and self.online and not is_stream:
            self.complaints.append(said.text)

    def text(self, english: str) -> str:
        return LANGUAGES[self.locale].gettext(english)

    def take(self, step: Step) -> None:
        step.act(self.delivery)
        cache.fetch(self.delivery.order.public_tracking_id, fresh=True)
        self.expect_headline(step.title)

    def expect_headline(self, title: str) -> None:
        headline(self.page).to_contain_text(self.text(title))

    def poll(self) -> None:
        for _ in range(POLLS):
            with self.page.expect_response(lambda got: "/track/" in got.url and got.ok) as got:
                pass
            got.value.finished()
        self.page.evaluate("new Promise(requestAnimationFrame)")

    def check(self, step: Step) -> None:
        """The headline, the map, the words and the times of a page that is up to date."""
        self.expect_headline(step.title)
        name, status = step.name, Status(fresh(self.delivery.order).status)
        assert name in (status, "rescheduled")
        shown = cast(str, self.page.evaluate(READABLE))
        assert [raw for raw in RAW if re.search(rf"\b{raw}\b", shown)] == [], name
        assert re.findall(r"undefined|null|NaN|%\(|\{\w*\}|None", shown.replace("{n}", "")) == []
        if self.locale == "fr-FR":
            assert words([NAMES.sub(" ", shown)]) & self.english == set(), name
        self._check_times(status)
        assert self.complaints == []

    def check_map(self, step: Step) -> None:
        now = self.page.evaluate(MAP)
        self.map = self.map or now
        assert now == self.map, step
        assert now["isLeaflets"]
        assert now["height"] > 200

    def _check_times(self, status: Status) -> None:
        if status == Status.DELIVERED:
            return  # when it arrived
        if status == Status.VALIDATED:
            not_before = fresh(self.delivery.order).not_before
            shown = self.page.locator("#headline time").get_attribute("datetime")
            assert not_before
            assert shown
            assert abs(datetime.fromisoformat(shown) - not_before) < timedelta(seconds=1)
        told = [datetime.fromisoformat(text) for text in self.page.evaluate(PROMISED)]
        assert [at for at in told if at < timezone.now() - ROUNDED] == []
        assert bool(told) == (status not in TERMINAL and status not in AT_THE_DOOR), status


AT_THE_DOOR = (Status.ARRIVED, Status.DELIVERING)
LOCALES = pytest.mark.parametrize("locale", LANGUAGES)


@pytest.fixture
def often(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_context, "REFRESH_IN_FLIGHT_S", EVERY_S)
    monkeypatch.setattr(page_context, "REFRESH_WAITING_S", EVERY_S)


@pytest.fixture
def customer(visit: Visit, often: None, english: set[str]) -> Callable[..., Customer]:
    def open_page(delivery: Delivery, locale: str, **options: Any) -> Customer:
        page = visit(delivery.order, locale=locale, **options)
        return Customer(page, delivery, locale, english)

    return open_page


def receive(customer: Customer) -> None:
    page, code = customer.page, codes.renew(customer.delivery.order.pk, by=SYSTEM)
    page.get_by_label(customer.text("Your six-digit code")).fill(code)
    page.get_by_role("button", name=customer.text("Receive the parcel")).click()
    customer.expect_headline("Delivered")


def the_phone_is_offline(customer: Customer, step: Step) -> None:
    """The delivery goes on, the page says how old it is, and recovers."""
    page, lost = customer.page, customer.page.locator("#lost")
    before = page.get_by_role("heading", level=1).inner_text()
    customer.online = False
    page.context.set_offline(True)
    expect(lost).to_contain_text(customer.text("No connection. This is from"))
    assert re.search(r"\d\d:\d\d\.$", lost.inner_text())
    step.act(customer.delivery)
    page.wait_for_timeout(1000 * EVERY_S)
    assert page.get_by_role("heading", level=1).inner_text() == before
    page.context.set_offline(False)
    customer.expect_headline(step.title)
    expect(lost).to_be_empty()
    customer.online = True


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("locale", "scheme"), [("en-GB", "light"), ("fr-FR", "dark")])
def test_a_delivery_in_a_customers_hands(
    locale: str, scheme: str, customer: Callable[..., Customer]
) -> None:
    ama = customer(Delivery(), locale, color_scheme=scheme)
    ama.page.evaluate("window.same = true")
    map_is_there(ama.page)

    for step in WAY:
        if step.name == "ARRIVED":
            the_phone_is_offline(ama, step)
        else:
            ama.take(step)
        ama.poll()
        ama.check(step)
        ama.check_map(step)
    receive(ama)

    ama.check(DELIVERED)
    expect(ama.page.locator("#where")).to_have_count(0)
    assert ama.page.evaluate("window.same")  # never reloaded


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@LOCALES
@pytest.mark.parametrize("after", ENDS)
def test_an_order_that_is_not_delivered(
    after: str, locale: str, customer: Callable[..., Customer]
) -> None:
    delivery = Delivery()
    for step in WAY[: [step.name for step in WAY].index(after) + 1]:
        step.act(delivery)
    kofi = customer(delivery, locale)
    map_is_there(kofi.page)
    kofi.poll()

    kofi.take(ENDS[after])

    kofi.check(ENDS[after])
    expect(kofi.page.locator("#where")).to_have_count(0)
    expect(kofi.page.get_by_role("link", name="+233 30 222 0000")).to_be_visible()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@LOCALES
def test_a_delivery_without_javascript(locale: str, customer: Callable[..., Customer]) -> None:
    esi = customer(Delivery(), locale, java_script_enabled=False)

    for step in WAY:
        step.act(esi.delivery)
        cache.fetch(esi.delivery.order.public_tracking_id, fresh=True)
        esi.page.reload()
        esi.check(step)
        expect(esi.page.locator("#plan svg")).to_be_visible()
        drones = int(Status(fresh(esi.delivery.order).status) in IN_FLIGHT)
        expect(esi.page.locator("#plan .drone")).to_have_count(drones)
    receive(esi)

    esi.check(DELIVERED)


# --- pictures to look at -------------------------------------------------------------------------

PICTURES = settings.BASE_DIR / ".local" / "pictures"
DEVICES: dict[str, Any] = {
    "phone": {},
    "tablet": {"viewport": {"width": 1024, "height": 768}, "is_mobile": False},
}


@pytest.mark.screenshots
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("locale", "scheme"), [("en-GB", "light"), ("fr-FR", "dark")])
def test_pictures(
    locale: str, scheme: str, device: str, customer: Callable[..., Customer], chromium: Browser
) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    efua = customer(Delivery(), locale, color_scheme=scheme, **DEVICES[device])
    map_is_there(efua.page)
    for step in WAY:
        efua.take(step)
        efua.poll()
        name = f"hands-{step.name.lower()}-{device}-{locale[:2]}-{scheme}.png"
        efua.page.screenshot(path=PICTURES / name, full_page=True)
