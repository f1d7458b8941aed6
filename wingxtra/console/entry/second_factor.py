"""The second factor of staff: a six-digit code of an authenticator app (TOTP, RFC 6238).

STAFF_SECOND_FACTOR turns it on. After the password, a user without an app sets one up, and gets
access to the console only after a right code. An administrator can reset a lost app.
"""

import base64
from typing import Any

import segno
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import logout
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django_otp import login
from django_otp.plugins.otp_totp.models import TOTPDevice
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from wingxtra.accounts.identity import Role
from wingxtra.console import actions

DEVICE = "Authenticator app"
# In the session: the provider of an OIDC login has asked for a second factor.
SECOND_FACTOR = "oidc_second_factor"
NOT_SIX_DIGITS = "The code is six digits."


def is_required_of(user: Any) -> bool:
    """All who work for us need it; merchants' users do not."""
    return bool(settings.STAFF_SECOND_FACTOR) and user.role != Role.MERCHANT


def is_missing(request: HttpRequest) -> bool:
    """Whether this session still needs the code."""
    user: Any = request.user
    by_provider = request.session.get(SECOND_FACTOR, False)
    return is_required_of(user) and not (user.is_verified() or by_provider)


class VerifiedSession(SessionAuthentication):
    """The session of a logged-in person, for API calls that people open from their pages."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        found = super().authenticate(request)
        if found is not None and is_missing(request._request):
            raise AuthenticationFailed(
                "Give the code of your authenticator app in the console first.",
                "second_factor_required",
            )
        return found


class CodeForm(forms.Form):
    code = forms.CharField(
        label="Six-digit code",
        max_length=9,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}
        ),
    )

    def clean_code(self) -> str:
        code = _digits_of(self.cleaned_data["code"])
        if code is None:
            raise forms.ValidationError(NOT_SIX_DIGITS)
        return code


@never_cache
@csrf_protect
def ask(request: HttpRequest) -> HttpResponse:
    """The page after the password: asks for the code; the first time, it sets up the app."""
    if request.method == "POST" and "leave" in request.POST:
        logout(request)
        return HttpResponseRedirect(reverse("admin:login"))
    user: Any = request.user
    form = CodeForm(request.POST if request.method == "POST" else None)
    with transaction.atomic():
        device = _device_of(user)
        if request.method == "POST" and form.is_valid():
            if problem := _problem_with(device, form.cleaned_data["code"]):
                form.add_error("code", problem)
            else:
                if not device.confirmed:
                    device.confirmed = True
                    device.save(update_fields=["confirmed"])
                    actions.log(user, user, "Second factor: set up.")
                login(request, device)
                return HttpResponseRedirect(_where_to(request))
    context = {
        **admin.site.each_context(request),
        "title": "Second factor",
        "form": form,
        "next": _where_to(request),
        "picture": None
        if device.confirmed
        else segno.make(device.config_url).svg_data_uri(scale=5),
        "key": base64.b32encode(device.bin_key).decode(),
    }
    return TemplateResponse(request, "console/second_factor.html", context)


def _device_of(user: Any) -> TOTPDevice:
    """The user's app, or a new one that is not confirmed yet."""
    devices = TOTPDevice.objects.select_for_update().filter(user=user)
    found = devices.order_by("-confirmed", "pk").first()
    return found or TOTPDevice.objects.create(user=user, name=DEVICE, confirmed=False)


def problem_with_code(user: Any, code: str) -> str:
    """Empty if the code is that of the user's app, which must be set up."""
    digits = _digits_of(code)
    if digits is None:
        return NOT_SIX_DIGITS
    with transaction.atomic():
        return _problem_with(_device_of(user), digits)


def _digits_of(code: str) -> str | None:
    digits = code.replace(" ", "").replace("-", "")
    return digits if digits.isascii() and digits.isdigit() and len(digits) == 6 else None


def _problem_with(device: TOTPDevice, code: str) -> str:
    """Empty if the code is right. Each wrong code makes the user wait longer for the next try."""
    allowed, _ = device.verify_is_allowed()
    if not allowed:
        return "Too many wrong codes. Wait some seconds before the next try."
    if device.verify_token(code):
        return ""
    return "This code is wrong. It changes every 30 seconds; check the clock of your phone."


def _where_to(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next", "")
    if wanted and url_has_allowed_host_and_scheme(wanted, {request.get_host()}):
        return wanted
    return reverse("admin:index")


def reset(user: Any) -> bool:
    """Delete the user's app; the next login sets up a new one. False if there was none."""
    return TOTPDevice.objects.filter(user=user).delete()[0] > 0


def is_set_up(user: Any) -> bool:
    return TOTPDevice.objects.filter(user=user, confirmed=True).exists()
