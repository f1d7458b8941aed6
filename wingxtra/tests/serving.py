"""The API behind a real server, on the test's database."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.db import connection

STARTS_WITHIN_S = 60
REFUSED = "[django.request]"  # warnings about 4xx answers, which tests get on purpose
# One process per server; tests start several servers when the number of processes matters.
ONE_PROCESS = (
    *("granian", "--interface", "wsgi", "--workers", "1", "--blocking-threads", "64", "--no-ws"),
    "wingxtra.wsgi:application",
)


@contextmanager
def served(
    command: Sequence[str] = ONE_PROCESS,
    *,
    servers: int = 1,
    quiet: bool = False,
    **environment: str,
) -> Iterator[list[str]]:
    """Base URLs of the servers. The caller's transactions must be committed.

    Their logs are printed at the end, unless `quiet`.
    """
    with ExitStack() as stack:
        started = [
            stack.enter_context(_server(command, environment, quiet=quiet)) for _ in range(servers)
        ]
        for url, process in started:
            _wait_for(url, process)
        yield [url for url, _ in started]


@contextmanager
def _server(
    command: Sequence[str], environment: dict[str, str], *, quiet: bool
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program, *options, application = command
    program = str(Path(sys.executable).with_name(program))
    here = ["--host", "127.0.0.1", "--port", str(port), "--no-log"]  # the last value counts
    database = urlsplit(settings.DATABASE_URL)._replace(path="/" + connection.settings_dict["NAME"])
    environment = os.environ | {"DATABASE_URL": database.geturl()} | environment
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            [program, *options, *here, application],
            cwd=settings.BASE_DIR,
            env=environment,
            stderr=log,
        ) as process,
    ):
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()
            process.wait(STARTS_WITHIN_S)
            log.seek(0)
            if not quiet:
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
