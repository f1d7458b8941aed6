"""Limits of what strangers send to pages: to the login forms of console and merchants above all."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.core.validators import MaxLengthValidator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from wingxtra.middleware.sessions import WITHOUT_SESSION

NAME_LENGTH = 150
# Hashing takes longer for a longer one.
PASSWORD_LENGTH = 1000
# A form costs about 80 us of processor time per kB, even when it is refused.
STRANGERS_FORM_BYTES = 16 * 1024
# Each field costs 4 us; a login has five.
STRANGERS_FIELDS = 50
URL_ENCODED = "application/x-www-form-urlencoded"


class StrangersFormsAreSmall:
    """Middleware: a larger form needs a login, before its CSRF token is looked for in it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # These limit their bodies themselves, and take larger ones from strangers.
        if request.path.startswith(WITHOUT_SESSION):
            return self.get_response(request)
        size = request.META.get("CONTENT_LENGTH") or "0"
        is_large = not size.isdecimal() or int(size) > STRANGERS_FORM_BYTES
        if (is_large or _has_many_fields(request)) and not request.user.is_authenticated:
            text = (
                f"Log in first: without a login, a form may have {STRANGERS_FORM_BYTES:,} bytes "
                f"and {STRANGERS_FIELDS} fields."
            )
            return HttpResponse(text, status=413, content_type="text/plain")
        return self.get_response(request)


def _has_many_fields(request: HttpRequest) -> bool:
    """Only for a small form: its body is read here, and once."""
    is_form = request.method == "POST" and request.content_type == URL_ENCODED
    return is_form and request.body.count(b"&") >= STRANGERS_FIELDS


class BoundedLoginForm(AuthenticationForm):
    """Django's form has no limits, and a name is longer once it is normalized (NFKC)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, limit in (("username", NAME_LENGTH), ("password", PASSWORD_LENGTH)):
            self.fields[name].validators.append(MaxLengthValidator(limit))
