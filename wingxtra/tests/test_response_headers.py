"""What each response says to the browser: cookies, transport, sniffing, other origins."""

import json
import os
import subprocess
import sys
from typing import Any

import jwt
import pytest
from django.conf import settings as project
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client

from orders.tests.factories import OrderFactory
from wingxtra.accounts.tests.factories import PASSWORD, UserFactory
from wingxtra.tests.test_checks import RIGHT, STRONG

PATHS = ("/health", "/api/v1/orders", "/docs", "/admin/login/", "/track/XXXXXXXXXXXXX", "/nothing")
FOREIGN = "https://elsewhere.example"

PRODUCTION = """
import json, django
django.setup()
from django.conf import settings
from django.test import Client
told = {name: getattr(settings, name) for name in (
    "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY",
    "SESSION_COOKIE_SAMESITE", "CSRF_COOKIE_SAMESITE",
)}
told["hasher"] = settings.PASSWORD_HASHERS[0]
for path in ("/health", "/.well-known/security.txt", "/api/v1/nothing"):
    answer = Client().get(path, secure=True, headers={"host": "delivery.example.com"})
    told[path] = answer.headers.get("Strict-Transport-Security")
print(json.dumps(told))
"""


def test_a_production_process_is_strict_about_transport_cookies_and_passwords() -> None:
    names = ("PUBLIC_BASE_URL", "FLEET_API_URL", "GCS_BRIDGE_URL", "DATABASE_URL", "REDIS_URL")
    environment = {name: str(RIGHT[name]) for name in names} | {
        "DJANGO_SETTINGS_MODULE": "wingxtra.settings",
        "ENVIRONMENT": "production",
        "SECRET_KEY": STRONG,
        "ALLOWED_HOSTS": "delivery.example.com",
        "PATH": os.environ["PATH"],
    }
    command = [sys.executable, "-c", PRODUCTION]
    done = subprocess.run(
        command, cwd=project.BASE_DIR, env=environment, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    for path in ("/health", "/.well-known/security.txt", "/api/v1/nothing"):
        assert told.pop(path) == "max-age=31536000; includeSubDomains; preload"
    assert told == {
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "CSRF_COOKIE_SAMESITE": "Lax",
        "hasher": "django.contrib.auth.hashers.Argon2PasswordHasher",
    }


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
def test_no_response_is_sniffed_or_framed(path: str) -> None:
    answer = Client().get(path)
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert answer["Referrer-Policy"] in ("same-origin", "no-referrer")


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
def test_trace_echoes_nothing(path: str) -> None:
    answer = Client().trace(path, headers={"x-secret": "echo-of-a-header"})
    assert answer.status_code in (401, 404, 405)
    assert b"echo-of-a-header" not in answer.content


@pytest.mark.django_db
def test_only_listed_origins_may_call_from_a_browser(settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://gcs.example.com"]
    for origin, allowed in (
        (FOREIGN, None),
        ("https://gcs.example.com", "https://gcs.example.com"),
    ):
        answer = Client().get("/api/v1/orders", headers={"origin": origin})
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.django_db
def test_a_login_gets_a_new_session_that_scripts_cannot_read(settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = False
    user, browser = UserFactory(ops=True), Client()
    former = browser.session.session_key
    sent = {"username": user.username, "password": PASSWORD}
    assert browser.post("/admin/login/", sent).status_code == 302
    cookie = browser.cookies["sessionid"]
    assert (bool(cookie["httponly"]), cookie["samesite"]) == (True, "Lax")
    assert cookie.value != former
    assert len(cookie.value) >= 32


@pytest.mark.django_db
def test_no_login_leads_elsewhere(settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = False
    user, browser = UserFactory(ops=True), Client()
    for bad in (FOREIGN, "//elsewhere.example", "javascript:alert(1)"):
        sent = {"username": user.username, "password": PASSWORD, "next": bad}
        answer = browser.post("/admin/login/", sent)
        assert answer["Location"].startswith("/admin/"), bad
        browser.logout()


@pytest.mark.django_db
def test_no_action_leads_elsewhere() -> None:
    order, browser = OrderFactory(), Client()
    browser.force_login(UserFactory(ops=True))
    url = f"/admin/do/orders.order/cancel/?id={order.pk}"
    (target,) = browser.get(url).context["targets"]
    sent = {f"seen-{order.pk}": target.token, "reason": "WEATHER", "next": FOREIGN}
    answer = browser.post(url, sent)
    assert (answer.status_code, answer["Location"][:1]) == (302, "/")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("algorithm", "key", "status"),
    [
        ("HS256", project.SECRET_KEY, 200),
        ("HS256", "another key that is long enough for HS256", 401),
        ("HS384", project.SECRET_KEY, 401),
        ("HS512", project.SECRET_KEY, 401),
        ("none", "", 401),
    ],
)
def test_a_token_needs_our_key_and_our_algorithm(
    settings: Any, algorithm: str, key: str, status: int
) -> None:
    settings.STAFF_SECOND_FACTOR = False
    browser, user = Client(), UserFactory(ops=True)
    sent = {"username": user.username, "password": PASSWORD}
    answer = browser.post("/api/v1/auth/token", sent, content_type="application/json")
    claims = jwt.decode(answer.json()["access"], project.SECRET_KEY, algorithms=["HS256"])
    headers = {"jku": FOREIGN, "x5u": FOREIGN, "kid": "other"}
    token = jwt.encode(claims, key, algorithm=algorithm, headers=headers)
    bearer = {"authorization": f"Bearer {token}"}
    assert browser.get("/api/v1/orders", headers=bearer).status_code == status


@pytest.mark.parametrize("password", ["Short-pass1", "qwertyuiop12", "password1234"])
def test_short_and_common_passwords_are_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password)


def test_long_passwords_and_passphrases_are_allowed() -> None:
    validate_password("correct horse battery staple " * 4)
