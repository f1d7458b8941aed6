"""The response after too many wrong passwords: token call, console, and the merchants' login."""

from dataclasses import dataclass
from typing import Any

from axes.helpers import get_cool_off
from django.http import HttpRequest, HttpResponse

from wingxtra.api.errors import API_PREFIXES, Answer


@dataclass(frozen=True, slots=True)
class Refusal:
    detail: str
    retry_after_s: int


def refusal(request: HttpRequest) -> Refusal:
    pause = get_cool_off(request)
    seconds = int(pause.total_seconds()) if pause else 0
    detail = f"Too many wrong passwords. Try again in {max(1, seconds // 60)} minutes."
    return Refusal(detail, seconds)


def answer(request: HttpRequest, credentials: dict[str, Any] | None = None) -> HttpResponse:
    """AXES_LOCKOUT_CALLABLE: axes returns it instead of the view's response."""
    refused = refusal(request)
    headers = {"Retry-After": str(refused.retry_after_s)}
    if request.path.startswith(API_PREFIXES):
        return Answer(429, refused.detail, "too_many_failures", headers=headers).response()
    return HttpResponse(refused.detail, status=429, content_type="text/plain", headers=headers)
