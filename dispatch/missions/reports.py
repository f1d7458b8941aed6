"""Ground control's mission reports, applied to the order's progress.

A report may be late, duplicate, out of order, or about an ended job. Each is stored; the first
source to report a step moves the order, and no report moves it backwards. A report about an ended
job changes no outcome: if it contradicts ours, a discrepancy is raised and live missions are
recalled.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from dispatch.missions import discrepancies, live_missions
from dispatch.missions.flight import phases
from dispatch.missions.flight.state import FlightState, to_dropoff_m
from dispatch.missions.parcel_doubt import parcel_astray, plan_of
from dispatch.missions.records import writing
from dispatch.models import Discrepancy, Flight, Mission, MissionReport
from fleet import policy
from orders import lifecycle
from orders.lifecycle import Locked
from orders.models import DeliveryJob, Order
from orders.states import (
    FLOWN_FROM,
    TERMINAL,
    WITH_A_JOB,
    EventType,
    Happened,
    JobStatus,
    Status,
)
from wingxtra.accounts.identity import Actor
from wingxtra.database import transactions
from wingxtra.database.few_rows import NewRow, RowChange, RowWrite
from wingxtra.database.statements import Statement
from wingxtra.problems import FieldProblem, Invalid
from wingxtra.sentences import sentence


class ReportType(StrEnum):
    """The events that can be reported of a mission."""

    LAUNCHED = "LAUNCHED"
    PICKED_UP = "PICKED_UP"
    ENROUTE = "ENROUTE"
    ARRIVED = "ARRIVED"
    DELIVERING = "DELIVERING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    ABORTED = "ABORTED"


ENDS_WITHOUT_DELIVERY = (ReportType.FAILED, ReportType.ABORTED)
AT_THE_DROP = (ReportType.ARRIVED, ReportType.DELIVERING, ReportType.DELIVERED)
MAX_KEY_LENGTH = 200


@dataclass(frozen=True, slots=True)
class MissionEvent:
    """One report. `event_id` is the sender's idempotency key."""

    type: ReportType
    occurred_at: datetime | None = None
    source: str = "gcs"
    event_id: str = ""
    message: str = ""
    intent_id: UUID | None = None

    @property
    def key(self) -> str:
        """The idempotency key; empty when the report has neither an id nor a time."""
        key = ""
        if self.event_id:
            key = f"{self.source}:{self.event_id}"
        elif self.occurred_at:
            key = f"{self.source}:{self.type}:{self.occurred_at.isoformat()}:{self.intent_id}"
        return key[:MAX_KEY_LENGTH]


@dataclass(frozen=True, slots=True)
class ReportResult:
    """The events that a report caused; `note` says why it caused none."""

    order: Order
    applied: list[str] = field(default_factory=list)
    duplicate: bool = False
    note: str = ""


def _reported(order_id: Any, key: str) -> QuerySet[MissionReport]:
    return MissionReport.objects.filter(order=order_id, key=key).order_by()


def _jobs(job_id: UUID, key: str) -> QuerySet[DeliveryJob]:
    reported = Exists(_reported(OuterRef("order"), key))
    return DeliveryJob.objects.filter(pk=job_id).annotate(was_reported=reported).order_by()


# Compiled once: each report makes one of them. A report from the drop point is compared with
# telemetry.
_JOB = Statement(_jobs, job_id=UUID, key=str)
_JOB_AT_THE_DROP = Statement(
    lambda job_id, key: (
        _jobs(job_id, key)
        .select_related("flight", "drone__kind", "part__mission")
        .defer("flight__recent")
    ),
    job_id=UUID,
    key=str,
)
_REPORTED = Statement(_reported, order_id=UUID, key=str)


def report_type(name: str) -> ReportType | None:
    """The type of an event name such as ARRIVED, MISSION_ARRIVED or arrived; None if unknown."""
    short = name.upper().removeprefix("MISSION_")
    return ReportType(short) if short in ReportType.__members__ else None


def report(order_id: UUID, event: MissionEvent, *, by: Actor) -> ReportResult:
    """Apply a report once. Late, backward and repeated reports change nothing; `note` says why.

    An impossible `occurred_at` is clamped (unit_of_work), not refused. Raises Refused when the
    order never had a mission, NotFound, and Invalid for an intent of another order.
    """
    of_type = _JOB_AT_THE_DROP if event.type in AT_THE_DROP else _JOB
    with transactions.taken_part_in():
        locked = lifecycle.lock(order_id, lambda pk: of_type.first(job_id=pk, key=event.key))
        order = locked.order
        if event.key and _was_reported(order, event.key):
            return ReportResult(order, duplicate=True, note="This was reported before.")
        job = _job_of(order, event)
        locked.also.extend(_kept(event, order_id, job))
        done = _apply(locked, job, event, by)
        locked.write_also()
    return done


