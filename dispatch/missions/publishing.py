"""Missions on their way to ground control.

A mission is stored in the assignment's transaction (live_missions.py) and published after it; the
row is the outbox.
A publisher claims the row by a conditional UPDATE with an expiry, counts the try, and only then
speaks: from the first try on the mission is live until it is known to be over.
The database refuses a second live mission of an order, so the next one waits for that knowledge.

Locks are taken in one order: the order's row, then its missions.
"""

import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from dispatch.missions import live_missions, publishing_pause
from dispatch.missions.bridge import (
    FLOWN,
    OVER,
    UNKNOWN,
    Answer,
    BridgeClient,
    BridgeNotAsked,
    BridgeUnavailable,
)
from dispatch.models import Mission, MissionPart
from dispatch.planning.candidates import still_able
from fleet import policy
from fleet.feasibility.reasons import Reason
from orders import lifecycle
from orders.models import Order
from orders.states import EventType, Happened, JobStatus, ReasonCode
from wingxtra.accounts.identity import DISPATCHER, GCS, SYSTEM, Actor
from wingxtra.problems import Conflict, NotFound, Unavailable

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
NOT_ASKED_PAUSE_S = 5.0

log = structlog.get_logger(__name__)
State = Mission.State
Recall = Mission.Recall


def publish(mission_id: UUID, *, by: Actor = GCS, now: datetime | None = None) -> None:
    """Hand one mission to the bridge if it is due and no other worker is at it; call it any number
    of times. Never inside a transaction: what happened must be written down.
    """
    now = now or timezone.now()
    due = publishing_pause.unless_paused(Mission.objects.unsent(now)).filter(pk=mission_id)
    if not due.update(claimed_until=claim_end(now)):
        return
    part = MissionPart.objects.whole().get(mission=mission_id)
    structlog.contextvars.bind_contextvars(
        order_id=str(part.order_id), job_id=str(part.job_id), drone_id=part.job.drone_id
    )
    try:
        if reasons := still_able(part.job):
            _stop(part, reasons)
        else:
            _send(part, by)
    except BridgeUnavailable as problem:
        _put_off(part, problem, now)


def submit(order_id: UUID, *, by: Actor) -> MissionPart:
    """Publish the order's current mission now, also one that was held for ops.

    Raises Conflict when there is none, or the bridge or feasibility refused it, and Unavailable
    when the bridge was not reached (it is tried again by itself).
    """
    now = timezone.now()
    order = Order.objects.select_related("current_job").filter(pk=order_id).first()
    if order is None:
        raise NotFound
    job = lifecycle.job_of(order)
    Mission.objects.filter(pk=job.mission_intent_id, state__in=(State.HELD, State.PENDING)).update(
        state=State.PENDING, next_try_at=now
    )
    publish(job.mission_intent_id, by=by)
    part = MissionPart.objects.whole().filter(job=job.pk).first()
    if part is None:
        raise Conflict(
            "no_mission_intent",
            "A test order has no mission: no real drone flies it.",
            current_status=order.status,
        )
    if part.mission.state == State.PENDING:
        why = publishing_pause.words() or part.mission.bridge_answer or "It is being sent."
        raise Unavailable(
            "bridge_unavailable",
            f"{why} The mission stays in the outbox and is tried again by itself.",
        )
    if part.mission.state != State.ACCEPTED:
        raise Conflict(
            "mission_refused",
            f"The mission was not submitted. {part.job.ended_because}".strip(),
            current_status=part.order.status,
        )
    return part


def claim_end(now: datetime) -> datetime:
    """Longer than a call to the bridge can take: it may wait to connect, then for an answer."""
    return now + timedelta(seconds=3 * settings.GCS_BRIDGE_TIMEOUT_S + 5)


def pause(tries: int) -> timedelta:
    """Before the next try: 1, 2, 4 ... 60 s, shortened by chance so that not all come at once."""
    longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(tries - 1, 10))
    return timedelta(seconds=longest_s * random.uniform(0.5, 1.0))  # noqa: S311 (no secret)


def _send(part: MissionPart, by: Actor) -> None:
    """Raises BridgeUnavailable."""
    mission = part.mission
    if not _go_live(part):
        return
    try:
        answer = BridgeClient().submit(mission.pk, mission.body)
    except BridgeNotAsked:  # it cannot have reached the bridge by a try that was none
        mission.tries -= 1
        Mission.objects.filter(pk=mission.pk).update(tries=mission.tries)
        if not mission.tries:
            MissionPart.objects.filter(mission=mission.pk).update(live=False)
        raise
    if answer.accepted:
        _accepted(part, answer, by)
    else:
        _rejected(part, answer)


def _go_live(part: MissionPart) -> bool:
    """Count the try, committed before anything is sent: from here on the mission may be flown.

    False when it is not to be sent: it was withdrawn, or another mission of its order is
    not known to be over, and then it waits.
    """
    mission = part.mission
    try:
        with transaction.atomic():
            row = Mission.objects.filter(pk=mission.pk, state=State.PENDING)
            if not row.update(tries=F("tries") + 1):
                return False
            if not mission.tries:
                MissionPart.objects.filter(mission=mission.pk).update(live=True)
    except IntegrityError:
        words = "An earlier mission of this order is not known to be over."
        row = Mission.objects.filter(pk=mission.pk)
        row.update(next_try_at=timezone.now() + timedelta(seconds=NOT_ASKED_PAUSE_S))
        _record(row, None, words)
        log.warning("mission_waits_for_the_former", intent_id=str(mission.pk))
        return False
    mission.tries += 1
    return True


