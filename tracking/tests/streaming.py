"""The server of streams, in a thread or as its own process, and pages that listen to it."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.db import connection

from fleet.demo.processes import free_port
from orders.models import Order
from tracking.stream.server import Server

STARTS_WITHIN_S = 60.0
# How long a test waits for what must come, on a machine that stalls for seconds. Less than the time
# after which a silent drone is told (link_lost_after_s): its event would be taken for the awaited.
EVENTS_WITHIN_S = 12.0


@contextmanager
def streaming() -> Iterator[str]:
    """The URL of a server in a thread of this process, so that tests can slow down its reads."""
    ports: list[int] = []
    ready = threading.Event()
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stops.append((asyncio.get_running_loop(), asyncio.Event()))

        def listens(port: int) -> None:
            ports.append(port)
            ready.set()

        await Server().run("127.0.0.1", 0, stops[0][1], listens)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(STARTS_WITHIN_S)
    try:
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        loop, stop = stops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def stream_process(**environment: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """`manage.py streams` on the test's database."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "manage.py", "streams", "--port", str(urlsplit(url).port)]
    database = urlsplit(settings.DATABASE_URL)._replace(path="/" + connection.settings_dict["NAME"])
    environment = os.environ | {"DATABASE_URL": database.geturl()} | environment
    with subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment) as process:
        try:
            _wait_for(url, process)
            yield url, process
        finally:
            process.terminate()
            process.wait(STARTS_WITHIN_S)


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while True:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        assert time.monotonic() < deadline, "the server does not answer"
        try:
            return requests.get(f"{url}/health", timeout=1).raise_for_status()
        except requests.RequestException:
            time.sleep(0.05)


class Page:
    """An open page with its stream. `status` and `headers` are those of the answer."""

    def __init__(
        self, url: str, order: Order | str, query: str = "", receive_bytes: int = 0, **headers: str
    ) -> None:
        tracking_id = order if isinstance(order, str) else order.public_tracking_id
        self._socket = socket.socket()
        if receive_bytes:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        address = urlsplit(url)
        self._socket.connect((address.hostname, address.port))
        lines = [f"GET /track/{tracking_id}/stream{query} HTTP/1.1", f"Host: {address.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._buffer = b""
        self.has_ended = False
        head = self._until(b"\r\n\r\n", EVENTS_WITHIN_S).decode()
        self.status = int(head.split()[1])
        pairs = (line.split(": ", 1) for line in head.splitlines()[1:] if line)
        self.headers = {name.lower(): value for name, value in pairs}
        self.all = head

    def event(self, within_s: float = EVENTS_WITHIN_S) -> dict[str, Any]:
        """The next one."""
        deadline = time.monotonic() + within_s
        while True:
            text = self._until(b"\n\n", deadline - time.monotonic()).decode()
            if text.startswith("data: "):
                self.all += text
                told: dict[str, Any] = json.loads(text.removeprefix("data: "))
                return told

    def chunk(self, within_s: float = EVENTS_WITHIN_S) -> str:
        """As `line`, of an event, with what a proxy puts around it."""
        while "data: " not in (text := self.line(within_s)):
            pass
        return text

    def line(self, within_s: float = EVENTS_WITHIN_S) -> str:
        """The next event, comment or instruction as it is sent."""
        return self._until(b"\n\n", within_s).decode().strip()

    def hears_nothing(self, for_s: float) -> bool:
        try:
            self.event(for_s)
        except TimeoutError:
            return True
        return False

    def is_ended(self, within_s: float = EVENTS_WITHIN_S) -> bool:
        try:
            while True:
                self._until(b"\n\n", within_s)
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def _until(self, end: bytes, within_s: float) -> bytes:
        """Raises TimeoutError, and ConnectionError after the end."""
        deadline = time.monotonic() + within_s
        while end not in self._buffer:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            chunk = self._socket.recv(65_536)
            if not chunk:
                raise ConnectionError("The stream has ended.")
            self._buffer += chunk
        found, _, self._buffer = self._buffer.partition(end)
        return found + end
