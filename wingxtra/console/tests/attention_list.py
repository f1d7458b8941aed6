"""Reads and posts to the list of what needs attention, as its page does."""

from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from wingxtra.console import dashboard


def now(browser: Client, **query: Any) -> str:
    return browser.get(reverse("admin:now"), query).content.decode()


def lines() -> list[str]:
    return [group.text for group in dashboard.board(timezone.now()).lines]


def texts() -> list[str]:
    board = dashboard.board(timezone.now())
    return [item.text for group in board.lines for item in group.items]


def post(browser: Client, **data: Any) -> Any:
    """As from a page that shows the list as it is now."""
    line = dashboard.board(timezone.now()).line(data.get("cause", ""))
    if line is not None:
        data.setdefault("shown", line.shown)
    return browser.post(reverse("admin:acknowledge"), data)
