"""Slow clients and forged headers, against the web process of `Dockerfile` and the proxy of
`compose.yaml`.
"""

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
import pytest
import requests

from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.tests.image import composed
from wingxtra.tests.serving import production_command, served

pytestmark = pytest.mark.django_db(transaction=True)
SLOW = 200
TRICKLE_S = 0.5


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def proxied(url: str) -> Iterator[str]:
    """The address of Caddy with the configuration of `compose.yaml`, without TLS."""
    caddy = shutil.which("caddy")
    assert caddy, "These tests need Caddy: apt install caddy."
    address = f"http://127.0.0.1:{free_port()}"
    content = composed()["configs"]["caddyfile"]["content"].replace("$$", "$")
    content = content.replace("web:8000", urlsplit(url).netloc)
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
            stderr=subprocess.PIPE,
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
def slow_clients(url: str) -> Iterator[None]:
    """SLOW connections, each of which sends one byte of a body every TRICKLE_S."""
    host, port = str(urlsplit(url).hostname), urlsplit(url).port
    head = (
        f"POST /api/v1/auth/token HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    ).encode()
    with ExitStack() as stack, ThreadPoolExecutor(1) as thread:
        sockets = [stack.enter_context(socket.create_connection((host, port))) for _ in range(SLOW)]
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


def slowest_of_100_ms(url: str) -> float:
    """The 99th percentile of 100 calls one after the other, half of them with a body."""
    took = []
    with requests.Session() as session:
        for number in range(100):
            started = time.monotonic()
            if number % 2:
                assert session.get(f"{url}/health", timeout=10).status_code == 200
            else:
                answer = session.post(
                    f"{url}/api/v1/auth/token/verify", json={"token": "x"}, timeout=10
                )
                assert answer.status_code == 401
            took.append(1000 * (time.monotonic() - started))
    return sorted(took)[98]


@contextmanager
def web(*, behind_caddy: bool) -> Iterator[str]:
    with served(production_command(), TRUSTED_PROXY_COUNT="1" if behind_caddy else "0") as (url,):
        if not behind_caddy:
            yield url
            return
        with proxied(url) as address:
            yield address


@pytest.mark.edge
@pytest.mark.parametrize("behind_caddy", [True, False])
def test_slow_clients_stop_no_other(behind_caddy: bool) -> None:
    with web(behind_caddy=behind_caddy) as url:
        slowest_of_100_ms(url)  # the first calls of each process are slow
        before_ms = slowest_of_100_ms(url)
        with slow_clients(url):
            after_ms = slowest_of_100_ms(url)
    print(
        f"p99 of other clients: {before_ms:.0f} ms alone, {after_ms:.0f} ms beside {SLOW} slow ones"
    )
    assert after_ms <= before_ms + 50


@pytest.mark.edge
def test_no_client_chooses_its_address() -> None:
    user = UserFactory()
    with web(behind_caddy=True) as url:
        statuses = [
            requests.post(
                f"{url}/api/v1/auth/token",
                json={"username": user.username, "password": "wrong"},
                headers={
                    "X_Forwarded_For": f"9.9.9.{number}",
                    "X-Forwarded-For": f"8.8.8.{number}",
                },
                timeout=10,
            ).status_code
            for number in range(6)
        ]
    assert statuses == [401, 401, 401, 401, 429, 429]


@pytest.mark.edge
def test_a_killed_web_process_is_replaced_and_missed_by_no_client() -> None:
    """kill -9: the other processes answer, and a new one is there within seconds."""
    with web(behind_caddy=True) as url:
        (master,) = [
            one
            for one in psutil.Process().children(recursive=True)
            if "granian" in " ".join(one.cmdline()) and one.children()
        ]
        (victim, *others) = master.children()
        os.kill(victim.pid, signal.SIGKILL)
        failed = 0
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            failed += requests.get(f"{url}/health", timeout=5).status_code != 200
            now = {one.pid for one in master.children()}
            if len(now) == 1 + len(others) and victim.pid not in now:
                break
            time.sleep(0.02)
        else:
            pytest.fail("The killed process was not replaced within 10 s.")
        took_s = 10 - (deadline - time.monotonic())
        print(f"replaced after {took_s:.1f} s, {failed} calls failed")
        assert failed == 0
