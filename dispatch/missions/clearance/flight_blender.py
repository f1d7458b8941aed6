"""OpenUTM Flight Blender: a flight declaration per mission, over its published HTTP API.

`POST set_flight_declaration`, `GET flight_declaration/{id}`, `GET flight_declaration` (to find one
whose answer was lost: Flight Blender has no key of ours, so the mission's id is in its name) and
`PUT flight_declaration_state/{id}`. docs/clearance.md has the calls.
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pybreaker
from django.conf import settings

from dispatch.missions.clearance.oauth import Tokens
from dispatch.missions.clearance.planned import Leg, PlannedFlight
from dispatch.missions.clearance.port import Answer, ClearanceUnavailable, Granted, Refused, Wait
from wingxtra.exchange import EXCHANGE_ERRORS, TooSlow, address, below, exchange
from wingxtra.observability import metrics

# States of a declaration (`OperationStateCode` of Flight Blender).
PROCESSING, ACCEPTED, ACTIVATED, NONCONFORMING = 0, 1, 2, 3
ENDED, WITHDRAWN, CANCELLED, REJECTED = 5, 6, 7, 8
STATES = {
    0: "is still being processed",
    1: "is accepted",
    2: "is activated",
    3: "is nonconforming",
    4: "is contingent",
    5: "has ended",
    6: "was withdrawn",
    7: "was canceled",
    8: "was rejected",
}
OPEN = (PROCESSING, ACCEPTED, ACTIVATED)
OVER = (ENDED, WITHDRAWN, CANCELLED, REJECTED)
BVLOS = 2

MAX_ANSWER_BYTES = 2_000_000
PAGE_SIZE = 100
FAILURES_TO_OPEN = 5
OPEN_FOR_S = 10.0
# The service made no decision about the flight.
RETRYABLE_STATUSES = {408, 425, 429}
# The published API says boolean, and a string for it in one place.
APPROVED = {"true": True, "false": False, "1": True, "0": False}

Found = dict[str, Any]


class FlightBlender:
    """One object per question: all its calls together take at most CLEARANCE_TIMEOUT_S."""

    name = "Flight Blender"

    def __init__(self) -> None:
        self._ends_at = time.monotonic() + settings.CLEARANCE_TIMEOUT_S
        self._tokens = Tokens()

    def ask(self, flight: PlannedFlight, known_as: str, *, look_first: bool) -> Answer:
        found = self._get(known_as) if known_as else None
        if found is None and (known_as or look_first):
            found = self._find(flight.mission_id)
        if found is not None:
            return _answer(found)
        status, body = self._call("POST", "set_flight_declaration", declaration(flight))
        if not 200 <= status < 300:
            why = f"Flight Blender refused the declaration ({status}): {_words(body)}"
            return Refused("clearance_form_refused", why)
        return _answer(body)

    def check(self, known_as: str, *, conforms: bool) -> Answer:
        found = self._get(known_as)
        if found is None:
            why = f"Flight Blender does not know the declaration {known_as} any more."
            return Refused("clearance_forgotten", why)
        if not conforms and found.get("state") == NONCONFORMING:
            found = {**found, "state": ACTIVATED}
        return _answer(found)

    def flies(self, known_as: str, *, conforms: bool) -> None:
        self._tell(known_as, ACTIVATED if conforms else NONCONFORMING, "the state")

    def ended(self, mission_id: UUID, known_as: str, *, flown: bool) -> None:
        found = self._get(known_as) if known_as else self._find(mission_id)
        # One that is over for the service takes no new state.
        if found is None or found.get("state") in OVER:
            return
        self._tell(_id_of(found), ENDED if flown else CANCELLED, "the end")

    def _tell(self, known_as: str, state: int, what: str) -> None:
        body = {"state": state, **_submitter()}
        status, answer = self._call("PUT", f"flight_declaration_state/{known_as}", body)
        # 404: it has forgotten the declaration. That ends it, and in flight the next check says so.
        if status != 404 and not 200 <= status < 300:
            raise ClearanceUnavailable(
                "clearance_state_refused",
                f"Flight Blender answered {status} to {what} of a flight: {_words(answer)}",
            )

    def _get(self, known_as: str) -> Found | None:
        status, body = self._call("GET", f"flight_declaration/{known_as}")
        if status == 404:
            return None
        found = _object(status, body)
        if _id_of(found) != known_as:
            raise _confused(f"it answered with another declaration ({_words(found)})")
        return found

    def _find(self, mission_id: UUID) -> Found | None:
        """The open declaration of this mission, of the last two days."""
        mine = name_of(mission_id)
        for found in self._listed():
            if found.get("originating_party") == mine and found.get("state") in OPEN:
                return found
        return None

    def _listed(self) -> Iterator[Found]:
        """Without dates it lists yesterday, today and tomorrow."""
        page, seen = 1, 0
        while True:
            query = urlencode({"page": page, "page_size": PAGE_SIZE})
            body = _object(*self._call("GET", f"flight_declaration?{query}"))
            results, count = body.get("results"), body.get("count")
            if not isinstance(results, list) or not isinstance(count, int):
                raise _confused("its list of declarations has no results and count")
            yield from (one for one in results if isinstance(one, dict))
            seen, page = seen + len(results), page + 1
            if not results or seen >= count:
                return

    def _call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of an answer that may be a decision. Raises ClearanceUnavailable."""
        try:
            base = address(settings.CLEARANCE_URL)
        except ValueError as error:
            detail = "CLEARANCE_URL must be like https://blender.example.com."
            raise ClearanceUnavailable("clearance_not_configured", detail) from error
        try:
            with _breaker(settings.CLEARANCE_URL).calling(), metrics.calling("clearance"):
                status, text = self._send(method, base, path, body)
        except pybreaker.CircuitBreakerError as error:
            raise ClearanceUnavailable(
                "clearance_not_asked",
                f"Flight Blender failed {FAILURES_TO_OPEN} times in a row. It is asked again "
                f"within {OPEN_FOR_S:g} s.",
            ) from error
        if status in (401, 403):
            self._tokens.forget()
            detail = f"Flight Blender does not accept our token ({status}): {text[:200]}"
            raise ClearanceUnavailable("clearance_token_refused", detail)
        try:
            return status, json.loads(text) if text else None
        except ValueError as error:
            raise _confused(f"its answer is not JSON: {text[:100]}") from error

    def _send(self, method: str, base: Any, path: str, body: Any) -> tuple[int, str]:
        path, _, query = path.partition("?")
        url = below(base, f"/flight_declaration_ops/{path}")._replace(query=query)
        try:
            headers = {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self._tokens.current(self._left_s())}",
            }
            sent = None if body is None else json.dumps(body).encode()
            with exchange(
                method, url, headers=headers, body=sent, timeout_s=self._left_s()
            ) as response:
                status, read = response.status, response.read(MAX_ANSWER_BYTES)
        except TooSlow as error:
            limit = f"{settings.CLEARANCE_TIMEOUT_S:g} s"
            detail = f"Flight Blender had not answered in full after {limit}."
            raise ClearanceUnavailable("clearance_timeout", detail) from error
        except EXCHANGE_ERRORS as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            detail = f"Flight Blender was not reached: {why}."
            raise ClearanceUnavailable("clearance_not_reached", detail) from error
        text = read.decode(errors="replace")
        if status >= 500 or 300 <= status < 400 or status in RETRYABLE_STATUSES:
            detail = f"Flight Blender answered {status}: {text[:200]}"
            raise ClearanceUnavailable("clearance_failed", detail)
        return status, text

    def _left_s(self) -> float:
        return max(0.01, self._ends_at - time.monotonic())


