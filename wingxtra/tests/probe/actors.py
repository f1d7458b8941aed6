import dramatiq
import structlog

from wingxtra import broker


@broker.every(0.1)
@dramatiq.actor(queue_name="probe")
def tick() -> None:
    dramatiq.get_broker().client.rpush("ticked", 1)


@dramatiq.actor(queue_name="probe")
def note(word: str) -> None:
    dramatiq.get_broker().client.rpush("noted", word)
    structlog.get_logger(__name__).info("noted")
