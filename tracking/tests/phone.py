"""A customer's phone, emulated by Chromium: see the fixture `visit`."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from orders.models import Order

PHONE: Any = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
    "locale": "en-GB",
    "timezone_id": "Africa/Accra",
}
Visit = Callable[..., Page]


def fresh(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


def map_is_there(page: Page) -> None:
    """Wait for the map, which is loaded after the first paint, and for its first zoom to end."""
    still = page.locator("#map.leaflet-container:not(.zooming) .pin-drop")
    expect(still).to_be_visible(timeout=20_000)


def headline(page: Page) -> Any:
    return expect(page.get_by_role("heading", level=1))
