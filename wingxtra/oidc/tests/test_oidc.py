"""Staff log in by an OpenID Connect provider, which is played over HTTP."""

from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.checks import run_checks
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import PASSWORD, MerchantFactory, UserFactory
from wingxtra.checks import TAG
from wingxtra.oidc.claims import role_of
from wingxtra.oidc.tests.identity_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    NEW_KEY,
    Claims,
    IdentityProvider,
    Person,
    provided,
)

pytestmark = pytest.mark.django_db
OURS = "wingxtra.oidc.backend.OidcBackend"


@pytest.fixture
def idp(settings: Settings) -> Iterator[IdentityProvider]:
    ama = {
        "sub": "248289761001",
        "email": "ama@ops.example",
        "email_verified": True,
        "given_name": "Ama",
        "family_name": "Boateng",
        "roles": ["delivery-ops"],
    }
    with provided(Person(ama)) as idp:
        settings.OIDC_ISSUER = idp.issuer
        settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = CLIENT_ID, CLIENT_SECRET
        settings.OIDC_ROLES = {"delivery-ops": "OPS", "delivery-admin": "ADMIN", "load": "LOADER"}
        settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, OURS]
        yield idp


@pytest.fixture
def browser() -> Client:
    return Client()


def at_the_provider(answer: HttpResponse) -> str:
    """What the browser does at the provider. Returns the address back to us."""
    url = urlsplit(answer["Location"])
    connection = HTTPConnection(str(url.hostname), url.port)
    connection.request("GET", f"{url.path}?{url.query}")
    back = connection.getresponse().headers["Location"]
    connection.close()
    there = urlsplit(back)
    return f"{there.path}?{there.query}"


def log_in(browser: Client, next: str = "/admin/map/") -> Any:
    return browser.get(at_the_provider(browser.get(f"/oidc/login?next={next}")))


def refused(answer: Any) -> str:
    assert answer.status_code == 403
    assert "No access" in answer.content.decode()
    return str(answer.context["code"])


def who(browser: Client) -> str | None:
    pk = browser.session.get("_auth_user_id")
    return User.objects.get(pk=pk).username if pk else None


# --- the account ---------------------------------------------------------------------------------


def test_a_new_person_gets_an_account_with_the_role_of_the_claim(
    idp: IdentityProvider, browser: Client
) -> None:
    answer = log_in(browser)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/map/")
    user = User.objects.get(username=who(browser))
    assert (user.username, user.email, user.role) == ("ama@ops.example",) * 2 + (Role.OPS,)
    assert user.is_staff
    assert user.get_full_name() == "Ama Boateng"
    assert not user.has_usable_password()
    assert browser.get("/admin/").status_code == 200


def test_an_account_with_the_verified_e_mail_is_used_and_gets_the_role(
    idp: IdentityProvider, browser: Client
) -> None:
    UserFactory(username="ama", email="AMA@ops.example", role=Role.READONLY, is_staff=True)
    idp.person.claims["roles"] = ["delivery-ops", "delivery-admin"]
    log_in(browser)
    assert who(browser) == "ama"
    assert User.objects.get(username="ama").role == Role.ADMIN


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"roles": ["delivery"]}, "no_role"),
        ({"roles": []}, "no_role"),
        ({"roles": None}, "no_role"),
        ({"email_verified": False}, "email_not_verified"),
        ({"email_verified": "true"}, "email_not_verified"),
        ({"email": None}, "email_not_verified"),
    ],
)
def test_without_role_or_verified_e_mail_there_is_no_access_and_a_page_says_so(
    idp: IdentityProvider, browser: Client, claims: Claims, code: str
) -> None:
    idp.person.claims |= claims
    assert refused(log_in(browser)) == code
    assert who(browser) is None
    assert not User.objects.exists()


def test_an_account_that_is_switched_off_stays_out(idp: IdentityProvider, browser: Client) -> None:
    UserFactory(username="ama", email="ama@ops.example", is_active=False)
    assert refused(log_in(browser)) == "switched_off"
    assert who(browser) is None


def test_a_merchants_account_stays_out(idp: IdentityProvider, browser: Client) -> None:
    UserFactory(
        username="ama", email="ama@ops.example", role=Role.MERCHANT, merchant=MerchantFactory()
    )
    assert refused(log_in(browser)) == "a_merchants"
    assert who(browser) is None