def _was_reported(order: Order, key: str) -> bool:
    """Read after the order was locked, so a report that was waited for counts."""
    job: Any = order.current_job
    return job.was_reported if job else _REPORTED.first(order_id=order.pk, key=key) is not None


def _kept(event: MissionEvent, order_id: UUID, job: DeliveryJob | None) -> Iterator[RowWrite]:
    """The report, and what ground control says of the mission."""
    if event.key:
        yield NewRow(MissionReport(order_id=order_id, key=event.key, type=event.type))
    if job:
        said = {"said": event.type, "said_at": timezone.now()}
        yield RowChange(Mission, job.mission_intent_id, said)


def _apply(locked: Locked, job: DeliveryJob | None, event: MissionEvent, by: Actor) -> ReportResult:
    order = locked.order
    if job is not None and job.status != JobStatus.ACTIVE:
        return _apply_to_ended_job(order, job, event, by)
    try:
        return _apply_to_current_job(locked, job, event, by)
    except lifecycle.Refused as refusal:
        if refusal.extra["current_status"] in TERMINAL:
            return ReportResult(order, note=f"{refusal.detail} Nothing was changed.")
        raise


def _apply_to_current_job(
    locked: Locked, job: DeliveryJob | None, event: MissionEvent, by: Actor
) -> ReportResult:
    order, job_id = locked.order, job.pk if job else None
    if job is not None and event.type in AT_THE_DROP and (message := _too_early(order, job, event)):
        discrepancies.raise_(job, Discrepancy.Code.EARLY_REPORT, message, by=by)
        return ReportResult(order, note=f"{message} It is kept, and operations is asked.")
    if event.type in ENDS_WITHOUT_DELIVERY:
        if job is not None and order.proof_awaited_since and not _abort_was_asked(job):
            return _contradict_the_hand_over(order, job, event, by)
        return _end_mission(locked, job, event, by)
    if event.type == ReportType.PICKED_UP:
        before = order.holder
        lifecycle.loaded(
            locked, by=by, job_id=job_id, occurred_at=event.occurred_at, message=event.message
        )
        if order.holder == before:
            return ReportResult(order, note="The parcel is aboard already; nothing was changed.")
        return ReportResult(order, [EventType.PARCEL_LOADED.value])
    done = lifecycle.advance(
        locked,
        Status(event.type.value),
        by=by,
        occurred_at=event.occurred_at,
        job_id=job_id,
        message=event.message,
    )
    return ReportResult(done.order, [step.value for step in done.applied], note=done.note)


def _contradict_the_hand_over(
    order: Order, job: DeliveryJob, event: MissionEvent, by: Actor
) -> ReportResult:
    message = (
        f"Ground control reports “{_label(event)}” after the hand-over, "
        f"{order.proof_awaited_since:%H:%M:%S} UTC, while the order waits for its proof."
    )
    discrepancies.raise_(job, Discrepancy.Code.FAILED_AFTER_DELIVERY, message, by=by)
    return ReportResult(order, note=f"{message} It is kept, and operations is asked.")


def _too_early(order: Order, job: DeliveryJob, event: MissionEvent) -> str:
    """Why telemetry rules out that the drone is at the drop point; empty if it does not."""
    flight: Flight | None = getattr(job, "flight", None)
    if flight is None or job.drone_id is None:
        return ""
    state, plan, rules = FlightState.from_dict(flight.state), plan_of(job), policy.current()
    silence_s = (timezone.now() - flight.heard_at).total_seconds()
    if state.fix is None or not phases.is_far_from_drop(state, plan, rules, silence_s):
        return ""
    away_m = to_dropoff_m(plan, state.fix)
    return (
        f"Ground control reports “{_label(event)}”; telemetry shows {job.drone_id} {away_m:.0f} m "
        f"from the drop point {silence_s:.0f} s ago, and never nearer."
    )


def _label(event: MissionEvent) -> str:
    picked_up = EventType.PARCEL_LOADED
    kind = picked_up if event.type == ReportType.PICKED_UP else EventType(event.type.value)
    return str(kind.label)


