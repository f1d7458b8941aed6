"""Changes of partitions beside open changes of orders: both are done, and no order fails. The
controls lock the history only.
"""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from orders.models import DeliveryEvent
from wingxtra.database import partitioning, partitions
from wingxtra.database.partitions import History, month_of, months_after
from wingxtra.tests.test_partitioning import FORMER, GONE, INSERT, fill, migrate, run

pytestmark = pytest.mark.django_db(transaction=True)

LONG_S = 20.0
OLD, LATER = -14, 3  # months from this one
PARCELS = tuple(f"md5('parcel{number}')::uuid" for number in (1, 2))


class Told(History):
    table = "told"


TOLD = Told(DeliveryEvent, "told_at", kept_since=lambda now: now, together="parcel_id")


def month(count: int) -> datetime:
    return months_after(month_of(timezone.now()), count)


@pytest.fixture(autouse=True)
def _former(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    run(FORMER)
    # A parcel is changed as an order is: its row first.
    run("ALTER TABLE parcel ADD changes int NOT NULL DEFAULT 0")
    # Long, because the machine may be busy. So PostgreSQL finds the deadlocks of the controls.
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT_MS", LONG_S * 1000)
    monkeypatch.setattr(partitions, "histories", [TOLD])
    yield
    for (table,) in run(
        "SELECT relname FROM pg_class WHERE relname ~ '^told_20' AND relkind = 'r'"
    ):
        run(f"DROP TABLE IF EXISTS {table}")
    run(GONE)


class Writer:
    """Changes a parcel, and tells of it in the same transaction when it is asked to go on."""

    def __init__(self, parcel: str) -> None:
        self.parcel = parcel
        self.pid, self.has_changed, self.goes_on = 0, threading.Event(), threading.Event()
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._write)
        self.thread.start()

    def _write(self) -> None:
        try:
            with transaction.atomic():
                self.pid = run("SELECT pg_backend_pid()")[0][0]
                run(f"SELECT FROM parcel WHERE id = {self.parcel} FOR UPDATE")
                run(f"UPDATE parcel SET changes = changes + 1 WHERE id = {self.parcel}")
                self.has_changed.set()
                self.goes_on.wait(LONG_S)
                run("SELECT count(*) FROM told")
                run(f"{INSERT} ({self.parcel}, 1, now())")
        except OperationalError as error:
            self.error = error
        finally:
            connection.close()


def waits(pid: int) -> bool:
    return bool(run("SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted", pid))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


class Change:
    """Of partitions, in a thread. `wait` returns the errors."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act, self.pid, self.errors = act, 0, list[Exception]()
        self.thread = threading.Thread(target=self._do)
        self.thread.start()
        until(lambda: bool(self.pid) and waits(self.pid))

    def _do(self) -> None:
        try:
            self.pid = run("SELECT pg_backend_pid()")[0][0]
            self.act()
        except DatabaseError as error:
            self.errors.append(error)
        finally:
            connection.close()

    def wait(self) -> list[Exception]:
        self.thread.join(LONG_S)
        assert not self.thread.is_alive()
        return self.errors


def beside_orders(act: Callable[[], None]) -> list[Exception]:
    """What fails when `act` waits for a change that was open before, and one more comes after."""
    before = Writer(PARCELS[0])
    assert before.has_changed.wait(LONG_S)
    change = Change(act)
    after = Writer(PARCELS[1])
    after.goes_on.set()
    until(lambda: bool(after.pid) and (waits(after.pid) or not after.thread.is_alive()))
    before.goes_on.set()
    for writer in (before, after):
        writer.thread.join(LONG_S)
        assert not writer.thread.is_alive()
    return [*change.wait(), *(writer.error for writer in (before, after) if writer.error)]


def run_only(statement: str) -> None:
    run(statement)


def makes() -> None:
    partitions.make(TOLD, month(LATER))


def makes_and_moves() -> None:
    partitions.make(TOLD, month(LATER + 1))


def drops() -> None:
    partitions.drop_old(month(0))


def archives() -> None:
    assert partitions.archive(TOLD, timezone.now())


CHANGES = (makes, makes_and_moves, drops, archives)


@pytest.fixture
def _months() -> None:
    run("INSERT INTO parcel SELECT md5('parcel' || n)::uuid FROM generate_series(1, 2) n")
    migrate()
    for count in (OLD, 0, 1):
        partitions.make(TOLD, month(count))
    run(f"{INSERT} ({PARCELS[0]}, 1, %s)", month(LATER + 1))


@pytest.mark.usefixtures("_months")
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_partitions_and_open_orders_take_turns(change: Callable[[], None]) -> None:
    before = partitions.months_of("told")
    assert beside_orders(change) == []
    assert run("SELECT sum(changes) FROM parcel") == [(2,)]
    assert run("SELECT count(*) FROM told WHERE told_at < %s", month(1)) == [(2,)]
    assert partitions.months_of("told") != before


@pytest.mark.usefixtures("_months")
@pytest.mark.parametrize("change", CHANGES)
def test_without_the_lock_of_orders_they_end_in_a_deadlock(
    change: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the one above."""
    monkeypatch.setattr(partitions, "_REFERENCED", "SELECT 1, '' WHERE %s = ''")
    (error,) = beside_orders(change)
    assert "deadlock detected" in str(error)


