"""Ends the demo's processes when the demo ends or is killed: `python -m fleet.demo.watcher`.

It reads the process ids from standard input. Only the demo holds the other end of that pipe, and
the kernel closes it when the demo is killed.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

STOP_TIMEOUT_S = 10.0


def end(leaders: Sequence[int]) -> None:
    """Ends these session leaders and all processes of their sessions.

    Sends SIGTERM, waits up to STOP_TIMEOUT_S, then kills each session.
    """
    for leader in leaders:
        with suppress(ProcessLookupError):
            os.kill(leader, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while any(_runs(leader) for leader in leaders) and time.monotonic() < deadline:
        time.sleep(0.05)
    for leader in leaders:
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)


def _runs(pid: int) -> bool:
    """False for a zombie: it has ended and only waits for its parent."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    pids = [int(line) for line in sys.stdin]  # until the other end is closed
    end(pids[::-1])
