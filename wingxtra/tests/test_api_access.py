"""Access by role, and rate limits."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from wingxtra import redis_client
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client, key_client
from wingxtra.api import throttling
from wingxtra.api.client_address import client_address
from wingxtra.tests.test_api_errors import problem

pytestmark = [pytest.mark.urls("wingxtra.tests.api_probe"), pytest.mark.django_db]

PATHS = ("/api/v1/merchants", "/api/v1/staff", "/api/v1/admins", "/api/v1/nobody")


@pytest.mark.parametrize(
    ("role", "statuses"),
    [
        (Role.MERCHANT, (200, 403, 403, 403)),
        (Role.OPS, (200, 200, 403, 403)),
        (Role.ADMIN, (200, 200, 200, 403)),
    ],
)
def test_each_role_reaches_its_own_views_and_a_view_without_roles_is_closed(role, statuses):
    merchant = MerchantFactory() if role == Role.MERCHANT else None
    client = api_client(UserFactory(role=role, merchant=merchant))
    assert tuple(client.get(path).status_code for path in PATHS) == statuses


@pytest.mark.parametrize("path", PATHS)
def test_an_anonymous_call_is_a_401(path):
    response = api_client().get(path)
    problem(response, 401, "not_authenticated")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_the_wrong_role_is_a_403():
    response = api_client(UserFactory()).get("/api/v1/admins")
    problem(response, 403, "permission_denied")
    assert "WWW-Authenticate" not in response.headers


# --- rate limits ---------------------------------------------------------------------------------


def test_every_answer_has_the_remaining_calls_and_over_the_limit_is_a_429(settings):
    settings.API_RATE_AUTHENTICATED = "3/minute"
    client = api_client(UserFactory())
    for left in (2, 1, 0):
        response = client.get("/api/v1/staff")
        assert response.status_code == 200
        for prefix in ("RateLimit", "X-RateLimit"):
            assert response.headers[f"{prefix}-Limit"] == "3"
            assert response.headers[f"{prefix}-Remaining"] == str(left)
            assert 0 < int(response.headers[f"{prefix}-Reset"]) <= 60
    response = client.get("/api/v1/staff")
    problem(response, 429, "throttled")
    assert 0 < int(response.headers["Retry-After"]) <= 60
    assert response.headers["RateLimit-Remaining"] == "0"
    assert api_client(UserFactory()).get("/api/v1/staff").status_code == 200


def test_errors_and_unknown_addresses_count_too(settings):
    settings.API_RATE_PUBLIC = "3/minute"
    assert api_client().get("/api/v1/nothing").headers["RateLimit-Remaining"] == "2"
    assert api_client().get("/api/v1/staff").headers["RateLimit-Remaining"] == "1"
    guess = api_client().get("/api/v1/staff", HTTP_X_API_KEY="wx_live_guess")
    assert guess.headers["RateLimit-Remaining"] == "0"
    problem(api_client().get("/api/v1/staff", HTTP_X_API_KEY="wx_live_guess"), 429, "throttled")


def test_anonymous_callers_are_limited_by_address(settings):
    settings.API_RATE_PUBLIC = "1/minute"
    for address in ("10.0.0.1", "10.0.0.2"):
        assert api_client().get("/api/v1/open", REMOTE_ADDR=address).status_code == 200
        problem(api_client().get("/api/v1/open", REMOTE_ADDR=address), 429, "throttled")


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "6.6.6.6", "10.0.0.1"),
        (1, "6.6.6.6, 41.66.0.1", "41.66.0.1"),
        (2, "6.6.6.6, 41.66.0.1, 10.0.0.9", "41.66.0.1"),
        (2, "41.66.0.1", "10.0.0.1"),
        (1, "", "10.0.0.1"),
    ],
)
def test_a_client_cannot_forge_its_address_behind_our_proxies(
    rf, settings, proxies, forwarded, address
):
    settings.TRUSTED_PROXY_COUNT = proxies
    request = rf.get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == address


@pytest.mark.django_db(transaction=True)
def test_exactly_fifty_of_two_hundred_calls_from_eight_threads_pass(settings):
    settings.API_RATE_AUTHENTICATED = "50/minute"
    client = key_client()
    key = client._credentials["HTTP_X_API_KEY"]

    def call(_: int) -> int:
        try:
            return api_client().get("/api/v1/staff", HTTP_X_API_KEY=key).status_code
        finally:
            connection.close()

    calls_uncounted = throttling.uncounted.labels("authenticated")._value
    before = calls_uncounted.get()
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(call, range(200)))
    # On a busy machine Redis may answer a call too late; such a call is not limited, and counted.
    late = calls_uncounted.get() - before
    assert late < 10
    assert statuses.count(200) == 50 + late
    assert statuses.count(429) == 150 - late


def test_without_redis_anonymous_calls_are_limited_per_process_and_others_pass(
    settings, caplog, monkeypatch
):
    monkeypatch.setattr(redis_client, "_paused_until", 0.0)  # reset after the test
    # Redis is tried again after it, and that is logged again.
    monkeypatch.setattr(redis_client, "PAUSE_S", 60.0)
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    settings.API_RATE_PUBLIC = settings.API_RATE_AUTHENTICATED = "2/minute"
    counted = throttling.uncounted.labels("authenticated")._value.get()
    client = api_client(UserFactory())
    assert [client.get("/api/v1/staff").status_code for _ in range(4)] == [200] * 4
    assert throttling.uncounted.labels("authenticated")._value.get() == counted + 4
    statuses = [
        api_client().get("/api/v1/open", REMOTE_ADDR="10.9.9.9").status_code for _ in range(3)
    ]
    assert statuses == [200, 200, 429]
    assert [r.msg["event"] for r in caplog.records if r.name == "wingxtra.redis_client"] == [
        "redis_paused"
    ]
