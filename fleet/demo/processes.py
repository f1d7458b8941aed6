"""The demo's processes: started as on a server, watched, and stopped together."""

import fcntl
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import requests

from fleet.demo.watcher import end

LOCK_TIMEOUT_S = 15.0  # longer than the watcher of a demo that was killed just now takes


class ProcessDied(Exception):
    """One of the demo's processes ended by itself. Says which, and where its log is."""


class AlreadyRunning(Exception):
    """There is another demo in this checkout."""


class Processes:
    """Children of the demo, each with a log file of its own. `with` stops them in reverse order.

    There is one such at a time: they share the database, the drones and the logs in `home`. They
    end with the demo even when it is killed; a watcher sees to that (`fleet.demo.watcher`).
    """

    def __init__(self, home: Path, env: dict[str, str]) -> None:
        self.logs = home / "logs"
        self.env = env
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> "Processes":
        """Raises AlreadyRunning."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.logs.parent / "lock")
        self._watcher = subprocess.Popen(
            [sys.executable, "-m", "fleet.demo.watcher"],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[self._lock.fileno()],  # held until it has cleaned up
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._lock.close()

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
        pipe = self._watcher.stdin
        assert pipe is not None  # noqa: S101 (it was asked for)
        pipe.write(f"{child.pid}\n".encode())
        pipe.flush()

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
        end([child.pid for _, child in reversed(self._running)])
        self._watcher.communicate()  # closes its input; it finds nothing left to do
        for _, child in self._running:
            child.wait()
        self._running.clear()


def _locked(path: Path) -> IO[str]:
    """Raises AlreadyRunning."""
    lock = path.open("a")
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                lock.close()
                raise AlreadyRunning(
                    "A demo runs in this checkout already; stop it first."
                ) from None
            time.sleep(0.1)
        else:
            return lock


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