def test_an_e_mail_of_several_accounts_is_refused(idp: IdentityProvider, browser: Client) -> None:
    for name in ("ama", "ama2"):
        UserFactory(username=name, email="ama@ops.example")
    assert refused(log_in(browser)) == "ambiguous"


def test_an_account_of_another_person_with_that_name_is_not_taken(
    idp: IdentityProvider, browser: Client
) -> None:
    UserFactory(username="ama@ops.example", email="kofi@ops.example")
    assert refused(log_in(browser)) == "name_taken"


def test_a_session_ends_when_its_account_is_switched_off(
    idp: IdentityProvider, browser: Client
) -> None:
    log_in(browser)
    User.objects.update(is_active=False)
    assert browser.get("/admin/").status_code == 302


@pytest.mark.parametrize(
    ("claims", "claim", "role"),
    [
        ({"roles": "ops"}, "roles", Role.OPS),
        ({"roles": ["read", "ops"]}, "roles", Role.OPS),
        ({"realm_access": {"roles": ["read"]}}, "realm_access.roles", Role.READONLY),
        ({"https://x.example/roles": ["ops"]}, "https://x.example/roles", Role.OPS),
        ({"roles": [1, None, {}]}, "roles", None),
        ({"roles": {"ops": True}}, "roles", None),
        ({}, "a.b", None),
    ],
)
def test_roles_are_read_from_the_claim(claims: Claims, claim: str, role: Role | None) -> None:
    assert role_of(claims, claim, {"ops": "OPS", "read": "READONLY"}) == role


# --- the ID token --------------------------------------------------------------------------------


def changed(**values: Any) -> Any:
    def change(claims: Claims) -> None:
        for name, value in values.items():
            if value is None:
                claims.pop(name)
            else:
                claims[name] = value

    return change


