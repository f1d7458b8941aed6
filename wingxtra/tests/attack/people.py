"""Staff with an authenticator app, at the console and the token call."""

import time
from typing import Any

import requests
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import PASSWORD
from wingxtra.tests.attack.stack import Visitor

LOGIN = "/admin/login/"


def give_app(user: User) -> User:
    TOTPDevice.objects.create(user=user, name="app", confirmed=True)
    return user


def code_of(user: User) -> str:
    """The code of now, as if it was never used."""
    app = TOTPDevice.objects.get(user=user)
    TOTPDevice.objects.filter(pk=app.pk).update(last_t=-1, throttling_failure_count=0)
    totp = TOTP(app.bin_key)
    totp.time = time.time()
    return f"{totp.token():06d}"


def ask_for_tokens(
    visitor: Visitor, user: User, *, password: str = PASSWORD, **more: str
) -> requests.Response:
    body = {"username": user.username, "password": password, **more}
    return visitor.post("/api/v1/auth/token", json=body)


def tokens_of(visitor: Visitor, user: User) -> dict[str, str]:
    answer = ask_for_tokens(visitor, user, otp=code_of(user))
    answer.raise_for_status()
    found: dict[str, str] = answer.json()
    return found


def give_password(visitor: Visitor, user: User) -> None:
    """The first step of the login at the console."""
    visitor.get(LOGIN).raise_for_status()
    submit(visitor, LOGIN, username=user.username, password=PASSWORD).raise_for_status()


def log_in(visitor: Visitor, user: User) -> None:
    give_password(visitor, user)
    submit(visitor, LOGIN, code=code_of(user)).raise_for_status()


def submit(visitor: Visitor, path: str, **fields: Any) -> requests.Response:
    """Send a form, as its page does."""
    token = visitor.cookies.get("csrftoken")
    return visitor.post(path, data={**fields, "csrfmiddlewaretoken": token})
