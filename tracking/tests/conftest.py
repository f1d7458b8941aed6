import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings as current_settings
from playwright.sync_api import Browser, BrowserContext, Page
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from orders.models import Order
from tracking.page import cache, facts, page_context
from tracking.tests.phone import PHONE, Visit
from tracking.tests.receiver import Receiver, receiving


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> Path:
    """Stores files of tests in a temporary folder."""
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def gateways(settings: Settings) -> Settings:
    """Messages by SMS and e-mail. The SMS gateway does not exist; see `sms` for one that does."""
    settings.MESSAGE_CHANNELS = ["sms", "email"]
    settings.SMS_GATEWAY_URL = "https://sms.example/send"
    settings.SMS_GATEWAY_HEADERS = {"Content-Type": "application/json", "Authorization": "key 1"}
    settings.PUBLIC_BASE_URL = "https://delivery.example"
    return settings


@pytest.fixture
def sms(gateways: Settings) -> Iterator[Receiver]:
    """The SMS gateway, over real HTTP."""
    with receiving() as gateway:
        gateway.respond = lambda _: 202
        gateways.SMS_GATEWAY_URL = gateway.url
        yield gateway


@pytest.fixture
def copies_expire() -> Callable[[], None]:
    """A function that empties the cache of public views."""

    def expire() -> None:
        with redis.Redis.from_url(current_settings.REDIS_URL) as client:
            for kind in ("view", "facts"):
                if keys := client.keys(f"tracking-{kind}:*"):
                    client.delete(*keys)

    return expire


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Short polling intervals and a short cache."""
    for name in ("MAX_AGE_S", "FACTS_S", "FLIGHT_S"):
        monkeypatch.setattr(cache, name, 1)
    monkeypatch.setattr(page_context, "REFRESH_IN_FLIGHT_S", 1.2)
    monkeypatch.setattr(page_context, "REFRESH_WAITING_S", 1.2)
    monkeypatch.setattr(page_context, "POSITION_EVERY_S", 1)
    settings.PUBLIC_MAP_TILE_URL = ""


@pytest.fixture
def visit(chromium: Browser, live_server: LiveServer, quick: None) -> Iterator[Visit]:
    """Opens a delivery's page. Fails on requests to other servers and on errors of the page."""
    contexts: list[BrowserContext] = []
    trouble: list[str] = []

    def note(kind: str, text: str) -> None:
        # Failed requests are part of the tests; violations of the security policy never are.
        if "Content Security Policy" in text or (kind == "error" and "Failed to load" not in text):
            trouble.append(text)

    def visit(order: Order, *, own_clock: bool = False, streams: str = "", **options: Any) -> Page:
        """streams: the URL of a server of streams, which the proxy would pass calls to."""
        context = chromium.new_context(base_url=live_server.url, **{**PHONE, **options})
        contexts.append(context)
        context.set_default_timeout(30_000)
        if streams:
            context.route(
                re.compile(r"/stream(\?|$)"),
                lambda route: route.continue_(
                    url=route.request.url.replace(live_server.url, streams)
                ),
            )
        ours = (live_server.url, "https://tiles.example/", "data:")
        context.on(
            "request",
            lambda asked: None if asked.url.startswith(ours) else trouble.append(asked.url),
        )
        context.on("console", lambda said: note(said.type, said.text))
        page = context.new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        if own_clock:
            page.clock.install()
        page.goto(f"/track/{order.public_tracking_id}/")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not trouble


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The reads of facts from the database. Each takes long enough for all who watch to ask."""
    found: list[str] = []
    read = facts.read

    def slowly(canonical: str, now: datetime) -> facts.Facts:
        found.append(canonical)
        time.sleep(0.5)
        return read(canonical, now)

    monkeypatch.setattr(facts, "read", slowly)
    return found
