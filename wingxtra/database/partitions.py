"""History by month: tables whose rows are partitioned by the time they were written.

PostgreSQL puts each row into the table of its month (UTC). A query that names a time reads only the
months concerned, and an old month leaves as a whole. Months are made ahead. A row whose month is
missing goes to the default partition, so no write fails, and `standing` tells of it. Django sees
one table with the primary key `id`, and no partition.

No foreign key can refer to such a table: its unique key has the time in it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.apps import apps
from django.db import OperationalError, connection, transaction
from django.db.models import Model, QuerySet
from django.db.models.signals import post_migrate
from django.utils import timezone
from psycopg.errors import LockNotAvailable

# Months after the present one. So each is made weeks before its first row.
AHEAD = 1
# No order is open for so long, and no page of the day shows its events.
ARCHIVED_AFTER_DAYS = 365
# For all locks of one change: they hold up readers and writers while they are waited for. Less than
# PostgreSQL's `deadlock_timeout` (1 s): in a deadlock the change gives up, not an order.
LOCK_TIMEOUT_MS = 800
# Of held rows that nothing holds any more, in one call.
MAX_DELETED = 10_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class History:
    """A table partitioned by month of `column`.

    kept_since: rows before it are not needed any more; None where they are kept for ever.
    held: ids of orders whose rows stay even then, with all rows that have the same `together`.
    """

    model: type[Model]
    column: str
    kept_since: Callable[[datetime], datetime] | None = None
    held: Callable[[], QuerySet[Any]] | None = None
    together: str = "order_id"

    @property
    def table(self) -> str:
        return self.model._meta.db_table


@dataclass(frozen=True, slots=True)
class Partition:
    """The table of the rows from `start` to before `end`. The first one may have no start."""

    name: str
    start: datetime | None
    end: datetime

    def covers(self, at: datetime) -> bool:
        return at < self.end and (self.start is None or self.start <= at)


@dataclass(frozen=True, slots=True)
class Standing:
    """A history, oldest month first, and what is wrong with it.

    missing: the first month that should be there. stray: when the newest row of the default
    partition was written whose month was missing.
    """

    table: str
    months: list[Partition]
    missing: datetime | None
    stray: datetime | None

    @property
    def is_troubled(self) -> bool:
        return bool(self.missing or self.stray)


histories: list[History] = []


def register(history: History) -> None:
    """To be called when the apps get ready. Its months are made after each `migrate`: a busy table
    is left to the worker, unless it has no month at all.
    """
    histories.append(history)

    def after_migrate(**_signal: Any) -> None:
        try:
            _prepare(history, timezone.now())
        except OperationalError as error:
            is_busy = isinstance(error.__cause__, LockNotAvailable)
            if not (is_busy and months_of(history.table)):
                raise
            log.warning("history_busy", table=history.table, error=str(error))

    app = apps.get_app_config(history.model._meta.app_label)
    post_migrate.connect(after_migrate, sender=app, weak=False)


def month_of(at: datetime) -> datetime:
    """The first moment of its month, by UTC."""
    return at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def months_after(month: datetime, count: int) -> datetime:
    years, number = divmod(month.month - 1 + count, 12)
    return month.replace(year=month.year + years, month=number + 1)


def standing(now: datetime) -> list[Standing]:
    """Of each history, in one statement."""
    newest = " ".join(
        f"WHEN '{history.table}' THEN (SELECT max({history.column}) FROM {history.table}_default)"  # noqa: S608
        for history in histories
    )
    found = {
        table: _standing(table, names, bounds, stray, now)
        for table, names, bounds, stray in _rows(
            _STANDING.format(newest=newest), [history.table for history in histories]
        )
    }
    return [found[history.table] for history in histories if history.table in found]


def months_of(table: str) -> list[Partition] | None:
    """Its partitions, oldest first, without the default one. None if it is not partitioned."""
    rows = _rows(_STANDING.format(newest="WHEN '' THEN now()"), [table])
    return _months(*rows[0][1:3]) if rows else None


def prepare(now: datetime) -> None:
    """Make the present and the next month of each history where they are missing, and each month
    that was never made though the default partition has rows of it. These rows move to it.

    Raises OperationalError when a table was too busy, after all others had their turn.
    """
    _for_each(_prepare, now)


def make(history: History, month: datetime) -> None:
    """Make one month. Writers wait for some milliseconds, and readers whose query names no end.

    If rows of the default partition have to move to it, all wait until they have, and those who
    read an order as well.
    """
    table, default = history.table, _default_of(history.table)
    name, end = f"{table}_{month:%Y_%m}", months_after(month, 1)
    bound = f"FOR VALUES FROM ('{month.isoformat()}') TO ('{end.isoformat()}')"
    of_month = f"{_quoted(history.column)} >= %s AND {_quoted(history.column)} < %s"
    with _locked(history, default):
        # Under the lock: an open transaction may have written the first one.
        has_rows = _rows(f"SELECT FROM {_quoted(default)} WHERE {of_month} LIMIT 1", month, end)
        if not has_rows:
            _add(table, name, bound)
    if has_rows:
        former = _quoted(f"{table}_former")
        with _locked(history, table, keys_go=True):
            _run(f"ALTER TABLE {_quoted(table)} DETACH PARTITION {_quoted(default)}")
            _run(f"ALTER TABLE {_quoted(default)} RENAME TO {former}")
            _add(table, default, "DEFAULT")
            _add(table, name, bound)
            _run(f"INSERT INTO {_quoted(table)} SELECT * FROM {former}")  # noqa: S608
            _run(f"DROP TABLE {former}")
    log.info("month_made", table=table, partition=name)


def drop_old(now: datetime) -> None:
    """Detach and drop each month whose last row is not needed any more.

    Its held rows are written again, into the default partition, and deleted one by one once nothing
    holds them. Raises OperationalError when a table was too busy, after all others had their turn.
    """
    _for_each(_drop_old, now)


def archive(history: History, now: datetime) -> Partition | None:
    """Detach the oldest month, which stays as a table of its own, without foreign keys. Its held
    rows are written again.

    None if there is no month that ended ARCHIVED_AFTER_DAYS ago.
    """
    oldest = next(iter(months_of(history.table) or ()), None)
    if oldest is None or oldest.end > now - timedelta(days=ARCHIVED_AFTER_DAYS):
        return None
    with _locked(history, history.table, keys_go=True):
        _detach(history, oldest.name)
        for (key,) in _rows(_FOREIGN_KEYS, oldest.name):
            _run(f"ALTER TABLE {_quoted(oldest.name)} DROP CONSTRAINT {_quoted(key)}")
    log.info("month_detached", table=history.table, partition=oldest.name)
    return oldest


# --- the statements ------------------------------------------------------------------------------

_STANDING = """
    SELECT p.relname, array_agg(c.relname::text), array_agg(pg_get_expr(c.relpartbound, c.oid)),
        CASE p.relname {newest} END
    FROM pg_class p JOIN pg_inherits i ON i.inhparent = p.oid JOIN pg_class c ON c.oid = i.inhrelid
    WHERE p.relname = ANY(%s) AND pg_table_is_visible(p.oid) AND p.relkind = 'p'
    GROUP BY p.relname
