"""The GCS bridge over HTTP: hand in a mission intent, take one back, ask for an abort.

An answer is not trusted further than its status and its words. A bridge that is away, or answers
byte by byte, costs one timeout per try, and after a few of them nothing, until it is given another
chance.
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

from wingxtra.exchange import Failed, TooSlow, address, below, exchange, is_sendable
from wingxtra.observability import metrics
from wingxtra.problems import Unavailable
from wingxtra.redis_client import client
from wingxtra.sentences import sentence

log = structlog.get_logger(__name__)

FAILURES_TO_OPEN = 5
OPEN_FOR_S = 10.0
RESTING = "wingxtra:resting:gcs_bridge"
RESTING_KNOWN_S = 60
ANSWER_BYTES = 16_384
WORDS = 1000
# The bridge did not decide about the mission: it does not know us (a wrong key must not use up the
# attempts of every order), or HTTP says that trying again is right.
TRY_AGAIN = {401, 403, 408, 425, 429}

# Words of the bridge for a mission that it will not fly any more, and for one that was flown.
FLOWN = frozenset({"completed", "delivered"})
OVER = FLOWN | {
    "withdrawn",
    "canceled",
    "cancelled",
    "expired",
    "rejected",
    "failed",
    "aborted",
    "over",
    "ended",
}
FLYING = frozenset({"launched", "enroute", "arrived", "delivering", "flying", "in_flight"})
# Of these the mission may have flown before it was over.
MAY_HAVE_FLOWN = frozenset({"failed", "aborted", "over", "ended"})
UNKNOWN = "unknown"

RecallMode = Literal["withdraw", "abort"]


class BridgeUnavailable(Unavailable):
    """The bridge did not answer, or not usefully. What was asked may have happened or not."""

    def __init__(self, detail: str, code: str = "bridge_unavailable", status: int = 0) -> None:
        super().__init__(code, detail)
        self.bridge_status = status or None


class BridgeNotAsked(BridgeUnavailable):
    """Nothing was sent: there is no bridge configured, or it is given a rest."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bridge decided. `words` are its own, for people."""

    status: int
    words: str
    mission_status: str = ""
    code: str = ""

    @property
    def accepted(self) -> bool:
        """It has the mission; 409 says that it had it already."""
        return 200 <= self.status < 300 or self.status == 409


