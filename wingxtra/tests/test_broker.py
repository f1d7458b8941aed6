"""The queue and its schedule, with real processes on real servers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import dramatiq
import psutil
import pytest
import redis
from django.conf import settings as current_settings
from django.db import connection, transaction
from pytest_django import Settings

from wingxtra import broker, redis_client
from wingxtra.tests.probe.actors import note

pytestmark = pytest.mark.django_db(transaction=True)

# What takes fractions of a second, on a machine that stalls for seconds; also the time that Docker
# gives a scheduler to end.
SOON_S = 10


@pytest.fixture(autouse=True)
def _actors_of_the_probe_stay_out_of_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their import has put one on the schedule of this process."""
    monkeypatch.setattr(broker, "schedule", [])


@contextmanager
def manage(
    *command: str, settings_module: str = "wingxtra.tests.probe.settings"
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on the test's database and Redis, with the probe as its only app."""
    database = urlsplit(current_settings.DATABASE_URL)._replace(
        path="/" + connection.settings_dict["NAME"]
    )
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": settings_module,
        "DATABASE_URL": database.geturl(),
    }
    with subprocess.Popen(
        [sys.executable, "manage.py", *command], cwd=current_settings.BASE_DIR, env=environment
    ) as started:
        try:
            yield started
        finally:
            started.terminate()  # not kill: a worker's child processes would survive
            started.wait(60)


def wait_until(condition: Callable[[], object], timeout_s: float = 60) -> float:
    """Returns the seconds that it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < timeout_s, "waited in vain"
        time.sleep(0.01)
    return time.monotonic() - start


def client() -> redis.Redis:
    return dramatiq.get_broker().client


def queued() -> int:
    return client().llen("dramatiq:probe")


def ticks_go_on_after() -> float:
    before = queued()
    return wait_until(lambda: queued() > before)


def a_scheduler_stands_by() -> bool:
    """The last statement of a session is the try of the lock: it stands by."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND query LIKE 'SELECT pg_try_advisory_xact_lock%'"
        )
        return bool(cursor.fetchone()[0])


def test_a_standby_takes_over_when_the_leading_scheduler_is_killed() -> None:
    with manage("scheduler") as leader:
        wait_until(queued)
        with manage("scheduler"):
            wait_until(a_scheduler_stands_by)
            started, before = time.monotonic(), queued()
            wait_until(lambda: queued() >= before + 20)
            assert time.monotonic() - started > 1.4  # one of them ticks every 0.1 s, not two
            leader.kill()
            leader.wait()
            assert ticks_go_on_after() < SOON_S


def test_a_leader_recovers_from_a_lost_session_and_all_stop_on_sigterm() -> None:
    assert broker.scheduler_heartbeat_at() is None
    with manage("scheduler") as one, manage("scheduler") as other:
        wait_until(broker.scheduler_heartbeat_at)
        assert datetime.now(UTC) - broker.scheduler_heartbeat_at() < timedelta(seconds=SOON_S)
        wait_until(a_scheduler_stands_by)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_locks JOIN pg_database d"
                " ON d.oid = database WHERE locktype = 'advisory' AND datname = current_database()"
            )
            assert cursor.fetchone()[0] == 1
        assert ticks_go_on_after() < SOON_S
        for scheduler in (one, other):
            scheduler.send_signal(signal.SIGTERM)
            assert wait_until(lambda process=scheduler: process.poll() is not None) < SOON_S
            assert scheduler.returncode == 0


def test_a_worker_sends_heartbeats_and_drops_late_ticks() -> None:
    with manage("scheduler"):
        wait_until(lambda: queued() >= 3)
    note.send("in time")
    time.sleep(broker.FEWEST_TICK_S + 0.1)  # for as long a tick is taken
    assert broker.worker_heartbeat_at() is None
    with manage("worker", "--processes", "1", "--threads", "2") as worker:
        wait_until(lambda: client().lrange("noted", 0, -1) == [b"in time"])
        wait_until(lambda: queued() == 0)
        assert client().llen("ticked") == 0
        wait_until(broker.worker_heartbeat_at)  # written by a thread of its own
        assert datetime.now(UTC) - broker.worker_heartbeat_at() < timedelta(seconds=SOON_S)
        worker.send_signal(signal.SIGTERM)
        wait_until(lambda: worker.poll() is not None)
        assert worker.returncode == 0
    assert client().keys("dramatiq:probe.XQ*") == []  # messages that failed are kept there


def test_without_workers_ticks_stop_at_a_long_queue_and_go_on_after_it() -> None:
    for number in range(broker.LONG_QUEUE - 5):
        note.send(str(number))
    with manage("scheduler"):
        wait_until(lambda: queued() == broker.LONG_QUEUE)
        beat = broker.scheduler_heartbeat_at()
        wait_until(lambda: broker.scheduler_heartbeat_at() - beat > timedelta(seconds=2))
        assert queued() == broker.LONG_QUEUE
        client().delete("dramatiq:probe")
        assert ticks_go_on_after() < SOON_S


def kill_of(parent: psutil.Process, number: int) -> float:
    """Kill some processes of a worker. Returns the seconds until it is whole and works."""
    whole = len(parent.children())
    killed = parent.children()[:number]
    for process in killed:
        process.kill()
    word = f"after {number}"
    note.send(word)

    def is_back() -> bool:
        now = parent.children()
        noted = client().lrange("noted", 0, -1)
        return word.encode() in noted and len(now) == whole and not set(now) & set(killed)

    return wait_until(is_back)


def test_killed_worker_processes_are_replaced_and_none_outlives_its_parent() -> None:
    with manage("worker", "--processes", "2", "--threads", "2") as worker:
        parent = psutil.Process(worker.pid)
        wait_until(lambda: len(parent.children()) == 2)
        for number in (1, 2):
            back_s = kill_of(parent, number)
            print(f"{number} of 2 worker processes killed: back after {back_s:.1f} s")
            assert back_s < 40
        children = parent.children()
        worker.kill()
        psutil.wait_procs(children, timeout=30)
        assert not [process for process in children if process.is_running()]


def test_a_message_is_sent_on_commit_and_never_on_rollback() -> None:
    with transaction.atomic():
        broker.enqueue(note, "committed")
        assert queued() == 0
    assert queued() == 1

    def fail() -> None:
        with transaction.atomic():
            broker.enqueue(note, "rolled back")
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert queued() == 1


def test_a_queue_outage_at_commit_is_counted_and_not_raised(settings: Settings) -> None:
    lost = broker.hints_given_up.labels("note")
    before = lost._value.get()
    settings.REDIS_URL = "redis://127.0.0.1:1"
    redis_client.client.cache_clear()
    with transaction.atomic():
        broker.enqueue(note, "lost")
    redis_client.client.cache_clear()
    assert lost._value.get() == before + 1
