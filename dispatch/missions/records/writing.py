"""Flight records are written in the transaction that ends their job."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.postgres.aggregates import JSONBAgg
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject
from django.utils import timezone

from dispatch.missions.records.building import Known, build
from dispatch.missions.records.landing import seconds
from dispatch.models import FlightRecord, TrackPiece
from fleet.airworthiness import counters
from fleet.models import Attestation, Defect
from fleet.policy import Policy
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import EventType
from wingxtra.database import statements
from wingxtra.database.statements import Statement

# The attestations of a day are among those of two days, in any time zone.
ATTESTED_WITHIN = timedelta(days=2)
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
    number of jobs, and one for each of them: the counters of its drone, or the correction.
    """
    orders = {
        event.job.pk: event.order
        for event in events
        if event.type in ENDS and event.job and event.job.ended_at
    }
    if not orders:
        return
    since = timezone.now() - ATTESTED_WITHIN
    jobs = _JOBS.all(job_ids=list(orders), attested_after=since)
    known = [_known(job, orders[job.pk]) for job in jobs]
    records = [build(one) for one in known if one.left_the_ground]
    records.sort(key=lambda record: str(record.job_id))
    written = {record.pk for record in statements.insert_those_that_are_new(records)}
    for record in records:
        if record.pk in written:
            counters.add(record.drone_id, flights=1, seconds=seconds(record))
        else:
            FlightRecord.objects.filter(job=record.job_id).update(
                outcome=record.outcome, reason_code=record.reason_code
            )


def _jobs(job_ids: Any, attested_after: datetime) -> QuerySet[Any]:
    """With everything that `Known` needs, in one statement. A test order has no mission."""
    of_job = {"job": OuterRef("pk")}
    pieces = TrackPiece.objects.filter(**of_job).values("job")
    happened = DeliveryEvent.objects.filter(**of_job).values("job")
    event = JSONObject(type="type", at="occurred_at", inferred=F("payload__inferred"))
    checks = Attestation.objects.filter(hub=OuterRef("drone__hub"), attested_at__gt=attested_after)
    check = JSONObject(checklist="checklist__name", at="attested_at", day="day")
    defects = Defect.objects.standing().filter(drone=OuterRef("drone"))
    defect = JSONObject(what="description", since="reported_at", grounds="grounds")
    rules = Policy.objects.filter(pk=1)
    return (
        DeliveryJob.objects.filter(pk__among=job_ids, part__isnull=False)
        .order_by()
        .select_related("part__mission", "flight", "drone__kind", "drone__hub__service_area")
        .annotate(
            pieces=Subquery(_all(pieces, "points")),
            happened=Subquery(_all(happened, event)),
            preflight=Subquery(_all(checks.values("hub"), check)),
            defects=Subquery(_all(defects.values("drone"), defect)),
            corridor_m=Subquery(rules.values("zone_margin_m")),
            detours=Subquery(rules.values("detours_allowed")),
        )
    )


def _all(grouped: QuerySet[Any], value: Any) -> QuerySet[Any]:
    """The values of a group as one JSON array, oldest first."""
    return grouped.order_by().values(all=JSONBAgg(value, order_by="id"))


# Compiled once: that takes longer than all the rest of a receipt.
_JOBS = Statement(_jobs, job_ids=list, attested_after=datetime)


def _known(job: Any, order: Order) -> Known:
    return Known(
        job=job,
        order=order,
        happened=job.happened or [],
        pieces=job.pieces or [],
        preflight=job.preflight or [],
        defects=job.defects or [],
        # Ground control finds the way around zones itself.
        corridor_m=None if job.detours else job.corridor_m,
        operator_id=settings.OPERATOR_ID,
    )
