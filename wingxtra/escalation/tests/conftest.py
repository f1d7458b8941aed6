from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tracking.tests.receiver import Receiver, receiving
from wingxtra.console import registry
from wingxtra.console.look import Look
from wingxtra.escalation.tests.support import Board


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    """An attention list with one source, which shows what the test puts on it."""
    shown = Board()

    def find(look: Look) -> list[registry.Attention]:
        return shown.find()

    monkeypatch.setattr(registry, "attention_sources", [])
    registry.add_attention(find, checks="no roof leaks")
    return shown


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.WEBHOOK_TRUSTED_HOSTS = ["127.0.0.1"]
    with receiving() as receiver:
        yield receiver
