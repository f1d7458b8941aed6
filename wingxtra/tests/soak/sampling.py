"""What is measured of a running stack every few seconds."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import psutil
import redis

from wingxtra.tests.drill.checks import TERMINAL, Database
from wingxtra.tests.drill.machine import Machine
from wingxtra.tests.drill.merchants import Merchants
from wingxtra.tests.soak.figures import Sample, percentile

MB = 1024.0 * 1024.0
QUEUES = "dramatiq:*"

# Rows of the outbox tables that are due, and since when the oldest of them is.
OUTBOX = """
SELECT count(*) AS due, coalesce(extract(epoch FROM now() - min(next_try_at)), 0) AS oldest_s
FROM (
    SELECT next_try_at FROM dispatch_mission
    WHERE (state = 'PENDING' AND recall_state = '') OR recall_state = 'WANTED'
    UNION ALL SELECT next_try_at FROM tracking_webhookdelivery WHERE state = 'WAITING'
    UNION ALL SELECT next_try_at FROM tracking_customermessage WHERE state = 'WAITING'
) AS waiting
WHERE next_try_at <= now()
"""
# Months count as their table.
TABLES = """
SELECT coalesce(parent.relname, one.relname) AS name, sum(pg_total_relation_size(one.oid)) AS bytes
FROM pg_class one
LEFT JOIN pg_inherits part ON part.inhrelid = one.oid
LEFT JOIN pg_class parent ON parent.oid = part.inhparent
WHERE one.relkind = 'r' AND one.relnamespace = 'public'::regnamespace
GROUP BY 1
"""
SCANNED = """
SELECT coalesce(parent.relname, one.relname) AS name, sum(one.seq_tup_read) AS n
FROM pg_stat_user_tables one
LEFT JOIN pg_inherits part ON part.inhrelid = one.relid
LEFT JOIN pg_class parent ON parent.oid = part.inhparent
GROUP BY 1
"""
CONNECTIONS = """
SELECT coalesce(state, 'none') AS state, count(*) AS n FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() GROUP BY 1
"""
# Without that of the leading scheduler, which stays open and is asked every two seconds.
IDLE_TRANSACTION = """
SELECT coalesce(extract(epoch FROM now() - min(state_change)), 0) AS oldest_s
FROM pg_stat_activity WHERE state = 'idle in transaction' AND query <> 'SELECT 1'
"""
STATES = ("active", "idle", "idle in transaction")
NOT_FLYING = ("CREATED", "VALIDATED", "QUEUED")


class Sampler:
    def __init__(self, machine: Machine, merchants: Sequence[Merchants]) -> None:
        self.samples: list[Sample] = []
        self._machine, self._merchants = machine, merchants
        self._database = Database(machine.database_url)
        self._valkey = redis.Redis.from_url(machine.server("Valkey").url)
        self._posts_seen = [0 for _ in merchants]
        self._began = time.monotonic()
        self._pids = self._our_pids()

    def take(self) -> None:
        at_s = time.monotonic() - self._began
        values = dict(
            (
                *self._processes(),
                *self._of_postgresql(),
                *self._of_valkey(),
                *self._of_orders(),
            )
        )
        self.samples.append(Sample(at_s, values))

    def replaced(self) -> list[str]:
        """Parts that have lost a process since the start."""
        now = self._our_pids()
        return [name for name, pids in self._pids.items() if not pids <= now.get(name, set())]

    def _our_pids(self) -> dict[str, set[int]]:
        """PostgreSQL starts and ends processes all the time."""
        parts = self._machine.processes()
        return {
            name: {one.pid for one in each} for name, each in parts.items() if name != "PostgreSQL"
        }

    def _processes(self) -> Iterator[tuple[str, float]]:
        for name, processes in self._machine.processes().items():
            found = []
            for process in processes:
                with suppress(psutil.NoSuchProcess):  # a connection that ended just now
                    found.append(process.memory_info())
            if name == "PostgreSQL":  # its processes share most of theirs
                own = sum(memory.rss - memory.shared for memory in found) / MB
                yield "PostgreSQL, each connection", own / self._connections()
                continue
            for number, memory in enumerate(found, start=1):
                which = f" {number}" if len(found) > 1 else ""
                yield f"memory: {name}{which}", memory.rss / MB

    def _connections(self) -> int:
        """At least one: this one."""
        rows = self._database.rows("SELECT count(*) AS n FROM pg_stat_activity WHERE datid > 0")
        return int(rows[0]["n"])

    def _of_postgresql(self) -> Iterator[tuple[str, float]]:
        by_state = {row["state"]: row["n"] for row in self._database.rows(CONNECTIONS)}
        yield "connections", sum(by_state.values())
        for state in STATES:
            yield f"connections: {state}", by_state.get(state, 0)
        (idle,) = self._database.rows(IDLE_TRANSACTION)
        yield "oldest idle transaction", float(idle["oldest_s"])
        total = 0.0
        for row in self._database.rows(TABLES):
            yield f"table: {row['name']}", float(row["bytes"])
            total += float(row["bytes"])
        yield "all tables", total
        for row in self._database.rows(SCANNED):
            yield f"scanned: {row['name']}", float(row["n"])
        (outbox,) = self._database.rows(OUTBOX)
        yield "outbox: rows due", outbox["due"]
        yield "outbox: oldest", float(outbox["oldest_s"])

    def _of_valkey(self) -> Iterator[tuple[str, float]]:
        said: Any = self._valkey.info()
        keys = said.get("db0", {"keys": 0, "expires": 0})
        yield "Valkey: data", said["used_memory"] / MB
        yield "Valkey: keys", keys["keys"]
        yield "Valkey: keys that never expire", keys["keys"] - keys["expires"]
        waiting = dead = 0
        for key in self._valkey.scan_iter(match=QUEUES):
            kind: Any = self._valkey.type(key)
            if kind == b"list":  # a queue, or its messages for later
                length: Any = self._valkey.llen(key)
                waiting += length
            elif key.endswith(b".XQ"):
                given_up: Any = self._valkey.zcard(key)
                dead += given_up
        yield "messages waiting", waiting
        yield "messages given up", dead

    def _of_orders(self) -> Iterator[tuple[str, float]]:
        rows = self._database.rows("SELECT status, count(*) AS n FROM orders_order GROUP BY 1")
        by_status = Counter({row["status"]: row["n"] for row in rows})
        yield "orders placed", sum(len(one.placed) for one in self._merchants)
        yield "orders waiting for a drone", sum(by_status[name] for name in NOT_FLYING)
        yield "orders not over", sum(n for name, n in by_status.items() if name not in TERMINAL)
        new: list[float] = []
        for number, one in enumerate(self._merchants):
            took_s = one.took_s[self._posts_seen[number] :]
            self._posts_seen[number] += len(took_s)
            new += took_s
        if new:
            yield "POST /orders, p95", 1000 * percentile(new, 0.95)
