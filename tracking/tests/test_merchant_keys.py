"""The merchant's page of API keys: made, shown once, revoked."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tracking.tests.test_merchant_access import client_of, user_of
from wingxtra.accounts.identity import Role
from wingxtra.accounts.keys import MAX_PER_MODE
from wingxtra.accounts.models import ApiKey, Merchant, User
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client

pytestmark = pytest.mark.django_db
LIVE, TEST = "/merchant/keys/", "/merchant/test/keys/"


@pytest.fixture
def merchant() -> Merchant:
    return MerchantFactory()


@pytest.fixture
def user(merchant: Merchant) -> User:
    return user_of(merchant)


@pytest.fixture
def page(user: User) -> Client:
    return client_of(user)


def issue(merchant: Merchant, **given: Any) -> ApiKey:
    given = {"name": "till 3", "live_mode": False, **given}
    return ApiKey.issue(role=Role.MERCHANT, merchant=merchant, **given)[0]


def content_of(answer: Any) -> str:
    return answer.content.decode()


def test_a_test_key_is_made_shown_once_and_works(
    page: Client, user: User, merchant: Merchant
) -> None:
    answer = page.post(TEST, {"name": "till 3", "lives": "30"})
    assert answer.status_code == 201
    assert "no-store" in answer["Cache-Control"]
    [key] = set(re.findall(r"wx_test_[\w-]{32}", content_of(answer)))
    row = ApiKey.objects.get()
    assert (row.merchant, row.role, row.live_mode) == (merchant, Role.MERCHANT, False)
    assert row.expires_at is not None
    assert timedelta(days=29) < row.expires_at - timezone.now() <= timedelta(days=30)
    later = content_of(page.get(TEST))
    assert key not in later
    assert row.hint in later

    client = api_client()
    client.credentials(HTTP_X_API_KEY=key)
    assert client.get("/api/v1/orders").status_code == 200
    assert "Never" not in content_of(page.get(TEST))
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (user, str(row.pk))


def test_live_keys_need_an_administrators_leave(page: Client, merchant: Merchant) -> None:
    assert "Please ask us" in content_of(page.get(LIVE))
    refused = page.post(LIVE, {"name": "till 3"})
    assert refused.status_code == 409
    assert not ApiKey.objects.exists()

    boss = client_of(UserFactory(admin=True))
    form = {"name": merchant.name, "active": "on", "live_keys_allowed": "on"}
    boss.post(reverse("admin:accounts_merchant_change", args=[merchant.pk]), form)
    answer = page.post(LIVE, {"name": "till 3"})
    assert answer.status_code == 201
    assert "wx_live_" in content_of(answer)
    assert ApiKey.objects.get().live_mode


def test_only_an_administrator_gives_leave(merchant: Merchant) -> None:
    address = reverse("admin:accounts_merchant_change", args=[merchant.pk])
    form = {"name": merchant.name, "active": "on", "live_keys_allowed": "on"}
    for role in (Role.OPS, Role.READONLY):
        client_of(UserFactory(role=role, is_staff=True)).post(address, form)
    assert not Merchant.objects.get().live_keys_allowed


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"name": ""}, "required"),
        ({"name": "x" * 81}, "at most 80"),
        ({"name": "till", "lives": "99999"}, "valid choice"),
    ],
)
def test_bad_input_makes_no_key(page: Client, form: dict[str, str], words: str) -> None:
    answer = page.post(TEST, form)
    assert answer.status_code == 400
    assert words in content_of(answer)
    assert not ApiKey.objects.exists()


def test_a_key_is_revoked_after_a_question_and_only_once(
    page: Client, user: User, merchant: Merchant
) -> None:
    key = issue(merchant)
    address = f"{TEST}{key.pk}/revoke/"
    assert "cannot be undone" in content_of(page.get(address))
    assert ApiKey.objects.usable(timezone.now()).exists()
    answer = page.post(address, follow=True)
    assert answer.redirect_chain == [(TEST, 303)]
    assert "is revoked" in content_of(answer)
    assert not ApiKey.objects.usable(timezone.now()).exists()
    assert page.post(address).status_code == 409
    assert LogEntry.objects.get().user == user


def test_there_is_a_limit_of_keys_in_use(page: Client, merchant: Merchant) -> None:
    keys = [issue(merchant) for _ in range(MAX_PER_MODE)]
    assert page.post(TEST, {"name": "one more"}).status_code == 409
    assert "25 keys already" in content_of(page.get(TEST))
    page.post(f"{TEST}{keys[0].pk}/revoke/")
    assert page.post(TEST, {"name": "one more"}).status_code == 201


def test_a_merchant_sees_its_own_keys_of_the_mode_and_no_others(
    page: Client, merchant: Merchant
) -> None:
    issue(merchant, name="mine, test")
    issue(merchant, name="mine, live", live_mode=True)
    issue(MerchantFactory(), name="of another")
    ApiKey.issue(name="of operations", role=Role.OPS)
    live, test = content_of(page.get(LIVE)), content_of(page.get(TEST))
    assert ("mine, live" in live, "mine, test" in live) == (True, False)
    assert ("mine, live" in test, "mine, test" in test) == (False, True)
    assert "of another" not in live + test
    assert "of operations" not in live + test


def test_the_page_takes_as_many_statements_for_many_keys(page: Client, merchant: Merchant) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as sent:
            page.get(TEST)
        return len(sent)

    issue(merchant)
    few = statements()
    for _ in range(9):
        issue(merchant)
    assert statements() == few
