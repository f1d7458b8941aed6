"""Merchants, keys and users in the console."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, User
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory

pytestmark = pytest.mark.django_db
# The form set of the hubs at which a loader works (orders.loading.admin).
NO_HUBS = {"loads_at-TOTAL_FORMS": "0", "loads_at-INITIAL_FORMS": "0"}


@pytest.fixture
def boss() -> Client:
    browser = Client()
    browser.force_login(UserFactory(username="boss", role=Role.ADMIN))
    return browser


def test_a_key_is_shown_once_and_only_its_digest_is_stored(boss: Client) -> None:
    merchant = MerchantFactory()
    form = {"name": "till 3", "role": "MERCHANT", "merchant": merchant.pk, "live_mode": "on"}
    answer = boss.post(reverse("admin:accounts_apikey_add"), form)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    found = re.search(r"wx_live_[\w-]{32}", answer.content.decode())
    assert found
    row = ApiKey.objects.get()
    assert row.digest == ApiKey.digest_of(found.group())
    for page in (
        reverse("admin:accounts_apikey_changelist"),
        reverse("admin:accounts_apikey_change", args=[row.pk]),
    ):
        assert found.group() not in boss.get(page).content.decode()


def test_a_key_is_revoked_once(boss: Client) -> None:
    row, _ = ApiKey.issue(name="till 3", role=Role.OPS)
    url = reverse("admin:act", args=["accounts.apikey", "revoke"]) + f"?id={row.pk}"
    boss.post(url, {"reason": "Stolen."})
    assert ApiKey.objects.get().revoked_at is not None
    assert "revoked already" in boss.post(url, {"reason": "Again."}).content.decode()


@pytest.mark.parametrize(("role", "with_merchant"), [("MERCHANT", False), ("OPS", True)])
def test_a_role_and_its_merchant_must_agree(boss: Client, role: str, with_merchant: bool) -> None:
    merchant = MerchantFactory().pk if with_merchant else ""
    form = {"name": "till 3", "role": role, "merchant": merchant}
    assert boss.post(reverse("admin:accounts_apikey_add"), form).status_code == 200
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("role", "is_staff"), [("OPS", True), ("READONLY", True), ("MERCHANT", False)]
)
def test_one_form_creates_a_user_who_can_log_in(boss: Client, role: str, is_staff: bool) -> None:
    form = {
        **NO_HUBS,
        "username": "kofi",
        "role": role,
        "merchant": MerchantFactory().pk if role == "MERCHANT" else "",
        "usable_password": "true",
        "password1": "correct horse battery",
        "password2": "correct horse battery",
    }
    answer = boss.post(reverse("admin:accounts_user_add"), form)
    assert answer.status_code == 302, answer.context["errors"]
    kofi = User.objects.get(username="kofi")
    assert (kofi.role, kofi.is_staff, kofi.is_superuser) == (role, is_staff, False)
    assert kofi.check_password("correct horse battery")


def test_the_form_cannot_make_a_superuser(boss: Client) -> None:
    kofi = UserFactory(username="kofi", role=Role.OPS)
    form = {"username": "kofi", "role": "OPS", "is_active": "on", **NO_HUBS}
    boss.post(
        reverse("admin:accounts_user_change", args=[kofi.pk]),
        {**form, "is_superuser": "on", "is_staff": "on"},
    )
    assert not User.objects.get(pk=kofi.pk).is_superuser


def test_a_user_whose_role_becomes_merchant_loses_access_to_the_console(boss: Client) -> None:
    kofi = UserFactory(username="kofi", role=Role.OPS)
    merchant = MerchantFactory()
    form = {"username": "kofi", "role": "MERCHANT", "merchant": merchant.pk, **NO_HUBS}
    boss.post(reverse("admin:accounts_user_change", args=[kofi.pk]), form)
    browser = Client()
    browser.force_login(User.objects.get(pk=kofi.pk))
    assert browser.get("/admin/").status_code == 302


def test_a_new_user_needs_only_one_form(boss: Client) -> None:
    page = boss.get(reverse("admin:accounts_user_add")).content.decode()
    assert "edit more user options" not in page
    assert "usable_password" not in page
    assert "Only for the merchant role" in page
