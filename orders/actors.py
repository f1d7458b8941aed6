"""Scheduled work on orders."""

from datetime import timedelta

import dramatiq
import structlog
from django.utils import timezone

from fleet import policy
from orders import lifecycle
from orders.personal_data import retention
from orders.recurring import placer, verbs
from wingxtra.broker import every

log = structlog.get_logger(__name__)


@every(5)
@dramatiq.actor
def enqueue_due() -> None:
    """Queue the scheduled orders whose start is due."""
    if count := lifecycle.enqueue_due(timezone.now()):
        log.info("orders_due", count=count)


@every(30)
@dramatiq.actor
def place_recurring() -> None:
    """Place the orders of recurring ones that are due."""
    placed, failed = placer.place_due(timezone.now())
    if placed or failed:
        log.info("recurring_placed", placed=placed, failed=failed)


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
    now = timezone.now()
    done, failed = retention.forget_old(now)
    verbs.forget_unused((now - timedelta(days=policy.current().personal_data_days)).date())
    if done or failed:
        log.info("customers_forgotten", done=done, failed=failed)
