"""The world's HTTP API: Fleet API, weather and airspace services, GCS bridge, faults, truth."""

import json
import re
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fleet.simulator import bridge, staff, utm, weather
from fleet.simulator.bridge import Answer, ConnectionDropped
from fleet.simulator.faults import answers, board
from fleet.simulator.missions import Refused
from fleet.simulator.telemetry import latest
from fleet.simulator.world import World

MAX_BODY_BYTES = 1_000_000


class SimulatorServer(ThreadingHTTPServer):
    """Serves one world. Hold `lock` to access the world while the server runs.

    save: called with the lock held after each change, before the answer.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        address: tuple[str, int],
        world: World,
        lock: threading.RLock,
        save: Callable[[], None],
        fleet_key: str | None,
        bridge_key: str | None,
    ) -> None:
        self.world = world
        self.lock = lock
        self.save = save
        self.fleet_key = fleet_key
        self.bridge_key = bridge_key
        self.utm = utm.Utm()
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
        """Stops at once and closes open connections, like a service that has failed."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client has closed it


class Handler(BaseHTTPRequestHandler):
    server: SimulatorServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def log_message(self, format: str, *args: Any) -> None:
        """No access log: polling makes two requests per second."""

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
        except (ConnectionDropped, BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _route(self, method: str, path: str) -> Answer | None:
        if path == utm.TOKEN_PATH:
            return self.server.utm.token(self._body)
        if path.startswith(f"{utm.PREFIX}/"):
            return self._clearance(method, path)
        cancel = re.fullmatch(r"/api/v1/mission-intents/([^/]+)/cancel", path)
        if cancel:
            path = "/cancel"
        match method, path:
            case "GET", "/api/v1/telemetry/latest":
                return self._telemetry()
            case "GET", "/weather":
                return self._weather()
            case "GET", answers.REDIRECT_TARGET:
                return 200, latest([], datetime.now(UTC), broken=set())
            case "GET", "/api/v1/mission-intents":
                with self.server.lock:
                    return 200, {
                        "items": [m.summary() for m in self.server.world.missions.values()]
                    }
            case "POST", "/api/v1/mission-intents":
                key = self.headers.get("Idempotency-Key")
                return self._bridge(
                    lambda world, body: bridge.accept(world, body, key), bridge.INTENT_FAULTS
                )
            case "POST", "/cancel" if cancel:
                return self._bridge(
                    lambda world, body: bridge.cancel(world, cancel[1], body), bridge.CANCEL_FAULTS
                )
            case "GET", "/truth":
                return self._truth("")
            case "POST", "/truth/load" | "/truth/unload" | "/truth/collect" | "/truth/bring-home":
                return self._truth(path.removeprefix("/truth/"))
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
            readings = world.samples()
            server.save()
            broken = {
                reading.drone_id
                for reading in readings
                if world.faults.strike("one_bad_drone", world.elapsed_s, reading.drone_id)
            }
        answer = latest(readings, datetime.now(UTC), broken)
        if bad is None:
            return 200, answer
        answers.send(self, bad, json.dumps(answer).encode())
        return None

    # -- weather service -----------------------------------------------------------------------

    def _weather(self) -> Answer | None:
        server, world = self.server, self.server.world
        with server.lock:
            bad = world.faults.strike("weather_garbage", world.elapsed_s)
            lie = world.faults.strike("weather_lie", world.elapsed_s)
            answer = weather.answer(world, lie, datetime.now(UTC))
            server.save()
        if bad is None:
            return 200, answer
        answers.send(self, bad, json.dumps(answer).encode())
        return None

    # -- GCS bridge ----------------------------------------------------------------------------

    def _bridge(self, handle: Callable[[World, Any], Answer], kinds: tuple[str, ...]) -> Answer:
        """The bridge's answer to the body, under a fault of these kinds if there is one."""
        server = self.server
        if not self._has_key(server.bridge_key):
            return 401, {"code": "unauthorized", "detail": "X-API-Key is missing or wrong."}
        body = self._json()

        def effect() -> Answer:
            with server.lock:
                answer = handle(server.world, body)
                server.save()
                return answer

        with server.lock:
            struck = (server.world.faults.strike(kind, server.world.elapsed_s) for kind in kinds)
            fault = next(filter(None, struck), None)
            server.save()
        if fault is None:
            return effect()
        return bridge.under_fault(fault, body, effect, server.stopping.wait)

    # -- airspace service ----------------------------------------------------------------------

    def _clearance(self, method: str, path: str) -> Answer | None:
        server, world = self.server, self.server.world
        if not server.utm.is_authorized(self.headers.get("Authorization")):
            return 401, {"detail": "Invalid token provided"}
        body = self._json() if self._body else None
        query = self.path.partition("?")[2]
        kinds = utm.FAULTS + (utm.CHANGE_FAULTS if method == "PUT" else ())
        with server.lock:
            struck = (world.faults.strike(kind, world.elapsed_s) for kind in kinds)
            fault = next(filter(None, struck), None)
            server.save()

        def effect() -> Answer:
            with server.lock:
                return server.utm.answer(method, path, query, body, fault)

        answer = utm.under_fault(fault, effect, server.stopping.wait) if fault else effect()
        if isinstance(answer, bytes):
            answers.send_as_is(self, answer)
            return None
        return answer

    # -- the truth, for tests ------------------------------------------------------------------

    def _truth(self, action: str) -> Answer:
        """Carries out a staff action, if any, and returns the whole truth."""
        server = self.server
        with server.lock:
            if action:
                self._staff(action)
                server.save()
            return 200, staff.truth(server.world)

    def _staff(self, action: str) -> None:
        body, world = self._json(), self.server.world
        try:
            match action:
                case "load":
                    staff.load(world, body["order_id"], body["drone_id"])
                case "unload":
                    place = _place(body) if "lat" in body else None
                    staff.unload(world, body["drone_id"], place)
                case "collect":
                    staff.collect(world, body["order_id"], _place(body))
                case "bring-home":
                    staff.bring_home(world, body["drone_id"])
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(
                "malformed_body", f"The body is not valid for {action}: {error}"
            ) from error

    # -- faults --------------------------------------------------------------------------------

    def _faults(self, method: str) -> Answer:
        world = self.server.world
        if method == "POST":
            values = self._json()
            try:
                fault = board.from_dict(values if isinstance(values, dict) else {})
            except (ValueError, TypeError) as error:
                raise Refused("malformed_fault", str(error)) from error
            if fault.drone_id and fault.drone_id not in world.aircraft:
                raise Refused("unknown_drone", f"There is no drone {fault.drone_id} here.")
        with self.server.lock:
            if method == "POST":
                world.faults.add(fault, world.elapsed_s)
            elif method == "DELETE":
                world.faults.clear()
            self.server.save()
            return 200, {"items": world.faults.listed(world.elapsed_s)}

    # -- plumbing ------------------------------------------------------------------------------

    def _has_key(self, key: str | None) -> bool:
        return key is None or self.headers.get("X-API-Key") == key

    def _read_body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True  # the unread body would be parsed as the next request
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


def _place(body: dict[str, Any]) -> tuple[float, float]:
    return float(body["lat"]), float(body["lng"])


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")
