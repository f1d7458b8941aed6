"""What ground control reports about a mission, turned into the order's progress.

A report may come late, twice, out of order, or about a job that is over for us. Each is kept; the
first source to tell a step moves the order, and no report ever moves it backwards. One about a job
that is over changes no outcome: where it contradicts us, a person is asked, and what flies for the
order is taken back.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from dispatch.missions import discrepancies, live_missions
from dispatch.missions.flight import phases
from dispatch.missions.flight.state import State, to_dropoff_m
from dispatch.missions.parcel_doubt import parcel_astray, plan_of
from dispatch.models import Discrepancy, Flight, Mission, MissionReport
from fleet import policy
from orders import lifecycle
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
from wingxtra.problems import FieldProblem, Invalid, NotFound
from wingxtra.sentences import sentence


class ReportType(StrEnum):
    """What can be reported of a mission."""

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


@dataclass(frozen=True, slots=True)
class MissionEvent:
    """One report. `event_id` is the sender's, the same however often it is sent."""

    type: ReportType
    occurred_at: datetime | None = None
    source: str = "gcs"
    event_id: str = ""
    message: str = ""
    intent_id: UUID | None = None

    @property
    def key(self) -> str:
        """What makes it the same report; empty when there is nothing to tell two apart by."""
        if self.event_id:
            return f"{self.source}:{self.event_id}"
        if self.occurred_at:
            return f"{self.source}:{self.type}:{self.occurred_at.isoformat()}:{self.intent_id}"
        return ""


@dataclass(frozen=True, slots=True)
class Reported:
    """What a report changed; `note` says why it changed nothing."""

    order: Order
    applied: list[str] = field(default_factory=list)
    duplicate: bool = False
    note: str = ""


def report_type(name: str) -> ReportType | None:
    """What an event's name means: ARRIVED, MISSION_ARRIVED, arrived."""
    short = name.upper().removeprefix("MISSION_")
    return ReportType(short) if short in ReportType.__members__ else None


def report(order_id: UUID, event: MissionEvent, *, by: Actor) -> Reported:
    """Apply a report once. Late, backward and repeated ones change nothing and say so.

    No report is refused for its clock: a time that cannot be is clamped (unit_of_work). Raises
    Refused when the order never had a mission, NotFound, and Invalid for an intent of another
    order.
    """
    order = Order.objects.select_related("current_job").filter(pk=order_id).first()
    if order is None:
        raise NotFound
    with transaction.atomic():
        if event.key:
            row, is_new = MissionReport.objects.get_or_create(
                order_id=order_id, key=event.key[:200], defaults={"type": event.type}
            )
            if not is_new:
                return Reported(order, duplicate=True, note="This was reported before.")
        done = _apply(order, event, by)
        if event.key and done.applied:
            row.applied = done.applied
            row.save(update_fields=["applied"])
    return done


def _apply(order: Order, event: MissionEvent, by: Actor) -> Reported:
    job = _job_of(order, event)
    if job is not None:
        Mission.objects.of_job(job.pk).update(said=event.type, said_at=timezone.now())
        if job.status != JobStatus.ACTIVE:
            return _about_an_ended_job(order, job, event, by)
    try:
        return _about_the_current_job(order, job, event, by)
    except lifecycle.Refused as refusal:
        if refusal.code == "job_is_over" or refusal.extra["current_status"] in TERMINAL:
            return Reported(order, note=f"{refusal.detail} Nothing was changed.")
        raise


