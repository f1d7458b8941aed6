"""Occurrences by API: staff read all, READONLY what names no people."""

from typing import Any
from uuid import uuid4

import pytest

from dispatch.tests.test_occurrences import attached, closed, written
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import key_client

pytestmark = pytest.mark.django_db

URL = "/api/v1/occurrences"


def test_staff_read_what_was_written(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    occurrence = written()
    attached(occurrence)
    closed(occurrence)
    body = key_client(role=Role.OPS).get(f"{URL}/{occurrence.pk}").json()
    assert (body["text"], body["state"]) == (occurrence.text, "CLOSED")
    assert [note["text"] for note in body["notes"]] == ["Settled with the school."]
    assert [file["name"] for file in body["files"]] == ["report.pdf"]


def test_readonly_reads_what_names_no_people(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    occurrence = written()
    attached(occurrence)
    closed(occurrence)
    client = key_client(role=Role.READONLY)
    body = client.get(f"{URL}/{occurrence.pk}").json()
    assert (body["text"], body["notes"], body["files"]) == (None, [], [])
    assert body["category"] == occurrence.category
    (listed,) = client.get(URL).json()["items"]
    assert listed["id"] == str(occurrence.pk)
    assert "text" not in listed


def test_one_that_there_is_not_is_a_404() -> None:
    answer = key_client(role=Role.READONLY).get(f"{URL}/{uuid4()}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_statements_do_not_grow_with_the_list(django_assert_max_num_queries: Any) -> None:
    for _ in range(3):
        written()
    client = key_client(role=Role.READONLY)
    assert client.get(URL).json()["total"] == 3
    with django_assert_max_num_queries(4):
        client.get(URL)
