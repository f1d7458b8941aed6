"""The list of orders and the palette in a real Chromium, by keyboard, while orders change."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from orders import lifecycle
from orders.models import Order
from orders.states import CancelReason
from wingxtra.tests import scene
from wingxtra.tests.scene import Scene

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

QUEUED = "/admin/orders/order/?tab=queued"
RENEWED_MS = 15_000


def row_of(page: Page, order: Order) -> object:
    return page.get_by_role("row").filter(has_text=str(order))


def test_the_list_renews_itself_and_loses_nothing(visit: Callable[..., Page], city: Scene) -> None:
    several = [scene.place(scene.MARKET) for _ in range(40)]
    page = visit(QUEUED)
    chosen, focused, leaves = several[20], several[22], several[30]
    for order in (chosen, leaves):
        page.get_by_role("checkbox", name=f"Select {order}").check()
    page.get_by_text("Saved filters").click()
    page.locator("select[name=action]").select_option("requeue")
    link = page.get_by_role("link", name=str(focused))
    link.focus()
    page.evaluate("window.mark = document.activeElement")

    first = timezone.now() - timedelta(hours=9)
    Order.objects.filter(pk=focused.pk).update(priority="MEDICAL", deliver_by=first)
    lifecycle.cancel(leaves.pk, by=scene.AMA, reason=CancelReason.WEATHER)
    new = scene.place(scene.MARKET)

    expect(page.get_by_role("link", name=str(new))).to_be_visible(timeout=RENEWED_MS)
    # Now the first: moved by the others, and still the same element with the focus.
    assert page.locator("#result_list tbody tr").first.inner_text().find(str(focused)) >= 0
    assert page.evaluate("document.activeElement === window.mark")
    expect(page.get_by_role("checkbox", name=f"Select {chosen}")).to_be_checked()
    expect(page.get_by_role("link", name=str(leaves))).to_have_count(0)
    expect(page.locator("#wx-list-said")).to_have_text("1 selected left this list.")
    expect(page.locator(".action-counter")).to_contain_text("1 of ")
    expect(page.get_by_text("Tab, filters and order are kept")).to_be_visible()
    assert page.locator("select[name=action]").input_value() == "requeue"
    queued = Order.objects.filter(status="QUEUED").count()
    expect(page.get_by_role("link", name=re.compile("^Queued"))).to_have_text(f"Queued {queued}")


def test_the_scroll_position_stays(visit: Callable[..., Page], city: Scene) -> None:
    soon = timezone.now() + timedelta(minutes=20)
    for _ in range(40):
        scene.place(scene.MARKET)
    page = visit(QUEUED)
    row = page.locator("#result_list tbody tr").nth(30)
    row.scroll_into_view_if_needed()
    name = row.get_by_role("link").first.inner_text()
    before = row.bounding_box()
    new = scene.place(scene.PHARMACY)
    Order.objects.filter(pk=new.pk).update(priority="MEDICAL", deliver_by=soon)
    expect(page.get_by_role("link", name=str(new))).to_be_attached(timeout=RENEWED_MS)
    after = page.get_by_role("row").filter(has_text=name).bounding_box()
    assert before is not None
    assert after is not None
    assert abs(after["y"] - before["y"]) <= 2


def test_all_rows_and_then_all_orders_are_selected(visit: Callable[..., Page], city: Scene) -> None:
    for _ in range(105):
        scene.place(scene.MARKET)
    queued = Order.objects.filter(status="QUEUED").count()
    page = visit(QUEUED)
    boxes = page.locator(".action-select")
    boxes.nth(2).check()
    boxes.nth(6).click(modifiers=["Shift"])
    expect(page.locator(".action-counter")).to_have_text("5 of 100 selected")
    page.get_by_role("checkbox", name="Select all").check()
    page.get_by_role("link", name=f"Select all {queued} orders").click()
    expect(page.get_by_text(f"All {queued} selected")).to_be_visible()
    page.locator("select[name=action]").select_option("cancel")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"{queued} orders")


def test_ctrl_k_finds_and_opens_without_a_mouse(visit: Callable[..., Page], city: Scene) -> None:
    order = city.orders["queued"]
    page = visit("/admin/")
    page.get_by_role("link", name="Live map").focus()
    page.keyboard.press("Control+k")
    dialog = page.get_by_role("dialog", name=re.compile("Find"))
    field = dialog.get_by_role("combobox", name="Find")
    expect(field).to_be_focused()
    expect(dialog.get_by_role("option", name="Pause dispatch everywhere")).to_be_visible()
    page.keyboard.type("pause disp")
    expect(dialog.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("link", name="Live map")).to_be_focused()

    page.keyboard.press("Meta+k")
    field.fill("WX-DRN-0")
    options = dialog.get_by_role("option")
    expect(options.first).to_have_attribute("aria-selected", "true")
    expect(options).to_have_count(8)
    page.keyboard.press("ArrowDown")
    second = options.nth(1)
    expect(second).to_have_attribute("aria-selected", "true")
    assert field.get_attribute("aria-activedescendant") == second.get_attribute("id")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")

    # Enter at once: it waits for what this text finds.
    field.fill(f"{order.public_tracking_id[:5]}-{order.public_tracking_id[5:]}")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{scene.page_of(order.pk)}")


def test_the_palette_says_when_nothing_is_found(visit: Callable[..., Page], city: Scene) -> None:
    page = visit("/admin/orders/order/")
    page.get_by_role("link", name=re.compile("^Find")).click()
    page.keyboard.type("no such thing")
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Nothing is found.")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
