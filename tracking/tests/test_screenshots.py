"""`make screenshots`: the tracking page in each look, light and dark."""

from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, expect

from tracking.tests import looks
from tracking.tests.phone import map_is_there

PICTURES = settings.BASE_DIR / "docs" / "images"
PHONE: Any = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.mark.screenshots
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("look", looks.ALL)
def test_picture(look: str, scheme: str, chromium: Browser, live_server: Any) -> None:
    order = looks.ALL[look]()
    context = chromium.new_context(
        **PHONE, color_scheme=scheme, locale="en-GB", timezone_id="Africa/Accra"
    )
    page = context.new_page()
    page.goto(f"{live_server.url}/track/{order.public_tracking_id}/")
    expect(page).not_to_have_title("Your delivery")
    if page.locator("#map").count():
        map_is_there(page)
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"tracking-{look}-{scheme}.png")
    context.close()
