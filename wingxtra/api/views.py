"""What all our API views have in common."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import structlog
from csp.constants import HEADER as CONTENT_SECURITY_POLICY
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from wingxtra import redis_client
from wingxtra.accounts.authentication import STAMP, ApiKeyAuthentication
from wingxtra.accounts.identity import Caller
from wingxtra.accounts.models import ApiKey
from wingxtra.api import idempotency, throttling
from wingxtra.api.parsers import bound_body
from wingxtra.cache_version import Kept
from wingxtra.page_policy import NO_PAGE
from wingxtra.problems import FieldProblem, Invalid, NotFound

# What an address may name that finds its log lines. A tracking id does not: it is a key.
IN_EVERY_LOG_LINE = ("order_id", "job_id", "drone_id", "intent_id", "run_id")


class OneRenderer(DefaultContentNegotiation):
    """We speak JSON, whatever `Accept` says: RFC 9110 allows it, and a 406 helps nobody."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    """Authenticates, limits, permits, and carries a POST out once per `Idempotency-Key`.

    A subclass names its `permission_classes` and writes `get`, `post`, ... which raise what is in
    `wingxtra.problems` and answer with a Response.
    """

    content_negotiation_class = OneRenderer
    metadata_class = None
    format_kwarg = None  # no `.json` at the end of a path

    # False where a POST talks to other systems between its transactions (see
    # wingxtra.api.idempotency).
    one_transaction = True
    # False where the answer is a secret that must not be stored, and doing it twice does no harm.
    idempotent = True
    # None: API_MAX_BODY_BYTES.
    max_body_bytes: int | None = None

    post: Callable[..., Any]
    window: throttling.Window | None = None

    @property
    def caller(self) -> Caller:
        """Who calls, in a view that is not for strangers."""
        return cast(Caller, self.request.user)

    @property
    def caller_key(self) -> str | None:
        """Names the caller, for limits and idempotency; None for a stranger."""
        caller: Any = self.request.user  # a Caller
        return _key_of(caller) if caller else None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        named = {name: str(value) for name, value in kwargs.items() if name in IN_EVERY_LOG_LINE}
        structlog.contextvars.bind_contextvars(**named)
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(
            request
        )
        self._know_and_count(request)
        self.check_permissions(request)
        _refuse_nul(request)
        bound_body(request._request, self.max_body_bytes)
        post = getattr(self, "post", None)  # None: a POST here is a 404 or 405
        asked = request.method == "POST" and idempotency.HEADER in request.headers
        if post and asked and self.idempotent:
            # REST framework looks the handler up after this.
            self.post = partial(self._post_once, post)

    def _know_and_count(self, request: Request) -> None:
        """Who calls, and how often. A cached API key is validated in the same round trip to Redis
        as the rate limit.
        """
        kept = self._remembered(request)
        if kept is not None:
            trip = redis_client.Trip()
            stamp = trip.get(STAMP.name)
            self._count(request, _key_of(kept.value), trip)
            if kept.is_true(stamp.value):
                caller: Any = kept.value  # a key is a Caller, if no User
                request.user, request.auth = caller, None
                kept.value.note_use(timezone.now())
                return
        try:
            self.perform_authentication(request)
        except AuthenticationFailed:
            # Guessing keys and tokens is limited by address, like everything by strangers.
            self.window = throttling.count(request, None)
            raise
        if kept is None:
            self._count(request, self.caller_key, redis_client.Trip())

    def _remembered(self, request: Request) -> Kept[ApiKey] | None:
        by_key = ApiKeyAuthentication in self.authentication_classes
        return ApiKeyAuthentication.remembered(request) if by_key else None

    def _count(self, request: Request, caller_key: str | None, trip: redis_client.Trip) -> None:
        self.ask_along(trip)
        self.window = throttling.count(request, caller_key, trip)

    def ask_along(self, trip: redis_client.Trip) -> None:
        """Hook: what a view needs of Redis goes with the count of the call."""

    def _post_once(self, post: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
        def answer() -> Any:
            try:
                response = post(request, *args, **kwargs)
            except Exception as error:  # noqa: BLE001 (the handler has an answer for every one)
                response = self.handle_exception(error)
            response = self.finalize_response(request, response)
            return response.render() if isinstance(response, Response) else response

        # A stranger is known by the link in the path.
        return idempotency.once(
            request, self.caller_key or "public", answer, one_transaction=self.one_transaction
        )

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
        """The body as `serializer_class` has it; bad input is a 400 with all that is wrong."""
        serializer = serializer_class(data=self.request.data, context={"request": self.request})
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data


class PublicView(ApiView):
    """For anyone; credentials are not even looked at."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class NothingHere(PublicView):
    """Every path below the API that is not ours."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound("address")


def _key_of(caller: Any) -> str:
    return f"{caller.actor.kind}:{caller.pk}"


def _refuse_nul(request: Request) -> None:
    """PostgreSQL's text has no NUL; nothing that we store could match it."""
    if "\0" in request.path:
        raise NotFound("address")
    query = request.META.get("QUERY_STRING", "")
    if "%00" not in query and "\0" not in query:
        return
    for name, values in request.query_params.lists():
        if "\0" in name or any("\0" in value for value in values):
            raise Invalid([FieldProblem(name, "invalid", "Must not contain NUL.")])
