"""Base classes of all API views."""

from collections.abc import Callable, Collection
from functools import cache, partial
from typing import Any, cast

import structlog
from csp.constants import HEADER as CONTENT_SECURITY_POLICY
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from wingxtra import redis_client
from wingxtra.accounts.authentication import VERSION, ApiKeyAuthentication
from wingxtra.accounts.identity import Caller
from wingxtra.accounts.models import ApiKey
from wingxtra.api import idempotency, throttling
from wingxtra.api.parsers import MAX_VALUES, bound_body
from wingxtra.cache_version import Cached
from wingxtra.middleware.page_policy import NO_PAGE
from wingxtra.problems import FieldProblem, Invalid, NotFound

MAX_NAMED_PARAMETERS = 20
# Path parameters that are bound to every log line. A tracking id is not: it gives access.
IN_EVERY_LOG_LINE = ("order_id", "job_id", "drone_id", "intent_id", "run_id")


class OneRenderer(DefaultContentNegotiation):
    """Answers JSON and ignores `Accept`: RFC 9110 allows it, and a 406 does not help the caller."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Most bodies name their type exactly; others are compared as media types."""
        exact = (parser for parser in parsers if parser.media_type == request.content_type)
        return next(exact, None) or super().select_parser(request, parsers)


class ApiView(APIView):
    """Authenticates, limits the rate, checks permissions, and handles `Idempotency-Key`.

    A subclass sets `permission_classes` and defines `get`, `post`, ... which return a Response and
    raise the errors of `wingxtra.problems`.
    """

    content_negotiation_class = OneRenderer
    metadata_class = None
    format_kwarg = None  # no `.json` at the end of a path

    # False if a POST calls other systems between its transactions (see wingxtra.api.idempotency).
    one_transaction = True
    # False if the response is a secret that must not be stored, and a second call is harmless.
    idempotent = True
    # None: API_MAX_BODY_BYTES.
    max_body_bytes: int | None = None
    # The values that a JSON body may have: see wingxtra/api/parsers.py.
    max_values = MAX_VALUES
    # Query parameters beside those of the view's filters and pages. None: unknown ones are ignored.
    query_parameters: Collection[str] | None = ()

    post: Callable[..., Any]
    window: throttling.Window | None = None

    # These are the same for each call of a view: they have no state, and REST framework makes them
    # anew each time.

    @property
    def default_response_headers(self) -> dict[str, str]:
        kind = type(self)
        if kind not in _allowed:
            _allowed[kind] = ", ".join(self.allowed_methods)
        return {"Allow": _allowed[kind]}

    def get_renderers(self) -> list[BaseRenderer]:
        return _one_of_each(tuple(self.renderer_classes))

    def get_parsers(self) -> list[BaseParser]:
        return _one_of_each(tuple(self.parser_classes))

    def get_authenticators(self) -> list[BaseAuthentication]:
        return _one_of_each(tuple(self.authentication_classes))

    def get_permissions(self) -> list[Any]:
        return _one_of_each(tuple(self.permission_classes))

    def get_content_negotiator(self) -> BaseContentNegotiation:
        return _one_of_each((self.content_negotiation_class,))[0]

    @property
    def caller(self) -> Caller:
        """The caller, in a view that requires authentication."""
        return cast(Caller, self.request.user)

    @property
    def caller_key(self) -> str | None:
        """Identifies the caller for rate limits and idempotency; None for an anonymous one."""
        return _key_of(self.caller) if self.request.user else None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        named = {name: str(value) for name, value in kwargs.items() if name in IN_EVERY_LOG_LINE}
        structlog.contextvars.bind_contextvars(**named)
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(
            request
        )
        self._authenticate_and_count(request)
        self.check_permissions(request)
        if "\0" in request.path:  # PostgreSQL's text type has no NUL, so no stored value matches
            raise NotFound("address")
        if request.META.get("QUERY_STRING"):
            _refuse_nul_in_query(request)
            self._refuse_unknown_parameters(request)
        bound_body(request._request, self.max_body_bytes)
        post = getattr(self, "post", None)  # None: a POST here is a 404 or 405
        asked = request.method == "POST" and idempotency.HEADER in request.headers
        if post and asked and self.idempotent:
            # REST framework looks the handler up after this.
            self.post = partial(self._post_once, post)

    def _refuse_unknown_parameters(self, request: Request) -> None:
        """A misspelled filter must not answer as if it was applied. Raises Invalid."""
        if self.query_parameters is None or not request.query_params:
            return
        known = {*self.query_parameters, *_parameters_of_list(self)}
        if unknown := [name for name in request.query_params if name not in known]:
            hint = f" It takes {', '.join(sorted(known))}." if known else " It takes none."
            errors = [
                FieldProblem(
                    name[:100],
                    "unknown_parameter",
                    f"“{name[:100]}” is not a query parameter of this call.{hint}",
                )
                for name in unknown[:MAX_NAMED_PARAMETERS]
            ]
            raise Invalid(errors, code="unknown_parameter")

    def _authenticate_and_count(self, request: Request) -> None:
        """Sets the caller and counts the call. A cached API key is validated in the same Redis
        round trip as the rate limit.
        """
        cached = self._cached_key(request)
        if cached is not None:
            trip = redis_client.RoundTrip()
            version = trip.get(VERSION.name)
            self._count(request, cached.value, trip)
            if cached.is_fresh(version.value):
                caller: Any = cached.value  # an ApiKey is a Caller, but no User
                request.user, request.auth = caller, None
                cached.value.note_use(timezone.now())
                return
        try:
            self.perform_authentication(request)
        except AuthenticationFailed:
            # Guesses of keys and tokens count per address, as anonymous calls do.
            self.window = throttling.count(throttling.of_address(request))
            raise
        if cached is None:
            caller = self.caller if request.user else None
            self._count(request, caller, redis_client.RoundTrip())

    def _cached_key(self, request: Request) -> Cached[ApiKey] | None:
        by_key = ApiKeyAuthentication in self.authentication_classes
        return ApiKeyAuthentication.cached(request) if by_key else None

    def _count(self, request: Request, caller: Caller | None, trip: redis_client.RoundTrip) -> None:
        self.add_to_round_trip(trip, caller)
        quota = throttling.of_caller(_key_of(caller)) if caller else self.public_quota(request)
        self.window = throttling.count(quota, trip)

    def public_quota(self, request: Request) -> throttling.Quota:
        """Of callers without credentials."""
        return throttling.of_address(request)

    def add_to_round_trip(self, trip: redis_client.RoundTrip, caller: Caller | None) -> None:
        """Hook: a view adds its own Redis reads to the round trip of the rate limit. The caller's
        key may turn out to be stale on it.
        """

    def _post_once(self, post: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
        def answer() -> Any:
            try:
                response = post(request, *args, **kwargs)
            except Exception as error:  # noqa: BLE001 (the handler has an answer for every one)
                response = self.handle_exception(error)
            if isinstance(response, Response):
                return self.finalize_response(request, response).render()
            return response

        # An anonymous caller is identified by the tracking id in the path.
        claim = idempotency.Claim.of(request, self.caller_key or "public")
        return idempotency.once(claim, answer, one_transaction=self.one_transaction)

    def handle_exception(self, error: Exception) -> Any:
        if isinstance(error, throttling.TooManyRequests):
            self.window = error.window
        return super().handle_exception(error)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault(CONTENT_SECURITY_POLICY, NO_PAGE)
        if self.window is not None:
            self.window.mark(response)
        return response

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        return Response(status=204)

    def read(self, serializer_class: type[BaseSerializer[Any]]) -> dict[str, Any]:
        """The validated body. Bad input is a 400 that lists every problem."""
        serializer = serializer_class(data=self.request.data, context={"request": self.request})
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data


class PublicView(ApiView):
    """For anyone; credentials are ignored."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    # Strangers' bodies are small, and reading a larger one costs too much.
    max_body_bytes = 8 * 1024


class NothingHere(PublicView):
    """404 for every unknown path below the API."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound("address")


# The methods of each class of views.
_allowed: dict[type[ApiView], str] = {}


@cache
def _one_of_each(classes: tuple[type[Any], ...]) -> list[Any]:
    return [one() for one in classes]


def _parameters_of_list(view: Any) -> set[str]:
    """The query parameters of a list view: its filters and its pages."""
    filterset, pages = getattr(view, "filterset_class", None), getattr(view, "paginator", None)
    names = set(filterset.base_filters) if filterset else set()
    return names | set(pages.query_parameters if pages else ())


def _key_of(caller: Any) -> str:
    return f"{caller.actor.kind}:{caller.pk}"


def _refuse_nul_in_query(request: Request) -> None:
    """PostgreSQL's text type has no NUL, so no stored value could match."""
    query = request.META["QUERY_STRING"]
    if "%00" not in query and "\0" not in query:
        return
    for name, values in request.query_params.lists():
        if "\0" in name or any("\0" in value for value in values):
            raise Invalid([FieldProblem(name, "invalid", "Must not contain NUL.")])
