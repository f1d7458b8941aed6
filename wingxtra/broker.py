"""The queue: a Dramatiq broker on Redis, its middleware, and the schedule.

An app defines its actors in `actors.py`, which is discovered. A message may get lost between a
commit and the queue; a sweeper then finds the work in the rows.
"""

import contextvars
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import dramatiq
import psycopg
import redis
import structlog
from django.conf import settings
from django.db import connection, connections, transaction
from django.utils.module_loading import autodiscover_modules
from django_dramatiq.middleware import DbConnectionsMiddleware
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import (
    AgeLimit,
    Callbacks,
    CurrentMessage,
    Middleware,
    Retries,
    ShutdownNotifications,
    SkipMessage,
    TimeLimit,
)
from prometheus_client import Counter
from redis.backoff import NoBackoff
from redis.retry import Retry

from wingxtra import redis_client
from wingxtra.observability.queue_metrics import ActorMetrics

log = structlog.get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

hints_given_up = Counter(
    "wingxtra_hints_given_up",
    "Messages that were not queued after a commit, because Redis was down. Sweepers send them.",
    ["actor"],
)

HEARTBEAT_EVERY_S = 2.0
STANDBY_POLL_S = 0.2
# With this many messages waiting, no tick is sent; it is tried again after the pause.
LONG_QUEUE = 1000
LONG_QUEUE_PAUSE_S = 1.0
_long_queues: set[str] = set()
# A tick is taken at least this late: a queue that is somewhat behind still does all of its work.
FEWEST_TICK_S = 2.0
BESIDE = "beside"  # the name of threads that run beside a worker's
SCHEDULER_LOCK = 0x77_69_6E_67  # any number that no other advisory lock uses
WORKER_HEARTBEAT = "wingxtra:seen:worker"
SCHEDULER_HEARTBEAT = "wingxtra:seen:scheduler"


def redis_broker(*, url: str, middleware: list[Middleware]) -> RedisBroker:
    """The factory in DRAMATIQ_BROKER; django-dramatiq calls it once at start.

    One quick retry and short timeouts, so that a request does not hang while Redis is down.
    """
    client = redis.Redis.from_url(
        url, retry=Retry(NoBackoff(), retries=1), socket_connect_timeout=2, socket_timeout=5
    )
    return RedisBroker(
        client=client,
        middleware=[
            LogContext(),
            DropsLate(),
            TimeLimit(),
            ShutdownNotifications(),
            Callbacks(),
            Retries(),
            CurrentMessage(),
            DbConnectionsMiddleware(),
            WorkerHeartbeat(),
            WaitsForWorkBeside(),
            ActorMetrics(),
            *middleware,
        ],
    )


