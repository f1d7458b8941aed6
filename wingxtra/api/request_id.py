"""One id per request, the client's `X-Request-ID` or ours: in the response and every log line."""

import logging
import re
import time
import uuid
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponseBase

log = structlog.get_logger(__name__)

HEADER = "X-Request-ID"
PROBES = ("/health", "/ready", "/ready/dispatch", "/metrics")
# Asked each second by each open page of a flight.
POLLS = ("track-position",)
ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)


def request_id() -> str:
    """The id of the request being answered; empty outside of one."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


class RequestIdMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get(HEADER, "")
        own = given if ACCEPTED.fullmatch(given) else uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=own)
        started = time.perf_counter()
        response = self.get_response(request)
        response[HEADER] = own
        self._log(request, response, started)
        return response

    @staticmethod
    def _log(request: HttpRequest, response: HttpResponseBase, started: float) -> None:
        """Logs the route, not the path: a path may hold a tracking id, which gives access."""
        found = request.resolver_match
        is_frequent = request.path in PROBES or (found is not None and found.view_name in POLLS)
        log.log(
            logging.DEBUG if is_frequent else logging.INFO,
            "request",
            method=request.method,
            route=found.route if found else None,
            status=response.status_code,
            took_ms=round(1000 * (time.perf_counter() - started), 1),
        )
