"""`make screenshots`: the console's main pages, on laptop and tablet, in light and dark mode."""

from typing import Literal

import pytest
from django.conf import settings as project
from playwright.sync_api import Browser, ViewportSize
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from dispatch.tests import whatif_day
from fleet.demo import city
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import User
from wingxtra.tests import recording, scene

PICTURES = project.BASE_DIR / "docs" / "images"
LAPTOP = ViewportSize(width=1440, height=900)
TABLET = ViewportSize(width=820, height=1180)
# Pictures in docs/console.md: end of the file name, size, colour scheme, and pages.
SETS: tuple[tuple[str, ViewportSize, Literal["light", "dark"], tuple[str, ...]], ...] = (
    (
        "laptop-light",
        LAPTOP,
        "light",
        ("dashboard", "map", "order", "policy", "orders", "assign", "replay"),
    ),
    ("tablet-light", TABLET, "light", ("dashboard", "policy")),
    ("tablet-dark", TABLET, "dark", ("map", "order")),
    ("laptop-light", LAPTOP, "light", ("what-if",)),  # the last: its day has many orders
)


@pytest.mark.screenshots
@pytest.mark.django_db(transaction=True)
def test_pictures_of_the_console(
    chromium: Browser, live_server: LiveServer, settings: Settings
) -> None:
    settings.MAP_TILE_URL = ""
    settings.FLEET_API_URL = settings.GCS_BRIDGE_URL = "http://127.0.0.1:9"
    town = scene.Scene(with_history=True)
    boss = User.objects.create_user("ama.boateng", password=city.AREA_NAME, role=Role.ADMIN)
    boss.is_staff = True
    boss.save()
    pages = {
        "dashboard": "/admin/",
        "map": "/admin/map/",
        "order": scene.page_of(town.orders["enroute"].pk),
        "policy": "/admin/fleet/policy/1/change/",
        "orders": "/admin/orders/order/",
        "assign": f"/admin/do/orders.order/assign/?id={town.orders['urgent'].pk}",
    }
    job, gone = recording.of_a_flight(town.orders["enroute"])
    pages["replay"] = f"/admin/replay/flight/{job.pk}/?at={gone + recording.IN_THE_GAP_S:.0f}"
    PICTURES.mkdir(parents=True, exist_ok=True)
    for ending, viewport, scheme, names in SETS:
        context = chromium.new_context(
            base_url=live_server.url, viewport=viewport, color_scheme=scheme
        )
        page = context.new_page()
        page.goto("/admin/login/")
        page.get_by_label("Username").fill("ama.boateng")
        page.get_by_label("Password").fill(city.AREA_NAME)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/admin/")
        for name in names:
            town.fly(0)
            if name == "what-if":
                asked = whatif_day.answered(by=boss.actor)
                pages[name] = f"/admin/dispatch/whatif/{asked.pk}/change/"
            page.goto(pages[name])
            if name in ("map", "order"):
                for _ in range(3):
                    town.fly(0.02)
                    page.wait_for_timeout(2200)  # the map's poll interval
            if name == "replay":
                page.wait_for_function(recording.FIRST_FRAME_IS_DRAWN)
            page.screenshot(path=PICTURES / f"console-{name}-{ending}.png")
        context.close()
