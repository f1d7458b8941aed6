"""Lists by page, and by cursor over rows that share one time."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import UserFactory, api_client
from wingxtra.tests.test_api_errors import problem

pytestmark = [pytest.mark.urls("wingxtra.tests.api_probe"), pytest.mark.django_db]

PATH = "/api/v1/merchants"


@pytest.fixture
def client():
    return api_client(UserFactory())


@pytest.fixture
def names() -> list[str]:
    """The names of 45 merchants, all created at the same time, newest first."""
    made = Merchant.objects.bulk_create([Merchant(name=f"shop {n}") for n in range(45)])
    Merchant.objects.update(created_at=datetime(2026, 3, 1, 12, tzinfo=UTC))
    return [one.name for one in sorted(made, key=lambda one: one.pk, reverse=True)]


def test_a_page_has_its_number_size_and_total(client, names):
    place = {"page": 3, "page_size": 20, "total": 45}
    body = client.get(f"{PATH}?page=3").json()
    assert body == {"items": names[40:], **place, "pagination": place}


def test_a_page_past_the_end_is_empty(client, names):
    assert client.get(f"{PATH}?page=999999999").json()["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=two", "page"),
        ("page=²", "page"),
        ("page=" + "9" * 5000, "page"),
        ("page_size=0", "page_size"),
        ("page_size=101", "page_size"),
        ("page_size=", "page_size"),
        ("cursor=&page=2", "page"),
        ("cursor=&ordering=name", "ordering"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%00", "cursor"),
    ],
)
def test_an_invalid_page_is_bad_input(client, query, field):
    assert problem(client.get(f"{PATH}?{query}"), 400, "invalid")["errors"][0]["field"] == field


def walk(client, page_size: int) -> list[str]:
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        body = client.get(PATH, {"cursor": cursor, "page_size": page_size}).json()
        assert set(body) == {"items", "next_cursor"}
        found += body["items"]
        cursor = body["next_cursor"]
    return found


@pytest.mark.parametrize("page_size", [1, 7, 45, 100])
def test_a_walk_by_cursor_returns_each_row_once(client, names, page_size):
    assert walk(client, page_size) == names


def test_new_rows_do_not_shift_the_walk(client, names):
    first = client.get(PATH, {"cursor": "", "page_size": 30}).json()
    Merchant.objects.create(name="new shop")
    rest = client.get(PATH, {"cursor": first["next_cursor"], "page_size": 30}).json()
    assert first["items"] + rest["items"] == names


def test_a_cursor_that_was_tampered_with_is_refused(client, names):
    cursor = client.get(PATH, {"cursor": "", "page_size": 5}).json()["next_cursor"]
    problem(client.get(PATH, {"cursor": cursor[:-1] + "_"}), 400, "invalid")
    problem(client.get(PATH, {"cursor": "x" + cursor}), 400, "invalid")


def test_a_page_by_cursor_is_one_statement_that_uses_the_index(client, names):
    cursor = client.get(PATH, {"cursor": "", "page_size": 5}).json()["next_cursor"]

    with CaptureQueriesContext(connection) as statements:
        client.get(PATH, {"cursor": cursor, "page_size": 5})
    [statement] = statements
    assert '("accounts_merchant"."created_at", "accounts_merchant"."id") <' in statement["sql"]
