"""What ground control reports and what telemetry shows, turned into the order's progress.

Both may speak of the same flight, in any order and more than once: whoever is first moves the
order, and the other changes nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.utils import timezone

from dispatch import flight, tracks
from dispatch.flight import Event, FlightEvent, Phase, Plan, State
from dispatch.models import Flight, MissionIntent, MissionReport
from fleet import policy
from fleet.picture import Picture
from fleet.policy import Rules
from orders import lifecycle
from orders.models import DeliveryJob, Order
from orders.states import IN_FLIGHT, MISSION_PATH, TERMINAL, EventType, Happened, JobStatus, Status
from wingxtra.accounts.identity import SYSTEM, TELEMETRY, Actor
from wingxtra.problems import FieldProblem, Invalid, NotFound

FOLLOWER_LOCK = 0x57_46  # an advisory lock: one follower at a time
ETA_STEP = timedelta(seconds=5)  # smaller changes of an ETA are not worth a write
CLOCKS_DIFFER = timedelta(minutes=5)
LANDED = (Phase.RETURNED, Phase.UNCLEAR)

REPORTABLE = (
    Status.LAUNCHED,
    Status.ENROUTE,
    Status.ARRIVED,
    Status.DELIVERING,
    Status.DELIVERED,
    Status.FAILED,
    Status.ABORTED,
)

log = structlog.get_logger(__name__)


# --- what ground control reports -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MissionEvent:
    """One report. `event_id` is the sender's, the same however often it is sent."""

    type: Status
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


def event_type(name: str) -> Status | None:
    """The reportable status that an event's name means: ARRIVED, MISSION_ARRIVED, arrived."""
    short = name.upper().removeprefix("MISSION_")
    return Status(short) if short in REPORTABLE else None


def report(order_id: UUID, event: MissionEvent, *, by: Actor) -> Reported:
    """Apply a report once. Late, backward and repeated ones change nothing and say so.

    Raises Refused when the order has no mission, NotFound, and Invalid for an intent or a time that
    cannot be.
    """
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        raise NotFound
    now = timezone.now()
    if event.occurred_at and event.occurred_at > now + CLOCKS_DIFFER:
        message = f"{event.occurred_at.isoformat()} is in the future; it is {now.isoformat()}."
        raise Invalid([FieldProblem("occurred_at", "in_the_future", message)])
    with transaction.atomic():
        if event.key:
            row, is_new = MissionReport.objects.get_or_create(
                order_id=order_id, key=event.key[:200], defaults={"type": event.type}
            )
            if not is_new:
                return Reported(order, duplicate=True, note="This was reported before.")
        done = _apply(order, event, by, min(event.occurred_at or now, now))
        if event.key and done.applied:
            row.applied = done.applied
            row.save(update_fields=["applied"])
    return done


def _apply(order: Order, event: MissionEvent, by: Actor, at: datetime) -> Reported:
    job_id = _job_of(order, event)
    try:
        if event.type in (Status.FAILED, Status.ABORTED):
            return _over(order, job_id, event, by, at)
        done = lifecycle.advance(
            order.pk, event.type, by=by, occurred_at=at, job_id=job_id, message=event.message
        )
    except lifecycle.Refused as refusal:
        if refusal.code == "job_is_over" or refusal.extra["current_status"] in TERMINAL:
            return Reported(order, note=f"{refusal.detail} Nothing was changed.")
        raise
    return Reported(done.order, [step.value for step in done.applied], note=done.note)


def _over(
    order: Order, job_id: UUID | None, event: MissionEvent, by: Actor, at: datetime
) -> Reported:
    ended = JobStatus.ABORTED if event.type == Status.ABORTED else JobStatus.FAILED
    order = lifecycle.mission_over(
        order.pk,
        job_id=job_id,
        ended=ended,
        by=by,
        why=event.message or f"Ground control reports that the mission has {ended.label.lower()}.",
        max_attempts=policy.current().max_attempts,
        final=_abort_was_asked(order),
        occurred_at=at,
    )
    is_queued = order.status == Status.QUEUED
    return Reported(order, [EventType.REQUEUED.value if is_queued else str(order.status)])


