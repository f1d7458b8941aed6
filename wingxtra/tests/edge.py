"""The proxy of `compose.yaml`, and clients that are slow on purpose."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import psutil
import requests

from fleet.demo.processes import free_port
from wingxtra.tests.image import composed

SLOW = 200
TRICKLE_S = 0.5


@contextmanager
def proxied(url: str, streams: str = "") -> Iterator[str]:
    """The address of Caddy with the configuration of `compose.yaml`, for this web process, and for
    this process of streams.

    It speaks no TLS, and tells the application that the client did.
    """
    caddy = shutil.which("caddy")
    assert caddy, "These tests need Caddy: apt install caddy."
    address = f"http://127.0.0.1:{free_port()}"
    content = composed()["configs"]["caddyfile"]["content"].replace("$$", "$")
    content = content.replace("web:8000", urlsplit(url).netloc)
    if streams:
        content = content.replace("streams:8001", urlsplit(streams).netloc)
    content = content.replace("X-Forwarded-Proto {scheme}", "X-Forwarded-Proto https")
    content = content.replace("{\n", "{\nadmin off\nauto_https off\n", 1)
    version = subprocess.run([caddy, "version"], capture_output=True, text=True).stdout
    if version.lstrip("v").startswith("2.6"):  # Debian 12; the image's Caddy is newer
        content = re.sub(r"request_buffers (\w+)", r"buffer_requests\nmax_buffer_size \1", content)
    with tempfile.NamedTemporaryFile("w", suffix=".caddyfile") as file:
        file.write(content)
        file.flush()
        with subprocess.Popen(
            [caddy, "run", "--adapter", "caddyfile", "--config", file.name],
            env=os.environ | {"PUBLIC_BASE_URL": address},
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                _wait_for(address, process)
                yield address
            finally:
                process.terminate()


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            return requests.get(f"{address}/health", timeout=1).raise_for_status()
        except requests.RequestException:
            assert process.poll() is None, "Caddy ended."
            assert time.monotonic() < deadline, "Caddy does not answer."
            time.sleep(0.1)


@contextmanager
def slow_clients(url: str, count: int = SLOW) -> Iterator[None]:
    """`count` connections, each of which sends one byte of a body every TRICKLE_S."""
    host, port = str(urlsplit(url).hostname), urlsplit(url).port
    head = (
        f"POST /api/v1/auth/token HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    ).encode()
    with ExitStack() as stack, ThreadPoolExecutor(1) as thread:
        sockets = [
            stack.enter_context(socket.create_connection((host, port))) for _ in range(count)
        ]
        for one in sockets:
            one.sendall(head)
        over = []

        def trickle() -> None:
            while not over:
                for one in sockets:
                    one.sendall(b" ")
                time.sleep(TRICKLE_S)

        trickling = thread.submit(trickle)
        time.sleep(1)
        try:
            yield
        finally:
            over.append(True)
            trickling.result()


def master_of(url: str) -> psutil.Process:
    """The process that starts the web processes of this address."""
    port = str(urlsplit(url).port)
    (master,) = [
        one
        for one in psutil.Process().children(recursive=True)
        if "granian" in " ".join(one.cmdline()) and port in one.cmdline() and one.children()
    ]
    return master


def web_processes(master: psutil.Process) -> list[psutil.Process]:
    """The children that answer requests, and not Python's own helper for shared memory."""
    return [one for one in master.children() if _serves(one)]


def _serves(process: psutil.Process) -> bool:
    """Whether it has started its threads."""
    try:
        return process.num_threads() > 4
    except psutil.NoSuchProcess:
        return False


def killed_and_replaced(master: psutil.Process, url: str, within_s: float) -> tuple[float, int]:
    """Kill one web process and call /health until there are as many as before. Returns the seconds
    that it took, `within_s` or more if it was not replaced, and how many calls failed.
    """
    before = {one.pid for one in web_processes(master)}
    victim = min(before)
    started = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    failed, took_s = 0, 0.0
    while took_s < within_s:
        failed += not _is_answered(url)
        now = {one.pid for one in web_processes(master)}
        took_s = time.monotonic() - started
        if len(now) == len(before) and victim not in now:
            break
        time.sleep(0.02)
    return took_s, failed


def _is_answered(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.RequestException:
        return False
