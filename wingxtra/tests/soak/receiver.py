"""A merchant's server that takes each webhook."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from wingxtra.tests.drill.machine import DrillFailed, Machine


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Do not log."""


@contextmanager
def webhooks_of_each_merchant(machine: Machine) -> Iterator[None]:
    """Each merchant has an endpoint for all events, at a server that runs inside the block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        try:
            for key in machine.credentials.shop_keys.values():
                _register(machine, key, f"http://127.0.0.1:{server.server_port}/hooks")
            yield
        finally:
            server.shutdown()


def _register(machine: Machine, key: str, url: str) -> None:
    answer = requests.post(
        f"{machine.url}/api/v1/webhooks", json={"url": url}, headers={"X-API-Key": key}, timeout=10
    )
    if answer.status_code != 201:
        raise DrillFailed(f"A webhook was refused: {answer.status_code} {answer.text[:300]}")
