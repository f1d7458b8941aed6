"""An airspace service: OpenUTM Flight Blender's flight declarations, as far as we use them.

It follows the published API (api/flight-blender-server-1.0.0-resolved.yaml) and what its source
checks: the required members, valid features with two heights, no time in the past or later than in
two days, no new state of a declaration that is over. It keeps declarations in memory only.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from fleet.simulator.bridge import Answer, ConnectionDropped
from fleet.simulator.faults.board import Fault

PREFIX = "/flight_declaration_ops"
TOKEN_PATH = "/oauth/token"  # noqa: S105 (a path)
FAULTS = (
    *("clearance_down", "clearance_500", "clearance_hang", "clearance_garbage"),
    *("clearance_refuse", "clearance_slow", "clearance_reject", "clearance_wgs84"),
)
CHANGE_FAULTS = ("clearance_change_500",)  # of a PUT only
PROCESSING, ACCEPTED, REJECTED = 0, 1, 8
STATES = range(9)
OVER = (5, 6, 7, REJECTED)  # ended, withdrawn, canceled
LONGEST = timedelta(days=2)
REQUIRED = (
    *("originating_party", "start_datetime", "end_datetime"),
    *("flight_declaration_geo_json", "type_of_operation", "aircraft_id"),
)


class Utm:
    def __init__(self) -> None:
        self.declarations: dict[str, dict[str, Any]] = {}
        self._tokens: set[str] = set()

    # -- the token -----------------------------------------------------------------------------

    def token(self, body: bytes) -> Answer:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        is_known = form.get("client_id") and form.get("client_secret")
        if form.get("grant_type") != "client_credentials" or not is_known:
            return 401, {"error": "invalid_client"}
        token = f"sim-{uuid4()}"
        self._tokens.add(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600}

    def forget_tokens(self) -> None:
        self._tokens.clear()

    def is_authorized(self, header: str | None) -> bool:
        return (header or "").removeprefix("Bearer ") in self._tokens

    # -- declarations --------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: str, body: Any, fault: Fault | None) -> Answer:
        """The answer to an authorized request. `fault`: for a new declaration."""
        path = path.removeprefix(PREFIX)
        match method, path:
            case "POST", "/set_flight_declaration":
                return self._declare(body, fault)
            case "GET", "/flight_declaration":
                return self._list(query)
        named = re.fullmatch(r"/(flight_declaration(?:_state|_review)?)/([^/]+)", path)
        if named is None:
            return 404, {"detail": "Not Found"}
        found = self.declarations.get(named[2])
        if found is None:
            return 404, {"detail": "Not found"}
        match method, named[1]:
            case "GET", "flight_declaration":
                return 200, found
            case "PUT", "flight_declaration_state":
                if found["state"] in OVER:
                    return 400, {"state": ["The declaration is ended, withdrawn or rejected."]}
                return self._change(found, body, "state", lambda value: value in STATES)
            case "PUT", "flight_declaration_review":
                is_flag = lambda value: isinstance(value, bool)  # noqa: E731
                return self._change(found, body, "is_approved", is_flag)
        return 405, {"detail": "Method Not Allowed"}

    def _declare(self, body: Any, fault: Fault | None) -> Answer:
        kind = fault.kind if fault else ""
        problem = _problem(body, datetime.now(UTC), only_wgs84=kind == "clearance_wgs84")
        if problem:
            return 400, {"message": problem}
        state = {"clearance_slow": PROCESSING, "clearance_reject": REJECTED}.get(kind, ACCEPTED)
        known_as = str(uuid4())
        self.declarations[known_as] = {
            "id": known_as,
            "originating_party": body["originating_party"],
            "type_of_operation": body["type_of_operation"],
            "aircraft_id": body["aircraft_id"],
            "state": state,
            "is_approved": state == ACCEPTED,
            "start_datetime": body["start_datetime"],
            "end_datetime": body["end_datetime"],
            "flight_declaration_raw_geojson": body["flight_declaration_geo_json"],
            "submitted_by": body.get("submitted_by"),
        }
        return 200, {
            "id": known_as,
            "message": "Submitted Flight Declaration",
            "is_approved": state == ACCEPTED,
            "state": state,
        }

    def _list(self, query: str) -> Answer:
        asked = parse_qs(query)
        page, size = (int(asked.get(n, [d])[0]) for n, d in (("page", "1"), ("page_size", "10")))
        every = list(self.declarations.values())
        shown = every[(page - 1) * size : page * size]
        return 200, {"count": len(every), "next": None, "previous": None, "results": shown}

    def _change(
        self, found: dict[str, Any], body: Any, name: str, is_valid: Callable[[Any], bool]
    ) -> Answer:
        value = body.get(name) if isinstance(body, dict) else None
        if not is_valid(value):
            return 422, {"detail": f"{name} is {value!r}"}
        found[name] = value
        return 200, {name: value, "submitted_by": body.get("submitted_by")}


def under_fault(fault: Fault, effect: Callable[[], Answer], wait: Callable[[float], bool]) -> Any:
    """The answer under a fault; bytes are sent as they are. Raises ConnectionDropped."""
    answer = effect() if fault.after else None
    match fault.kind:
        case "clearance_down":
            raise ConnectionDropped
        case "clearance_500" | "clearance_change_500":
            return 500, {"detail": "Internal Server Error"}
        case "clearance_garbage":
            if fault.value is None:
                return b"<html><body>Welcome to nginx!</body></html>"
            return json.dumps(fault.value).encode()
        case "clearance_refuse":
            return 400, {"message": "Validation error", "errors": {"aircraft_id": ["Unknown."]}}
        case "clearance_hang":
            if wait(fault.seconds or 0.0):
                raise ConnectionDropped
    return answer or effect()


def _problem(body: Any, now: datetime, *, only_wgs84: bool) -> str:
    """What the service would say against a declaration; empty if nothing. The published schema
    allows WGS84 only, and the source does not check it.
    """
    missing = [name for name in REQUIRED if not isinstance(body, dict) or name not in body]
    if missing:
        return f"Validation error: {', '.join(missing)} missing"
    features = body["flight_declaration_geo_json"].get("features")
    if not features:
        return "Flight declaration GeoJSON is required."
    for feature in features:
        heights = feature.get("properties", {})
        if not {"min_altitude", "max_altitude"} <= heights.keys():
            return "Every feature must have a min_altitude and max_altitude data structure."
        data = [heights[name]["datum"] for name in ("min_altitude", "max_altitude")]
        if only_wgs84 and data != ["WGS84", "WGS84"]:
            return f"Validation error: datum {data[0]} is not one of WGS84."
        (ring,) = feature["geometry"]["coordinates"]
        if ring[0] != ring[-1] or len(ring) < 4:
            return "Every feature must have a valid geometry."
    times = [datetime.fromisoformat(body[n]) for n in ("start_datetime", "end_datetime")]
    if min(times) < now or max(times) > now + LONGEST:
        return "A flight declaration cannot start or end in the past or after two days."
    return ""