def _job_of(order: Order, event: MissionEvent) -> UUID | None:
    if event.intent_id is None:
        return None
    jobs = DeliveryJob.objects.filter(order=order, mission_intent_id=event.intent_id)
    job_id = jobs.values_list("pk", flat=True).first()
    if job_id is None:
        message = f"This order never had a mission {event.intent_id}."
        raise Invalid([FieldProblem("payload.intent_id", "unknown_intent", message)])
    return job_id


def _abort_was_asked(order: Order) -> bool:
    intents = MissionIntent.objects.filter(job_id=order.current_job_id, recall_mode="abort")
    return intents.exists()


# --- what telemetry shows ------------------------------------------------------------------------


def follow(picture: Picture, now: datetime) -> int:
    """Look at all flights at once; returns how many there are.

    Statements do not grow with the flights while nothing happens to them. One follower works at a
    time; another one that comes meanwhile leaves it alone and returns 0.
    """
    with _alone() as is_alone:
        if not is_alone:
            return 0
        jobs = list(
            DeliveryJob.objects.active()
            .filter(intent__isnull=False)
            .select_related("order", "drone__kind", "intent", "flight")
        )
        rules = policy.current()
        looks = [_Look(job, picture, rules, now) for job in jobs]
        _save(looks)
    return len(looks)


class _Look:
    """One job's flight and what this picture adds to it."""

    def __init__(self, job: DeliveryJob, picture: Picture, rules: Rules, now: datetime) -> None:
        self.job, self.order, self.rules, self.now = job, job.order, rules, now
        known = getattr(job, "flight", None)
        self.is_new = known is None
        self.flight = known or Flight(job=job, heard_at=now)
        self.plan = _plan(job)
        before = State.from_dict(self.flight.state)
        self.state, events = flight.step(before, self._samples(picture), self.plan, rules)
        self.heard = (self.state.fix, self.state.doubt) != (before.fix, before.doubt)
        self.changed = self.heard
        self.new_eta = False
        try:
            self._tell(events)
        except lifecycle.Refused as refusal:
            log.info("flight_of_a_job_that_is_over", **_named(job), detail=refusal.detail)
        except Exception:
            # One flight must not keep the others from being followed; it is looked at again.
            log.exception("flight_not_followed", **_named(job))
            self.changed = False

    def _samples(self, picture: Picture) -> list[Any]:
        sample = picture.telemetry.get(self.job.drone_id or "")
        if sample is None:
            return []
        # A drone that takes off before its mission was ever sent flies for somebody else.
        flies_for_us = self.job.intent.tries or self.order.status != Status.ASSIGNED
        return [sample] if flies_for_us or sample.armed is False else []

    def _tell(self, events: list[Event]) -> None:
        self._tell_about_the_link()
        for event in events:
            if not isinstance(event, FlightEvent):
                continue
            at = min(datetime.fromtimestamp(event.at, tz=UTC), self.now)
            if event.phase in flight.PATH:
                self._advance(Status(event.phase.value), at)
            else:
                self._landed(event.phase, at)
        if not events and self.state.phase in LANDED and self._abort_was_asked:
            self._landed(self.state.phase, self.now)  # landed before it was asked for
        if self.heard:
            self.flight.heard_at = self.now
            if self.state.phase is not Phase.GROUND or self.order.status in IN_FLIGHT:
                tracks.keep(self.flight, self.state.fix)
            self._update_eta()

    @property
    def _abort_was_asked(self) -> bool:
        return bool(self.job.intent.recall_mode == "abort")

    def _advance(self, to: Status, at: datetime) -> None:
        if MISSION_PATH.index(Status(self.order.status)) < MISSION_PATH.index(to):
            lifecycle.advance(self.order.pk, to, by=TELEMETRY, occurred_at=at, job_id=self.job.pk)

    def _landed(self, phase: Phase, at: datetime) -> None:
        asked = self._abort_was_asked
        where = "Landed away from the drop point"
        # Ground control saw it delivering, or nobody saw it at all: nothing is assumed.
        if not asked and (phase is Phase.UNCLEAR or self.order.status == Status.DELIVERING):
            self._note(
                EventType.LINK_RESTORED,
                f"{where}. Whether it delivered before is not known: ask, then confirm or fail it.",
            )
            return
        lifecycle.mission_over(
            self.order.pk,
            job_id=self.job.pk,
            ended=JobStatus.ABORTED if asked else JobStatus.FAILED,
            by=TELEMETRY,
            why=f"{where}, without a delivery.",
            max_attempts=self.rules.max_attempts,
            final=asked,
            occurred_at=at,
        )

    def _tell_about_the_link(self) -> None:
        silence_s = (self.now - self.flight.heard_at).total_seconds()
        is_lost = self.flight.link_lost_at is not None
        if self.order.status not in IN_FLIGHT or self.state.phase in flight.OVER:
            return
        if self.heard and is_lost:
            self.flight.link_lost_at = None
            self._note(EventType.LINK_RESTORED, f"Telemetry is back after {silence_s:.0f} s.")
        elif not self.heard and not is_lost and silence_s > self.rules.link_lost_after_s:
            self.flight.link_lost_at, self.changed = self.now, True
            words = f"No telemetry for {silence_s:.0f} s. Nothing is assumed about the parcel."
            self._note(EventType.LINK_LOST, words)

    def _note(self, kind: EventType, message: str) -> None:
        lifecycle.note(self.order.pk, Happened(kind, message), by=SYSTEM, job_id=self.job.pk)

    def _update_eta(self) -> None:
        left_s = flight.remaining_s(self.state, self.plan, self.rules)
        if left_s is None or self.state.doubt is not None:
            return
        eta_at = self.now + timedelta(seconds=left_s)
        if self.job.eta_at is None or abs(eta_at - self.job.eta_at) > ETA_STEP:
            self.job.eta_at, self.new_eta = eta_at, True


