"""API keys: shown once, stored as a digest, refused as soon as they are revoked."""

from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client
from wingxtra.tests.test_api_errors import problem

pytestmark = [pytest.mark.urls("wingxtra.tests.api_probe"), pytest.mark.django_db]


@pytest.fixture
def issued() -> tuple[ApiKey, str]:
    return ApiKey.issue(name="GCS", role=Role.OPS)


def call(key: str, header: str = "X-API-Key"):
    return api_client().get("/api/v1/staff", headers={header: key})


@pytest.mark.parametrize("header", ["X-API-Key", "x-de-api-key"])
def test_a_key_is_accepted_in_either_header(issued, header):
    response = call(issued[1], header)
    assert response.json() == {"role": "OPS", "live_mode": True}


def test_a_key_is_accepted_as_a_bearer_token(issued):
    assert call(f"Bearer {issued[1]}", "Authorization").status_code == 200


def test_only_a_digest_is_stored(issued):
    row, key = issued
    assert key.startswith("wx_live_")
    assert len(key) >= 40
    stored = ApiKey.objects.filter(pk=row.pk).values().get()
    assert not any(key in str(value) for value in stored.values())
    assert key.startswith(row.hint)


def test_a_test_key_has_its_own_prefix_and_views_know_it():
    row, key = ApiKey.issue(name="till 3", role=Role.OPS, live_mode=False)
    assert key.startswith("wx_test_")
    assert row.hint.startswith("wx_test_")
    assert call(key).json()["live_mode"] is False


def test_users_are_always_live():
    assert UserFactory().live_mode


@pytest.mark.parametrize("key", ["wx_live_guess", "x", "Bearer", "ключ", "\x7f"])
def test_an_unknown_key_is_refused(key):
    response = call(key)
    problem(response, 401, "invalid_api_key")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_a_revoked_key_is_refused_at_once(issued):
    row, key = issued
    row.revoked_at = timezone.now()
    row.save()
    problem(call(key), 401, "invalid_api_key")


def test_a_key_expires():
    _, key = ApiKey.issue(
        name="till 3", role=Role.OPS, expires_at=timezone.now() + timedelta(days=1)
    )
    assert call(key).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(days=2)):
        problem(call(key), 401, "invalid_api_key")


def test_keys_of_an_inactive_merchant_are_refused():
    merchant = MerchantFactory(active=False)
    _, key = ApiKey.issue(name="till 3", role=Role.MERCHANT, merchant=merchant)
    problem(call(key), 401, "invalid_api_key")


def test_a_wrong_key_is_refused_even_beside_a_valid_token(issued):
    response = api_client().get(
        "/api/v1/staff", headers={"X-API-Key": "wx_live_guess", "Authorization": issued[1]}
    )
    problem(response, 401, "invalid_api_key")


def test_authenticating_a_key_costs_one_statement_and_a_second_one_once_a_minute(issued):
    row, key = issued
    costs = []
    now = timezone.now()
    for seconds in (0, 30, 61):
        with time_machine.travel(now + timedelta(seconds=seconds)):
            with CaptureQueriesContext(connection) as statements:
                call(key)
            costs.append(len(statements))
    assert costs == [2, 1, 2]
    last_used_at = ApiKey.objects.get(pk=row.pk).last_used_at
    assert last_used_at is not None
    assert abs(last_used_at - now - timedelta(seconds=61)) < timedelta(seconds=5)


def test_authenticating_a_user_costs_one_statement():
    body = {"username": UserFactory().username, "password": "correct horse battery staple"}
    access = api_client().post("/api/v1/auth/token", body).json()["access"]
    with CaptureQueriesContext(connection) as statements:
        response = call(f"Bearer {access}", "Authorization")
    assert response.status_code == 200
    assert len(statements) == 1


@pytest.mark.parametrize(("role", "with_merchant"), [(Role.MERCHANT, False), (Role.OPS, True)])
def test_the_database_refuses_a_role_that_does_not_fit_the_merchant(role, with_merchant):
    merchant = MerchantFactory() if with_merchant else None
    with pytest.raises(IntegrityError):
        ApiKey.issue(name="till 3", role=role, merchant=merchant)
