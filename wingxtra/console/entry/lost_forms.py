"""Forms that were sent after their session had ended: what was written is given back."""

from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.views.decorators.cache import never_cache

CSRF_FIELD = "csrfmiddlewaretoken"
NOT_GIVEN_BACK = "password"


@never_cache
def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW: mostly a page that was open while its user logged in again elsewhere."""
    return given_back(
        request, "You have logged in or out since you opened this page, so nothing was changed."
    )


@never_cache
def session_ended(request: HttpRequest) -> HttpResponse:
    return given_back(request, "You were logged out, so nothing was changed.", log_in_first=True)


def given_back(request: HttpRequest, why: str, *, log_in_first: bool = False) -> HttpResponse:
    """A page with what the form held, and a button that sends it again.

    The button is there only for a form of our own pages: another site must not get its form sent
    by a person's careless click. Files cannot be given back, and passwords are not.
    """
    is_ours = _is_ours(request)
    sent = request.POST if is_ours else QueryDict()
    written = [
        (name, value)
        for name, values in sent.lists()
        for value in values
        if name != CSRF_FIELD and NOT_GIVEN_BACK not in name
    ]
    held_a_secret = any(NOT_GIVEN_BACK in name for name in sent)
    context = {
        "why": why,
        "log_in_first": log_in_first,
        "written": written,
        "texts": [(name, value) for name, value in written if len(value) > 1 and " " in value],
        "can_be_sent": is_ours and written and not held_a_secret and not request.FILES,
        "token": get_token(request),
        "path": request.get_full_path(),
    }
    return render(request, "console/given_back.html", context, status=403)


def _is_ours(request: HttpRequest) -> bool:
    origin = request.headers.get("Origin") or request.headers.get("Referer", "")
    return bool(origin) and urlsplit(origin).netloc == request.get_host()
