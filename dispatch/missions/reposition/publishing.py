"""The outbox of flights to the base: sent, retried and recalled as every mission is.

A refusal ends the mission and is shown to staff. It says nothing about the missions of orders, so
it neither pauses their publishing nor ends a pause.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from dispatch.missions.bridge import (
    OVER,
    UNKNOWN,
    BridgeNotAsked,
    BridgeUnavailable,
    RecallMode,
    ground_control,
)
from dispatch.missions.clearance import gate
from dispatch.missions.publishing import (
    NOT_ASKED_PAUSE_S,
    PAUSES_S,
    ask_again,
    bridge_columns,
    claim_end,
    has_unclear_try,
)
from dispatch.missions.reposition import contract, judging, verbs
from dispatch.models import Mission, MissionQuerySet
from fleet.airspace.areas import intents_name_a_hub
from fleet.feasibility.reasons import Rule
from fleet.models import Drone
from orders.states import JobStatus
from wingxtra import outbox
from wingxtra.accounts.identity import DISPATCHER, GCS, said_by
from wingxtra.outbox import Claim, ClaimLost

OVER_WORDS = OVER | {"landed"}

log = structlog.get_logger(__name__)
State = Mission.State
Recall = Mission.Recall


def unsent(now: datetime) -> MissionQuerySet:
    return Mission.objects.unsent(now).filter(kind=Mission.Kind.REPOSITION)


def recalls_due(now: datetime) -> MissionQuerySet:
    return Mission.objects.recalls_due(now).filter(kind=Mission.Kind.REPOSITION)


def publish(mission_id: UUID, *, now: datetime | None = None) -> None:
    """Submit one mission to the bridge if it is due and not claimed. Idempotent. Not inside a
    transaction.
    """
    now = now or timezone.now()
    claim = outbox.claim(unsent(now), mission_id, until=claim_end(now))
    if claim is None:
        return
    with suppress(ClaimLost):
        mission = claim.read(claim.mine())
        if not mission.tries and not intents_name_a_hub():
            why = "GCS_INTENT_VERSION is 1 again, and version 1 cannot say where to land."
            _end(claim, State.WITHDRAWN, why)
            return
        drone = Drone.objects.with_home().get(pk=mission.drone_id)
        reasons = judging.reasons_against(drone, now, own=True)
        why = " ".join(reason.message for reason in reasons)
        if reasons and not mission.tries:
            _end(claim, State.WITHDRAWN, why)
            return
        # A drone in the air may fly this mission: then the same intent again tells so.
        if reasons and Rule.ALREADY_FLYING.code not in {reason.code for reason in reasons}:
            _withdraw_later(claim, why, now)
            return
        if hold := gate.clear(mission, now):
            claim.end(next_try_at=hold.again_at)
            return
        try:
            _send(claim, mission)
        except BridgeUnavailable as problem:
            _retry_later(claim, mission, problem, now)


def _send(claim: Claim[Mission], mission: Mission) -> None:
    """Raises BridgeUnavailable and ClaimLost."""
    is_unclear = has_unclear_try(mission)
    if not _count_try(claim, mission):
        return
    try:
        answer = ground_control().submit(mission.pk, mission.body)
    except BridgeNotAsked:
        mission.tries -= 1
        claim.update(tries=mission.tries, live=mission.tries > 0)
        raise
    columns = bridge_columns(answer.status, answer.text)
    if answer.accepted:
        claim.end(state=State.ACCEPTED, accepted_at=timezone.now(), **columns)
        log.info("reposition_accepted", intent_id=str(mission.pk), drone_id=mission.drone_id)
    elif is_unclear:
        ask_again(claim, answer)
    else:
        why = f"Ground control refused it ({answer.status}): {answer.text}"
        _end(claim, State.REJECTED, why, **columns)


def _count_try(claim: Claim[Mission], mission: Mission) -> bool:
    """Commit the try before anything is sent: from here on the mission may be flown. False when it
    was called back, or another mission of its drone is not known to be over.
    """
    if not mission.tries and mission.return_to and mission.alternate:
        # A hub may have been moved after the mission was stored.
        mission.body = contract.landing_at(mission.body, mission.return_to, mission.alternate)
    try:
        with transaction.atomic():
            waiting = claim.mine().filter(state=State.PENDING)
            if not waiting.update(tries=F("tries") + 1, live=True, body=mission.body):
                return False
    except IntegrityError:
        told = "An earlier mission of this drone is not known to be over."
        again_at = timezone.now() + timedelta(seconds=NOT_ASKED_PAUSE_S)
        claim.end(next_try_at=again_at, **bridge_columns(None, told))
        return False
    mission.tries += 1
    return True


def _end(claim: Claim[Mission], state: State, why: str, **columns: int | str | None) -> None:
    with transaction.atomic():
        by = GCS if state == State.REJECTED else DISPATCHER
        verbs.end(claim.mine(), by=by, because=why, outcome=JobStatus.CANCELED)
        claim.end(state=state, recall_state=Recall.NONE, **columns)
    log.warning("reposition_not_flown", intent_id=str(claim.pk), why=why)


def _withdraw_later(claim: Claim[Mission], why: str, now: datetime) -> None:
    """An earlier try may have reached ground control: only its answer ends the mission."""
    claim.end(
        recall_state=Recall.WANTED,
        recall_mode="withdraw",
        recall_by=str(DISPATCHER),
        recall_reason=why[:300],
        next_try_at=now,
    )
    log.warning("reposition_recalled", intent_id=str(claim.pk), why=why)


def _retry_later(
    claim: Claim[Mission], mission: Mission, problem: BridgeUnavailable, now: datetime
) -> None:
    not_asked = isinstance(problem, BridgeNotAsked)
    pause = (
        timedelta(seconds=NOT_ASKED_PAUSE_S) if not_asked else outbox.pause(mission.tries, PAUSES_S)
    )
    claim.end(next_try_at=now + pause, **bridge_columns(problem.bridge_status, problem.detail))


# --- recalls -------------------------------------------------------------------------------------


def send_recall(mission_id: UUID, *, now: datetime | None = None) -> None:
    """Ask the bridge for a recall that is due and not claimed."""
    now = now or timezone.now()
    due = recalls_due(now)
    claim = outbox.claim(due, mission_id, until=claim_end(now), tries=F("tries") + 1)
    if claim is None:
        return
    with suppress(ClaimLost):
        _recall(claim, claim.read(claim.mine()), now)


def _recall(claim: Claim[Mission], mission: Mission, now: datetime) -> None:
    try:
        mode: RecallMode = "abort" if mission.recall_mode == "abort" else "withdraw"
        answer = ground_control().recall(mission.pk, mode)
    except BridgeUnavailable as problem:
        pause = outbox.pause(mission.tries, PAUSES_S)
        columns = bridge_columns(problem.bridge_status, problem.detail)
        claim.end(next_try_at=now + pause, recall_refused_at=now, **columns)
        return
    said = answer.mission_status
    is_over = said in OVER_WORDS or (said == UNKNOWN and mission.accepted_at is None)
    outcome = Recall.ASKED if said == "abort_requested" else Recall.TOO_LATE
    with transaction.atomic():
        if is_over:
            because = f"Called back by {said_by(mission.recall_by)}; ground control says: {said}."
            flew = mission.recall_mode == "abort"
            ended = JobStatus.ABORTED if flew else JobStatus.CANCELED
            verbs.end(claim.mine(), by=GCS, because=because, outcome=ended)
        claim.end(
            state=State.WITHDRAWN if is_over else mission.state,
            recall_state=Recall.DONE if is_over else outcome,
            recall_asked_at=now,
            said=said[:40],
            said_at=now,
            **bridge_columns(answer.status, answer.text),
        )
