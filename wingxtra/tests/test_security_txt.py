"""`/.well-known/security.txt`: the fields of RFC 9116, and no file without a contact."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

client = Client()
CONTACTS = ["mailto:security@example.com", "https://example.com/report"]


def fields(settings: Any) -> list[tuple[str, str]]:
    settings.SECURITY_CONTACT = CONTACTS
    settings.PUBLIC_BASE_URL = "https://delivery.example.com"
    answer = client.get("/.well-known/security.txt")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; charset=utf-8")
    found = []
    for line in answer.content.decode().splitlines():
        name, _, value = line.partition(": ")
        found.append((name, value))
    return found


def test_without_a_contact_there_is_no_file() -> None:
    assert client.get("/.well-known/security.txt").status_code == 404


def test_the_contacts_are_named_in_their_order(settings: Any) -> None:
    assert [value for name, value in fields(settings) if name == "Contact"] == CONTACTS


def test_each_other_field_is_there_once(settings: Any) -> None:
    others = [name for name, _ in fields(settings) if name != "Contact"]
    assert sorted(others) == ["Canonical", "Expires", "Policy", "Preferred-Languages"]
    found = dict(fields(settings))
    assert found["Canonical"] == "https://delivery.example.com/.well-known/security.txt"
    policy = found["Policy"].removeprefix("https://delivery.example.com")
    assert "How we answer" in client.get(policy).content.decode()


def test_a_copy_is_true_for_a_week(settings: Any) -> None:
    """An answer is made from the setting, so the file itself is never expired."""
    expires = datetime.fromisoformat(dict(fields(settings))["Expires"])
    assert timedelta(days=6.9) < expires - datetime.now(UTC) <= timedelta(days=7)


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_it_is_only_read(settings: Any, method: str) -> None:
    settings.SECURITY_CONTACT = CONTACTS
    assert getattr(client, method)("/.well-known/security.txt").status_code == 405