class BridgeClient:
    def __init__(self) -> None:
        self._url, self._key = settings.GCS_BRIDGE_URL, settings.GCS_BRIDGE_KEY
        self._timeout_s = settings.GCS_BRIDGE_TIMEOUT_S

    def submit(self, intent_id: UUID, body: dict[str, Any]) -> Answer:
        """Hand in a mission. Raises BridgeUnavailable; any other outcome is the bridge's decision.

        The same intent may be handed in any number of times: it is flown once.
        """
        return self._post("/api/v1/mission-intents", body, {"Idempotency-Key": str(intent_id)})

    def recall(self, intent_id: UUID, mode: RecallMode) -> Answer:
        """Take a mission back before launch (`withdraw`), or ask for its end in flight (`abort`).

        `mission_status` says what became of it: one of OVER, abort_requested, launched, or another
        word of the bridge; UNKNOWN only where the bridge itself says that it has no such mission,
        never for a route that it does not have. Raises BridgeUnavailable without a word.
        """
        path = f"/api/v1/mission-intents/{intent_id}/cancel"
        answer = self._post(path, {"mode": mode}, {})
        if answer.status == 404 and UNKNOWN in (answer.mission_status, answer.code.split("_")[0]):
            return Answer(404, answer.words, UNKNOWN)
        if answer.status == 404:
            raise BridgeUnavailable(
                f"The GCS bridge answered 404 to {path}: {sentence(answer.words)} It says nothing "
                "about the mission; look whether the bridge has this route.",
                code="bridge_confused",
                status=404,
            )
        if not answer.accepted or not answer.mission_status:
            raise BridgeUnavailable(
                f"The GCS bridge answered {answer.status} to a recall: {answer.words}",
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
            # Not `breaker.call`: that holds a lock while the bridge thinks.
            with _breaker(self._url).calling(), metrics.calling("gcs_bridge"):
                return self._send(url, body, headers)
        except pybreaker.CircuitBreakerError as error:
            raise BridgeNotAsked(
                f"The GCS bridge failed {FAILURES_TO_OPEN} times in a row and is left alone for "
                f"{OPEN_FOR_S:g} s."
            ) from error

    def base(self) -> SplitResult:
        """Where it is. Raises BridgeNotAsked when that cannot be known from the settings."""
        if not self._url:
            raise _misconfigured("No GCS bridge is configured", "Set GCS_BRIDGE_URL.")
        if not is_sendable(self._key):
            raise _misconfigured(
                "GCS_BRIDGE_KEY holds a character that no key has, like a line end", "Correct it."
            )
        try:
            return address(self._url)
        except ValueError as error:
            # It may hold a password, and merchants may read this.
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
                text = response.read(ANSWER_BYTES).decode(errors="replace")
        except TooSlow as error:
            raise BridgeUnavailable(
                f"The GCS bridge had not answered in full after {self._timeout_s:g} s."
            ) from error
        except Failed as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise BridgeUnavailable(f"The GCS bridge was not reached: {why}.") from error
        words, mission_status, code = _read(text)
        if 300 <= status < 400 or status >= 500 or status in TRY_AGAIN:
            raise BridgeUnavailable(
                f"The GCS bridge answered {status}: {words[:200]}", status=status
            )
        return Answer(status, words, mission_status, code)


def ground_control() -> BridgeClient:
    """The client that every mission goes through: another ground control is chosen here."""
    return BridgeClient()


def _misconfigured(what: str, so: str) -> BridgeNotAsked:
    return BridgeNotAsked(
        f"{what}, so no mission can be published. {so}", code="bridge_not_configured"
    )


class _TellOthers(pybreaker.CircuitBreakerListener):
    """Notes in Redis that this process lets the bridge rest; forgotten by itself after a while."""

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        try:
            if new_state.name == pybreaker.STATE_OPEN:
                client().set(RESTING, 1, ex=RESTING_KNOWN_S)
            elif new_state.name == pybreaker.STATE_CLOSED:
                client().delete(RESTING)
        except redis.RedisError as error:
            log.warning("breaker_state_not_told", error=str(error))
        log.info("bridge_breaker", state=new_state.name)


def is_resting() -> bool:
    """Whether some process of ours lets the bridge rest just now. Raises RedisError."""
    return bool(client().exists(RESTING))


def readiness() -> tuple[bool, str]:
    """For /ready/dispatch: whether missions get through to ground control. Raises RedisError."""
    try:
        ground_control().base()
    except BridgeNotAsked as problem:
        return False, problem.detail
    if is_resting():
        return False, "Does not answer; missions wait in the outbox."
    return True, "Configured, and no call has failed lately."


def _read(text: str) -> tuple[str, str, str]:
    """The words of an answer for people, the mission's status and a code if it names them."""
    try:
        body = json.loads(text)
    except ValueError:
        return text[:WORDS], "", ""
    if not isinstance(body, dict):
        return text[:WORDS], "", ""
    said = next((body[k] for k in ("detail", "message", "error") if body.get(k)), text)
    status, code = (str(body.get(name) or "").lower() for name in ("status", "code"))
    return _in_words(said)[:WORDS], status, code


def _in_words(said: Any) -> str:
    """A list of problems as FastAPI makes it, `{"loc": ["body", "dropoff", "lat"], "msg": ...}`,
    becomes "dropoff.lat: ...; ..."; anything else stays as it is.
    """
    if not isinstance(said, list):
        return str(said)
    return "; ".join(_problem(one) for one in said)


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
        listeners=[_TellOthers()],
    )
