"""Attention items for our own processes: Redis, the worker and the scheduler."""

from collections.abc import Iterator

from redis import RedisError

from wingxtra import broker
from wingxtra.console import registry
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Tone
from wingxtra.database import partitions

SILENT_AFTER_S = 15


def silent_processes(look: Look) -> Iterator[Attention]:
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
        if at is None or (look.at - at).total_seconds() > SILENT_AFTER_S:
            yield Attention(
                key=f"silent:{name}",
                level=45,
                text=f"The {name} is silent",
                detail="Nothing is polled, dispatched or sent until it runs again.",
                since=at,
                tone=Tone.BAD,
            )


def histories(look: Look) -> Iterator[Attention]:
    """Tables whose months are missing. Their rows are kept, in a table that grows slow."""
    for found in partitions.standing(look.at):
        if not found.is_troubled:
            continue
        name = found.table.partition("_")[2]
        detail = [
            f"No partition takes the rows of {found.missing:%B %Y}." if found.missing else "",
            f"Rows are in the default partition, the newest of {found.stray:%Y-%m-%d %H:%M} UTC."
            if found.stray
            else "",
            "The worker makes the months each hour, and moves such rows to them.",
        ]
        yield Attention(
            key=f"history:{found.table}",
            level=20,
            text=f"A month is missing for the table of {name}",
            detail=" ".join(filter(None, detail)),
        )


registry.add_attention(histories, checks="the months of the history are made")
registry.add_attention(silent_processes, checks="Redis, worker and scheduler answer")
