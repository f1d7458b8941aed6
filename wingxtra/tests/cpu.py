"""CPU seconds of work in this thread, in PostgreSQL and in Valkey.

Unlike wall-clock time, CPU time hardly depends on the machine's other load, and it adds up.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from django.db import connection

from wingxtra.redis_client import client


@dataclass
class Cost:
    """Filled in at the end of the work. `ours`: the named processes, or this thread."""

    ours_s: float = 0.0
    database_s: float = 0.0
    redis_s: float = 0.0

    @property
    def all_s(self) -> float:
        return self.ours_s + self.database_s + self.redis_s


@contextmanager
def measured(*ours: int) -> Iterator[Cost]:
    """Cost of the work in the context. `ours`: ids of processes to measure instead of this thread.
    Other threads of a test are stand-ins for other systems.
    """
    cost = Cost()
    before = _spent(ours)
    yield cost
    after = _spent(ours)
    cost.ours_s, cost.database_s, cost.redis_s = (
        now - then for now, then in zip(after, before, strict=True)
    )


def _spent(ours: tuple[int, ...]) -> tuple[float, float, float]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_read_file('postmaster.pid')")
        postmaster = int(cursor.fetchone()[0].split()[0])
    redis_server: int = client().info()["process_id"]
    of_ours = sum(map(_tree, ours)) if ours else time.thread_time()
    return of_ours, _tree(postmaster), _alone(psutil.Process(redis_server))


def _alone(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _tree(pid: int) -> float:
    """CPU seconds of a process and its children, including ended ones."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    living = sum(_alone(child) for child in process.children(recursive=True))
    return float(_alone(process) + times.children_user + times.children_system + living)