def enqueue(actor: dramatiq.Actor[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
    """Send when the current transaction commits, or at once outside of one; never on rollback.

    A hint: a queue that is down is counted and not raised. The rows are committed and a sweeper
    finds them. A web request waits little for it (`redis_client.attempt`).
    """

    def send() -> None:  # not a partial: Django logs a failure with the __qualname__
        try:
            _hints().enqueue(actor.message(*args, **kwargs))
        except redis_client.Away:
            hints_given_up.labels(actor.actor_name).inc()

    transaction.on_commit(send, robust=True)


class _OwnConnection:
    """All that RedisBroker needs of a client to enqueue. Its scripts go over this thread's own
    connection, and wait little; a worker's own client waits longer.
    """

    @staticmethod
    def register_script(text: bytes) -> Callable[..., Any]:
        script = redis_client.Script(text.decode())

        def run(keys: Sequence[str] = (), args: Sequence[int | str | bytes] = ()) -> Any:
            return redis_client.run(script, keys, args)

        return run


@cache
def _hints() -> RedisBroker:
    """The same queues. redis-py's client takes longer to borrow a connection than to use it."""
    return RedisBroker(client=_OwnConnection(), middleware=[LogContext()])


def beside(work: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
    """Run work that mostly waits for another system in a thread of its own, so that it does not
    occupy a thread of the worker. The caller limits how much runs at once.

    A failure is logged; a sweeper finds the work again. The worker does not end before it.
    """

    def run() -> None:
        try:
            work(*args, **kwargs)
        except Exception:
            log.exception("work_failed", work=work.__qualname__)
        finally:
            connections.close_all()

    context = contextvars.copy_context()  # of the log
    threading.Thread(target=context.run, args=[run], name=BESIDE).start()


class WaitsForWorkBeside(Middleware):
    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        for thread in threading.enumerate():
            if thread.name == BESIDE:
                thread.join()


class LogContext(Middleware):
    """Binds request id, message id and actor to a worker's log lines."""

    def before_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
        if request_id := structlog.contextvars.get_contextvars().get("request_id"):
            message.options.setdefault("request_id", request_id)

    def before_process_message(self, broker: Any, message: Any) -> None:
        request_id = message.options.get("request_id")
        known = {"request_id": request_id} if request_id else {}
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            message_id=message.message_id, actor=message.actor_name, **known
        )

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: Any = None
    ) -> None:
        structlog.contextvars.clear_contextvars()

    def after_skip_message(self, broker: Any, message: Any) -> None:
        structlog.contextvars.clear_contextvars()


# --- the schedule --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tick:
    actor: dramatiq.Actor[[], Any]
    every_s: float

    def send(self) -> bool:
        """False if it was not sent, because the queue is long. Behind it most ticks would be
        dropped as late, and without workers they would fill Valkey.

        A tick that no worker takes in time is dropped, and a failed one is not retried: the next
        tick is the retry.
        """
        queue = self.actor.queue_name
        waiting: Any = _client().llen(f"dramatiq:{queue}")
        if waiting >= LONG_QUEUE:
            if queue not in _long_queues:
                log.warning("queue_gets_no_ticks", queue=queue, waiting=waiting)
            _long_queues.add(queue)
            return False
        if queue in _long_queues:
            log.info("queue_gets_ticks_again", queue=queue, waiting=waiting)
            _long_queues.remove(queue)
        max_age_ms = int(max(self.every_s, FEWEST_TICK_S) * 1000)
        self.actor.send_with_options(max_age=max_age_ms, max_retries=0)
        return True


schedule: list[Tick] = []


def every(seconds: float) -> Callable[[dramatiq.Actor[[], R]], dramatiq.Actor[[], R]]:
    """Decorator above `@dramatiq.actor`: puts an actor without arguments on the schedule."""

    def register(actor: dramatiq.Actor[[], R]) -> dramatiq.Actor[[], R]:
        schedule.append(Tick(actor, seconds))
        return actor

    return register


class DropsLate(AgeLimit):
    """Drops messages that are older than their `max_age`.

    Dramatiq would keep each one for seven days among the messages that failed.
    """

    def before_process_message(self, broker: Any, message: Any) -> None:
        try:
            super().before_process_message(broker, message)
        except SkipMessage:
            message.failed = False
            raise


def load_actors() -> None:
    autodiscover_modules("actors")


def run_schedule(stop: threading.Event) -> None:
    """Send the ticks of `schedule` until `stop` is set. Only one of several processes does.

    The leader holds an advisory lock of a transaction, which stays open. The lock is released when
    the leader dies, and a standby takes over. A lock of the session would not be the leader's own
    behind a PgBouncer in transaction mode.
    """
    while not stop.is_set():
        try:
            with psycopg.connect(
                **connection.get_connection_params(), autocommit=True, tcp_user_timeout=5000
            ) as session:
                _stand_by(session, stop)
                _lead(session, stop)
        except psycopg.Error as error:
            log.warning("scheduler_has_no_database", error=str(error))
            stop.wait(1.0)


def _stand_by(session: psycopg.Connection[Any], stop: threading.Event) -> None:
    """Returns with the lock, in an open transaction."""
    while not stop.is_set():
        _touch_alive_path()
        # The first try releases the lock at once. So a standby has no transaction open.
        if _try_lock(session):
            session.execute("BEGIN")
            if _try_lock(session):
                log.info("scheduler_leads", actors=[tick.actor.actor_name for tick in schedule])
                return
            session.execute("ROLLBACK")
        stop.wait(STANDBY_POLL_S)


def _try_lock(session: psycopg.Connection[Any]) -> bool:
    row = session.execute("SELECT pg_try_advisory_xact_lock(%s)", [SCHEDULER_LOCK]).fetchone()
    return bool(row and row[0])


def _lead(session: psycopg.Connection[Any], stop: threading.Event) -> None:
    due_at = dict.fromkeys(schedule, time.monotonic())
    while not stop.is_set():
        _touch_alive_path()
        session.execute("SELECT 1")  # raises when the transaction, and so the lock, is lost
        now = time.monotonic()
        try:
            for tick in schedule:
                if due_at[tick] <= now:
                    pause_s = tick.every_s if tick.send() else LONG_QUEUE_PAUSE_S
                    # After a pause of the process, missed ticks are not sent in a burst.
                    due_at[tick] = max(due_at[tick] + pause_s, now)
            _beat(SCHEDULER_HEARTBEAT)
        except redis.RedisError as error:
            log.warning("scheduler_has_no_redis", error=str(error))
            stop.wait(1.0)
            continue
        wait_s = min([HEARTBEAT_EVERY_S, *(at - time.monotonic() for at in due_at.values())])
        stop.wait(max(wait_s, 0.01))


# --- heartbeats ----------------------------------------------------------------------------------


class WorkerHeartbeat(Middleware):
    """Writes a heartbeat from each worker process, for `worker_heartbeat_at`."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def after_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self._stop.clear()
        self._beats = threading.Thread(target=self._keep_beating, name="heartbeat", daemon=True)
        self._beats.start()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self._stop.set()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        # A late beat would tell of a worker that has ended. Not before: the worker's threads would
        # take messages for as long as a beat waits for a Redis that hangs.
        self._beats.join()

    def _keep_beating(self) -> None:
        while True:
            _touch_alive_path()
            try:
                _beat(WORKER_HEARTBEAT)
            except redis.RedisError as error:
                log.warning("worker_has_no_redis", error=str(error))
            if self._stop.wait(HEARTBEAT_EVERY_S):
                return


def _touch_alive_path() -> None:
    """For a supervisor: this process has no port for a health check."""
    if settings.ALIVE_PATH:
        Path(settings.ALIVE_PATH).touch()


def worker_heartbeat_at() -> datetime | None:
    """Time of the last heartbeat of any worker; None if there was none. Raises RedisError."""
    return _heartbeat_at(WORKER_HEARTBEAT)


def scheduler_heartbeat_at() -> datetime | None:
    """The same for the leading scheduler. Raises RedisError."""
    return _heartbeat_at(SCHEDULER_HEARTBEAT)


def _client() -> redis.Redis:
    return cast(RedisBroker, dramatiq.get_broker()).client


def _beat(key: str) -> None:
    _client().set(key, time.time())


def _heartbeat_at(key: str) -> datetime | None:
    beat: Any = redis_client.ask(lambda client: client.get(key))
    return datetime.fromtimestamp(float(beat), tz=UTC) if beat else None