def _named(job: DeliveryJob) -> dict[str, Any]:
    return {"order_id": job.order_id, "job_id": job.pk, "drone_id": job.drone_id}


def _plan(job: DeliveryJob) -> Plan:
    """From the intent as it was sent: the order may have been changed since."""
    assert job.drone is not None  # noqa: S101 (a job without a drone has no intent)
    body, kind = job.intent.body, job.drone.kind
    return Plan(
        pickup_lat=body["pickup"]["lat"],
        pickup_lng=body["pickup"]["lng"],
        dropoff_lat=body["dropoff"]["lat"],
        dropoff_lng=body["dropoff"]["lng"],
        cruise_alt_m=body["dropoff"]["alt_m"],
        delivery_alt_m=body["dropoff"]["delivery_alt_m"],
        cruise_speed_mps=kind.cruise_speed_mps,
        climb_speed_mps=kind.climb_speed_mps,
        descent_speed_mps=kind.descent_speed_mps,
    )


def _save(looks: list[_Look]) -> None:
    for look in looks:
        look.flight.state = look.state.to_dict()
    changed = [look.flight for look in looks if look.changed and not look.is_new]
    Flight.objects.bulk_create([look.flight for look in looks if look.is_new])
    with tracks.moving_to_pieces(changed):
        Flight.objects.bulk_update(
            changed, ["state", "heard_at", "link_lost_at", "recent"], batch_size=1000
        )
    # Only while it is active: a job that has just ended has no ETA any more.
    DeliveryJob.objects.active().bulk_update(
        [look.job for look in looks if look.new_eta], ["eta_at"], batch_size=1000
    )


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether this is the only follower; the lock is the connection's and dies with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [FOLLOWER_LOCK])
        (is_alone,) = cursor.fetchone()
    try:
        yield is_alone
    finally:
        if is_alone:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [FOLLOWER_LOCK])
