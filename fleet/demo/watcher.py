"""Ends the demo's processes when the demo ends, however it ends: `python -m fleet.demo.watcher`.

It is told each process on its standard input, whose other end only the demo holds. A demo that is
killed cannot stop anything any more, but the kernel closes that end for it.
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
    """End these processes, each the leader of a session of its own, and whatever they started.

    First politely; what is left then of a session does not stay.
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
    """A zombie does not: it only waits for its parent to look."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    told = [int(line) for line in sys.stdin]  # until the other end is closed
    end(told[::-1])
