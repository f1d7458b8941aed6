"""Publishing missions to ground control.

A mission is stored in the assignment's transaction (live_missions.py) and published after its
commit; the row is the outbox (wingxtra.outbox). A publisher claims the row, commits the try, and
only then calls the bridge: from the first try on, the mission is live until it is known to be over.
The database refuses a second live mission of an order or a drone, so the next one waits.

A publisher whose claim expired writes nothing: the new owner submits the same intent, which the
bridge flies once, and gets its own answer. The exception is `_recall_if_withdrawn`.

Lock order: the order's row, then its missions.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from dispatch.missions import intent, live_missions, publishing_pause
from dispatch.missions.bridge import (
    RETRYABLE_STATUSES,
    WITHOUT_DELIVERY,
    Answer,
    BridgeNotAsked,
    BridgeUnavailable,
    ground_control,
)
from dispatch.missions.clearance import gate
from dispatch.missions.parcel_doubt import hold_if_it_flew
from dispatch.models import Mission, MissionPart, MissionQuerySet
from dispatch.planning.candidates import still_able
from fleet import policy, registry
from fleet.feasibility.reasons import Reason
from fleet.models import Drone, DroneHold
from orders import lifecycle
from orders.models import Order
from orders.states import EventType, Happened, JobStatus, ReasonCode
from wingxtra import outbox
from wingxtra.accounts.identity import DISPATCHER, GCS, SYSTEM, Actor
from wingxtra.database import transactions
from wingxtra.database.statements import Statement, Update, connection
from wingxtra.outbox import Claim, ClaimLost
from wingxtra.problems import Conflict, NotFound, Unavailable

# A mission that waits with one of these was refused once after an unanswered try (`ask_again`).
REFUSALS = set(range(400, 500)) - RETRYABLE_STATUSES
PAUSES_S = (1, 2, 4, 8, 16, 32, 60)
NOT_ASKED_PAUSE_S = 5.0

log = structlog.get_logger(__name__)
State = Mission.State
Recall = Mission.Recall


def unsent(now: datetime) -> MissionQuerySet:
    """Missions of orders that are due, none while publishing is paused."""
    of_orders = Mission.objects.unsent(now).exclude(kind=Mission.Kind.REPOSITION)
    return publishing_pause.unless_paused(of_orders)


def publish(mission_id: UUID, *, by: Actor = GCS, now: datetime | None = None) -> None:
    """Submit one mission to the bridge if it is due and not claimed. Idempotent. Not inside a
    transaction: the outcome must be committed.
    """
    now = now or timezone.now()
    claim = _UNSENT.claim(mission_id, now=now, until=claim_end(now))
    if claim is None:
        return
    with suppress(ClaimLost):
        _publish(claim, by, now)


_UNSENT = outbox.Claims(Mission, unsent)


def _publish(claim: Claim[Mission], by: Actor, now: datetime) -> None:
    part = part_of(claim)
    structlog.contextvars.bind_contextvars(
        order_id=str(part.order_id), job_id=str(part.job_id), drone_id=part.job.drone_id
    )
    if changes := live_missions.back_to_first_version(part.mission):
        claim.update(**changes)
        for name, value in changes.items():
            setattr(part.mission, name, value)
    try:
        if reasons := still_able(part):
            _requeue_infeasible(claim, part, reasons)
        elif hold := gate.clear(part.mission, now):
            claim.end(next_try_at=hold.again_at)
        else:
            _send(claim, part, by)
    except BridgeUnavailable as problem:
        _retry_later(claim, part, problem, now)


def submit(order_id: UUID, *, by: Actor) -> MissionPart:
    """Publish the order's current mission now, also one that was held for ops.

    Raises Conflict when there is none, or the bridge or feasibility refused it, and Unavailable
    when the bridge was not reached (the outbox retries).
    """
    now = timezone.now()
    order = Order.objects.select_related("current_job").filter(pk=order_id).first()
    if order is None:
        raise NotFound
    job = lifecycle.job_of(order)
    waiting = Mission.objects.filter(
        pk=job.mission_intent_id, state__in=(State.HELD, State.PENDING)
    )
    waiting.exclude(bridge_status__in=REFUSALS).update(state=State.PENDING, next_try_at=now)
    publish(job.mission_intent_id, by=by)
    part = MissionPart.objects.with_related().filter(job=job.pk).first()
    if part is None:
        raise Conflict(
            "no_mission_intent",
            "A test order has no mission: no real drone flies it.",
            current_status=order.status,
        )
    if part.mission.state == State.PENDING:
        if not_cleared := gate.reason(part.mission):
            raise Unavailable(
                "not_cleared",
                f"The flight has no clearance yet. {not_cleared} It is asked for again "
                "automatically.",
            )
        why = publishing_pause.reason() or part.mission.bridge_answer or "It is being sent."
        raise Unavailable(
            "bridge_unavailable",
            f"{why} The mission stays in the outbox and is retried automatically.",
        )
    if part.mission.state != State.ACCEPTED:
        raise Conflict(
            "mission_refused",
            f"The mission was not submitted. {part.job.ended_because}".strip(),
            current_status=part.order.status,
        )
    return part


def claim_end(now: datetime) -> datetime:
    """When a claim expires: after the longest question for a clearance, and the longest call to
    the bridge, connecting and reading.
    """
    clearance_s = 2 * settings.CLEARANCE_TIMEOUT_S
    return now + timedelta(seconds=clearance_s + 3 * settings.GCS_BRIDGE_TIMEOUT_S + 5)


def part_of(claim: Claim[Mission]) -> MissionPart:
    """With its mission, that one's hubs and drone as feasibility needs them, job and order. Raises
    ClaimLost.
    """
    return claim.found(_PART.first(mission_id=claim.pk, claim_id=claim.id))


_PART = Statement(
    lambda mission_id, claim_id: (
        MissionPart.objects.with_related()
        .select_related(
            *(f"mission__drone__{name}" for name in Drone.HOME),
            "mission__return_to",
            "mission__alternate",
        )
        .filter(mission=mission_id, mission__claim_id=claim_id)
        .order_by()
    ),
    mission_id=UUID,
    claim_id=UUID,
)


def _send(claim: Claim[Mission], part: MissionPart, by: Actor) -> None:
    """Raises BridgeUnavailable and ClaimLost."""
    mission = part.mission
    is_unclear = has_unclear_try(mission)
    if not _count_try(claim, part):
        return
    try:
        answer = ground_control().submit(mission.pk, mission.body)
    except BridgeNotAsked:
        _uncount_try(claim, part)
        raise
    if answer.accepted:
        _record_acceptance(claim, part, answer, by)
    elif is_unclear:
        ask_again(claim, answer)
    else:
        _record_rejection(claim, part, answer)


def has_unclear_try(mission: Mission) -> bool:
    """Whether ground control may still accept an earlier try: none was accepted or refused."""
    return mission.tries > 0 and mission.bridge_status not in REFUSALS


def ask_again(claim: Claim[Mission], answer: Answer) -> None:
    """A refusal proves nothing about an earlier try that was not answered: ground control may
    accept that one a moment later. So the next refusal counts, once that try must be over; also a
    person (`submit`) waits for that.

    Raises ClaimLost.
    """
    told = f"Refused, but an earlier try was not answered and may count. {answer.text}"
    claim.end(next_try_at=claim_end(timezone.now()), **bridge_columns(answer.status, told))
    log.warning("mission_refused_after_unclear_try", intent_id=str(claim.pk), words=answer.text)


@transaction.atomic
def _uncount_try(claim: Claim[Mission], part: MissionPart) -> None:
    """Nothing was sent, so the try does not count. Raises ClaimLost."""
    part.mission.tries -= 1
    claim.update(tries=part.mission.tries, live=part.mission.tries > 0)
    if not part.mission.tries:
        MissionPart.objects.filter(mission=claim.pk).update(live=False)


def _count_try(claim: Claim[Mission], part: MissionPart) -> bool:
    """Commit the try before anything is sent: from here on the mission may be flown.

    False when it must not be sent: it was withdrawn, the claim is lost, or another mission of its
    order or drone is not known to be over, and it waits.
    """
    mission = part.mission
    is_first = not mission.tries and intent.version_of(mission.body) == 2
    if is_first and mission.return_to:
        # Dispatch may have chosen the hubs after the mission was stored.
        body = intent.landing_at(mission.body, mission.return_to, mission.alternate)
        if body != mission.body:
            claim.update(body=body)
            mission.body = body
    try:
        with transactions.of_one_statement():
            if not connection.run(_TRY, [mission.pk, claim.id]):
                return False
    except IntegrityError:
        claim.end(
            next_try_at=timezone.now() + timedelta(seconds=NOT_ASKED_PAUSE_S),
            bridge_status=None,
            bridge_answer="An earlier mission of this order or drone is not known to be over.",
        )
        log.warning("mission_waits_for_earlier_one", intent_id=str(mission.pk))
        return False
    mission.tries += 1
    return True


# The mission and its part in one statement. Django has no API for a change of the rows that another
# change returns.
_TRY = """
WITH tried AS (
    UPDATE dispatch_mission SET tries = tries + 1, live = true
    WHERE id = %s AND claim_id = %s AND state = 'PENDING'
    RETURNING id
)
UPDATE dispatch_missionpart AS part SET live = true FROM tried WHERE part.mission_id = tried.id
"""


def _record_acceptance(claim: Claim[Mission], part: MissionPart, answer: Answer, by: Actor) -> None:
    """Raises ClaimLost."""
    try:
        with transaction.atomic():
            order = lifecycle.lock(part.order_id)
            try:
                lifecycle.submit_mission(order, job_id=part.job_id, by=by)
            except lifecycle.Refused:
                log.info("mission_accepted_too_late", intent_id=str(claim.pk))
            said = bridge_columns(answer.status, answer.text)
            if not _END_ACCEPTED.run(mission_id=claim.pk, claim_id=claim.id, **said):
                claim.end(**said)
                _recall_if_withdrawn(claim.pk)
    except ClaimLost:
        _recall_if_withdrawn(claim.pk)
        raise
    log.info("mission_accepted", intent_id=str(claim.pk), status=answer.status)


# The usual end of a claim: the mission is accepted, and nothing recalls it.
_END_ACCEPTED = Update(
    lambda mission_id, claim_id, bridge_status, bridge_answer: (
        Mission.objects.filter(pk=mission_id, claim_id=claim_id, state=State.ACCEPTED).exclude(
            recall_state=Recall.WANTED
        ),
        {"claimed_until": None, "bridge_status": bridge_status, "bridge_answer": bridge_answer},
    ),
    mission_id=UUID,
    claim_id=UUID,
    bridge_status=int,
    bridge_answer=str,
)


def _recall_if_withdrawn(mission_id: UUID) -> None:
    """Recall a mission that the bridge accepted after its job had ended.

    Works without a claim. Another worker may have withdrawn the mission before it reached the
    bridge; only this acceptance shows that it may fly. So that worker's claim is revoked, and the
    bridge is asked again.
    """
    if _RECALL_WITHDRAWN.run(mission_id=mission_id, now=timezone.now()):
        log.warning("mission_accepted_and_recalled", intent_id=str(mission_id))
        _mark_live_again(mission_id)


_RECALL_WITHDRAWN = Update(
    lambda mission_id, now: (
        Mission.objects.filter(
            Q(state__in=(State.WITHDRAWN, State.REJECTED))
            | Q(recall_state=Recall.WANTED, recall_mode="withdraw"),
            pk=mission_id,
        ),
        {
            **outbox.REVOKED,
            "recall_state": Recall.WANTED,
            "recall_mode": "withdraw",
            "accepted_at": now,
            "over_at": None,
            "over_by": "",
            "over_because": "",
            "next_try_at": now,
        },
    ),
    mission_id=UUID,
    now=datetime,
)


def _mark_live_again(mission_id: UUID) -> None:
    """Mark it as live again, so that no other mission of its order starts.

    The database refuses this while a newer mission is live. Then both may fly: note that in the
    timeline and hold the drone.
    """
    part = MissionPart.objects.with_related().get(mission=mission_id)
    try:
        with transaction.atomic():
            Mission.objects.filter(pk=mission_id).update(live=True)
            MissionPart.objects.filter(pk=part.pk).update(live=True)
    except IntegrityError:
        drone_id = part.mission.drone_id
        message = (
            f"Ground control accepted the mission of {drone_id} after it was withdrawn, while "
            "another mission of this order or drone is live. It is withdrawn again; look in ground "
            "control."
        )
        happened = Happened(EventType.CONTRADICTION, message)
        lifecycle.note(part.order_id, happened, by=GCS, job_id=None)
        registry.hold(drone_id, DroneHold.Code.CONTRADICTION, message, by=GCS)


def _record_rejection(claim: Claim[Mission], part: MissionPart, answer: Answer) -> None:
    """End a mission that the bridge refused; the order never was MISSION_SUBMITTED.

    Raises ClaimLost.
    """
    why = f"Ground control refused the mission ({answer.status}): {answer.text}"
    with publishing_pause.recording_refusal(part.order_id):
        _record_refusal(claim, part, answer, why)
        publishing_pause.pause_after_refusals(part.order_id, why)
    log.warning("mission_rejected", intent_id=str(claim.pk), words=answer.text)


@transaction.atomic
def _record_refusal(claim: Claim[Mission], part: MissionPart, answer: Answer, why: str) -> None:
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
        log.info("mission_rejected_too_late", intent_id=str(claim.pk))
    live_missions.mark_over([part.job_id], by=str(GCS), because=why)
    claim.end(
        state=State.REJECTED,
        recall_state=Recall.NONE,
        **bridge_columns(answer.status, answer.text),
    )


def _requeue_infeasible(claim: Claim[Mission], part: MissionPart, reasons: list[Reason]) -> None:
    """Requeue an order whose drone may no longer fly it, with the reasons.

    Unless an earlier try reached the bridge and the drone flies this mission. Raises
    BridgeUnavailable and ClaimLost.
    """
    why = " ".join(reason.message for reason in reasons)
    said: dict[str, Any] = {}
    if part.mission.tries:
        answer = _withdraw(claim, why)
        if answer.mission_status not in WITHOUT_DELIVERY:
            _record_acceptance(claim, part, answer, GCS)
            return
        part.mission.said = answer.mission_status
        said = {"said": answer.mission_status[:40], "said_at": timezone.now()}
    with transaction.atomic():
        lifecycle.lock(part.order_id)  # before its mission, as a report does: no deadlock
        live_missions.mark_over([part.job_id], by=str(GCS), because=f"Not flown: {why}")
        try:
            order = lifecycle.requeue(
                part.order_id,
                job_id=part.job_id,
                by=DISPATCHER,
                why=f"{part.job.drone_id} may no longer fly it. {why}",
            )
            hold_if_it_flew(order, part)
        except lifecycle.Refused:
            log.info("mission_stopped_too_late", intent_id=str(claim.pk))
        claim.end(
            state=State.WITHDRAWN,
            recall_state=Recall.DONE if part.mission.tries else Recall.NONE,
            **said,
            **bridge_columns(None, why),
        )
    log.warning("mission_stopped", intent_id=str(claim.pk), why=why)


def _withdraw(claim: Claim[Mission], why: str) -> Answer:
    """The bridge's answer to a withdrawal. Raises BridgeUnavailable and ClaimLost.

    The withdrawal is stored first: if this worker dies or stalls during the call, no other worker
    publishes the mission, and `recalls.send_recall` asks again.
    """
    claim.update(
        recall_state=Recall.WANTED,
        recall_mode="withdraw",
        recall_by=str(DISPATCHER),
        recall_reason=why[:300],
    )
    is_over = False
    try:
        answer = ground_control().recall(claim.pk, "withdraw")
        is_over = answer.mission_status in WITHOUT_DELIVERY
    finally:
        if not is_over:
            ours = claim.mine().filter(state=State.PENDING, recall_mode="withdraw")
            ours.update(recall_state=Recall.NONE, recall_mode="")
    return answer


def _retry_later(
    claim: Claim[Mission], part: MissionPart, problem: BridgeUnavailable, now: datetime
) -> None:
    """Schedule a retry; only the first failure is noted in the timeline. Raises ClaimLost."""
    not_asked = isinstance(problem, BridgeNotAsked)
    wait = (
        timedelta(seconds=NOT_ASKED_PAUSE_S)
        if not_asked
        else outbox.pause(part.mission.tries, PAUSES_S)
    )
    with transaction.atomic():
        if not part.mission.bridge_answer:
            _note_failure(part, problem)
        claim.mine().filter(state=State.PENDING).update(next_try_at=now + wait)
        claim.end(**bridge_columns(problem.bridge_status, problem.detail))
    log.warning("bridge_unavailable", intent_id=str(claim.pk), detail=problem.detail)


def _note_failure(part: MissionPart, problem: BridgeUnavailable) -> None:
    message = f"{problem.detail} The mission is retried automatically."
    happened = Happened(EventType.INTENT_FAILED, message, {"code": problem.code})
    try:
        lifecycle.note(part.order_id, happened, by=SYSTEM, job_id=part.job_id)
    except lifecycle.Refused:
        log.info("mission_not_needed_any_more", intent_id=str(part.mission_id))


def bridge_columns(status: int | None, answer: str) -> dict[str, int | str | None]:
    """The columns for the bridge's last answer."""
    return {"bridge_status": status, "bridge_answer": answer[:1000]}
