"""Background jobs of escalation: look at the attention list, and tell receivers."""

from uuid import UUID

import dramatiq
import structlog
from django.utils import timezone

from wingxtra import outbox
from wingxtra.broker import beside, every
from wingxtra.escalation import alerts, looking, sending
from wingxtra.escalation.models import AlertMessage

log = structlog.get_logger(__name__)
STALE_AFTER_MS = 30_000


# The sweep is the retry.
@dramatiq.actor(queue_name="alerts", max_retries=0, max_age=STALE_AFTER_MS)
def send_alert(message_id: str) -> None:
    if taken := sending.take(UUID(message_id)):
        # A slow receiver must not occupy the worker. `take` limits how many are sent at once.
        beside(sending.send, taken)


@every(5)
@dramatiq.actor(queue_name="alerts", max_retries=0)
def look_for_alerts() -> None:
    looking.look(timezone.now())
    outbox.sweep(AlertMessage.objects.due(timezone.now()), send_alert)


@every(5)
@dramatiq.actor(queue_name="alerts", max_retries=0)
def sweep_alerts() -> None:
    """Also while the attention list cannot be looked at."""
    outbox.sweep(AlertMessage.objects.due(timezone.now()), send_alert)


@every(3600)
@dramatiq.actor(max_retries=0)
def forget_old_alerts() -> None:
    if count := alerts.forget_old(timezone.now()):
        log.info("alerts_forgotten", count=count)
