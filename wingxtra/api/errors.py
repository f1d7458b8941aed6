"""Every error is an RFC 9457 problem: for people a `detail`, for machines a stable `code`.

All errors below an API path end here: our own refusals (`wingxtra.problems`), those of Django and
REST framework, an outage of database or Redis, and unexpected exceptions.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import redis
import structlog
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views import defaults
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError

from wingxtra.api.request_id import request_id
from wingxtra.problems import FieldProblem, Invalid, Problem

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
API_PREFIXES = ("/api/", "/gcs/", "/health", "/ready", "/metrics")

# Status -> (default code, title).
STATUSES: dict[int, tuple[str, str]] = {
    400: ("invalid", "The request is not valid"),
    401: ("not_authenticated", "Authentication is needed"),
    403: ("permission_denied", "Not allowed"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "This method is not offered here"),
    409: ("conflict", "The state does not allow it"),
    413: ("body_too_large", "The body is too large"),
    415: ("unsupported_media_type", "This kind of body is not understood"),
    422: ("unprocessable", "The request contradicts an earlier one"),
    429: ("throttled", "Too many requests"),
    500: ("internal_error", "Something went wrong on our side"),
    502: ("bad_gateway", "A system that we depend on answered nonsense"),
    503: ("unavailable", "Not available now"),
}
RETRY_AFTER_S = 5
DETAILS = {
    400: "The request cannot be understood.",
    403: "You may not do this.",
    404: "There is nothing at this address.",
    500: "The request failed by a fault of ours. It is logged under the request_id.",
    503: "A system that we depend on is away. Try again in a few seconds.",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A problem before it is rendered. An empty code or title is that of the status."""

    status: int
    detail: str
    code: str = ""
    title: str = ""
    errors: list[FieldProblem] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def as_text(self) -> str:
        """Plain text, for a client that shows the body as it is; a 5xx names its request id."""
        text = self.detail or DETAILS.get(self.status, STATUSES[self.status][1] + ".")
        return f"{text} (request {request_id()})" if self.status >= 500 else text

    def response(self) -> HttpResponse:
        default_code, default_title = STATUSES.get(self.status, ("error", "Error"))
        code = self.code or default_code
        body: dict[str, Any] = {
            "type": f"urn:wingxtra:problem:{code}",
            "title": self.title or default_title,
            "status": self.status,
            "detail": self.detail or DETAILS.get(self.status, default_title + "."),
            "code": code,
            "request_id": request_id(),
            **self.extra,
        }
        if self.errors:
            body["errors"] = [_as_json(error) for error in self.errors]
        return HttpResponse(
            json.dumps(body, default=str),
            status=self.status,
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """REST framework's EXCEPTION_HANDLER. It has an answer for every exception."""
    return answer_for(error).response()


def answer_for(error: BaseException) -> Answer:
    match error:
        case Problem():
            return _from_problem(error)
        case ValidationError():
            return _bad_input(list(flattened(error.detail)))
        case ModelValidationError():
            return _bad_input(list(flattened(_details_of(error))))
        case APIException():
            return _from_api_exception(error)
        case Http404():
            return Answer(404, "There is nothing at this address.")
        case PermissionDenied():
            return Answer(403, str(error))
        case SuspiciousOperation():
            return Answer(400, "")
        case OperationalError() | InterfaceError():
            return _outage("database_unavailable", "The database", error)
        case redis.ConnectionError() | redis.TimeoutError() | redis.OutOfMemoryError():
            return _outage("redis_unavailable", "The cache and queue", error)
    log.error("request_failed", exc_info=error)
    return Answer(500, "")


def _from_problem(error: Problem) -> Answer:
    errors = error.errors if isinstance(error, Invalid) else []
    return Answer(
        error.status,
        _joined(errors) or error.detail,
        error.code,
        error.title,
        errors=errors,
        extra=error.extra,
        headers=_retry_after(error.retry_after_s),
    )


def _from_api_exception(error: APIException) -> Answer:
    detail: Any = error.detail
    if isinstance(detail, dict):  # simplejwt's token errors
        detail = detail.get("detail", "")
    headers = _retry_after(getattr(error, "wait", None))
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    return Answer(
        error.status_code,
        str(detail),
        str(getattr(detail, "code", "") or error.default_code),
        headers=headers,
    )


def _bad_input(errors: list[FieldProblem]) -> Answer:
    return Answer(400, _joined(errors), "invalid", "The input is not valid", errors=errors)


def _as_json(error: FieldProblem) -> dict[str, Any]:
    body = {"field": error.field, "code": error.code, "message": error.message}
    return body if error.until is None else {**body, "until": msgspec.to_builtins(error.until)}


def _joined(errors: Iterable[FieldProblem]) -> str:
    """One readable string that names the fields as the sender does."""
    return " ".join(
        f"{error.field}: {error.message}" if error.field else error.message for error in errors
    )


def _outage(code: str, what: str, error: BaseException) -> Answer:
    log.error(code, error=str(error), exc_info=error)
    detail = f"{what} cannot be reached now. Try again in a few seconds."
    return Answer(503, detail, code, headers=_retry_after(RETRY_AFTER_S))


def _retry_after(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(max(1, round(seconds)))}


def _details_of(error: ModelValidationError) -> Any:
    def listed(errors: Iterable[ModelValidationError]) -> list[ErrorDetail]:
        return [
            ErrorDetail(message, code=one.code or "invalid")
            for one in errors
            for message in one.messages
        ]

    if hasattr(error, "error_dict"):
        return {name: listed(errors) for name, errors in error.error_dict.items()}
    return listed(error.error_list)


def flattened(detail: Any, name: str = "") -> Iterator[FieldProblem]:
    """Nested errors as a list; the names on the way are joined by dots."""
    if isinstance(detail, dict):
        for key, inner in detail.items():
            own = "" if key in ("non_field_errors", "__all__") else str(key)
            yield from flattened(inner, ".".join(part for part in (name, own) if part))
    elif isinstance(detail, list):
        for position, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            yield from flattened(inner, f"{name}.{position}" if nested else name)
    else:
        yield FieldProblem(name, str(getattr(detail, "code", None) or "invalid"), str(detail))


# --- errors outside of API views -----------------------------------------------------------------


class ApiErrorMiddleware:
    """Turns the error pages that Django makes below an API path into problems."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if (
            response.status_code < 400
            or not request.path.startswith(API_PREFIXES)
            or response.headers.get("Content-Type", "") == CONTENT_TYPE
            or getattr(response, "exception", False)  # a view's own error
        ):
            return response
        problem = Answer(response.status_code, "").response()
        for name in ("Allow", "Retry-After", "WWW-Authenticate"):
            if name in response.headers:
                problem[name] = response.headers[name]
        return problem

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Exceptions of views that do not use REST framework."""
        if request.path.startswith(API_PREFIXES):
            return answer_for(error).response()
        return None


def server_error(request: HttpRequest) -> HttpResponse:
    """`handler500`: exceptions of middleware and of HTML pages."""
    error = sys.exc_info()[1]
    answer = answer_for(error) if error else Answer(500, "")
    if request.path.startswith(API_PREFIXES):
        return answer.response()
    page: HttpResponse = defaults.server_error(request)
    page.status_code = answer.status
    for name, value in answer.headers.items():
        page[name] = value
    return page
