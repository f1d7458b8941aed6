"""Pages that may show what was true some seconds ago: they read from the replica, if there is one.

Not for a person who has just changed something. After each POST the browser has a cookie for
WROTE_FOR_S, with which these pages read from the primary.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from wingxtra.database import replica

View = Callable[..., Any]
WROTE = "wrote"
WROTE_FOR_S = int(replica.OLDEST_S) + 3


def from_replica(view: View) -> View:
    """For a view that only reads, and has the request as its first argument."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.method not in ("GET", "HEAD") or WROTE in request.COOKIES:
            return view(request, *args, **kwargs)
        with replica.reading() as is_used:
            try:
                return _made(view(request, *args, **kwargs))
            except (OperationalError, InterfaceError) as error:
                if not is_used:
                    raise
                replica.failed(error)  # it was stopped, or has canceled a statement to catch up
        return view(request, *args, **kwargs)

    return answer


def _made(response: Any) -> Any:
    """A template and a file read while they are written, which must be inside, too."""
    if response.streaming:
        response.streaming_content = _parts(iter(response.streaming_content))
    elif hasattr(response, "render"):
        response.render()
    return response


def _parts(parts: Iterator[bytes]) -> Iterator[bytes]:
    while True:
        with replica.reading():
            part = next(parts, None)
        if part is None:
            return
        yield part


def remember_writing(request: HttpRequest, response: HttpResponseBase) -> None:
    if request.method == "POST" and settings.REPLICA_DATABASE_URL:
        response.set_cookie(
            WROTE,
            "1",
            max_age=WROTE_FOR_S,
            path=reverse("admin:index"),
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