def name_of(mission_id: UUID) -> str:
    """`originating_party`: the name of a declaration, for people and to find it again."""
    return f"Wingxtra {mission_id}"


def declaration(flight: PlannedFlight) -> dict[str, Any]:
    """The body of set_flight_declaration."""
    return {
        "originating_party": name_of(flight.mission_id),
        "aircraft_id": flight.drone_id,
        "type_of_operation": BVLOS,
        "start_datetime": _iso(flight.starts_at),
        "end_datetime": _iso(flight.ends_at),
        "flight_declaration_geo_json": {
            "type": "FeatureCollection",
            "features": [_feature(leg, flight) for leg in flight.legs],
        },
        **_submitter(),
    }


def _feature(leg: Leg, flight: PlannedFlight) -> dict[str, Any]:
    lowest, highest = _heights(leg.upper_m)
    ring = [[round(lng, 7), round(lat, 7)] for lat, lng in leg.corridor()]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "properties": {
            "min_altitude": lowest,
            "max_altitude": highest,
            "start_time": _iso(flight.starts_at),
            "end_time": _iso(flight.ends_at),
        },
    }


def _heights(upper_m: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """From the ground to `upper_m` above it. The published API knows WGS84 only: with
    CLEARANCE_GROUND_M the volume reaches from the lowest ground to `upper_m` above the highest.
    """
    if not settings.CLEARANCE_GROUND_M:
        return {"meters": 0, "datum": "AGL"}, {"meters": upper_m, "datum": "AGL"}
    lowest_m, highest_m = settings.CLEARANCE_GROUND_M
    top_m = round(highest_m + upper_m, 1)
    return {"meters": lowest_m, "datum": "WGS84"}, {"meters": top_m, "datum": "WGS84"}


def _submitter() -> dict[str, str]:
    who = settings.CLEARANCE_SUBMITTED_BY
    return {"submitted_by": who} if who else {}


def _answer(found: Any) -> Answer:
    """Raises ClearanceUnavailable for what is no declaration."""
    found = _object(200, found)
    known_as, state = _id_of(found), found.get("state")
    if type(state) is not int or state not in STATES:
        raise _confused(f"it named the state {state!r}, which it does not have")
    raw = found.get("is_approved")
    is_approved = APPROVED.get(str(raw).lower())
    if is_approved is None:
        raise _confused(f"is_approved is {raw!r}")
    told = f"Flight Blender: the declaration {STATES[state]}."
    if state == PROCESSING:
        return Wait(known_as, "clearance_processing", told)
    if state not in OPEN:
        return Refused("clearance_refused", told)
    if not is_approved:
        why = "Flight Blender: the declaration is not approved yet."
        return Wait(known_as, "clearance_not_approved", why)
    return Granted(known_as, _time(found, "start_datetime"), _time(found, "end_datetime"))


def _object(status: int, body: Any) -> Found:
    if not 200 <= status < 300 or not isinstance(body, dict):
        raise _confused(f"it answered {status} with {_words(body)}")
    return body


def _id_of(found: Found) -> str:
    try:
        return str(UUID(str(found.get("id"))))
    except ValueError as error:
        raise _confused(f"the id of a declaration is {found.get('id')!r}") from error


def _time(found: Found, name: str) -> datetime | None:
    text = found.get(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise _confused(f"{name} is {text!r}") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _confused(what: str) -> ClearanceUnavailable:
    return ClearanceUnavailable(
        "clearance_confused", f"Flight Blender is not understood: {what[:300]}."
    )


def _words(body: Any) -> str:
    if isinstance(body, dict):
        for name in ("message", "detail", "error"):
            if body.get(name):
                errors = body.get("errors")
                return f"{body[name]} {json.dumps(errors) if errors else ''}".strip()[:300]
    return json.dumps(body)[:300]


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@cache
def _breaker(url: str) -> pybreaker.CircuitBreaker:
    return pybreaker.CircuitBreaker(
        fail_max=FAILURES_TO_OPEN, reset_timeout=OPEN_FOR_S, throw_new_error_on_trip=False
    )
