"""The merchant's recurring orders: made, paused, a day skipped."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from fleet.models import ServiceArea
from fleet.tests.factories import DroneFactory
from orders.models import Occurrence, Order, RecurringOrder
from orders.recurring import placer
from tracking.tests.test_merchant_access import client_of, recurring_of, user_of
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory

pytestmark = pytest.mark.django_db
NEW = "/merchant/recurring/new/"
TYPED = {
    "name": "Clinic round",
    "weekdays": "Mon-Fri",
    "local_time": "07:30",
    "starts_on": "2026-11-30",
    "ends_on": "",
    "hours_ahead": "24",
    "pickup": "5.6037, -0.1870",
    "dropoff": "5.6150, -0.1750",
    "payload_type": "MEDICINE",
    "payload_weight_kg": "0,8",
    "customer_name": "Achimota Clinic",
    "priority": "URGENT",
    "pod_requirement": "NONE",
}


@pytest.fixture
def merchant() -> Merchant:
    DroneFactory()
    return MerchantFactory()


@pytest.fixture
def browser(merchant: Merchant) -> Client:
    return client_of(user_of(merchant))


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_a_recurring_order_is_added_and_shows_its_next_days(browser: Client) -> None:
    with time_machine.travel(datetime(2026, 11, 29, 12, tzinfo=UTC), tick=False):
        assert "Days" in text_of(browser.get(NEW))
        answer = browser.post(NEW, TYPED)
        assert answer.status_code == 303, text_of(answer)
        page = text_of(browser.get(answer["Location"]))
        row = RecurringOrder.objects.get()
        assert row.order["payload_weight_kg"] == 0.8
        assert "Monday-Friday at 07:30" in page
        assert "Mon 30 Nov, 07:30 Planned" in page
        assert "Fri 4 Dec, 07:30 Planned" in page
        placer.place_due(timezone.now())
        assert "Mon 30 Nov, 07:30 Placed The order" in text_of(browser.get(answer["Location"]))
        assert "Clinic round" in text_of(browser.get("/merchant/recurring/"))
    assert Order.objects.get().customer_name == "Achimota Clinic"


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ({"weekdays": "Funday"}, "is no day or range of days like Mon-Fri."),
        ({"weekdays": ""}, "required"),
        ({"local_time": "25:00"}, "Must be a time like 08:00."),
        ({"hours_ahead": "many"}, "A valid integer is required."),
        ({"hours_ahead": "9" * 5000}, "String value too large."),
        ({"hours_ahead": "0"}, "greater than or equal to 1"),
        ({"dropoff": "nowhere"}, "Give latitude and longitude"),
        ({"dropoff": "6.9, -0.1"}, "is in none of our service areas"),
        ({"payload_weight_kg": "50"}, "at most 2.5 kg can be carried here"),
        ({"ends_on": "2026-01-01"}, "The last day lies before the first one."),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    browser: Client, typed: dict[str, str], text: str
) -> None:
    answer = browser.post(NEW, {**TYPED, **typed})
    assert answer.status_code == 400
    assert text in text_of(answer)
    assert "Clinic round" in answer.content.decode()
    assert not RecurringOrder.objects.exists()


def test_it_is_paused_resumed_and_removed(browser: Client, merchant: Merchant) -> None:
    (pk,) = recurring_of(merchant, live=True)
    here = f"/merchant/recurring/{pk}/"
    browser.post(here, {"do": "pause"})
    assert RecurringOrder.objects.get().paused
    assert "Place orders again" in text_of(browser.get(here))
    browser.post(here, {"do": "resume"})
    assert not RecurringOrder.objects.get().paused
    assert browser.post(here, {"do": "fly"}).status_code == 400
    assert "Orders that are placed stay." in text_of(browser.get(f"{here}remove/"))
    browser.post(f"{here}remove/")
    assert not RecurringOrder.objects.exists()


def test_a_day_is_skipped_and_placed_after_all(browser: Client, merchant: Merchant) -> None:
    (pk,) = recurring_of(merchant, live=True)
    here = f"/merchant/recurring/{pk}/"
    on = (timezone.now() + timedelta(days=2)).date()
    browser.post(here, {"do": "skip", "on": str(on)})
    assert Occurrence.objects.get().state == "SKIPPED"
    assert "Place it after all" in text_of(browser.get(here))
    browser.post(here, {"do": "unskip", "on": str(on)})
    assert not Occurrence.objects.exists()
    for day in ("", "tomorrow", "2020-01-01"):
        assert browser.post(here, {"do": "skip", "on": day}).status_code == 400


def test_a_day_that_was_not_placed_says_why(browser: Client, merchant: Merchant) -> None:
    (pk,) = recurring_of(merchant, live=True)
    area = ServiceArea.objects.get()
    area.hours = {
        "weekly": [{"weekday": "SUNDAY", "opens": "01:00", "closes": "02:00"}],
        "exceptions": [],
    }
    area.save()
    placer.place_due(timezone.now())
    assert "is closed on" in text_of(browser.get(f"/merchant/recurring/{pk}/"))
    assert "1 not placed" in text_of(browser.get("/merchant/recurring/"))