"""
_DETACHED = """
    SELECT relname::text FROM pg_class WHERE relname ~ %s AND relkind = 'r' AND NOT relispartition
        AND pg_table_is_visible(oid)
"""
# The oldest table first: the younger ones name it, so transactions lock it before them.
_REFERENCED = """
    SELECT DISTINCT confrelid::bigint, confrelid::regclass::text FROM pg_constraint
    WHERE contype = 'f' AND conrelid = %s::regclass ORDER BY 1
"""
_FOREIGN_KEYS = """
    SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass
"""
# A trigger against TRUNCATE belongs to one table, so each month needs its own.
_TRUNCATE_TRIGGERS = """
    SELECT pg_get_triggerdef(oid, true) FROM pg_trigger
    WHERE tgrelid = %s::regclass AND NOT tgisinternal AND tgtype & 32 <> 0
"""


def _standing(
    table: str, names: list[str], bounds: list[str], newest: datetime | None, now: datetime
) -> Standing:
    months = _months(names, bounds)
    wanted = (months_after(month_of(now), count) for count in range(AHEAD + 1))
    missing = next((m for m in wanted if not any(one.covers(m) for one in months)), None)
    # Rows before the first month are held ones, and their month is gone.
    first = months[0].start if months else None
    is_stray = newest is not None and (first is None or newest >= first)
    return Standing(table, months, missing, newest if is_stray else None)


def _months(names: Sequence[str], bounds: Sequence[str]) -> list[Partition]:
    """From texts like “FOR VALUES FROM (MINVALUE) TO ('2026-12-01 00:00:00+00')”."""
    found = []
    for name, bound in zip(names, bounds, strict=True):
        if bound != "DEFAULT":
            first, end = bound.removeprefix("FOR VALUES FROM (").removesuffix(")").split(") TO (")
            start = None if first == "MINVALUE" else _time(first)
            found.append(Partition(name, start, _time(end)))
    return sorted(found, key=lambda one: one.end)


def _time(written: str) -> datetime:
    return datetime.fromisoformat(written.strip("'")).astimezone(UTC)


def _for_each(act: Callable[[History, datetime], None], now: datetime) -> None:
    busy: OperationalError | None = None
    for history in histories:
        try:
            act(history, now)
        except OperationalError as error:
            log.warning("history_busy", table=history.table, error=str(error))
            busy = error
    if busy is not None:
        raise busy


def _prepare(history: History, now: datetime) -> None:
    there = months_of(history.table)
    if there is None:
        return  # `migrate` has stopped before it is partitioned
    ahead = [months_after(month_of(now), count) for count in range(AHEAD + 1)]
    first = there[0].start if there else ahead[0]
    for month in sorted({*ahead, *_strays(history, first)}):
        if not any(one.covers(month) for one in there):
            make(history, month)


def _strays(history: History, first: datetime | None) -> list[datetime]:
    """The months that the default partition has rows of. Those before the first month are held
    ones, which stay there; None if it has no start.
    """
    month = f"date_trunc('month', {_quoted(history.column)}, 'UTC')"
    rows = f"SELECT DISTINCT {month} FROM {_quoted(_default_of(history.table))}"  # noqa: S608
    if first is None:
        found = _rows(rows)
    else:
        found = _rows(f"{rows} WHERE {_quoted(history.column)} >= %s", first)
    return [month_of(at) for (at,) in found]


def _add(table: str, name: str, bound: str) -> None:
    """ATTACH takes a weaker lock on the table than CREATE TABLE … PARTITION OF."""
    _run(
        f"CREATE TABLE {_quoted(name)} (LIKE {_quoted(table)} INCLUDING DEFAULTS "
        "INCLUDING CONSTRAINTS INCLUDING STORAGE)"
    )
    for (trigger,) in _rows(_TRUNCATE_TRIGGERS, table):
        _run(trigger.replace(f" ON {table} ", f" ON {_quoted(name)} "))
    _run(f"ALTER TABLE {_quoted(table)} ATTACH PARTITION {_quoted(name)} {bound}")


def _detach(history: History, name: str) -> None:
    """Not CONCURRENTLY, which PostgreSQL refuses beside a default partition."""
    table, detached = _quoted(history.table), _quoted(name)
    _run(f"ALTER TABLE {table} DETACH PARTITION {detached}")
    condition, values = _held(history, detached)
    _run(f"INSERT INTO {table} SELECT * FROM {detached} WHERE {condition}", *values)  # noqa: S608


def _held(history: History, rows: str) -> tuple[str, Sequence[Any]]:
    """The condition that a row of this table is held, and its values."""
    if history.held is None:
        return "false", ()
    orders, values = history.held().order_by().query.sql_with_params()
    same = _quoted(history.together)
    return f"{same} IN (SELECT {same} FROM {rows} WHERE order_id IN ({orders}))", values  # noqa: S608


def _drop_old(history: History, now: datetime) -> None:
    if history.kept_since is None:
        return
    kept_since = history.kept_since(now)
    for one in months_of(history.table) or ():
        if one.end <= kept_since:
            with _locked(history, history.table):
                _detach(history, one.name)
    # Apart, because deleting its file takes seconds. The next run drops what this one could not.
    for (name,) in _rows(_DETACHED, f"^{history.table}_([0-9]{{4}}_[0-9]{{2}}|before)$"):
        with _locked(history, name, keys_go=True):
            _run(f"DROP TABLE {_quoted(name)}")
        log.info("month_dropped", table=history.table, partition=name)
    _delete_released(history, kept_since)


def _delete_released(history: History, kept_since: datetime) -> None:
    default = _quoted(_default_of(history.table))
    condition, values = _held(history, default)
    _run(
        f"DELETE FROM {default} WHERE id IN (SELECT id FROM {default} "  # noqa: S608
        f"WHERE {_quoted(history.column)} < %s AND NOT {condition} LIMIT {MAX_DELETED})",
        kept_since,
        *values,
    )


@contextmanager
def _locked(history: History, table: str, *, keys_go: bool = False) -> Iterator[None]:
    """A transaction with this table locked, and before it the tables that the foreign keys name.

    A change of partitions makes foreign keys, which locks the orders as well. An open change of an
    order has locked its row and goes on to write an event: locked in the same sequence, both take
    turns. Even SELECT FOR UPDATE must wait, so the mode is EXCLUSIVE. Keys that go need ACCESS
    EXCLUSIVE. Raises OperationalError after LOCK_TIMEOUT_MS.
    """
    of_referenced = "ACCESS EXCLUSIVE" if keys_go else "EXCLUSIVE"
    until = time.monotonic() + LOCK_TIMEOUT_MS / 1000
    with transaction.atomic():
        locks = [(name, of_referenced) for _, name in _rows(_REFERENCED, history.table)]
        for name, mode in [*locks, (_quoted(table), "ACCESS EXCLUSIVE")]:
            left_ms = max(1, round((until - time.monotonic()) * 1000))
            _run(f"SET LOCAL lock_timeout = {left_ms}")
            _run(f"LOCK TABLE ONLY {name} IN {mode} MODE")
        yield


def _default_of(table: str) -> str:
    return f"{table}_default"


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)


def _rows(sql: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def _run(sql: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