def _accepted(part: MissionPart, answer: Answer, by: Actor) -> None:
    with transaction.atomic():
        try:
            lifecycle.submit_mission(part.order_id, job_id=part.job_id, by=by)
        except lifecycle.Refused:
            log.info("mission_accepted_too_late", intent_id=str(part.mission_id))
        row = Mission.objects.filter(pk=part.mission_id)
        _record(row, answer.status, answer.words)
        # The job ended while the bridge was thinking: whatever was recalled before does not count.
        row.filter(state=State.WITHDRAWN).update(
            recall_state=Recall.WANTED,
            recall_mode="withdraw",
            accepted_at=timezone.now(),
            over_at=None,
            over_by="",
            over_because="",
            next_try_at=timezone.now(),
        )
    log.info("mission_accepted", intent_id=str(part.mission_id), status=answer.status)


def _rejected(part: MissionPart, answer: Answer) -> None:
    """It was never accepted, so it is over; the order never was MISSION_SUBMITTED."""
    why = f"Ground control refused the mission ({answer.status}): {answer.words}"
    with publishing_pause.one_refusal_at_a_time():
        _write_down_the_refusal(part, answer, why)
        publishing_pause.after_a_refusal(part.order_id, why)
    log.warning("mission_rejected", intent_id=str(part.mission_id), words=answer.words)


@transaction.atomic
def _write_down_the_refusal(part: MissionPart, answer: Answer, why: str) -> None:
    try:
        lifecycle.mission_over(
            part.order_id,
            job_id=part.job_id,
            ended=JobStatus.FAILED,
            by=GCS,
            why=why,
            max_attempts=policy.current().max_attempts,
            reason=ReasonCode.MISSION_REFUSED,
        )
    except lifecycle.Refused:
        log.info("mission_rejected_too_late", intent_id=str(part.mission_id))
    live_missions.set_over([part.job_id], by=str(GCS), because=why)
    row = Mission.objects.filter(pk=part.mission_id)
    _record(row, answer.status, answer.words)
    row.update(state=State.REJECTED, recall_state=Recall.NONE)


def _stop(part: MissionPart, reasons: list[Reason]) -> None:
    """The drone may no longer fly it: the order goes back to the queue, with the reasons.

    Unless an earlier try did reach the bridge and the drone is flying just this mission.
    Raises BridgeUnavailable.
    """
    if part.mission.tries:
        answer = BridgeClient().recall(part.mission_id, "withdraw")
        if answer.mission_status not in (OVER - FLOWN) | {UNKNOWN}:
            _accepted(part, answer, GCS)
            return
    why = " ".join(reason.message for reason in reasons)
    with transaction.atomic():
        live_missions.set_over([part.job_id], by=str(GCS), because=f"Not flown: {why}")
        try:
            lifecycle.requeue(
                part.order_id,
                job_id=part.job_id,
                by=DISPATCHER,
                why=f"{part.job.drone_id} may no longer fly it. {why}",
            )
        except lifecycle.Refused:
            log.info("mission_stopped_too_late", intent_id=str(part.mission_id))
        row = Mission.objects.filter(pk=part.mission_id)
        _record(row, None, why)
        recalled = Recall.DONE if part.mission.tries else Recall.NONE
        row.update(state=State.WITHDRAWN, recall_state=recalled)
    log.warning("mission_stopped", intent_id=str(part.mission_id), why=why)


def _put_off(part: MissionPart, problem: BridgeUnavailable, now: datetime) -> None:
    """Try again later. The timeline says so once, not for every try."""
    not_asked = isinstance(problem, BridgeNotAsked)
    wait = timedelta(seconds=NOT_ASKED_PAUSE_S) if not_asked else pause(part.mission.tries)
    with transaction.atomic():
        if not part.mission.bridge_answer:
            _say_that_it_failed(part, problem)
        row = Mission.objects.filter(pk=part.mission_id)
        _record(row, problem.bridge_status, problem.detail)
        row.filter(state=State.PENDING).update(next_try_at=now + wait)
    log.warning("bridge_unavailable", intent_id=str(part.mission_id), detail=problem.detail)


def _say_that_it_failed(part: MissionPart, problem: BridgeUnavailable) -> None:
    message = f"{problem.detail} The mission is tried again by itself."
    happened = Happened(EventType.INTENT_FAILED, message, {"code": problem.code})
    try:
        lifecycle.note(part.order_id, happened, by=SYSTEM, job_id=part.job_id)
    except lifecycle.Refused:
        log.info("mission_not_needed_any_more", intent_id=str(part.mission_id))


def _record(row: Any, status: int | None, words: str) -> None:
    row.update(claimed_until=None, bridge_status=status, bridge_answer=words[:1000])
