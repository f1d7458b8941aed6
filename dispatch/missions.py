"""Mission intents on their way to ground control.

An intent is stored in the assignment's transaction and published after it; the row is the outbox.
A publisher claims the row by a conditional UPDATE with an expiry, counts the try, and only then
speaks: from the first try on the mission may have reached the bridge, whatever came back. What may
be there is taken back before anything else is done with the order (dispatch.recalls).

Locks are taken in one order: the order's row, then its intents.
"""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from dispatch import contract
from dispatch.bridge import Answer, BridgeClient, BridgeNotAsked, BridgeUnavailable
from dispatch.candidates import still_able
from dispatch.models import MissionIntent
from fleet import policy
from fleet.models import Drone
from fleet.reasons import Reason
from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import EventType, Happened, JobStatus
from wingxtra import bulk
from wingxtra.accounts.identity import DISPATCHER, GCS, SYSTEM, Actor, ActorKind
from wingxtra.problems import Conflict, NotFound, Unavailable

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
NOT_ASKED_PAUSE_S = 5.0
# What the bridge says of a mission that it will not fly.
GONE = {"withdrawn", "unknown"}

log = structlog.get_logger(__name__)
State = MissionIntent.State
Recall = MissionIntent.Recall


# --- in step with the order ----------------------------------------------------------------------


