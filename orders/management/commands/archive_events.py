"""`manage.py archive_events`: takes the oldest month of events out of the database's daily work."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from orders.models import DeliveryEvent
from wingxtra.database import partitions


class Command(BaseCommand):
    help = (
        "Detach the oldest month of events, which ended a year ago or earlier. It stays as a table "
        "of its own, to dump and drop. Pages and calls show the events of its orders no more."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        (events,) = (one for one in partitions.histories if one.model is DeliveryEvent)
        month = partitions.archive(events, timezone.now())
        if month is None:
            raise CommandError(
                f"No month of events ended {partitions.ARCHIVED_AFTER_DAYS} days ago. "
                "Nothing was detached."
            )
        self.stdout.write(
            f"Detached the events before {month.end:%Y-%m-%d}: the table {month.name}. "
            f"Dump it (pg_dump --table={month.name}), then drop it."
        )
