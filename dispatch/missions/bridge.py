"""The GCS bridge over HTTP: submit a mission intent, withdraw it, ask for an abort.

Only the HTTP status and text of an answer are used. A bridge that is down or slow costs one timeout
per try; after FAILURES_TO_OPEN failures a circuit breaker opens for OPEN_FOR_S.
"""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal
from urllib.parse import SplitResult
from uuid import UUID

import pybreaker
import redis
import structlog
from django.conf import settings

from wingxtra import redis_client
from wingxtra.exchange import EXCHANGE_ERRORS, TooSlow, address, below, exchange, is_sendable
from wingxtra.observability import metrics
from wingxtra.problems import Unavailable
from wingxtra.sentences import sentence

log = structlog.get_logger(__name__)

FAILURES_TO_OPEN = 5
OPEN_FOR_S = 10.0
BREAKER_OPEN_KEY = "wingxtra:resting:gcs_bridge"
BREAKER_OPEN_KEY_TTL_S = 60
MAX_ANSWER_BYTES = 16_384
MAX_ANSWER_CHARS = 1000
# With these the bridge made no decision about the mission: our key is wrong (that must not use up
# the attempts of every order), or HTTP asks for a retry.
RETRYABLE_STATUSES = {401, 403, 408, 425, 429}

UNKNOWN = "unknown"
# The bridge's statuses of flown missions, and of all missions that it will not fly any more.
FLOWN = frozenset({"completed", "delivered"})
NEVER_FLOWN = frozenset({"withdrawn", "canceled", "cancelled", "expired", "rejected"})
OVER = FLOWN | NEVER_FLOWN | {"failed", "aborted", "over", "ended"}  # these may have flown
WITHOUT_DELIVERY = (OVER - FLOWN) | {UNKNOWN}
FLYING = frozenset({"launched", "enroute", "arrived", "delivering", "flying", "in_flight"})

RecallMode = Literal["withdraw", "abort"]


class BridgeUnavailable(Unavailable):
    """The bridge gave no usable answer. The request may or may not have taken effect."""

    def __init__(self, detail: str, code: str = "bridge_unavailable", status: int = 0) -> None:
        super().__init__(code, detail)
        self.bridge_status = status or None


class BridgeNotAsked(BridgeUnavailable):
    """Nothing was sent: no bridge is configured, or the circuit breaker is open."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The bridge's decision; `text` is its own explanation, for people."""

    status: int
    text: str
    mission_status: str = ""
    code: str = ""

    @property
    def accepted(self) -> bool:
        """Whether it has the mission; 409 means that it had it before."""
        return 200 <= self.status < 300 or self.status == 409


