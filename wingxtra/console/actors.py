"""Bulk actions in the background, and what is forgotten.

The sweep finds bulk actions whose message was lost or worker died.
"""

from datetime import timedelta
from uuid import UUID

import dramatiq
import structlog
from django.utils import timezone

from wingxtra import outbox
from wingxtra.broker import every
from wingxtra.console.bulk import worker
from wingxtra.console.models import Acknowledgement, BulkAction

LATE = 50  # after the work of a minute, before what-ifs
log = structlog.get_logger(__name__)


@dramatiq.actor(priority=LATE, max_retries=0)
def work_on_bulk_action(bulk_action_id: str) -> None:
    if worker.work(UUID(bulk_action_id)):
        work_on_bulk_action.send(bulk_action_id)


@every(5)
@dramatiq.actor(max_retries=0)
def sweep_bulk_actions() -> None:
    outbox.sweep(BulkAction.objects.due(timezone.now()), work_on_bulk_action)


@every(3600)
@dramatiq.actor(max_retries=0)
def forget_bulk_actions() -> None:
    if count := worker.forget_old():
        log.info("bulk_actions_forgotten", count=count)


@every(3600)
@dramatiq.actor(max_retries=0)
def forget_acknowledgements() -> None:
    """Those that ended a month ago; the history of the console keeps who gave them."""
    Acknowledgement.objects.over(timezone.now() - timedelta(days=30)).delete()
