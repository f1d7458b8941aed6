"""One log line per DeliveryEvent, with the ids to search the logs by."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog
from django.db import transaction

from orders.models import DeliveryEvent

log = structlog.get_logger(__name__)


def log_events(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receiver of `lifecycle.recorded`. Logs after commit, so a rollback logs nothing."""
    transaction.on_commit(partial(_log, events), robust=True)


def _log(events: Sequence[DeliveryEvent]) -> None:
    for event in events:
        log.info(
            "order_event",
            type=event.type,
            order_id=event.order_id,
            job_id=event.job_id,
            drone_id=event.job.drone_id if event.job else None,
            by=event.actor_kind,
        )
