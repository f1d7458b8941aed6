"""Invalid answers of the Fleet API and the weather service."""

from http.server import BaseHTTPRequestHandler

from fleet.simulator.faults.board import Fault

REDIRECT_TARGET = "/elsewhere"
OVERSIZED_BYTES = 80 * 2**20
BLOCK = b" " * 2**20
DRIBBLE_PAUSE_S = 0.2


def send(handler: BaseHTTPRequestHandler, fault: Fault, body: bytes) -> None:
    """Sends `body` with the error that `fault.how` names, and closes the connection."""
    handler.close_connection = True
    match fault.how:
        case "non_json":
            _whole(handler, 200, b"<html><body>Welcome to nginx!</body></html>", "text/html")
        case "error_500":
            _whole(handler, 500, b'{"error": "database is locked"}')
        case "redirect":
            _head(handler, 302, {"Location": REDIRECT_TARGET, "Content-Length": "0"})
        case "truncated":
            _head(handler, 200, {"Content-Length": str(len(body))})
            handler.wfile.write(body[: len(body) // 2])
        case "oversized":
            _oversized(handler)
        case "slow":
            _dribble(handler, body, fault.seconds or 0.0)


def send_as_is(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Sends a 200 with these bytes and closes the connection."""
    handler.close_connection = True
    _whole(handler, 200, body)


def _head(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in {
        "Content-Type": "application/json",
        "Connection": "close",
        **headers,
    }.items():
        handler.send_header(name, value)
    handler.end_headers()


def _whole(
    handler: BaseHTTPRequestHandler, status: int, body: bytes, kind: str = "application/json"
) -> None:
    _head(handler, status, {"Content-Type": kind, "Content-Length": str(len(body))})
    handler.wfile.write(body)


def _oversized(handler: BaseHTTPRequestHandler) -> None:
    """Valid JSON that is too large, without Content-Length."""
    _head(handler, 200, {"Transfer-Encoding": "chunked"})
    _chunk(handler, b'{"drones": [')
    for _ in range(OVERSIZED_BYTES // len(BLOCK)):
        _chunk(handler, BLOCK)
    _chunk(handler, b"]}")
    _chunk(handler, b"")


def _chunk(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


def _dribble(handler: BaseHTTPRequestHandler, body: bytes, seconds: float) -> None:
    """The valid answer in small parts over `seconds`, so that no single read times out."""
    _head(handler, 200, {"Content-Length": str(len(body))})
    pieces = max(1, round(seconds / DRIBBLE_PAUSE_S))
    size = max(1, -(-len(body) // pieces))
    for start in range(0, len(body), size):
        handler.wfile.write(body[start : start + size])
        if handler.server.stopping.wait(DRIBBLE_PAUSE_S):  # type: ignore[attr-defined]
            return
