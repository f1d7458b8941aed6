"""Recalls: before launch a mission is withdrawn, in flight an abort is requested.

A mission that may have reached the bridge is withdrawn there before its order changes. Only an
explicit status means that a mission is over. When the bridge reports a launch, or does not answer,
the order stays unchanged, unless a person overrides that in writing.
"""

import time
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from dispatch.missions import answers
from dispatch.missions.bridge import (
    FLOWN,
    FLYING,
    OVER,
    UNKNOWN,
    WITHOUT_DELIVERY,
    Answer,
    BridgeUnavailable,
    ground_control,
)
from dispatch.missions.live_missions import mark_over
from dispatch.missions.parcel_doubt import hold_if_it_flew, parcel_astray
from dispatch.missions.publishing import (
    PAUSES_S,
    Recall,
    State,
    claim_end,
    part_of,
)
from dispatch.models import Flight, Mission, MissionPart, MissionQuerySet
from orders import lifecycle
from orders.lifecycle import Locked
from orders.models import Order
from orders.states import (
    IN_FLIGHT,
    EventType,
    Happened,
    JobStatus,
    Status,
)
from wingxtra import outbox
from wingxtra.accounts.identity import GCS, SYSTEM, Actor
from wingxtra.outbox import Claim, ClaimLost
from wingxtra.problems import Conflict, NotFound, Problem, Unavailable

# How long to wait for the claim of a publisher that is calling the bridge.
CLAIM_WAIT_S = 2.0
POLL_INTERVAL_S = 0.05

log = structlog.get_logger(__name__)


# --- before launch -------------------------------------------------------------------------------


def withdraw_mission(
    order_id: UUID,
    *,
    by: Actor,
    reason: str,
    statuses: tuple[Status, ...] = (Status.ASSIGNED,),
    override: str = "",
) -> UUID | None:
    """Withdraw the order's mission from the bridge, before a verb that ends its job.

    Returns the id of that job; None when the order's status is not in `statuses`, so that there is
    no mission to withdraw and the verb decides.

    override: why a person is sure that the mission does not fly, if the bridge does not confirm it.
    The claim keeps workers from publishing the mission until it expires, so the verb must follow at
    once. If it does not (refused, or the process died), `sweep_abandoned` queues the order again.
    Not inside a transaction.

    Raises Conflict `mission_launched` or `mission_flown`, and Unavailable without a confirmation;
    then nothing has changed.
    """
    order = Order.objects.select_related("current_job").filter(pk=order_id).first()
    if order is None:
        raise NotFound
    if order.status not in statuses:
        return None
    claim = _claim(order)
    if claim is None:
        return order.current_job_id
    try:
        mission = claim.read(claim.mine())
        if mission.is_live:
            _withdraw(claim, mission, order, by=by, reason=reason, override=override)
    except ClaimLost as lost:
        raise _being_sent() from lost
    return order.current_job_id


def _withdraw(
    claim: Claim[Mission], mission: Mission, order: Order, *, by: Actor, reason: str, override: str
) -> None:
    """Raises Conflict, Unavailable and ClaimLost."""
    # Stored first: if this process dies during the call, `send_recall` asks again.
    claim.update(
        recall_state=Recall.WANTED,
        recall_mode="withdraw",
        recall_by=str(by)[:180],
        recall_reason=reason[:300],
        next_try_at=timezone.now(),
    )
    try:
        answer = _ask_to_withdraw(mission, order, override)
    except Exception as problem:
        message = problem.detail if isinstance(problem, Problem) else str(problem)
        with suppress(ClaimLost):
            claim.end(
                recall_state=mission.recall_state,
                recall_mode=mission.recall_mode,
                recall_refused_at=timezone.now(),
                bridge_answer=message[:1000],
            )
        raise
    with transaction.atomic():
        claim.update(
            state=State.WITHDRAWN,
            recall_state=Recall.DONE,
            recall_asked_at=timezone.now(),
            said=answer.mission_status[:40],
            said_at=timezone.now(),
            bridge_status=answer.status or None,
            bridge_answer=answer.text,
        )
        source = by if override and not answer.mission_status else GCS
        mark_over([order.current_job_id], by=str(source), because=answer.text)


def _ask_to_withdraw(mission: Mission, order: Order, override: str) -> Answer:
    """The bridge's answer that the mission will not fly; the override if it gives none.

    Raises Conflict when it flies or has flown, and Unavailable without an answer or override.
    """
    try:
        answer = ground_control().recall(mission.pk, "withdraw")
    except BridgeUnavailable:
        if not override:
            raise
        return Answer(0, override)
    said = answer.mission_status
    if said in FLOWN:
        raise Conflict(
            "mission_flown",
            f"Ground control says that the mission is {said}; nothing was changed. If the parcel "
            "was delivered, confirm the delivery instead.",
            current_status=order.status,
        )
    if said in OVER or (said == UNKNOWN and mission.accepted_at is None):
        return answer
    if override and said not in FLYING:
        return Answer(0, override)
    if said == UNKNOWN:
        raise Unavailable(
            "withdrawal_not_confirmed",
            f"Ground control accepted this mission at {mission.accepted_at:%H:%M:%S} UTC and says "
            "now that it does not know it. That is no confirmation; nothing was changed. Look "
            "there, and say in writing that it does not fly.",
        )
    raise Conflict(
        "mission_launched",
        f"Ground control says that the mission is {said}, so it cannot be withdrawn; nothing was "
        "changed. Once it flies, ask for an abort.",
        current_status=order.status,
    )


