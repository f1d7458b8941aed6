"""The demo's processes: started as on a server, checked, and stopped together."""

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

LOCK_TIMEOUT_S = 15.0  # longer than a killed demo's watcher needs to clean up


class ProcessDied(Exception):
    """One of the demo's processes ended unexpectedly; the message has its name and log."""


class AlreadyRunning(Exception):
    """Another demo runs in this checkout."""


class Processes:
    """The demo's child processes, each with its own log file. `with` stops them in reverse order.

    Only one demo runs at a time: it owns the database, the drones and the logs in `home`. If the
    demo is killed, `fleet.demo.watcher` stops the children.
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
            pass_fds=[self._lock.fileno()],  # keeps the lock until it has cleaned up
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._lock.close()

    def run(self, *arguments: str) -> str:
        """Runs `manage.py ARGUMENTS` and returns its standard output. Raises ProcessDied."""
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
        # A separate session: Ctrl-C reaches only the demo, which then stops the children in order.
        with (self.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(  # noqa: S603 (our own commands)
                command, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        self._running.append((name, child))
        pipe = self._watcher.stdin
        assert pipe is not None  # noqa: S101 (stdin=PIPE)
        pipe.write(f"{child.pid}\n".encode())
        pipe.flush()

    def check(self) -> None:
        """Raises ProcessDied if a child has ended."""
        for name, child in self._running:
            if child.poll() is not None:
                raise ProcessDied(
                    f"The {name} ended with status {child.returncode}; "
                    f"its log is {self.logs / f'{name}.log'}."
                )

    def wait_for(self, what: str, ready: Callable[[], bool], timeout_s: float = 40.0) -> None:
        """Waits until `ready()`. Raises ProcessDied if a child ends or on timeout."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ProcessDied(f"The {what} is not ready after {timeout_s:.0f} s.")
            time.sleep(0.1)

    def stop(self) -> None:
        end([child.pid for _, child in reversed(self._running)])
        self._watcher.communicate()  # closes its input, which ends it
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
                raise AlreadyRunning("Another demo runs in this checkout; stop it first.") from None
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
