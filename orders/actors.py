"""What orders do by themselves."""

import dramatiq
import structlog
from django.utils import timezone

from orders import lifecycle
from wingxtra.broker import every

log = structlog.get_logger(__name__)


@every(5)
@dramatiq.actor
def enqueue_due() -> None:
    """Queue the scheduled orders whose time has come."""
    if count := lifecycle.enqueue_due(timezone.now()):
        log.info("orders_due", count=count)
