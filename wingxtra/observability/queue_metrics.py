"""Metrics of the queue: waiting messages per actor, their age, and the outcome of actor runs."""

import time
from collections import Counter as Tally
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name, xq_name
from dramatiq.middleware import Middleware
from prometheus_client import Counter, Histogram
from prometheus_client.core import Metric

from wingxtra import redis_client
from wingxtra.observability import metrics

# Only the first messages of a queue are read; its length is always exact.
MAX_READ = 1000

actor_runs = Counter("wingxtra_actor_runs_total", "Runs of actors.", ["actor", "outcome"])
actor_seconds = Histogram(
    "wingxtra_actor_seconds",
    "Duration of these runs.",
    ["actor"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)


class ActorMetrics(Middleware):
    """Counts and times the messages of a worker, and shares the worker's metrics."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}

    def after_worker_boot(self, broker: Any, worker: Any) -> None:
        metrics.share()

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        metrics.stop_sharing()

    def before_process_message(self, broker: Any, message: Any) -> None:
        self._started[message.message_id] = time.perf_counter()

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: Any = None
    ) -> None:
        outcome = type(exception).__name__ if exception else "ok"
        actor_runs.labels(message.actor_name, outcome).inc()
        started = self._started.pop(message.message_id, None)
        if started is not None:
            actor_seconds.labels(message.actor_name).observe(time.perf_counter() - started)

    def after_skip_message(self, broker: Any, message: Any) -> None:
        """The message was too old when its turn came."""
        self._started.pop(message.message_id, None)
        actor_runs.labels(message.actor_name, "skipped").inc()


def queues(now: datetime) -> Iterator[Metric]:
    broker = cast(RedisBroker, dramatiq.get_broker())
    depth: dict[tuple[str, ...], float] = {}
    dead: dict[tuple[str, ...], float] = {}
    waiting: Tally[tuple[str, ...]] = Tally({(name,): 0 for name in broker.actors})
    oldest_s: dict[tuple[str, ...], float] = {(name,): 0.0 for name in broker.actors}
    for queue in broker.get_declared_queues():
        with redis_client.client().pipeline(transaction=False) as pipe:
            pipe.llen(_key(broker, queue))
            pipe.llen(_key(broker, dq_name(queue)))
            pipe.zcard(_key(broker, xq_name(queue)))
            pipe.lrange(_key(broker, queue), 0, MAX_READ - 1)
            length, delayed, failed, ids = pipe.execute()
        depth[queue, "now"], depth[queue, "later"] = length, delayed
        dead[(queue,)] = failed
        for message in _messages(broker, queue, ids):
            actor = (message.actor_name,)
            waiting[actor] += 1
            age_s = now.timestamp() - message.message_timestamp / 1000
            oldest_s[actor] = max(oldest_s.get(actor, 0.0), age_s)
    text = "Waiting messages: ready now, or delayed until later."
    yield metrics.gauge("queue_messages", text, depth, "queue", "when")
    yield metrics.gauge("queue_dead", "Messages that failed for good.", dead, "queue")
    text = f"Messages per actor, of the first {MAX_READ} of each queue."
    yield metrics.gauge("queue_actor_messages", text, dict(waiting), "actor")
    text = "Age of the oldest of these messages."
    yield metrics.gauge("queue_actor_seconds_max", text, oldest_s, "actor")


def _key(broker: RedisBroker, queue: str) -> str:
    return f"{broker.namespace}:{queue}"


def _messages(broker: RedisBroker, queue: str, ids: list[bytes]) -> Iterator[dramatiq.Message[Any]]:
    if not ids:
        return
    stored: Any = redis_client.client().hmget(f"{_key(broker, queue)}.msgs", ids)
    for encoded in stored:
        if encoded is not None:  # a worker has just taken it
            yield dramatiq.Message.decode(encoded)


metrics.register("queues", queues)
