"""Flight records are written in the transaction that ends their job."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.aggregates import JSONBAgg
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject

from dispatch.missions.records.building import Known, build
from dispatch.models import FlightRecord, TrackPiece
from fleet.policy import Policy
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import EventType
from wingxtra.database import statements

# A job that is reassigned or rescheduled has not left the ground.
ENDS = {
    EventType.DELIVERED,
    EventType.REQUEUED,
    EventType.CANCELED,
    EventType.FAILED,
    EventType.ABORTED,
    EventType.CORRECTED,
}


def write(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receives `lifecycle.recorded`: write a record for each ended job that left the ground.

    A job that has one keeps it; a corrected outcome is corrected there too. Two statements for any
    number of jobs, and one for each correction.
    """
    orders = {
        event.job.pk: event.order
        for event in events
        if event.type in ENDS and event.job and event.job.ended_at
    }
    if not orders:
        return
    known = [_known(job, orders[job.pk]) for job in _jobs(list(orders))]
    records = [build(one) for one in known if one.left_the_ground]
    records.sort(key=lambda record: str(record.job_id))
    written = {record.pk for record in statements.insert_those_that_are_new(records)}
    for record in records:
        if record.pk not in written:
            FlightRecord.objects.filter(job=record.job_id).update(
                outcome=record.outcome, reason_code=record.reason_code
            )


def _jobs(job_ids: list[UUID]) -> QuerySet[Any]:
    """With everything that `Known` needs, in one statement. A test order has no mission."""
    of_job = {"job": OuterRef("pk")}
    pieces = TrackPiece.objects.filter(**of_job).order_by().values("job")
    happened = DeliveryEvent.objects.filter(**of_job).order_by().values("job")
    event = JSONObject(type="type", at="occurred_at", inferred=F("payload__inferred"))
    latest = FlightRecord.objects.filter(drone=OuterRef("drone")).order_by("-ended_at", "-id")
    totals = JSONObject(flights="flights_total", seconds="seconds_total")
    rules = Policy.objects.filter(pk=1)
    return (
        DeliveryJob.objects.filter(pk__in=job_ids, part__isnull=False)
        .order_by()
        .select_related("part__mission", "flight", "drone__kind", "drone__hub")
        .annotate(
            pieces=Subquery(pieces.values(all=JSONBAgg("points", order_by="id"))),
            happened=Subquery(happened.values(all=JSONBAgg(event, order_by="id"))),
            before=Subquery(latest.values(totals=totals)[:1]),
            corridor_m=Subquery(rules.values("zone_margin_m")),
            detours=Subquery(rules.values("detours_allowed")),
        )
    )


def _known(job: Any, order: Order) -> Known:
    return Known(
        job=job,
        order=order,
        happened=job.happened or [],
        pieces=job.pieces or [],
        before=job.before or {"flights": 0, "seconds": 0.0},
        # Ground control finds the way around zones itself.
        corridor_m=None if job.detours else job.corridor_m,
        operator_id=settings.OPERATOR_ID,
    )
