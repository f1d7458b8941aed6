"""Flight records are written in the transaction that ends their job."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.aggregates import JSONBAgg
from django.db import transaction
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject
from django.utils import timezone

from dispatch.missions.records.building import Known, build
from dispatch.missions.records.landing import seconds
from dispatch.models import FlightRecord, TrackPiece
from fleet.airworthiness import counters
from fleet.models import Attestation, BatteryPack, Defect
from fleet.policy import Policy
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import EventType
from wingxtra.database import few_rows
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

    A job that has one keeps it; a corrected outcome is corrected there too. One statement inserts
    the records, and two for each job read it and count its flight, or correct its record.
    """
    orders = {
        event.job.pk: event.order
        for event in events
        if event.type in ENDS and event.job and event.job.ended_at
    }
    if not orders:
        return
    records = [record for pk, order in orders.items() if (record := _record(pk, order))]
    written = insert(records)
    for record in records:
        if record.pk not in written:
            FlightRecord.objects.filter(job=record.job_id).update(
                outcome=record.outcome, reason_code=record.reason_code
            )


def write_late(job_id: UUID, at: datetime, *, inferred: bool) -> bool:
    """Write the record of a job that ended without a launch and is seen or reported in the air
    afterwards. inferred: it was in the air at `at`, and took off before. Returns whether it is new.

    Nothing for a job that has a record, or whose drone telemetry shows at a hub all the time.
    """
    if FlightRecord.objects.filter(job=job_id).exists():
        return False
    launch = {"type": EventType.LAUNCHED.value, "at": at.isoformat(), "inferred": inferred}
    record = _record(job_id, None, launch)
    return record is not None and bool(insert([record]))


@transaction.atomic(savepoint=False)
def insert(records: list[FlightRecord]) -> set[UUID]:
    """Insert those whose flight has none, and count these flights; returns their ids.

    All or nothing: a flight that has its record is never counted later.
    """
    # In one order: transactions wait for each other's rows.
    records = sorted(records, key=lambda record: str(record.job_id or record.mission_id))
    written = few_rows.insert_those_that_are_new(records)
    for record in written:
        counters.add(record.drone_id, flights=1, seconds=seconds(record))
    return {record.pk for record in written}


def _record(job_id: UUID, order: Order | None, *more: dict[str, Any]) -> FlightRecord | None:
    """None for a job that did not leave the ground, and for that of a test order.

    order: of the job, None to read it. more: events that are known beside those of the job.
    """
    job: Any = _JOB.first(job_id=job_id, attested_after=timezone.now() - ATTESTED_WITHIN)
    if job is None:
        return None
    known = Known(
        job=job,
        order=order or job.order,
        happened=[*(job.happened or []), *more],
        pieces=job.pieces or [],
        preflight=job.preflight or [],
        defects=job.defects or [],
        packs=job.packs or [],
        # Ground control finds the way around zones itself.
        corridor_m=None if job.detours else job.corridor_m,
        operator_id=settings.OPERATOR_ID,
    )
    return build(known) if known.left_the_ground else None


def _job(job_id: UUID, attested_after: datetime) -> QuerySet[Any]:
    """With everything that `Known` needs, in one statement. A test order has no mission."""
    of_job = {"job": OuterRef("pk")}
    pieces = TrackPiece.objects.filter(**of_job).values("job")
    events = DeliveryEvent.objects.since(OuterRef("created_at"))
    happened = events.filter(**of_job).values("job")
    event = JSONObject(type="type", at="occurred_at", inferred=F("payload__inferred"))
    return (
        DeliveryJob.objects.filter(pk=job_id, part__isnull=False)
        .order_by()
        .select_related("part__mission", "flight", "drone__kind", "drone__hub__service_area")
        .annotate(
            pieces=Subquery(_all(pieces, "points")),
            happened=Subquery(_all(happened, event)),
            **of_drone(hub="drone__hub", attested_after=attested_after),
        )
    )


def of_drone(*, hub: str, attested_after: datetime) -> dict[str, Subquery]:
    """What a record needs of the row's `drone`, of the hub where it stood and of the policy."""
    checks = Attestation.objects.filter(hub=OuterRef(hub), attested_at__gt=attested_after)
    check = JSONObject(checklist="checklist__name", at="attested_at", day="day")
    its_own = {"drone": OuterRef("drone")}
    defects = Defect.objects.standing().filter(**its_own).values("drone")
    defect = JSONObject(what="description", since="reported_at", grounds="grounds")
    packs = BatteryPack.objects.filter(**its_own).values("drone")
    rules = Policy.objects.filter(pk=1)
    return {
        "preflight": Subquery(_all(checks.values("hub"), check)),
        "defects": Subquery(_all(defects, defect)),
        "packs": Subquery(_all(packs, F("serial"))),
        "corridor_m": Subquery(rules.values("zone_margin_m")),
        "detours": Subquery(rules.values("detours_allowed")),
    }


def _all(grouped: QuerySet[Any], value: Any) -> QuerySet[Any]:
    """The values of a group as one JSON array, oldest first."""
    return grouped.order_by().values(all=JSONBAgg(value, order_by="id"))


# Compiled once: that takes longer than all the rest of a receipt. One job at a time: for any number
# of them PostgreSQL would plan it anew each time, which takes longer than to read ten jobs.
_JOB = Statement(_job, job_id=UUID, attested_after=datetime)