def keep_in_step(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receives `lifecycle.recorded`: intents follow their jobs in the same transaction.

    Statements do not grow with the events.
    """
    _store([e for e in events if e.type in (EventType.ASSIGNED, EventType.REASSIGNED)])
    submitted = [e.job_id for e in events if e.type == EventType.MISSION_SUBMITTED]
    if submitted:
        MissionIntent.objects.filter(job_id__in=submitted, state=State.PENDING).update(
            state=State.ACCEPTED, accepted_at=timezone.now()
        )
    _withdraw([e for e in events if e.type in ENDS_A_JOB])


ENDS_A_JOB = {
    EventType.REASSIGNED,
    EventType.REQUEUED,
    EventType.RESCHEDULED,
    EventType.CANCELED,
    EventType.FAILED,
    EventType.ABORTED,
}


def _store(events: list[DeliveryEvent]) -> None:
    jobs = [(event, event.job) for event in events if event.job and event.job.drone_id]
    if not jobs:
        return
    rules = policy.current()
    drones = Drone.objects.prefetch_related("kind").in_bulk({job.drone_id for _, job in jobs})
    intents = [
        MissionIntent(
            id=job.mission_intent_id,
            job=job,
            order=event.order,
            body=contract.build(
                job.mission_intent_id, event.order, drones[job.drone_id], rules, event.created_at
            ),
            state=State.PENDING if rules.auto_submit else State.HELD,
            created_at=event.created_at,
            next_try_at=event.created_at,
        )
        for event, job in jobs
        if event.order.live_mode
    ]
    bulk.insert(intents)


def _withdraw(events: list[DeliveryEvent]) -> None:
    """Never publish for a job that is over, and take back what may have reached the bridge."""
    if not events:
        return
    ended = [e.job_id for e in events if e.type != EventType.REASSIGNED]
    reassigned = [e.order_id for e in events if e.type == EventType.REASSIGNED]
    intents = MissionIntent.objects.filter(
        Q(job_id__in=ended) | Q(order_id__in=reassigned, job__status=JobStatus.CANCELED)
    )
    intents.filter(state__in=(State.HELD, State.PENDING), tries=0).update(state=State.WITHDRAWN)
    # Who flies it says that it is over: there is nothing to take back.
    told_by_the_flight = events[0].actor_kind in (ActorKind.GCS, ActorKind.TELEMETRY)
    sent = (State.PENDING,) if told_by_the_flight else (State.PENDING, State.ACCEPTED)
    intents.filter(state__in=sent).update(
        state=State.WITHDRAWN,
        recall_state=Recall.WANTED,
        recall_mode="withdraw",
        recall_by=events[0].actor[:180],
        recall_reason=events[0].message[:300],
        next_try_at=timezone.now(),
    )


# --- publishing ----------------------------------------------------------------------------------


def publish(intent_id: UUID, *, by: Actor = GCS, now: datetime | None = None) -> None:
    """Hand one intent to the bridge if it is due and nobody else is at it; call it any number of
    times. Never inside a transaction: what happened must be written down whatever comes next.
    """
    now = now or timezone.now()
    due = MissionIntent.objects.unsent(now).filter(pk=intent_id)
    if not due.update(claimed_until=claim_end(now)):
        return
    intent = MissionIntent.objects.select_related("job", "order").get(pk=intent_id)
    structlog.contextvars.bind_contextvars(
        order_id=str(intent.order_id), job_id=str(intent.job_id), drone_id=intent.job.drone_id
    )
    try:
        if reasons := still_able(intent.job):
            _stop(intent, reasons)
        else:
            _send(intent, by)
    except BridgeUnavailable as problem:
        _put_off(intent, problem, now)


def submit(order_id: UUID, *, by: Actor) -> MissionIntent:
    """Publish the order's current intent now, also one that was held for ops.

    Raises Conflict when there is none, or the bridge or feasibility refused it, and Unavailable
    when the bridge was not reached (it is tried again by itself).
    """
    now = timezone.now()
    order = Order.objects.select_related("current_job").filter(pk=order_id).first()
    if order is None:
        raise NotFound
    job = lifecycle.job_of(order)
    intents = MissionIntent.objects.filter(pk=job.mission_intent_id)
    intents.filter(state__in=(State.HELD, State.PENDING)).update(
        state=State.PENDING, next_try_at=now
    )
    publish(job.mission_intent_id, by=by)
    intent = intents.select_related("order", "job").first()
    if intent is None:
        raise Conflict(
            "no_mission_intent",
            "A test order has no mission: no real drone flies it.",
            current_status=order.status,
        )
    if intent.state == State.PENDING:
        raise Unavailable(
            "bridge_unavailable",
            f"{intent.bridge_answer or 'It is being sent.'} The mission stays in the outbox and is "
            "tried again by itself.",
        )
    if intent.state != State.ACCEPTED:
        raise Conflict(
            "mission_refused",
            f"The mission was not submitted. {intent.job.ended_because}".strip(),
            current_status=intent.order.status,
        )
    return intent


def claim_end(now: datetime) -> datetime:
    """Longer than a call to the bridge can take: it may wait to connect, then for an answer."""
    return now + timedelta(seconds=3 * settings.GCS_BRIDGE_TIMEOUT_S + 5)


def pause(tries: int) -> timedelta:
    """Before the next try: 1, 2, 4 ... 60 s, shortened by chance so that not all come at once."""
    longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(tries - 1, 10))
    return timedelta(seconds=longest_s * random.uniform(0.5, 1.0))  # noqa: S311 (no secret)


def _send(intent: MissionIntent, by: Actor) -> None:
    """Raises BridgeUnavailable."""
    # Counted and committed before anything is sent; withdrawn meanwhile, it is not sent at all.
    row = MissionIntent.objects.filter(pk=intent.pk, state=State.PENDING)
    if not row.update(tries=F("tries") + 1):
        return
    intent.tries += 1
    try:
        answer = BridgeClient().submit(intent.pk, intent.body)
    except BridgeNotAsked:  # it cannot have reached the bridge by a try that was none
        intent.tries -= 1
        MissionIntent.objects.filter(pk=intent.pk).update(tries=intent.tries)
        raise
    if answer.accepted:
        _accepted(intent, answer, by)
    else:
        _rejected(intent, answer)


def _accepted(intent: MissionIntent, answer: Answer, by: Actor) -> None:
    with transaction.atomic():
        try:
            lifecycle.submit_mission(intent.order_id, job_id=intent.job_id, by=by)
        except lifecycle.Refused:
            log.info("mission_accepted_too_late", intent_id=str(intent.pk))
        row = MissionIntent.objects.filter(pk=intent.pk)
        _record(row, answer.status, answer.words)
        # The job ended while the bridge was thinking: whatever was recalled before does not count.
        row.filter(state=State.WITHDRAWN).update(
            recall_state=Recall.WANTED, recall_mode="withdraw", next_try_at=timezone.now()
        )
    log.info("mission_accepted", intent_id=str(intent.pk), status=answer.status)


def _rejected(intent: MissionIntent, answer: Answer) -> None:
    with transaction.atomic():
        try:
            lifecycle.mission_over(
                intent.order_id,
                job_id=intent.job_id,
                ended=JobStatus.FAILED,
                by=GCS,
                why=f"Ground control refused the mission ({answer.status}): {answer.words}",
                max_attempts=policy.current().max_attempts,
            )
        except lifecycle.Refused:
            log.info("mission_rejected_too_late", intent_id=str(intent.pk))
        row = MissionIntent.objects.filter(pk=intent.pk)
        _record(row, answer.status, answer.words)
        row.update(state=State.REJECTED, recall_state=Recall.NONE)
    log.warning("mission_rejected", intent_id=str(intent.pk), words=answer.words)


def _stop(intent: MissionIntent, reasons: list[Reason]) -> None:
    """The drone may no longer fly it: the order goes back to the queue, with the reasons.

    Unless an earlier try did reach the bridge and the drone is flying just this mission.
    Raises BridgeUnavailable.
    """
    if intent.tries:
        answer = BridgeClient().recall(intent.pk, "withdraw")
        if answer.mission_status not in GONE:
            _accepted(intent, answer, GCS)
            return
    why = " ".join(reason.message for reason in reasons)
    with transaction.atomic():
        try:
            lifecycle.requeue(
                intent.order_id,
                job_id=intent.job_id,
                by=DISPATCHER,
                why=f"{intent.job.drone_id} may no longer fly it. {why}",
            )
        except lifecycle.Refused:
            log.info("mission_stopped_too_late", intent_id=str(intent.pk))
        row = MissionIntent.objects.filter(pk=intent.pk)
        _record(row, None, why)
        row.update(state=State.WITHDRAWN, recall_state=Recall.DONE if intent.tries else Recall.NONE)
    log.warning("mission_stopped", intent_id=str(intent.pk), why=why)


def _put_off(intent: MissionIntent, problem: BridgeUnavailable, now: datetime) -> None:
    """Try again later. The timeline says so once, not for every try."""
    not_asked = isinstance(problem, BridgeNotAsked)
    wait = timedelta(seconds=NOT_ASKED_PAUSE_S) if not_asked else pause(intent.tries)
    with transaction.atomic():
        if not intent.bridge_answer:
            _say_that_it_failed(intent, problem)
        row = MissionIntent.objects.filter(pk=intent.pk)
        _record(row, problem.bridge_status, problem.detail)
        row.filter(state=State.PENDING).update(next_try_at=now + wait)
    log.warning("bridge_unavailable", intent_id=str(intent.pk), detail=problem.detail)


def _say_that_it_failed(intent: MissionIntent, problem: BridgeUnavailable) -> None:
    message = f"{problem.detail} The mission is tried again by itself."
    happened = Happened(EventType.INTENT_FAILED, message, {"code": problem.code})
    try:
        lifecycle.note(intent.order_id, happened, by=SYSTEM, job_id=intent.job_id)
    except lifecycle.Refused:
        log.info("mission_not_needed_any_more", intent_id=str(intent.pk))


def _record(row: Any, status: int | None, words: str) -> None:
    row.update(claimed_until=None, bridge_status=status, bridge_answer=words[:1000])