@pytest.mark.usefixtures("_months")
@pytest.mark.parametrize("change", CHANGES)
def test_in_a_deadlock_all_the_same_the_change_gives_up(
    change: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that reads the history first and changes the order later."""
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT_MS", 300)
    with transaction.atomic():
        run("SELECT FROM told")
        made = Change(change)
        run("UPDATE parcel SET changes = changes + 1")
    (error,) = made.wait()
    assert "lock timeout" in str(error)
    change()


def made_while_a_row_of_it_is_written() -> list[Exception]:
    """What fails when the month is made while an open transaction has written its first row."""
    with transaction.atomic():
        run(f"SELECT FROM parcel WHERE id = {PARCELS[0]} FOR UPDATE")
        run(f"{INSERT} ({PARCELS[0]}, 1, %s)", month(LATER))
        change = Change(makes)
    return change.wait()


@pytest.mark.usefixtures("_months")
def test_a_row_that_is_just_written_moves_to_the_month_that_is_made() -> None:
    assert made_while_a_row_of_it_is_written() == []
    found = run("SELECT tableoid::regclass::text FROM told WHERE told_at = %s", month(LATER))
    assert found == [(f"told_{month(LATER):%Y_%m}",)]


@pytest.mark.usefixtures("_months")
def test_without_the_lock_the_row_is_looked_for_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the one above."""
    monkeypatch.setattr(partitions, "_locked", lambda *_, **__: transaction.atomic())
    (error,) = made_while_a_row_of_it_is_written()
    assert isinstance(error, IntegrityError)


def migrate_but_for_the_exchange() -> str:
    """Returns the exchange."""
    fill()
    *steps, exchange = partitioning.by_month("told", "told_at")
    for step in steps:
        for statement in [step.sql] if isinstance(step.sql, str) else step.sql:
            run(str(statement))
    return str(exchange.sql)


def test_the_migration_and_open_orders_take_turns() -> None:
    exchange = migrate_but_for_the_exchange()
    assert beside_orders(lambda: run_only(exchange)) == []
    assert partitions.months_of("told")
    assert run("SELECT sum(changes) FROM parcel") == [(2,)]


def test_the_migration_without_the_lock_of_orders_ends_in_a_deadlock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control of the one above."""
    monkeypatch.setattr(partitioning, "_LOCKS", "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;")
    exchange = migrate_but_for_the_exchange()
    (error,) = beside_orders(lambda: run_only(exchange))
    assert "deadlock detected" in str(error)


def test_the_migration_gives_way_to_a_deadlock_and_tries_again() -> None:
    exchange = migrate_but_for_the_exchange()
    with transaction.atomic():
        run("SELECT FROM told")
        change = Change(lambda: run_only(exchange))
        run("UPDATE parcel SET changes = changes + 1")
    assert change.wait() == []
    assert partitions.months_of("told")
