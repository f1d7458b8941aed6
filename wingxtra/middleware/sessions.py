"""Middleware of people's sessions: cookie, user, second factor, form tokens, notices.

API, tracking, hooks and probes authenticate by a key, a token or a link. A call of theirs without a
session's cookie skips all of this; with one (a label that is opened from the console) it does not.
"""

from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware
from django_otp.middleware import OTPMiddleware

WITHOUT_SESSION = ("/api/", "/gcs/", "/track/", "/hooks/", "/health", "/ready", "/metrics")


class _OfSession:
    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        if (
            request.path.startswith(WITHOUT_SESSION)
            and settings.SESSION_COOKIE_NAME not in request.COOKIES
        ):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]


class Session(_OfSession, SessionMiddleware):
    pass


class FormTokens(_OfSession, CsrfViewMiddleware):
    """Against cross-site request forgery. Checks the token before each view that is not exempt, on
    every path.
    """


class SessionUser(_OfSession, AuthenticationMiddleware):
    pass


class SecondFactor(_OfSession, OTPMiddleware):
    pass


class Notices(_OfSession, MessageMiddleware):
    pass
