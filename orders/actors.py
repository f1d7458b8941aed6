"""Scheduled work on orders."""

import dramatiq
import structlog
from django.utils import timezone

from orders import lifecycle
from orders.personal_data import retention
from wingxtra.broker import every

log = structlog.get_logger(__name__)


@every(5)
@dramatiq.actor
def enqueue_due() -> None:
    """Queue the scheduled orders whose start is due."""
    if count := lifecycle.enqueue_due(timezone.now()):
        log.info("orders_due", count=count)


@every(60)
@dramatiq.actor
def miss_proofs() -> None:
    """Tell merchants of proofs that are still missing."""
    if count := lifecycle.miss_proofs(timezone.now()):
        log.info("proofs_missing", count=count)


@every(3600)
@dramatiq.actor
def forget_customers() -> None:
    """Remove personal data past its retention period. The next run takes what this one leaves."""
    done, failed = retention.forget_old(timezone.now())
    if done or failed:
        log.info("customers_forgotten", done=done, failed=failed)
