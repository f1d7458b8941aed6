"""Retention: the exact drop point of missions, flights and tracks is removed with the customer's
personal data; runs and what-ifs are deleted after the policy's `decision_days`, flight records
after its `flight_record_days`.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef

from dispatch.models import (
    DispatchDecision,
    DispatchRun,
    Flight,
    FlightRecord,
    Mission,
    Occurrence,
    TrackPiece,
    WhatIf,
)
from dispatch.occurrences import verbs as occurrences
from fleet import policy
from orders.models import Order
from orders.personal_data.retention import DROPOFF_DECIMALS
from wingxtra.database import partitions


def forget(order: Order, **_signal: Any) -> None:
    """Receiver of `retention.forgetting`. In the sent intent, only the drop point is rounded."""
    occurrences.forget(order)
    for intent in Mission.objects.select_for_update().filter(parts__order=order):
        for axis in ("lat", "lng"):
            intent.body["dropoff"][axis] = round(intent.body["dropoff"][axis], DROPOFF_DECIMALS)
        intent.bridge_answer = ""
        intent.save(update_fields=["body", "bridge_answer"])
    Flight.objects.filter(job__order=order).delete()
    TrackPiece.objects.filter(job__order=order).delete()


def forget_runs(now: datetime, *, at_most: int = 10_000) -> int:
    """Delete runs older than the policy's `decision_days` that have no decision any more: these
    leave month by month (`wingxtra.database.partitions`). So runs since the first month that is
    left are not looked up.

    At most `at_most` runs, the oldest first; returns how many were deleted.
    """
    kept_since = decisions_kept_since(now)
    oldest = next(iter(partitions.months_of(DispatchDecision._meta.db_table) or ()), None)
    if oldest is not None:
        if oldest.start is None:
            return 0  # it has all decisions from before the migration
        kept_since = min(kept_since, oldest.start)
    decisions = DispatchDecision.objects.filter(run=OuterRef("pk"))
    old = DispatchRun.objects.filter(~Exists(decisions), started_at__lt=kept_since)
    runs = list(old.order_by("started_at").values_list("pk", flat=True)[:at_most])
    DispatchRun.objects.filter(pk__in=runs).delete()
    return len(runs)


def forget_what_ifs(now: datetime) -> int:
    """Delete what-ifs older than `decision_days`; returns how many."""
    return WhatIf.objects.filter(asked_at__lt=decisions_kept_since(now)).delete()[0]


def forget_records(now: datetime, *, at_most: int = 10_000) -> int:
    """Delete flight records older than `flight_record_days` that no occurrence holds.

    At most `at_most`, the oldest first; returns how many.
    """
    kept_since = now - timedelta(days=policy.current().flight_record_days)
    held = Occurrence.objects.holding().filter(order=OuterRef("order"))
    old = FlightRecord.objects.filter(~Exists(held), ended_at__lt=kept_since).order_by("ended_at")
    ids = list(old.values_list("pk", flat=True)[:at_most])
    return FlightRecord.objects.filter(~Exists(held), pk__in=ids).delete()[0]


def decisions_kept_since(now: datetime) -> datetime:
    return now - timedelta(days=policy.current().decision_days)
