"""Scheduled work on tables that are partitioned by month."""

import dramatiq
from django.utils import timezone

from wingxtra.broker import every
from wingxtra.database import partitions


@every(3600)
@dramatiq.actor(max_retries=0)
def keep_histories() -> None:
    """Make the months to come, and drop those past their retention. The next run does what this one
    could not: a busy table is left alone.
    """
    now = timezone.now()
    try:
        partitions.prepare(now)
    finally:
        partitions.drop_old(now)