def _end_mission(
    locked: Locked, job: DeliveryJob | None, event: MissionEvent, by: Actor
) -> ReportResult:
    order = locked.order
    ended = JobStatus.ABORTED if event.type == ReportType.ABORTED else JobStatus.FAILED
    flight = Flight.objects.filter(job=job).first() if job else None
    lifecycle.mission_over(
        locked,
        job_id=job.pk if job else None,
        ended=ended,
        by=by,
        why=event.message or f"Ground control reports that the mission has {ended.label.lower()}.",
        max_attempts=policy.current().max_attempts,
        final=job is not None and _abort_was_asked(job),
        parcel_astray=parcel_astray(order, job, flight),
        occurred_at=event.occurred_at,
    )
    is_queued = order.status == Status.QUEUED
    return ReportResult(order, [EventType.REQUEUED.value if is_queued else str(order.status)])


def _apply_to_ended_job(
    order: Order, job: DeliveryJob, event: MissionEvent, by: Actor
) -> ReportResult:
    """Note the report in the timeline, and raise a discrepancy if it contradicts our outcome."""
    delivered = job.status == JobStatus.COMPLETED
    message = sentence(
        f"Ground control reports “{_label(event)}” for attempt {job.attempt}, which is over for us "
        f"since {job.ended_at:%H:%M:%S} UTC: {job.ended_because or job.get_status_display()}"
    )
    if event.type not in ENDS_WITHOUT_DELIVERY:
        _record_flight(job, event)
    code = _contradiction(order, job, event, delivered=delivered)
    if event.type in (*ENDS_WITHOUT_DELIVERY, ReportType.DELIVERED):
        live_missions.mark_over(
            [job.pk], by=str(by), because=f"Reported: {_label(event)}. {event.message}"
        )
    if code is not None:
        discrepancies.raise_for_ended_job(job, code, message, by)
        return ReportResult(order, note=f"{message} It is kept, and operations is asked.")
    if not delivered or event.type in ENDS_WITHOUT_DELIVERY:
        lifecycle.note(order.pk, Happened(EventType.LATE_REPORT, message), by=by)
    if order.status in TERMINAL:
        return ReportResult(
            order, note=f"The order is {order.status} already; nothing was changed."
        )
    return ReportResult(order, note=f"{message} Nothing was changed.")


def _record_flight(job: DeliveryJob, event: MissionEvent) -> None:
    """It flew, although it ended for us without a launch. An impossible time is clamped."""
    now = timezone.now()
    at = min(max(event.occurred_at or now, job.created_at), now)
    exact = event.type == ReportType.LAUNCHED and event.occurred_at is not None
    writing.write_late(job.pk, at, inferred=not exact)


def _contradiction(
    order: Order, job: DeliveryJob, event: MissionEvent, *, delivered: bool
) -> Discrepancy.Code | None:
    if event.type in ENDS_WITHOUT_DELIVERY:
        return Discrepancy.Code.FAILED_AFTER_DELIVERY if delivered else None
    if delivered:
        return None
    if event.type == ReportType.DELIVERED:
        return Discrepancy.Code.DELIVERED_AFTER_END
    if event.type == ReportType.PICKED_UP and order.holder in FLOWN_FROM:
        return Discrepancy.Code.FLIES_AFTER_END  # the parcel is not where the order says
    # A step that happened before the end is only late.
    is_late = event.occurred_at is not None and job.ended_at and event.occurred_at <= job.ended_at
    return None if is_late else Discrepancy.Code.FLIES_AFTER_END


def _job_of(order: Order, event: MissionEvent) -> DeliveryJob | None:
    """The job of the report: by its intent, else the current one, else the latest."""
    current, intent_id = order.current_job, event.intent_id
    if intent_id is None and order.status in WITH_A_JOB:
        return current
    if current is not None and current.mission_intent_id == intent_id:
        return current
    jobs = DeliveryJob.objects.filter(order=order)
    if intent_id is None:
        return jobs.order_by("attempt").last()
    job = jobs.filter(mission_intent_id=intent_id).first()
    if job is None:
        message = f"This order never had a mission {intent_id}."
        raise Invalid([FieldProblem("payload.intent_id", "unknown_intent", message)])
    return job


def _abort_was_asked(job: DeliveryJob) -> bool:
    return Mission.objects.of_job(job.pk).filter(recall_mode="abort").exists()