class BridgeClient:
    def __init__(self) -> None:
        self._url, self._key = settings.GCS_BRIDGE_URL, settings.GCS_BRIDGE_KEY
        self._timeout_s = settings.GCS_BRIDGE_TIMEOUT_S

    def submit(self, intent_id: UUID, body: dict[str, Any]) -> Answer:
        """Submit a mission. Raises BridgeUnavailable; any other outcome is the bridge's decision.

        Idempotent: an intent that is submitted again is flown once.
        """
        return self._post("/api/v1/mission-intents", body, {"Idempotency-Key": str(intent_id)})

    def recall(self, intent_id: UUID, mode: RecallMode) -> Answer:
        """Withdraw a mission before launch, or ask for its abort in flight.

        `mission_status` of the answer is one of OVER, abort_requested, launched, or another status
        of the bridge; UNKNOWN only if the bridge reports that it has no such mission, not for a
        missing route. Raises BridgeUnavailable if the answer has no mission status.
        """
        path = f"/api/v1/mission-intents/{intent_id}/cancel"
        answer = self._post(path, {"mode": mode}, {})
        if answer.status == 404 and UNKNOWN in (answer.mission_status, answer.code.split("_")[0]):
            return Answer(404, answer.text, UNKNOWN)
        if answer.status == 404:
            raise BridgeUnavailable(
                f"The GCS bridge answered 404 to {path}: {sentence(answer.text)} It says nothing "
                "about the mission; look whether the bridge has this route.",
                code="bridge_confused",
                status=404,
            )
        if not answer.accepted or not answer.mission_status:
            raise BridgeUnavailable(
                f"The GCS bridge answered {answer.status} to a recall: {answer.text}",
                code="bridge_confused",
                status=answer.status,
            )
        return answer

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        url = below(self.base(), path)
        headers = {"Content-Type": "application/json", **headers}
        if self._key:
            headers["X-API-Key"] = self._key
        try:
            # Not `breaker.call`: that holds a lock during the request.
            with _breaker(self._url).calling(), metrics.calling("gcs_bridge"):
                return self._send(url, body, headers)
        except pybreaker.CircuitBreakerError as error:
            raise BridgeNotAsked(
                f"The GCS bridge failed {FAILURES_TO_OPEN} times in a row. It is tried again "
                f"within {OPEN_FOR_S:g} s."
            ) from error

    def base(self) -> SplitResult:
        """The bridge's base URL. Raises BridgeNotAsked when the settings are missing or invalid."""
        if not self._url:
            raise _misconfigured("No GCS bridge is configured", "Set GCS_BRIDGE_URL.")
        if not is_sendable(self._key):
            raise _misconfigured(
                "GCS_BRIDGE_KEY holds a character that no key has, like a line end", "Correct it."
            )
        try:
            return address(self._url)
        except ValueError as error:
            # The URL may hold a password, and merchants may read this message.
            raise _misconfigured(
                "GCS_BRIDGE_URL is no address", "It must be like https://gcs.example.com."
            ) from error

    def _send(self, url: SplitResult, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        try:
            with exchange(
                "POST",
                url,
                headers=headers,
                body=json.dumps(body).encode(),
                timeout_s=self._timeout_s,
            ) as response:
                status = response.status
                text = response.read(MAX_ANSWER_BYTES).decode(errors="replace")
        except TooSlow as error:
            raise BridgeUnavailable(
                f"The GCS bridge had not answered in full after {self._timeout_s:g} s."
            ) from error
        except EXCHANGE_ERRORS as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise BridgeUnavailable(f"The GCS bridge was not reached: {why}.") from error
        text, mission_status, code = _read(text)
        if 300 <= status < 400 or status >= 500 or status in RETRYABLE_STATUSES:
            raise BridgeUnavailable(
                f"The GCS bridge answered {status}: {text[:200]}", status=status
            )
        return Answer(status, text, mission_status, code)


def ground_control() -> BridgeClient:
    """The client that every mission goes through: another ground control is chosen here."""
    return BridgeClient()


def _misconfigured(problem: str, remedy: str) -> BridgeNotAsked:
    return BridgeNotAsked(
        f"{problem}, so no mission can be published. {remedy}", code="bridge_not_configured"
    )


class _ShareBreakerState(pybreaker.CircuitBreakerListener):
    """Sets a Redis key with a TTL while the breaker of this process is open."""

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        try:
            if new_state.name == pybreaker.STATE_OPEN:
                redis_client.ask(_mark_open)
            elif new_state.name == pybreaker.STATE_CLOSED:
                redis_client.ask(lambda client: client.delete(BREAKER_OPEN_KEY))
        except redis_client.Away as error:
            log.warning("breaker_state_not_shared", error=str(error))
        log.info("bridge_breaker", state=new_state.name)


def _mark_open(client: redis.Redis) -> None:
    client.set(BREAKER_OPEN_KEY, 1, ex=BREAKER_OPEN_KEY_TTL_S)


def is_breaker_open() -> bool:
    """Whether the breaker of any process is open. Raises RedisError."""
    return bool(redis_client.ask(lambda client: client.exists(BREAKER_OPEN_KEY)))


def readiness() -> tuple[bool, str]:
    """For /ready/dispatch: whether missions reach ground control. Raises RedisError."""
    try:
        ground_control().base()
    except BridgeNotAsked as problem:
        return False, problem.detail
    if is_breaker_open():
        return False, "Does not answer; missions wait in the outbox."
    return True, "Configured, and no call has failed lately."


def _read(text: str) -> tuple[str, str, str]:
    """The text of an answer for people, the mission's status and code, "" where missing."""
    try:
        body = json.loads(text)
    except ValueError:
        return text[:MAX_ANSWER_CHARS], "", ""
    if not isinstance(body, dict):
        return text[:MAX_ANSWER_CHARS], "", ""
    detail = next((body[k] for k in ("detail", "message", "error") if body.get(k)), text)
    status, code = (str(body.get(name) or "").lower() for name in ("status", "code"))
    return _validation_text(detail)[:MAX_ANSWER_CHARS], status, code


def _validation_text(detail: Any) -> str:
    """FastAPI's list of problems, `{"loc": ["body", "dropoff", "lat"], "msg": ...}`, as
    "dropoff.lat: ...; ..."; other values unchanged.
    """
    if not isinstance(detail, list):
        return str(detail)
    return "; ".join(_problem(problem) for problem in detail)


def _problem(one: Any) -> str:
    if not isinstance(one, dict) or not one.get("msg"):
        return str(one)
    loc = one.get("loc")
    place = [str(name) for name in loc] if isinstance(loc, list) else []
    member = ".".join(place[1:] if place[:1] == ["body"] else place)
    return f"{member}: {one['msg']}" if member else str(one["msg"])


@cache
def _breaker(url: str) -> pybreaker.CircuitBreaker:
    return pybreaker.CircuitBreaker(
        fail_max=FAILURES_TO_OPEN,
        reset_timeout=OPEN_FOR_S,
        throw_new_error_on_trip=False,
        listeners=[_ShareBreakerState()],
    )
