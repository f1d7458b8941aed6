"""The API as it is served in production, on the test's database, to be called from outside."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.db import connection

STARTS_WITHIN_S = 60
REFUSED = "[django.request]"  # a line for each answer of 4xx; tests get many on purpose


@contextmanager
def served(*, processes: int = 1, threads: int = 4, **environment: str) -> Iterator[list[str]]:
    """Base URLs of so many server processes; the caller's transactions must be committed."""
    with ExitStack() as stack:
        servers = [stack.enter_context(_server(threads, environment)) for _ in range(processes)]
        for url, process in servers:
            _wait_for(url, process)
        yield [url for url, _ in servers]


@contextmanager
def _server(
    threads: int, environment: dict[str, str]
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("granian")), "--interface", "wsgi"]
    command += ["--port", str(port), "--workers", "1", "--blocking-threads", str(threads)]
    command += ["--no-ws", "--no-log", "wingxtra.wsgi:application"]
    database = urlsplit(settings.DATABASE_URL)._replace(path="/" + connection.settings_dict["NAME"])
    environment = os.environ | {"DATABASE_URL": database.geturl()} | environment
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment, stderr=log) as process,
    ):
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()
            process.wait(STARTS_WITHIN_S)
            log.seek(0)
            print("".join(line for line in log if REFUSED not in line))


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while True:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        assert time.monotonic() < deadline, "the server does not answer"
        try:
            requests.get(f"{url}/health", timeout=1).raise_for_status()
        except requests.RequestException:
            time.sleep(0.05)
        else:
            return
