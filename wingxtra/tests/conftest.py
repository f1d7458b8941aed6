"""The console in a real Chromium: see the fixture `visit`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import PASSWORD, UserFactory
from wingxtra.tests.scene import Scene

TILES = "https://tiles.example/{z}/{x}/{y}.png"
LAPTOP = {"width": 1440, "height": 900}


@pytest.fixture
def city(settings: Settings, tmp_path: Path) -> Scene:
    settings.MEDIA_ROOT = tmp_path
    settings.MAP_TILE_URL = TILES
    settings.FLEET_API_URL = settings.GCS_BRIDGE_URL = "http://127.0.0.1:9"
    UserFactory(username="ama", ops=True)
    return Scene()


@pytest.fixture
def visit(city: Scene, chromium: Browser, live_server: LiveServer) -> Iterator[Callable[..., Page]]:
    """Opens a page as a user. Requests to other hosts and policy violations fail the test."""
    contexts: list[BrowserContext] = []
    trouble: list[str] = []

    def watch(request: Request) -> None:
        if not request.url.startswith((live_server.url, "data:", "https://tiles.example/")):
            trouble.append(f"asked elsewhere: {request.url}")

    def visit(path: str = "/admin/", user: User | None = None, **options: Any) -> Page:
        context = chromium.new_context(
            base_url=live_server.url, **{"viewport": LAPTOP, "reduced_motion": "reduce", **options}
        )
        contexts.append(context)
        context.set_default_timeout(30_000)
        context.route("https://tiles.example/**", lambda route: route.abort())
        context.on("request", watch)
        context.on("console", lambda message: _note(trouble, message.type, message.text))
        page = context.new_page()
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.goto("/admin/login/?next=" + path)
        page.get_by_label("Username").fill(user.username if user else "ama")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"**{path}")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not trouble


def _note(trouble: list[str], kind: str, text: str) -> None:
    """Notes the browser's errors, except those of tiles: the tests have no tile server."""
    if kind == "error" and "net::ERR_FAILED" not in text:
        trouble.append(f"console: {text}")
