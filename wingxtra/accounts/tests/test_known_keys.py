"""Keys that a process remembers: good for as long as the database says so, and no longer."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from wingxtra import cache_version, redis_client
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
def known(monkeypatch: pytest.MonkeyPatch) -> tuple[ApiKey, str]:
    """A merchant's key that this process remembers."""
    # A test before this one may have found Redis away, and have it left alone.
    monkeypatch.setattr(redis_client, "_rests_until", 0.0)
    row, key = ApiKey.issue(name="till 3", role=Role.MERCHANT, merchant=MerchantFactory())
    assert (call(key), call(key)) == (200, 200)
    return row, key


def test_a_key_that_is_known_costs_a_statement_less(known: tuple[ApiKey, str]) -> None:
    _, key = known
    of_the_view = statements_of(key)
    cache_version.Stamp("accounts:keys").renew()
    assert statements_of(key) == of_the_view + 1
    assert statements_of(key) == of_the_view


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
def test_a_change_is_obeyed_at_once(
    known: tuple[ApiKey, str], change: Callable[[ApiKey], Any]
) -> None:
    row, key = known
    change(row)
    assert call(key) == 401


def test_it_runs_out_to_the_second(known: tuple[ApiKey, str]) -> None:
    row, key = known
    row.expires_at = timezone.now() + timedelta(seconds=1)
    row.save()
    assert (call(key), call(key)) == (200, 200)
    while timezone.now() <= row.expires_at:
        pass
    assert call(key) == 401


def test_a_change_that_is_not_committed_is_nobody_elses(known: tuple[ApiKey, str]) -> None:
    row, key = known

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


def test_one_that_nobody_announced_is_believed_for_some_seconds_only(
    known: tuple[ApiKey, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the process that revoked it died between the commit and the stamp."""
    row, key = known
    ApiKey.objects.filter(pk=row.pk).update(revoked_at=timezone.now())
    assert call(key) == 200
    monkeypatch.setattr(cache_version, "BELIEVED_S", 0.0)
    assert call(key) == 401


def test_while_redis_is_away_the_database_is_asked(
    known: tuple[ApiKey, str], settings: Any
) -> None:
    row, key = known
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    ApiKey.objects.filter(pk=row.pk).update(revoked_at=timezone.now())
    assert call(key) == 401


def test_not_more_of_them_are_remembered_than_there_is_room_for(
    known: tuple[ApiKey, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wingxtra.accounts import authentication

    monkeypatch.setattr(authentication, "MOST_KEPT", 2)
    for _ in range(3):
        assert call(ApiKey.issue(name="till", role=Role.OPS)[1]) == 200
        assert len(authentication._kept) <= 2
