"""A log line for each thing that happens to an order, with the ids that find all about it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog
from django.db import transaction

from orders.models import DeliveryEvent

log = structlog.get_logger(__name__)


def tell(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receives `lifecycle.recorded`; what is rolled back has not happened."""
    transaction.on_commit(partial(_tell, events), robust=True)


def _tell(events: Sequence[DeliveryEvent]) -> None:
    for event in events:
        log.info(
            "order_event",
            type=event.type,
            order_id=event.order_id,
            job_id=event.job_id,
            drone_id=event.job.drone_id if event.job else None,
            by=event.actor_kind,
        )
