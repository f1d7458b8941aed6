"""Recurring orders in a real browser."""

import re
from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from orders.models import RecurringOrder
from orders.recurring import placer, verbs
from orders.tests.test_api import body
from tracking.tests.test_merchant_browser import LAPTOP, PHONE, Open, browse, check, merchant
from wingxtra.accounts.models import Merchant
from wingxtra.opening_hours import WEEKDAYS

__all__ = ["browse", "merchant"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def rounds_of(merchant: Merchant) -> RecurringOrder:
    """One with a placed, a skipped, a refused and planned days, and a paused one."""
    values = {
        "name": "Clinic round",
        "order": body(),
        "weekdays": list(WEEKDAYS),
        "local_time": time(7, 30),
        "starts_on": date(2026, 1, 1),
    }
    paused = verbs.create(merchant.pk, {**values, "name": "Saturday flowers"})
    verbs.pause(paused.pk, paused=True)
    row = verbs.create(merchant.pk, values)
    days = row.schedule.days_from(timezone.now())
    first, second, third = next(days), next(days), next(days)
    placer.place_one(row.pk, first, timezone.now())
    verbs.skip(row.pk, second)
    at, _ = row.schedule.moment(third)
    problem = {
        "field": "not_before",
        "code": "closed",
        "message": "Ridge is closed on that day at 07:30 (UTC). It opens a day later at 08:00.",
        "until": None,
    }
    row.occurrences.create(on=third, at=at, state="REFUSED", problems=[problem])
    return row


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_the_pages_are_readable(browse: Open, merchant: Merchant, scheme: str, size: dict) -> None:
    row = rounds_of(merchant)
    page = browse("/merchant/recurring/", color_scheme=scheme, bypass_csp=True, **size)
    check(page)
    one = f"/merchant/recurring/{row.pk}/"
    for path in ("/merchant/recurring/new/", one, f"{one}change/"):
        page.goto(path)
        check(page)


def test_one_is_added_and_a_day_skipped(browse: Open, merchant: Merchant) -> None:
    page = browse("/merchant/recurring/new/")
    page.get_by_label("Name", exact=True).first.fill("Clinic round")
    page.get_by_label("Days").fill("Mon-Sun")
    page.get_by_label("Where it is picked up").fill("5.6037, -0.1870")
    page.get_by_label("Where it goes").fill("5.6150, -0.1750")
    page.get_by_label("Weight in kg").fill("0.8")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("“Clinic round” is added.")).to_be_visible()
    page.get_by_role("button", name="Skip").first.click()
    expect(page.get_by_role("button", name="Place it after all")).to_be_visible()
    assert datetime.now(UTC) - RecurringOrder.objects.get().created_at < timedelta(minutes=2)


def test_one_is_changed(browse: Open, merchant: Merchant) -> None:
    row = rounds_of(merchant)
    page = browse(f"/merchant/recurring/{row.pk}/")
    page.get_by_role("link", name="Change", exact=True).click()
    expect(page.get_by_label("Days")).to_have_value(re.compile("Monday, .*, Sunday"))
    page.get_by_label("Days").fill("Sat-Sun")
    page.get_by_label("Weight in kg").fill("0.5")
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_text("“Clinic round” is changed.")).to_be_visible()
    expect(page.get_by_text("Saturday-Sunday at 07:30")).to_be_visible()
    changed = RecurringOrder.objects.get(pk=row.pk)
    assert changed.order == row.order | {"payload_weight_kg": 0.5}
