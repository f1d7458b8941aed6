"""API keys that a process has cached: valid only as long as the database says so."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from wingxtra import cache_version, redis_client
from wingxtra.accounts import authentication
from wingxtra.accounts.console import _revoke
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey
from wingxtra.accounts.tests.factories import MerchantFactory, api_client

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("wingxtra.tests.api_probe"),
]


def call(key: str) -> int:
    return api_client().get("/api/v1/merchants", HTTP_X_API_KEY=key).status_code


def statements_of(key: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        call(key)
    return len(captured)


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch) -> tuple[ApiKey, str]:
    """A merchant's key that this process has cached."""
    # An earlier test may have simulated an outage of Redis, after which the client pauses.
    monkeypatch.setattr(redis_client, "_paused_until", 0.0)
    row, key = ApiKey.issue(name="till 3", role=Role.MERCHANT, merchant=MerchantFactory())
    assert (call(key), call(key)) == (200, 200)
    return row, key


def test_a_cached_key_saves_a_statement(cached: tuple[ApiKey, str]) -> None:
    _, key = cached
    with_cache = statements_of(key)
    authentication.VERSION.bump()
    assert statements_of(key) == with_cache + 1
    assert statements_of(key) == with_cache


def _leaves(row: ApiKey) -> None:
    assert row.merchant is not None
    row.merchant.active = False
    row.merchant.save()


CHANGES: dict[str, Callable[[ApiKey], Any]] = {
    "revoked in the console": lambda row: _revoke(row, {"reason": "Lost."}, None),
    "deleted": lambda row: row.delete(),
    "its merchant leaves": _leaves,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_takes_effect_at_once(
    cached: tuple[ApiKey, str], change: Callable[[ApiKey], Any]
) -> None:
    row, key = cached
    change(row)
    assert call(key) == 401


def test_a_cached_key_expires_to_the_second(cached: tuple[ApiKey, str]) -> None:
    row, key = cached
    row.expires_at = timezone.now() + timedelta(seconds=1)
    row.save()
    assert (call(key), call(key)) == (200, 200)
    while timezone.now() <= row.expires_at:
        pass
    assert call(key) == 401


def test_an_uncommitted_change_is_invisible_to_others(cached: tuple[ApiKey, str]) -> None:
    row, key = cached

    def elsewhere() -> int:
        try:
            return call(key)
        finally:
            connection.close()

    with transaction.atomic(), ThreadPoolExecutor(1) as pool:
        _revoke(row, {"reason": "Lost."}, None)
        assert call(key) == 401
        assert pool.submit(elsewhere).result() == 200
        transaction.set_rollback(True)
    assert call(key) == 200


def test_an_unannounced_change_is_noticed_when_the_cached_key_is_too_old(
    cached: tuple[ApiKey, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the process that revoked it had died between the commit and the bump."""
    row, key = cached
    ApiKey.objects.filter(pk=row.pk).update(revoked_at=timezone.now())
    assert call(key) == 200
    monkeypatch.setattr(cache_version, "MAX_AGE_S", 0.0)
    assert call(key) == 401


def test_while_redis_is_down_each_call_reads_the_database(
    cached: tuple[ApiKey, str], settings: Any
) -> None:
    row, key = cached
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    ApiKey.objects.filter(pk=row.pk).update(revoked_at=timezone.now())
    assert call(key) == 401


def test_the_number_of_cached_keys_is_limited(
    cached: tuple[ApiKey, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "MAX_CACHED_KEYS", 2)
    for _ in range(3):
        assert call(ApiKey.issue(name="till", role=Role.OPS)[1]) == 200
        assert len(authentication._cache) <= 2
