"""Keys, webhooks and files of `/merchant/` in a real browser."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from orders.models import Order
from orders.tests.factories import OrderFactory
from orders.tests.test_imports import csv_of
from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.tests.receiver import WebhookFactory
from tracking.tests.test_merchant_browser import LAPTOP, PHONE, Open, browse, check, merchant
from tracking.webhooks import endpoints
from wingxtra.accounts import keys
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, Merchant

__all__ = ["browse", "merchant"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
IMPORT = "/merchant/orders/import/"
State = WebhookDelivery.State


def tools_of(merchant: Merchant) -> dict[str, Any]:
    """Keys and webhooks in every state."""
    Merchant.objects.update(live_keys_allowed=True)
    now = timezone.now()
    made: dict[str, ApiKey] = {}
    for name in ("Shop, production", "Till 3", "Former shop", "Trial"):
        made[name], _ = ApiKey.issue(name=name, role=Role.MERCHANT, merchant=merchant)
    ApiKey.objects.filter(pk=made["Shop, production"].pk).update(last_used_at=now)
    soon = now + timedelta(days=5)
    ApiKey.objects.filter(pk=made["Till 3"].pk).update(expires_at=soon, last_used_at=now)
    ApiKey.objects.filter(pk=made["Trial"].pk).update(expires_at=now - timedelta(days=3))
    keys.revoke(made["Former shop"])
    shop = WebhookFactory(merchant=merchant, description="Shop, production", last_success_at=now)
    WebhookFactory(merchant=merchant, url="https://till.example/wingxtra", enabled=False)
    WebhookFactory(
        merchant=merchant,
        url="https://warehouse.example/events/of/wingxtra?site=4",
        events=["order.delivered", "order.failed"],
        enabled=False,
        switched_off_at=now,
        switched_off_because="Nothing has arrived there since 26 November 2026, 08:12 UTC.",
    )
    OrderFactory(merchant=merchant, external_id="SHOP-1042")
    return {"endpoint": shop, "delivery": _tried(shop), "key": made["Till 3"]}


def _tried(endpoint: WebhookEndpoint) -> WebhookDelivery:
    """The deliveries of an order: one arrived, one was given up, one waits; and a test event."""
    at = timezone.now().isoformat()
    good = {"at": at, "status": 204, "took_ms": 87, "answer": ""}
    bad = {"at": at, "status": 500, "took_ms": 412, "answer": "<h1>Internal Server Error</h1>"}
    silent = {"at": at, "status": None, "took_ms": 10_000, "answer": "No answer within 10 s."}
    first, second, _ = WebhookDelivery.objects.filter(endpoint=endpoint).order_by("event_id")
    WebhookDelivery.objects.filter(pk=first.pk).update(
        state=State.DELIVERED, tries=1, attempts=[good], delivered_at=timezone.now()
    )
    WebhookDelivery.objects.filter(pk=second.pk).update(
        state=State.GIVEN_UP,
        tries=10,
        attempts=[silent, bad],
        given_up_because="All ten tries failed.",
    )
    endpoints.make_test(endpoint)
    return second


ROWS: list[dict[str, Any]] = [
    {"external_id": "SHOP-1042"},
    {"external_id": "SHOP-1043", "customer_name": "Ama Mensah", "pod_requirement": "OTP"},
    {"external_id": "SHOP-1044", "customer_phone": "0241234567", "payload_weight_kg": "heavy"},
    {"external_id": "SHOP-1045", "customer_name": "Kofi Boateng"},
    {"external_id": "SHOP-1045", "dropoff_lat": 48.85, "dropoff_lng": 2.35},
]


def upload(page: Page, *rows: dict[str, Any], at: str = IMPORT) -> None:
    page.goto(at)
    file: Any = {"name": "orders 29 Nov.csv", "mimeType": "text/csv", "buffer": csv_of(*rows)}
    page.get_by_label("The file").set_input_files(file)
    page.get_by_role("button", name="Check it").click()
    page.wait_for_url("**/import/*-*/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [PHONE, LAPTOP], ids=["phone", "laptop"])
def test_no_page_has_an_axe_violation_or_is_too_wide(
    browse: Open, merchant: Merchant, device: Any, scheme: str
) -> None:
    tools = tools_of(merchant)
    webhook = f"/merchant/webhooks/{tools['endpoint'].pk}/"
    page = browse("/merchant/keys/", color_scheme=scheme, bypass_csp=True, **device)
    for path in (
        "/merchant/keys/",
        "/merchant/test/keys/",
        f"/merchant/keys/{tools['key'].pk}/revoke/",
        "/merchant/webhooks/",
        "/merchant/webhooks/new/",
        webhook,
        f"/merchant/webhooks/deliveries/{tools['delivery'].pk}/",
        IMPORT,
    ):
        page.goto(path)
        page.evaluate("document.querySelectorAll('main details').forEach((one) => one.open = true)")
        check(page)
    upload(page, *ROWS)
    check(page)
    page.get_by_role("button", name="Place the 2").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The orders are placed")
    check(page)


def test_a_key_is_made_copied_and_revoked(browse: Open) -> None:
    page = browse("/merchant/test/keys/", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_label("Name").fill("Till 3")
    page.get_by_role("button", name="Make a test key").click()
    key = page.locator("code.secret").inner_text()
    assert key.startswith("wx_test_")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == key
    page.get_by_role("link", name="I have stored it").click()
    page.get_by_role("link", name="Revoke Till 3").click()
    page.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_role("status")).to_have_text("The key “Till 3” is revoked.")


def test_without_javascript_a_file_is_placed_and_a_second_click_places_nothing(
    browse: Open,
) -> None:
    page = browse("/merchant/", java_script_enabled=False)
    upload(page, *ROWS[1:2], {"external_id": "SHOP-1050"})
    page.get_by_role("button", name="Place 2 orders").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("The orders are placed")
    assert Order.objects.count() == 2
    code = page.locator("td[data-label=Code]").first
    expect(code).to_have_text(re.compile(r"^\d{6}$"))  # the second click shows it, too
    page.get_by_role("link", name="SHOP-1050").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("SHOP-1050")
