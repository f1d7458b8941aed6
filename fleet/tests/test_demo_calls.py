"""The demo's users wait when the API is busy, and ask again when an answer is late."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fleet.demo import calls
from fleet.demo.calls import Calls, DemoFailed


class BusyApi(ThreadingHTTPServer):
    """Answers each call with the next of `answers`: (status, Retry-After, its seconds). The last is
    repeated. At the end of the test no answer is waited for.
    """

    daemon_threads = True

    def __init__(self, *answers: tuple[int, str, float]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.asked: list[tuple[float, str | None, str | None]] = []
        self.over = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: BusyApi

    def do_POST(self) -> None:
        key, once = self.headers.get("X-API-Key"), self.headers.get("Idempotency-Key")
        self.server.asked.append((time.monotonic(), key, once))
        answers = self.server.answers
        status, retry_after, takes_s = answers.pop(0) if len(answers) > 1 else answers[0]
        if self.server.over.wait(takes_s):
            return
        body = b'{"code": "idempotency_in_progress"}' if status == 409 else b"{}"
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        """No access log."""


@contextmanager
def busy_api(
    *answers: tuple[int, str, float], timeout_s: float = 30
) -> Iterator[tuple[BusyApi, Calls]]:
    api = BusyApi(*answers)
    thread = threading.Thread(target=api.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield api, Calls(f"http://127.0.0.1:{api.server_port}", timeout_s=timeout_s)
    finally:
        api.over.set()
        api.shutdown()
        api.server_close()
        thread.join()


def test_a_429_is_waited_for_and_asked_again_as_the_same_request() -> None:
    with busy_api((429, "1", 0), (201, "", 0)) as (api, call):
        assert call("POST", "/orders", "wx_test_1").status_code == 201
    (first, key, once), (second, *again) = api.asked
    assert second - first >= 1
    assert [key, once] == again
    assert key == "wx_test_1"
    assert once


def test_a_slow_answer_is_asked_for_again_until_the_first_request_has_one() -> None:
    answers = ((201, "", 60), (409, "1", 0), (503, "", 0), (201, "", 0))
    with busy_api(*answers, timeout_s=1) as (api, call):
        assert call("POST", "/orders").status_code == 201
    assert len({once for *_, once in api.asked}) == 1
    assert len(api.asked) >= 4  # more if the machine stalls


def test_two_orders_are_two_requests() -> None:
    with busy_api((201, "", 0), (201, "", 0)) as (api, call):
        for _ in range(2):
            call("POST", "/orders")
    assert len({once for *_, once in api.asked}) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_refusal_is_an_answer(status: int) -> None:
    with busy_api((status, "", 0)) as (_, call):
        assert call("GET", "/orders").status_code == status


def test_it_gives_up_after_some_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "LONGEST_WAIT_S", 0.05)
    with busy_api((429, "3600", 0)) as (api, call):
        assert call("GET", "/orders").status_code == 429
        assert len(api.asked) == calls.TRIES
    with (
        busy_api((200, "", 60), timeout_s=0.3) as (_, call),
        pytest.raises(DemoFailed, match=r"GET /orders: no answer to 6 tries"),
    ):
        call("GET", "/orders")
