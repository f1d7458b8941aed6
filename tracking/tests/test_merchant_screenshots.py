"""`make screenshots`: the merchants' page."""

import pytest
from django.conf import settings as project
from playwright.sync_api import Page

from orders import lifecycle
from tracking.tests.test_merchant_browser import (
    LAPTOP,
    NEW,
    PHONE,
    Open,
    browse,
    fill,
    merchant,
    one_of_each,
)
from tracking.tests.test_merchant_stores_browser import stores_of
from wingxtra.accounts.identity import TELEMETRY
from wingxtra.accounts.models import Merchant

__all__ = ["browse", "merchant"]  # fixtures
PICTURES = project.BASE_DIR / "docs" / "images"


@pytest.mark.screenshots
@pytest.mark.django_db(transaction=True)
def test_pictures_of_the_merchants_page(browse: Open, merchant: Merchant) -> None:
    flying = one_of_each(merchant)["flying"]
    lifecycle.loaded(flying.pk, by=TELEMETRY)
    page = browse("/merchant/", color_scheme="light", **LAPTOP)
    _shoot(page, "orders-laptop-light")
    page.goto(NEW)
    fill(page)
    page.get_by_role("button", name="Can you deliver this").click()
    page.get_by_text("We can deliver this in").wait_for()
    _shoot(page, "new-laptop-light")
    phone = browse("/merchant/", color_scheme="dark", **PHONE)
    phone.goto(f"/merchant/orders/{flying.pk}/")
    _shoot(phone, "order-phone-dark")
    page.goto(f"/merchant/stores/{stores_of(merchant)['hours'].pk}/")
    _shoot(page, "store-laptop-light")


def _shoot(page: Page, name: str) -> None:
    page.evaluate("scrollTo(0, 0)")  # the map beside a form stays in view
    page.screenshot(path=PICTURES / f"merchant-{name}.png", full_page=True)
