"""Attention items for our own processes: Redis, the worker and the scheduler."""

from collections.abc import Iterator
from datetime import datetime

from redis import RedisError

from wingxtra import broker
from wingxtra.console import registry
from wingxtra.console.registry import Attention, Tone

SILENT_AFTER_S = 15


def silent_processes(now: datetime) -> Iterator[Attention]:
    try:
        heartbeats = {
            "worker": broker.worker_heartbeat_at(),
            "scheduler": broker.scheduler_heartbeat_at(),
        }
    except RedisError as error:
        yield Attention(
            key="redis", level=50, text="Redis does not answer", detail=str(error), tone=Tone.BAD
        )
        return
    for name, at in heartbeats.items():
        if at is None or (now - at).total_seconds() > SILENT_AFTER_S:
            yield Attention(
                key=f"silent:{name}",
                level=45,
                text=f"The {name} is silent",
                detail="Nothing is polled, dispatched or sent until it runs again.",
                since=at,
                tone=Tone.BAD,
            )


registry.add_attention(silent_processes, checks="Redis, worker and scheduler answer")
