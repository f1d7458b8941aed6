import dramatiq

from wingxtra.api import idempotency
from wingxtra.broker import every


@every(600)
@dramatiq.actor
def forget_old_answers() -> None:
    while idempotency.purge():
        pass
