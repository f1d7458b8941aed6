"""Slow clients cost threads, which are cheap, and not places at work, which are few.

The server runs many threads. A thread first waits for the request's body, and only then takes one
of the few places in which requests are worked on. So a client that sends a byte every few seconds
stops no other client, until it has all threads of all processes (docs/deploy.md, "Slow clients").

While the database hangs, the requests at work hang too. Those that wait for a place are refused
after PLACE_WITHIN_S, so that every client has an answer in a bounded time.
"""

import threading
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from wingxtra.api.errors import RETRY_AFTER_S, Answer

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
# Larger bodies are read while they are worked on: memory is not cheap. They have places of their
# own, so that slow uploads stop only uploads.
WAITED_FOR_BYTES = 1_000_000
ALIVE = "/health"
PLACE_WITHIN_S = 10.0


class SlowClients:
    """WSGI middleware. `at_once`: how many requests of this process are worked on, besides one
    with a larger body.
    """

    def __init__(self, application: Application, at_once: int) -> None:
        self.application = application
        self.places = threading.BoundedSemaphore(at_once)
        self.place_for_a_large_body = threading.BoundedSemaphore(1)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == ALIVE:
            return self.application(environ, start_response)
        places = self.places if _wait_for_body(environ) else self.place_for_a_large_body
        if not places.acquire(timeout=PLACE_WITHIN_S):
            return _refused(start_response)
        try:
            return self.application(environ, start_response)
        finally:
            places.release()


def _refused(start_response: Callable[..., Any]) -> Iterable[bytes]:
    detail = f"All places were taken for {PLACE_WITHIN_S:g} s. Try again in a few seconds."
    answer = Answer(503, detail, "overloaded", headers={"Retry-After": str(RETRY_AFTER_S)})
    response = answer.response()
    start_response("503 Service Unavailable", list(response.items()))
    return [response.content]


def _wait_for_body(environ: dict[str, Any]) -> bool:
    """Read the body into memory. False for a larger one, which the application has to read."""
    length = environ.get("CONTENT_LENGTH") or ""
    is_chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
    if is_chunked:
        # One byte more than fits shows that there is more.
        body = environ["wsgi.input"].read(WAITED_FOR_BYTES + 1)
        is_whole = len(body) <= WAITED_FOR_BYTES
        environ["wsgi.input"] = BytesIO(body) if is_whole else _Rest(body, environ["wsgi.input"])
        return is_whole
    bytes_declared = int(length) if length.isdecimal() and length.isascii() else 0
    if bytes_declared > WAITED_FOR_BYTES:
        return False
    if bytes_declared:
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(bytes_declared))
    return True


class _Rest:
    """A body of which the beginning is read already."""

    def __init__(self, beginning: bytes, rest: Any) -> None:
        self.beginning, self.rest = BytesIO(beginning), rest

    def read(self, size: int = -1) -> bytes:
        read = self.beginning.read(size)
        if size < 0:
            return read + bytes(self.rest.read())
        return read + bytes(self.rest.read(size - len(read))) if len(read) < size else read