def confirm_over(order_id: UUID, *, by: Actor, note: str) -> Order:
    """End the order's live mission because a person has confirmed that it does not fly.

    Its current job ends too; a flight under way has failed. The order is put on hold unless
    telemetry shows where the parcel is. Raises Conflict when no mission is live.
    """
    part = MissionPart.objects.live().filter(order=order_id).with_related().first()
    if part is None:
        raise Conflict("no_live_mission", "No mission of this order is live at ground control.")
    with transaction.atomic():
        say_over(part, by=by, note=note)
        order = Order.objects.get(pk=order_id)
        if order.current_job_id == part.job_id and order.status in IN_FLIGHT:
            return answers.confirm_failed(order_id, by=by, note=note)
        if order.current_job_id == part.job_id and order.status in (
            Status.ASSIGNED,
            Status.MISSION_SUBMITTED,
        ):
            order = lifecycle.requeue(
                order_id, by=by, why=note, job_ends=JobStatus.CANCELED, job_id=part.job_id
            )
            return hold_if_it_flew(order, part)
    return order


def say_over(part: MissionPart, *, by: Actor, note: str) -> None:
    """Mark the mission as over because a person has confirmed it. Its job goes on: the caller ends
    it in the same transaction.
    """
    happened = Happened(EventType.MISSION_OVER, f"The mission does not fly any more: {note}")
    lifecycle.note(part.order_id, happened, by=by)
    mark_over([part.job_id], by=str(by), because=note)
    Mission.objects.filter(pk=part.mission_id).update(
        state=State.WITHDRAWN, recall_state=Recall.DONE, recall_reason=note[:300]
    )


# --- in flight -----------------------------------------------------------------------------------


def request_abort(order_id: UUID, *, by: Actor, reason: str) -> Order:
    """Ask ground control to end a flight. The order is ABORTED once it or telemetry reports that.

    Idempotent while a request stands. Raises Refused unless the order is in flight.
    """

    def ask(order: Order) -> Happened | None:
        if order.status not in IN_FLIGHT:
            raise lifecycle.Refused(
                order,
                f"The order is {order.status}; only a flight can be aborted. Before launch, cancel "
                "it.",
                code="not_in_flight",
            )
        of_job = Mission.objects.of_job(order.current_job_id)
        changed = of_job.exclude(recall_mode="abort").update(
            recall_state=Recall.WANTED,
            recall_mode="abort",
            recall_by=str(by)[:180],
            recall_reason=reason[:300],
            next_try_at=timezone.now(),
        )
        if not changed:
            return None
        return Happened(EventType.ABORT_REQUESTED, f"An abort was asked for: {reason}".rstrip(": "))

    return lifecycle.amend(order_id, by=by, happened=ask).order


def request_recall(part: MissionPart, *, reason: str) -> None:
    """Recall a mission automatically because a report contradicts it."""
    flies = part.order.status in IN_FLIGHT and part.order.current_job_id == part.job_id
    if flies:
        request_abort(part.order_id, by=SYSTEM, reason=reason)
        return
    Mission.objects.filter(pk=part.mission_id, over_at__isnull=True, tries__gt=0).exclude(
        recall_state=Recall.WANTED
    ).update(
        recall_state=Recall.WANTED,
        recall_mode="withdraw",
        recall_by=str(SYSTEM),
        recall_reason=reason[:300],
        next_try_at=timezone.now(),
    )


# --- the outbox of recalls -----------------------------------------------------------------------


def recalls_due(now: datetime) -> MissionQuerySet:
    """Recalls of missions of orders that are due."""
    return Mission.objects.recalls_due(now).exclude(kind=Mission.Kind.REPOSITION)


def send_recall(mission_id: UUID, *, now: datetime | None = None) -> None:
    """Ask the bridge for a recall that is due and not claimed."""
    now = now or timezone.now()
    due = recalls_due(now)
    claim = outbox.claim(due, mission_id, until=claim_end(now), tries=F("tries") + 1)
    if claim is None:
        return
    with suppress(ClaimLost):
        _send(claim, now)


