"""What work costs in seconds of processor, spent here, in PostgreSQL and in Valkey.

Unlike seconds of a clock these hardly depend on what else the machine does, and they add up: so
many of them are in a core's second.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from django.db import connection

from wingxtra.redis_client import client


@dataclass
class Cost:
    """Filled in when the work is done. `ours` is the named processes, or this one."""

    ours_s: float = 0.0
    database_s: float = 0.0
    redis_s: float = 0.0

    @property
    def all_s(self) -> float:
        return self.ours_s + self.database_s + self.redis_s


@contextmanager
def measured(*ours: int) -> Iterator[Cost]:
    """Cost of the work inside; `ours` are ids of processes to look at instead of this one."""
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
    pids = ours or (psutil.Process().pid,)
    of_ours = sum(_tree(pid) if ours else _alone(psutil.Process(pid)) for pid in pids)
    return of_ours, _tree(postmaster), _alone(psutil.Process(redis_server))


def _alone(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _tree(pid: int) -> float:
    """With its children, those that have ended as well."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    living = sum(_alone(child) for child in process.children(recursive=True))
    return float(_alone(process) + times.children_user + times.children_system + living)