@pytest.mark.parametrize(
    "values",
    [
        {"nonce": "of-another-login"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": None},
        {"aud": [CLIENT_ID, "other"], "azp": "other"},
        {"iss": "https://evil.example"},
        {"exp": 1_700_000_000},  # 2023
        {"exp": None},
        {"iat": 4_000_000_000},  # 2096
        {"sub": None},
    ],
    ids=str,
)
def test_a_wrong_id_token_is_refused(
    idp: IdentityProvider, browser: Client, values: Claims
) -> None:
    idp.change = changed(**values)
    assert refused(log_in(browser)) == "bad_token"
    assert who(browser) is None


def test_a_token_that_another_key_has_signed_is_refused(
    idp: IdentityProvider, browser: Client
) -> None:
    idp.key = NEW_KEY  # under the id of the published one
    assert refused(log_in(browser)) == "bad_token"


def test_an_unknown_key_is_refused_until_the_provider_publishes_it(
    idp: IdentityProvider, browser: Client
) -> None:
    idp.key, idp.kid = NEW_KEY, "new"
    assert refused(log_in(browser)) == "bad_token"
    idp.published["new"] = NEW_KEY
    log_in(browser)
    assert who(browser) == "ama@ops.example"


def test_the_clients_secret_is_no_key(idp: IdentityProvider, browser: Client) -> None:
    idp.algorithm = "HS256"
    assert refused(log_in(browser)) == "bad_token"


def test_userinfo_of_another_person_is_refused(idp: IdentityProvider, browser: Client) -> None:
    idp.userinfo_sub = "another"
    assert refused(log_in(browser)) == "bad_token"


def test_a_callback_works_once_and_in_its_own_browser(
    idp: IdentityProvider, browser: Client
) -> None:
    back = at_the_provider(browser.get("/oidc/login"))
    assert refused(Client().get(back)) == "ended"
    browser.get(back)
    assert who(browser) == "ama@ops.example"
    again = Client()
    again.get("/oidc/login")
    assert refused(again.get(back)) == "ended"


@pytest.mark.parametrize(
    "query", ["", "?error=access_denied&state=x", "?code=x", "?code=x&state=y"]
)
def test_other_callbacks_are_refused(idp: IdentityProvider, browser: Client, query: str) -> None:
    assert refused(browser.get(f"/oidc/callback{query}")) == "ended"


def test_a_provider_that_is_away_is_told_and_leaves_sessions_alone(
    idp: IdentityProvider, browser: Client
) -> None:
    log_in(browser)
    idp.is_down = True
    stranger = Client()
    answer = stranger.get(at_the_provider(stranger.get("/oidc/login")))
    assert (answer.status_code, answer.context["code"]) == (503, "away")
    assert browser.get("/admin/").status_code == 200


def test_a_discovery_document_of_another_issuer_is_not_used(
    idp: IdentityProvider, browser: Client, settings: Settings
) -> None:
    settings.OIDC_ISSUER = f"{idp.issuer}/"
    assert browser.get("/oidc/login").status_code == 503


def test_the_way_on_stays_on_this_site(idp: IdentityProvider, browser: Client) -> None:
    assert log_in(browser, next="https://evil.example/")["Location"] == "/admin/"


# --- the second factor, and passwords ------------------------------------------------------------


@pytest.mark.parametrize(
    ("amr", "methods", "counts"),
    [
        (["pwd", "mfa"], ["mfa"], True),
        (["pwd"], ["mfa"], False),
        (["pwd", "otp"], ["mfa"], False),
        (["pwd", "otp"], ["mfa", "otp"], True),
    ],
)
def test_the_providers_second_factor_counts_when_it_says_so(
    idp: IdentityProvider,
    browser: Client,
    settings: Settings,
    amr: list[str],
    methods: list[str],
    counts: bool,
) -> None:
    settings.STAFF_SECOND_FACTOR, settings.OIDC_SECOND_FACTOR_AMR = True, methods
    idp.person.amr = amr
    log_in(browser)
    answer = browser.get("/admin/", follow=True)
    assert ("authenticator app" in answer.content.decode()) != counts


def test_a_later_login_without_it_takes_the_second_factor_away(
    idp: IdentityProvider, browser: Client, settings: Settings
) -> None:
    settings.STAFF_SECOND_FACTOR = True
    idp.person.amr = ["mfa"]
    log_in(browser)
    assert browser.get("/admin/").status_code == 200
    idp.person.amr = ["pwd"]
    log_in(browser)
    assert browser.get("/admin/").status_code == 302


def by_password(browser: Client, username: str) -> None:
    browser.post("/admin/login/", {"username": username, "password": PASSWORD})


def test_passwords_of_staff_can_be_switched_off(
    idp: IdentityProvider, browser: Client, settings: Settings
) -> None:
    for role in (Role.OPS, Role.LOADER):
        UserFactory(username=role.lower(), role=role, is_staff=role == Role.OPS)
    by_password(browser, "ops")
    assert who(browser) == "ops"
    settings.STAFF_PASSWORD_LOGIN = False
    assert browser.get("/admin/").status_code == 302  # the session ends
    fresh = Client()
    by_password(fresh, "ops")
    assert who(fresh) is None
    by_password(fresh, "loader")
    assert who(fresh) == "loader"
    token = {"username": "ops", "password": PASSWORD}
    answer = fresh.post("/api/v1/auth/token", token, content_type="application/json")
    assert answer.status_code == 401
    log_in(browser)
    assert who(browser) == "ama@ops.example"


# --- pages and settings --------------------------------------------------------------------------


def test_the_login_page_offers_the_provider(
    idp: IdentityProvider, browser: Client, settings: Settings
) -> None:
    settings.OIDC_NAME = "Acme ID"
    page = browser.get("/admin/login/?next=/admin/map/").content.decode()
    assert "Log in with Acme ID" in page
    assert "/oidc/login?next=%2Fadmin%2Fmap%2F" in page


def test_without_an_issuer_there_is_no_such_login(browser: Client) -> None:
    assert "Log in with" not in browser.get("/admin/login/").content.decode()
    for name in ("oidc-login", "oidc_authentication_callback"):
        assert browser.get(reverse(name)).status_code == 404


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"STAFF_PASSWORD_LOGIN": False, "OIDC_ISSUER": ""}, "no staff could log in"),
        ({"OIDC_CLIENT_SECRET": ""}, "OIDC_CLIENT_SECRET"),
        ({"OIDC_ROLES": {}}, "OIDC_ROLES is empty"),
        ({"OIDC_ROLES": {"shop": "MERCHANT"}}, "OIDC_ROLES has MERCHANT"),
    ],
)
def test_wrong_settings_are_refused(
    idp: IdentityProvider, settings: Settings, values: dict[str, Any], problem: str
) -> None:
    for name, value in values.items():
        setattr(settings, name, value)
    assert [e for e in run_checks(tags=[TAG]) if problem in e.msg and e.id == "wingxtra.E014"]
