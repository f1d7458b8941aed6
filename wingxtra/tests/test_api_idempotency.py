"""A POST that is retried under an Idempotency-Key is carried out once."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.test import APIClient

from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import api_client, key_client
from wingxtra.api import idempotency
from wingxtra.api.models import IdempotencyKey
from wingxtra.problems import Conflict, Unavailable
from wingxtra.tests.api_probe import Merchants, MerchantsInSteps
from wingxtra.tests.test_api_errors import problem

pytestmark = [
    pytest.mark.urls("wingxtra.tests.api_probe"),
    pytest.mark.django_db,
]

for_real = pytest.mark.django_db(transaction=True)  # real commits, which other threads see

VIEWS = {"/api/v1/merchants": Merchants, "/api/v1/merchants-in-steps": MerchantsInSteps}


@pytest.fixture(params=VIEWS)
def path(request) -> str:
    """A view with one transaction, and one with several."""
    return request.param


@pytest.fixture(autouse=True)
def _fresh_probes() -> Iterator[None]:
    yield
    for view in VIEWS.values():
        view.gate = view.fails_with = None
        view.entered = threading.Event()


@pytest.fixture
def client() -> APIClient:
    return key_client()


def post(client: APIClient, path: str, name: str = "Osu", key: str = "k1", **headers: str) -> Any:
    return client.post(path, {"name": name}, HTTP_IDEMPOTENCY_KEY=key, **headers)


def in_thread(client: APIClient, path: str, name: str = "Osu", key: str = "k1") -> Any:
    again = APIClient()
    again.credentials(**client._credentials)
    try:
        return post(again, path, name, key)
    finally:
        connection.close()


def names() -> list[str]:
    return list(Merchant.objects.values_list("name", flat=True))


def test_a_retry_gets_the_first_answer(client, path):
    first = post(client, path)
    assert first.status_code == 201
    assert "Idempotency-Replayed" not in first.headers
    second = post(client, path)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert (second.status_code, second.content) == (201, first.content)
    assert second.headers["Content-Type"] == first.headers["Content-Type"]
    assert names() == ["Osu"]


def test_another_body_under_the_same_key_is_refused(client, path):
    post(client, path)
    problem(post(client, path, "Labadi"), 422, "idempotency_key_reused")
    assert names() == ["Osu"]


def test_another_spelling_of_the_same_body_is_the_same_request(client, path):
    for body in ('{"name": "Osu", "a": 1}', '{"a":1,  "name":"Osu"}'):
        response = client.post(
            path, body, content_type="application/json", HTTP_IDEMPOTENCY_KEY="k1"
        )
    assert response.headers["Idempotency-Replayed"] == "true"


def test_a_key_belongs_to_one_caller_and_one_call(path):
    other = next(one for one in VIEWS if one != path)
    first, second = key_client(), key_client()
    for client, call, name in ((first, path, "a"), (second, path, "b"), (second, other, "c")):
        assert post(client, call, name).json()["name"] == name


def test_a_refusal_is_stored_without_other_effects(client, path):
    VIEWS[path].fails_with = Conflict("too_late", "Too late.", current_status="LAUNCHED")
    problem(post(client, path), 409, "too_late")
    VIEWS[path].fails_with = None
    again = post(client, path)
    assert (again.status_code, again.json()["code"]) == (409, "too_late")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Content-Type"] == "application/problem+json"
    if path == "/api/v1/merchants":
        assert names() == []


@pytest.mark.parametrize("error", [Unavailable("away", "Away."), ZeroDivisionError()])
def test_a_server_error_is_not_stored(client, path, error):
    VIEWS[path].fails_with = error
    assert post(client, path).status_code >= 500
    assert not IdempotencyKey.objects.exists()
    VIEWS[path].fails_with = None
    assert post(client, path, "Labadi").status_code == 201


def test_a_429_is_not_stored(client, path, settings):
    settings.API_RATE_AUTHENTICATED = "1/minute"
    client.get(path)
    problem(post(client, path), 429, "throttled")
    settings.API_RATE_AUTHENTICATED = "2/minute"
    assert post(client, path).status_code == 201


def test_bad_keys_are_bad_input(client, path):
    for key in ("", "k" * 256):
        [error] = problem(post(client, path, key=key), 400, "invalid")["errors"]
        assert error["field"] == "Idempotency-Key"
    assert post(client, path, key="k" * 255).status_code == 201


def test_without_a_key_nothing_is_stored(client):
    client.post("/api/v1/merchants", {"name": "Osu"})
    assert not IdempotencyKey.objects.exists()


@for_real
def test_a_second_request_is_refused_at_once_while_the_first_one_runs(client, path):
    VIEWS[path].gate = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(in_thread, client, path)
        assert VIEWS[path].entered.wait(10)
        response = post(client, path)
        body = problem(response, 409, "idempotency_in_progress")
        assert "still running" in body["detail"]
        assert response.headers["Retry-After"] == "1"
        VIEWS[path].gate.set()
        assert first.result().status_code == 201
    assert post(client, path).headers["Idempotency-Replayed"] == "true"
    assert names() == ["Osu"]


@for_real
def test_eight_concurrent_requests_create_one_row_and_the_others_get_its_answer_or_a_409(
    client, path
):
    with ThreadPoolExecutor(8) as threads:
        for key in ("a", "b", "c", "d"):
            answers = list(
                threads.map(lambda _: in_thread(client, path, name=key, key=key), range(8))  # noqa: B023
            )
            made = [a for a in answers if a.status_code == 201]
            fresh = [a for a in made if "Idempotency-Replayed" not in a.headers]
            assert len(fresh) == 1
            assert {a.content for a in made} == {fresh[0].content}
            assert set(Counter(a.status_code for a in answers)) <= {201, 409}
    assert sorted(names()) == ["a", "b", "c", "d"]


@for_real
def test_a_crash_leaves_nothing_and_the_retry_is_carried_out(client, path):
    VIEWS[path].fails_with = SystemExit()
    with suppress(SystemExit):
        in_thread(client, path)
    VIEWS[path].fails_with = None
    response = post(client, path)
    assert response.status_code == 201
    assert "Idempotency-Replayed" not in response.headers
    assert names() == ["Osu"]
    assert post(client, path).headers["Idempotency-Replayed"] == "true"


@for_real
def test_a_claim_left_by_a_crash_is_taken_over_only_by_the_same_request(client):
    path = "/api/v1/merchants-in-steps"
    MerchantsInSteps.fails_with = SystemExit()
    with suppress(SystemExit):
        in_thread(client, path)
    MerchantsInSteps.fails_with = None
    problem(post(client, path, "Labadi"), 422, "idempotency_key_reused")
    assert post(client, path, "Osu").status_code == 201


@for_real
def test_a_claim_of_a_killed_process_is_free_after_a_minute_and_a_late_one_stores_nothing(client):
    """A slow process is the harder case: it still runs when its claim is taken over."""
    path = "/api/v1/merchants-in-steps"
    MerchantsInSteps.gate = gate = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(in_thread, client, path)
        assert MerchantsInSteps.entered.wait(10)
        MerchantsInSteps.gate = None
        with time_machine.travel(timezone.now() + timedelta(seconds=55)):
            problem(post(client, path), 409, "idempotency_in_progress")
        with time_machine.travel(timezone.now() + timedelta(seconds=61)):
            assert post(client, path).status_code == 201
        stored = IdempotencyKey.objects.values().get()
        gate.set()
        assert first.result().status_code == 201
    assert IdempotencyKey.objects.values().get() == stored
    assert post(client, path).headers["Idempotency-Replayed"] == "true"
    assert names() == ["Osu"]


def test_after_a_day_a_key_is_new_again(client, path):
    post(client, path, "Osu")
    with time_machine.travel(timezone.now() + timedelta(hours=23, minutes=59)):
        assert post(client, path, "Osu").headers["Idempotency-Replayed"] == "true"
    with time_machine.travel(timezone.now() + timedelta(hours=24, minutes=1)):
        assert "Idempotency-Replayed" not in post(client, path, "Labadi").headers


def test_old_answers_are_deleted(client):
    post(client, "/api/v1/merchants", "Osu", key="old")
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        post(client, "/api/v1/merchants", "Labadi", key="new")
        assert idempotency.purge() == 1
        assert idempotency.purge() == 0
    assert IdempotencyKey.objects.count() == 1


def test_an_answer_cannot_be_read_from_the_database(client, settings):
    post(client, "/api/v1/merchants", "Osu")
    row = IdempotencyKey.objects.values().get()
    assert not any("Osu" in str(value) or "k1" in str(value) for value in row.values())
    settings.SECRET_KEY = "another"
    problem(post(client, "/api/v1/merchants", "Osu"), 422, "idempotency_key_reused")
    assert names() == ["Osu"]


def test_a_form_with_a_new_boundary_is_the_same_request(rf):
    def claim(content: bytes) -> idempotency.Claim:
        photo = SimpleUploadedFile("photo.jpg", content)
        request = rf.post("/", {"method": "PHOTO", "photo": photo}, HTTP_IDEMPOTENCY_KEY="k")
        return idempotency.Claim.of(Request(request, parsers=[MultiPartParser()]), "user:1")

    assert claim(b"door").body_digest == claim(b"door").body_digest
    assert claim(b"door").body_digest != claim(b"window").body_digest


@for_real
def test_idempotency_costs_two_statements_per_post(client):
    def statements(send: Callable[[], object]) -> list[str]:
        client.get("/api/v1/merchants")  # caches the key, which a new merchant makes stale
        with CaptureQueriesContext(connection) as captured:
            send()
        kinds = [statement["sql"].split()[0] for statement in captured]
        # The view's own transaction is a savepoint within that of the key.
        return [k for k in kinds if k not in ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")]

    client.post("/api/v1/merchants", {"name": "Teshie"})  # Django caches some rows at the first
    plain = statements(lambda: client.post("/api/v1/merchants", {"name": "Labadi"}))
    with_key = statements(lambda: post(client, "/api/v1/merchants", "Osu"))
    assert with_key == ["WITH", *plain, "UPDATE"]  # claim, the view's own, answer


def test_an_anonymous_caller_is_identified_by_the_link():
    for link in ("a", "b"):
        first, again = (post(api_client(), f"/api/v1/links/{link}", link) for _ in range(2))
        assert first.json() == {"name": link}
        assert "Idempotency-Replayed" not in first.headers
        assert again.headers["Idempotency-Replayed"] == "true"
