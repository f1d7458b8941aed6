"""Changes of keys, users and merchants are in the console's history: who, when, and what."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from fleet.demo import seed
from wingxtra.accounts import acting
from wingxtra.accounts.history import COMMAND_LINE
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, Merchant, User
from wingxtra.accounts.tests.factories import PASSWORD, MerchantFactory, UserFactory, api_client

pytestmark = pytest.mark.django_db

NEW_PASSWORD = "another horse battery staple"
NO_HUBS = {"loads_at-TOTAL_FORMS": "0", "loads_at-INITIAL_FORMS": "0"}


class People:
    def __init__(self) -> None:
        self.merchant = MerchantFactory(name="Akoma")
        self.boss = UserFactory(username="boss", admin=True)
        self.kofi = UserFactory(username="kofi", ops=True)
        self.clerk = UserFactory(username="clerk", merchant=self.merchant)

    def browser(self, user: User) -> Client:
        browser = Client()
        browser.force_login(user)
        return browser

    def edit_kofi(self, **changes: Any) -> None:
        form = {"username": "kofi", "role": "OPS", "is_active": "on", **NO_HUBS, **changes}
        form = {name: value for name, value in form.items() if value != ""}
        path = reverse("admin:accounts_user_change", args=[self.kofi.pk])
        assert self.browser(self.boss).post(path, form).status_code == 302

    def act(self, label: str, name: str, pk: object) -> None:
        path = reverse("admin:act", args=[label, name])
        answer = self.browser(self.boss).post(f"{path}?id={pk}", {"reason": "Lost."})
        assert answer.status_code == 302


@pytest.fixture
def people() -> People:
    return People()


def issue_a_key(people: People) -> None:
    form = {"name": "till 3", "role": "OPS", "live_mode": "on"}
    people.browser(people.boss).post(reverse("admin:accounts_apikey_add"), form)


def revoke_a_key(people: People) -> None:
    people.act("accounts.apikey", "revoke", ApiKey.issue(name="till 3", role=Role.OPS)[0].pk)


def add_a_user(people: People) -> None:
    form = {"username": "esi", "role": "OPS", "usable_password": "true", **NO_HUBS}
    form |= {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    answer = people.browser(people.boss).post(reverse("admin:accounts_user_add"), form)
    assert answer.status_code == 302


def set_a_password(people: People) -> None:
    path = reverse("admin:auth_user_password_change", args=[people.kofi.pk])
    form = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD, "usable_password": "true"}
    assert people.browser(people.boss).post(path, form).status_code == 302


def change_ones_own_password(who: str, path: str) -> Callable[[People], None]:
    def change(people: People) -> None:
        form = {"old_password": PASSWORD}
        form |= {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
        answer = people.browser(getattr(people, who)).post(path, form)
        assert answer.status_code == 302

    return change


def reset_a_second_factor(people: People) -> None:
    TOTPDevice.objects.create(user=people.kofi, name="app", confirmed=True)
    people.act("accounts.user", "reset-second-factor", people.kofi.pk)


def switch_a_merchant_off(people: People) -> None:
    path = reverse("admin:accounts_merchant_change", args=[people.merchant.pk])
    assert people.browser(people.boss).post(path, {"name": "Akoma"}).status_code == 302


def allow_live_keys(people: People) -> None:
    path = reverse("admin:accounts_merchant_change", args=[people.merchant.pk])
    form = {"name": "Akoma", "active": "on", "live_keys_allowed": "on"}
    assert people.browser(people.boss).post(path, form).status_code == 302


def make_ones_own_key(people: People) -> None:
    answer = people.browser(people.clerk).post("/merchant/test/keys/", {"name": "till 3"})
    assert answer.status_code == 201


def revoke_ones_own_key(people: People) -> None:
    row, _ = ApiKey.issue(name="till 3", role=Role.MERCHANT, merchant=people.merchant)
    path = reverse("merchant:revoke-key", args=[row.pk])
    assert people.browser(people.clerk).post(path).status_code in (302, 303)


CHANGES: list[tuple[str, Callable[[People], None], str, list[str]]] = [
    ("a key is issued", issue_a_key, "boss", ["Name: till 3.", "Operations", "Live mode: yes."]),
    ("a key is revoked", revoke_a_key, "boss", ["Revoke", "Lost."]),
    ("a user is added", add_a_user, "boss", ["Username: esi.", "Role: Operations."]),
    (
        "a role changes",
        lambda people: people.edit_kofi(role="READONLY"),
        "boss",
        ["Role: Operations → Read only."],
    ),
    (
        "a user is switched off",
        lambda people: people.edit_kofi(is_active=""),
        "boss",
        ["Active: yes → no."],
    ),
    ("a password is set", set_a_password, "boss", ["Password changed."]),
    (
        "staff change their password",
        change_ones_own_password("kofi", "/admin/password_change/"),
        "kofi",
        ["Password changed."],
    ),
    (
        "a merchant's user changes the password",
        change_ones_own_password("clerk", "/merchant/password/"),
        "clerk",
        ["Password changed."],
    ),
    ("a second factor is reset", reset_a_second_factor, "boss", ["second factor", "Lost."]),
    ("live keys are allowed", allow_live_keys, "boss", ["May make live keys: no → yes."]),
    ("a merchant's user makes a key", make_ones_own_key, "clerk", ["Name: till 3."]),
    ("a merchant's user revokes a key", revoke_ones_own_key, "clerk", ["Revoked"]),
    ("a merchant is switched off", switch_a_merchant_off, "boss", ["Active: yes → no."]),
]


@pytest.mark.parametrize(
    ("name", "change", "who", "says"), CHANGES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_each_change_is_one_entry(
    people: People, name: str, change: Callable[[People], None], who: str, says: list[str]
) -> None:
    before = timezone.now()
    change(people)
    entry = LogEntry.objects.get()
    assert entry.user.get_username() == who
    assert before <= entry.action_time <= timezone.now()
    for text in says:
        assert text in entry.change_message
    for secret in (PASSWORD, NEW_PASSWORD, "argon2", "md5$"):
        assert secret not in entry.change_message
    page = people.browser(people.boss).get(reverse("admin:admin_logentry_changelist"))
    assert who in page.content.decode()


def test_commands_are_in_it(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", NEW_PASSWORD)
    with acting.as_command("createsuperuser"):
        call_command("createsuperuser", username="first", email="", interactive=False)
    entry = LogEntry.objects.get()
    assert entry.user.get_username() == COMMAND_LINE
    assert "Role: Administrator." in entry.change_message
    assert "manage.py createsuperuser, run by " in entry.change_message
    assert str(entry.object_repr) == "first"


def test_a_password_changed_by_a_command_is_in_it(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: NEW_PASSWORD)
    with acting.as_command("changepassword"):
        call_command("changepassword", "kofi", stdout=io.StringIO())
    assert LogEntry.objects.get().change_message.startswith("Password changed. (manage.py change")


def test_the_demos_new_passwords_and_keys_are_in_it() -> None:
    with acting.as_command("seed_demo"):
        seed.seed(3)
        LogEntry.objects.all().delete()
        seed.seed(3)
    said = list(LogEntry.objects.values_list("change_message", flat=True))
    assert sum("Password changed." in one for one in said) == 3
    assert sum("Revoked at: — →" in one for one in said) == 4
    assert sum("Live mode: yes." in one for one in said) == 4


def test_the_command_line_cannot_log_in(people: People) -> None:
    with acting.as_command("shell"):
        people.kofi.first_name = "Kofi"
        people.kofi.save()
    user = User.objects.get(username=COMMAND_LINE)
    assert not user.is_active
    assert not user.has_usable_password()


def test_logging_in_and_using_a_key_are_no_changes(people: People) -> None:
    api_client().post("/api/v1/auth/token", {"username": "kofi", "password": PASSWORD})
    form = {"username": "boss", "password": PASSWORD}
    assert Client().post("/admin/login/", form).status_code == 302
    _, key = ApiKey.issue(name="till 3", role=Role.OPS)
    api_client().get("/api/v1/drones", headers={"X-API-Key": key})
    assert not LogEntry.objects.exists()


def test_hashing_an_old_password_anew_is_no_change(people: People, settings: Any) -> None:
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    form = {"username": "boss", "password": PASSWORD}
    assert Client().post("/admin/login/", form).status_code == 302
    assert User.objects.get(username="boss").password.startswith("pbkdf2")
    assert not LogEntry.objects.exists()


def test_a_change_that_fails_has_no_entry(people: People) -> None:
    with acting.as_command("shell"), pytest.raises(Exception, match=r"unique|duplicate"):
        Merchant(name="Akoma").save()
    assert Merchant.objects.count() == 1
    assert not LogEntry.objects.exists()
