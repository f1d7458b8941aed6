"""HTTP calls to a simulator, and a fake delivery API for its reports."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from fleet.simulator.run import Simulator
from fleet.tests.simulated import INTENT_ID, mission_intent


def latest(sim: Simulator, **options: Any) -> requests.Response:
    return requests.get(f"{sim.url}/api/v1/telemetry/latest", timeout=5, **options)


def post_intent(
    sim: Simulator, intent: dict[str, Any] | None = None, timeout: float = 5
) -> requests.Response:
    intent = intent or mission_intent()
    return requests.post(
        f"{sim.url}/api/v1/mission-intents",
        json=intent,
        headers={"Idempotency-Key": intent["intent_id"]},
        timeout=timeout,
    )


def cancel(sim: Simulator, mode: str, intent_id: str = INTENT_ID) -> requests.Response:
    url = f"{sim.url}/api/v1/mission-intents/{intent_id}/cancel"
    return requests.post(url, json={"mode": mode}, timeout=5)


def until(holds: Callable[[], Any], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"the condition is still false after {within_s:g} s"
        time.sleep(0.02)


class DeliveryApi(ThreadingHTTPServer):
    """Records its calls. Answers with the statuses in `answers` first, then with 200.

    Answers with 429 ask to wait for a second.
    """

    daemon_threads = True

    def __init__(self, *answers: int) -> None:
        super().__init__(("127.0.0.1", 0), DeliveryApiHandler)
        self.answers = list(answers)
        self.calls: list[tuple[str, str | None, dict[str, Any], int]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def accepted(self) -> list[str]:
        return [body["event_type"] for _, _, body, status in self.calls if status == 200]


class DeliveryApiHandler(BaseHTTPRequestHandler):
    server: DeliveryApi

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.server.calls.append((self.path, self.headers.get("X-API-Key"), body, status))
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """No access log."""


@contextlib.contextmanager
def delivery_api(*answers: int) -> Iterator[DeliveryApi]:
    api = DeliveryApi(*answers)
    thread = threading.Thread(target=api.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield api
    finally:
        api.shutdown()
        api.server_close()
        thread.join()