def _about_the_current_job(
    order: Order, job: DeliveryJob | None, event: MissionEvent, by: Actor
) -> Reported:
    job_id = job.pk if job else None
    if job is not None and event.type in AT_THE_DROP and (words := _too_early(order, job, event)):
        discrepancies.raise_(job, Discrepancy.Code.EARLY_REPORT, words, by=by)
        return Reported(order, note=f"{words} It is kept, and operations is asked.")
    if event.type in ENDS_WITHOUT_DELIVERY:
        return _over(order, job, event, by)
    if event.type == ReportType.PICKED_UP:
        before = order.holder
        order = lifecycle.loaded(
            order.pk, by=by, job_id=job_id, occurred_at=event.occurred_at, message=event.message
        )
        if order.holder == before:
            return Reported(order, note="The parcel is aboard already; nothing was changed.")
        return Reported(order, [EventType.PARCEL_LOADED.value])
    done = lifecycle.advance(
        order.pk,
        Status(event.type.value),
        by=by,
        occurred_at=event.occurred_at,
        job_id=job_id,
        message=event.message,
    )
    return Reported(done.order, [step.value for step in done.applied], note=done.note)


def _too_early(order: Order, job: DeliveryJob, event: MissionEvent) -> str:
    """Why a report that the drone is at the drop point cannot be, empty when it can."""
    seen = Flight.objects.filter(job=job).first()
    if seen is None or job.drone_id is None:
        return ""
    state, plan, rules = State.from_dict(seen.state), plan_of(job), policy.current()
    silence_s = (timezone.now() - seen.heard_at).total_seconds()
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


def _over(order: Order, job: DeliveryJob | None, event: MissionEvent, by: Actor) -> Reported:
    ended = JobStatus.ABORTED if event.type == ReportType.ABORTED else JobStatus.FAILED
    flight = Flight.objects.filter(job=job).first() if job else None
    order = lifecycle.mission_over(
        order.pk,
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
    return Reported(order, [EventType.REQUEUED.value if is_queued else str(order.status)])


def _about_an_ended_job(order: Order, job: DeliveryJob, event: MissionEvent, by: Actor) -> Reported:
    """Kept, shown in the timeline, and where it contradicts us a person is asked."""
    delivered = job.status == JobStatus.COMPLETED
    words = sentence(
        f"Ground control reports “{_label(event)}” for attempt {job.attempt}, which is over for us "
        f"since {job.ended_at:%H:%M:%S} UTC: {job.ended_because or job.get_status_display()}"
    )
    code = _contradiction(order, job, event, delivered=delivered)
    if event.type in (*ENDS_WITHOUT_DELIVERY, ReportType.DELIVERED):
        live_missions.set_over(
            [job.pk], by=str(by), because=f"Reported: {_label(event)}. {event.message}"
        )
    if code is not None:
        discrepancies.about_an_ended_job(job, code, words, by)
        return Reported(order, note=f"{words} It is kept, and operations is asked.")
    if not delivered or event.type in ENDS_WITHOUT_DELIVERY:
        lifecycle.note(order.pk, Happened(EventType.LATE_REPORT, words), by=by)
    if order.status in TERMINAL:
        return Reported(order, note=f"The order is {order.status} already; nothing was changed.")
    return Reported(order, note=f"{words} Nothing was changed.")


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
        return Discrepancy.Code.FLIES_AFTER_END  # so the parcel is not where the order says
    # A step that happened before the end is only late.
    is_late = event.occurred_at is not None and job.ended_at and event.occurred_at <= job.ended_at
    return None if is_late else Discrepancy.Code.FLIES_AFTER_END


def _job_of(order: Order, event: MissionEvent) -> DeliveryJob | None:
    """The job that the report is about: by its intent, else the current one, else the latest."""
    jobs = DeliveryJob.objects.filter(order=order)
    if event.intent_id is not None:
        job = jobs.filter(mission_intent_id=event.intent_id).first()
        if job is None:
            message = f"This order never had a mission {event.intent_id}."
            raise Invalid([FieldProblem("payload.intent_id", "unknown_intent", message)])
        return job
    if order.status in WITH_A_JOB:
        return order.current_job
    return jobs.order_by("attempt").last()


def _abort_was_asked(job: DeliveryJob) -> bool:
    return Mission.objects.of_job(job.pk).filter(recall_mode="abort").exists()
