"""The HTTP face of the world: Fleet API, GCS bridge, and the switchboard for faults."""

import json
import re
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fleet.simulator import faults, garbage
from fleet.simulator.missions import Refused, check_intent
from fleet.simulator.telemetry import latest
from fleet.simulator.world import World

MAX_BODY_BYTES = 1_000_000
BRIDGE_FAULTS = ("bridge_down", "bridge_hang", "bridge_500", "bridge_reject")

Answer = tuple[int, dict[str, Any]]


class HungUp(Exception):
    """A fault asks for the connection to be closed without an answer."""


class SimulatorServer(ThreadingHTTPServer):
    """Serves one world. Hold `lock` to touch the world while the server runs."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        address: tuple[str, int],
        world: World,
        lock: threading.RLock,
        fleet_key: str | None,
        bridge_key: str | None,
    ) -> None:
        self.world = world
        self.lock = lock
        self.fleet_key = fleet_key
        self.bridge_key = bridge_key
        self.stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def stop(self) -> None:
        """Stop at once. Open connections are cut: a service that is away answers on none."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the other side was quicker


class Handler(BaseHTTPRequestHandler):
    server: SimulatorServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def log_message(self, format: str, *args: Any) -> None:
        """Two requests a second of polling are no news."""

    # -- one request ---------------------------------------------------------------------------

    def _serve(self, method: str) -> None:
        try:
            try:
                self._body = self._read_body()
                answer = self._route(method, self.path.partition("?")[0])
            except Refused as refusal:
                answer = 422, {"code": refusal.code, "detail": refusal.detail}
            if answer is not None:
                self._answer(*answer)
        except (HungUp, BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _route(self, method: str, path: str) -> Answer | None:
        cancel = re.fullmatch(r"/api/v1/mission-intents/([^/]+)/cancel", path)
        if cancel:
            path = "/cancel"
        match method, path:
            case "GET", "/api/v1/telemetry/latest":
                return self._telemetry()
            case "GET", garbage.ELSEWHERE:
                return 200, latest([], datetime.now(UTC), broken=set())
            case "GET", "/api/v1/mission-intents":
                with self.server.lock:
                    return 200, {
                        "items": [m.summary() for m in self.server.world.missions.values()]
                    }
            case "POST", "/api/v1/mission-intents":
                return self._bridge(self._accept)
            case "POST", "/cancel" if cancel:
                return self._bridge(lambda: self._cancel(cancel[1]))
            case _, "/faults":
                return self._faults(method)
            case "GET", "/health":
                return 200, {"status": "ok", "drones": len(self.server.world.aircraft)}
            case _:
                return 404, {"code": "not_found", "detail": f"There is no {method} {path} here."}

    # -- Fleet API -----------------------------------------------------------------------------

    def _telemetry(self) -> Answer | None:
        server = self.server
        if not self._has_key(server.fleet_key):
            return 401, {"code": "unauthorized", "detail": "X-API-Key is missing or wrong."}
        world = server.world
        with server.lock:
            bad = world.faults.strike("garbage", world.elapsed_s)
            readings = list(world.readings.values())
            broken = {
                reading.drone_id
                for reading in readings
                if world.faults.strike("one_bad_drone", world.elapsed_s, reading.drone_id)
            }
        answer = latest(readings, datetime.now(UTC), broken)
        if bad is None:
            return 200, answer
        garbage.send(self, bad, json.dumps(answer).encode())
        return None

    # -- GCS bridge ----------------------------------------------------------------------------

    def _bridge(self, effect: Callable[[], Answer]) -> Answer:
        """The answer of the effect, or what a fault makes of it."""
        if not self._has_key(self.server.bridge_key):
            return 401, {"code": "unauthorized", "detail": "X-API-Key is missing or wrong."}
        world = self.server.world
        with self.server.lock:
            struck = (world.faults.strike(kind, world.elapsed_s) for kind in BRIDGE_FAULTS)
            fault = next(filter(None, struck), None)
        if fault is None:
            return effect()
        answer = effect() if fault.strikes_after else None
        match fault.kind:
            case "bridge_down":
                raise HungUp
            case "bridge_500":
                return 500, {"code": "internal_error", "detail": "The bridge has a fault."}
            case "bridge_reject":
                raise Refused("rejected", "The operator's safety rules do not allow this mission.")
            case _:
                if self.server.stopping.wait(fault.seconds):
                    raise HungUp
                return answer or effect()

    def _accept(self) -> Answer:
        intent = check_intent(self._json())
        key, intent_id = self.headers.get("Idempotency-Key"), intent["intent_id"]
        if key != intent_id:
            raise Refused(
                "idempotency_key_mismatch",
                f"Idempotency-Key is {key!r}; it must be the intent_id, {intent_id}.",
            )
        with self.server.lock:
            is_new = self.server.world.accept(intent)
            status = self.server.world.missions[intent_id].status
        if is_new:
            return 201, {"intent_id": intent_id, "status": status}
        return 409, {
            "code": "already_accepted",
            "detail": f"Mission {intent_id} is here already ({status}).",
            "intent_id": intent_id,
            "status": status,
        }

    def _cancel(self, intent_id: str) -> Answer:
        body = self._json()
        mode = body.get("mode") if isinstance(body, dict) else None
        if mode not in {"withdraw", "abort"}:
            raise Refused("malformed_cancel", f'mode is {mode!r}; it is "withdraw" or "abort".')
        try:
            with self.server.lock:
                outcome = self.server.world.cancel(intent_id, mode)
        except KeyError:
            return 404, {
                "code": "unknown_intent",
                "detail": f"No mission {intent_id} was accepted.",
            }
        status = {"withdrawn": 200, "abort_requested": 202}.get(outcome, 409)
        return status, {"intent_id": intent_id, "status": outcome}

    # -- faults --------------------------------------------------------------------------------

    def _faults(self, method: str) -> Answer:
        world = self.server.world
        if method == "POST":
            values = self._json()
            try:
                fault = faults.from_dict(values if isinstance(values, dict) else {})
            except (ValueError, TypeError) as error:
                raise Refused("malformed_fault", str(error)) from error
            if fault.drone_id and fault.drone_id not in world.aircraft:
                raise Refused("unknown_drone", f"There is no drone {fault.drone_id} here.")
        with self.server.lock:
            if method == "POST":
                world.faults.add(fault, world.elapsed_s)
            elif method == "DELETE":
                world.faults.clear()
            return 200, {"items": world.faults.listed(world.elapsed_s)}

    # -- plumbing ------------------------------------------------------------------------------

    def _has_key(self, key: str | None) -> bool:
        return key is None or self.headers.get("X-API-Key") == key

    def _read_body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True  # the unread body would be taken for the next request
            raise Refused(
                "bad_length", f"Content-Length is {length}; at most {MAX_BODY_BYTES} bytes."
            )
        return self.rfile.read(int(length))

    def _json(self) -> Any:
        try:
            return json.loads(self._body, parse_constant=_no_constant)
        except ValueError as error:
            raise Refused("malformed_json", f"The body is not JSON: {error}") from error

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        encoded = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")
