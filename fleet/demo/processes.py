"""The demo's processes: started as on a server, watched, and stopped together."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import requests

STOP_TIMEOUT_S = 10.0


class ProcessDied(Exception):
    """One of the demo's processes ended by itself. Says which, and where its log is."""


@dataclass
class Processes:
    """Children of the demo, each with a log file of its own. `with` stops them in reverse order."""

    logs: Path
    env: dict[str, str]
    _running: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def __enter__(self) -> "Processes":
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, *arguments: str) -> str:
        """Run `manage.py ARGUMENTS` to its end; returns what it printed. Raises ProcessDied."""
        done = subprocess.run(  # noqa: S603 (our own commands)
            [sys.executable, "manage.py", *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ProcessDied(f"manage.py {arguments[0]} failed:\n{done.stderr[-2000:]}")
        return done.stdout

    def start(self, name: str, command: Sequence[str]) -> None:
        # A session of its own: Ctrl-C reaches the demo alone, which then stops them in order.
        with (self.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(  # noqa: S603 (our own commands)
                command, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        self._running.append((name, child))

    def check(self) -> None:
        """Raises ProcessDied when a child has ended."""
        for name, child in self._running:
            if child.poll() is not None:
                raise ProcessDied(
                    f"The {name} ended with status {child.returncode}; "
                    f"its log is {self.logs / f'{name}.log'}."
                )

    def wait_for(self, what: str, ready: Callable[[], bool], timeout_s: float = 40.0) -> None:
        """Wait until `ready()`; raises ProcessDied when a child ends or the time is over."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ProcessDied(f"The {what} is not ready after {timeout_s:.0f} s.")
            time.sleep(0.1)

    def stop(self) -> None:
        for _, child in reversed(self._running):
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for _, child in reversed(self._running):
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                # Its whole session: a worker's forks must not outlive it.
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        self._running.clear()


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
