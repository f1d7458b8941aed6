"""The response after too many wrong passwords, on the token call and on the console's login."""

from typing import Any

from axes.helpers import get_cool_off
from django.http import HttpRequest, HttpResponse

from wingxtra.api.errors import API_PREFIXES, Answer


def answer(request: HttpRequest, credentials: dict[str, Any] | None = None) -> HttpResponse:
    """AXES_LOCKOUT_CALLABLE: axes returns it instead of the view's response."""
    pause = get_cool_off(request)
    seconds = int(pause.total_seconds()) if pause else 0
    detail = f"Too many wrong passwords. Try again in {max(1, seconds // 60)} minutes."
    headers = {"Retry-After": str(seconds)}
    if request.path.startswith(API_PREFIXES):
        return Answer(429, detail, "too_many_failures", headers=headers).response()
    return HttpResponse(detail, status=429, content_type="text/plain", headers=headers)