def _send(claim: Claim[Mission], now: datetime) -> None:
    """Raises ClaimLost: the new owner of the claim asks the bridge too."""
    part = part_of(claim)
    mission = part.mission
    try:
        answer = ground_control().recall(
            mission.pk, "abort" if mission.recall_mode == "abort" else "withdraw"
        )
        if answer.mission_status == UNKNOWN and mission.accepted_at is not None:
            raise BridgeUnavailable(
                "The GCS bridge accepted this mission and says now that it does not know it.",
                code="bridge_confused",
                status=answer.status,
            )
    except BridgeUnavailable as problem:
        claim.end(
            next_try_at=now + outbox.pause(mission.tries, PAUSES_S),
            recall_refused_at=now,
            bridge_status=problem.bridge_status,
            bridge_answer=problem.detail[:1000],
        )
        log.warning("recall_not_sent", intent_id=str(mission.pk), detail=problem.detail)
        return
    said = answer.mission_status
    with transaction.atomic():
        # Before its mission, as a report does: no deadlock.
        _settle(lifecycle.lock(part.order_id), part, said)
        claim.end(
            recall_state=_outcome(said),
            recall_asked_at=now,
            said=said[:40],
            said_at=now,
            bridge_status=answer.status,
            bridge_answer=answer.text,
        )
    log.info("mission_recalled", intent_id=str(mission.pk), mission=said)


def _outcome(said: str) -> Recall:
    if said in OVER or said == UNKNOWN:
        return Recall.DONE
    return Recall.ASKED if said == "abort_requested" else Recall.TOO_LATE


def _settle(locked: Locked, part: MissionPart, said: str) -> None:
    """Apply ground control's status of a recalled mission to its order."""
    mission = part.mission
    if said in OVER or said == UNKNOWN:
        mark_over([part.job_id], by=str(GCS), because=f"Recalled, ground control says: {said}.")
    if mission.recall_mode != "abort":
        if said in WITHOUT_DELIVERY:
            # A verb should have ended the job; otherwise `sweep_abandoned` requeues the order.
            Mission.objects.filter(pk=mission.pk).update(state=State.WITHDRAWN)
        if said in OVER and _was_accepted_too_late(part):
            mission.said = said
            hold_if_it_flew(locked.order, part)
        return
    try:
        if said == "delivered":
            lifecycle.advance(locked, Status.DELIVERED, by=GCS, job_id=part.job_id)
        elif said in WITHOUT_DELIVERY:
            flight = Flight.objects.filter(job=part.job_id).first()
            lifecycle.mission_over(
                locked,
                job_id=part.job_id,
                ended=JobStatus.ABORTED,
                by=GCS,
                why=f"Asked for an abort, ground control says that the mission is {said}.",
                max_attempts=0,
                final=True,
                parcel_astray=parcel_astray(locked.order, part.job, flight),
            )
    except lifecycle.Refused as refusal:
        log.info("mission_over_already", intent_id=str(mission.pk), detail=refusal.detail)


def _was_accepted_too_late(part: MissionPart) -> bool:
    """Whether its job had ended before the acceptance: nothing was known of a flight then."""
    accepted_at, ended_at = part.mission.accepted_at, part.job.ended_at
    return accepted_at is not None and ended_at is not None and accepted_at > ended_at


def sweep_abandoned(now: datetime) -> int:
    """Requeue orders whose mission was withdrawn for a verb that did not follow.

    Waits while ground control is asked again about a mission that it accepted late. Leaves an order
    in flight alone: reports and telemetry show how its flight ends.
    """
    withdrawn = Mission.objects.unclaimed(now).filter(state=State.WITHDRAWN)
    abandoned = (
        MissionPart.objects.with_related()
        .filter(
            mission__in=withdrawn.exclude(recall_state=Recall.WANTED), job__status=JobStatus.ACTIVE
        )
        .exclude(order__status__in=IN_FLIGHT)
    )
    parts = list(abandoned)
    for part in parts:
        try:
            with transaction.atomic():
                if lifecycle.lock(part.order_id).order.status in IN_FLIGHT:
                    continue
                order = lifecycle.requeue(
                    part.order_id,
                    job_id=part.job_id,
                    by=SYSTEM,
                    job_ends=JobStatus.CANCELED,
                    why=f"The mission was withdrawn: {part.mission.recall_reason}",
                )
                hold_if_it_flew(order, part)
        except lifecycle.Refused as refusal:
            log.info("nothing_abandoned", intent_id=str(part.mission_id), detail=refusal.detail)
    return len(parts)


def _claim(order: Order) -> Claim[Mission] | None:
    """Claim the order's mission, so that no worker publishes it; None if there is none.

    Raises Unavailable when a publisher holds it for longer than CLAIM_WAIT_S.
    """
    job = order.current_job
    if job is None:
        return None
    current = Mission.objects.filter(state__in=(State.HELD, State.PENDING, State.ACCEPTED))
    deadline = time.monotonic() + CLAIM_WAIT_S
    while True:
        now = timezone.now()
        free = current.unclaimed(now)
        if claim := outbox.claim(free, job.mission_intent_id, until=claim_end(now)):
            return claim
        if not current.filter(pk=job.mission_intent_id).exists():
            return None
        if time.monotonic() > deadline:
            raise _being_sent()
        time.sleep(POLL_INTERVAL_S)


def _being_sent() -> Unavailable:
    return Unavailable(
        "mission_being_sent",
        "The mission is being sent to ground control; nothing was changed. Try again in a few "
        "seconds.",
    )
