"""Taking missions back: before launch they are withdrawn, in flight an abort is asked for.

What may have reached the bridge is withdrawn there first; only then the order is changed. Only an
explicit word means that a mission is over. When the bridge says that it has launched, or says
nothing, the order stays as it is, unless a person overrides that in writing.
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
    Answer,
    BridgeUnavailable,
    ground_control,
)
from dispatch.missions.live_missions import set_over
from dispatch.missions.parcel_doubt import unseen_pickup
from dispatch.missions.publishing import (
    NOT_FLOWN,
    PAUSES_S,
    Recall,
    State,
    claim_end,
    part_of,
)
from dispatch.models import Flight, Mission, MissionPart
from fleet import registry
from fleet.models import DroneHold
from orders import lifecycle
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

# A publisher that is just speaking to the bridge is waited for so long.
PATIENCE_S = 2.0
LOOK_EVERY_S = 0.05

log = structlog.get_logger(__name__)


# --- before launch -------------------------------------------------------------------------------


def recall_before(
    order_id: UUID,
    *,
    by: Actor,
    reason: str,
    statuses: tuple[Status, ...] = (Status.ASSIGNED,),
    override: str = "",
) -> UUID | None:
    """Make sure that the bridge has no mission of this order; to be called before a verb that ends
    its job. Returns the job it is about, None when the order (not in `statuses`) has no mission to
    take back: the verb itself decides then.

    override: why a person is sure that the mission does not fly, where the bridge confirms nothing.
    On return no worker publishes the mission for as long as a claim lasts, and the verb has to
    follow at once. Where it does not (it was refused, the process died) `sweep_abandoned` queues
    the order again. Never inside a transaction.

    Raises Conflict `mission_launched` or `mission_flown`, and Unavailable when the bridge confirms
    nothing; then nothing has changed.
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
        raise _busy() from lost
    return order.current_job_id


def _withdraw(
    claim: Claim[Mission], mission: Mission, order: Order, *, by: Actor, reason: str, override: str
) -> None:
    """Raises Conflict, Unavailable and ClaimLost."""
    # Written down first: if we die while the bridge withdraws it, `send_recall` finds out.
    claim.update(
        recall_state=Recall.WANTED,
        recall_mode="withdraw",
        recall_by=str(by)[:180],
        recall_reason=reason[:300],
        next_try_at=timezone.now(),
    )
    try:
        answer = _withdrawn(mission, order, override)
    except Exception as problem:
        words = problem.detail if isinstance(problem, Problem) else str(problem)
        with suppress(ClaimLost):
            claim.end(
                recall_state=mission.recall_state,
                recall_mode=mission.recall_mode,
                recall_refused_at=timezone.now(),
                bridge_answer=words[:1000],
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
            bridge_answer=answer.words,
        )
        word_of = by if override and not answer.mission_status else GCS
        set_over([order.current_job_id], by=str(word_of), because=answer.words)


def _withdrawn(mission: Mission, order: Order, override: str) -> Answer:
    """What the bridge says of a mission that will not fly; a person's word where it says nothing.

    Raises Conflict when it flies or has flown, and Unavailable without any word of either.
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


def say_over(order_id: UUID, *, by: Actor, note: str) -> Order:
    """A person has looked, and no mission of this order flies any more.

    Its current job ends with it; a flight under way has failed. Where the parcel is, is
    asked next, unless telemetry has followed the drone. Raises NotFound, and Conflict when no
    mission is live.
    """
    part = MissionPart.objects.live().filter(order=order_id).whole().first()
    if part is None:
        raise Conflict("no_live_mission", "No mission of this order is live at ground control.")
    with transaction.atomic():
        lifecycle.note(
            order_id,
            Happened(EventType.MISSION_OVER, f"The mission does not fly any more: {note}"),
            by=by,
        )
        set_over([part.job_id], by=str(by), because=note)
        Mission.objects.filter(pk=part.mission_id).update(
            state=State.WITHDRAWN, recall_state=Recall.DONE, recall_reason=note[:300]
        )
        order = Order.objects.get(pk=order_id)
        if order.current_job_id == part.job_id and order.status in IN_FLIGHT:
            return answers.it_failed(order_id, by=by, note=note)
        if order.current_job_id == part.job_id and order.status in (
            Status.ASSIGNED,
            Status.MISSION_SUBMITTED,
        ):
            seen = Flight.objects.filter(job=part.job_id).first()
            astray = unseen_pickup(order, part.job, seen)
            order = lifecycle.requeue(
                order_id, by=by, why=note, job_ends=JobStatus.CANCELED, job_id=part.job_id
            )
            if astray and part.mission.accepted_at:
                order = lifecycle.sight_lost(order_id, by=by, why=astray)
                code = DroneHold.Code.UNCLEAR_LANDING
                registry.hold(part.mission.drone_id, code, astray, by=by)
    return order


# --- in flight -----------------------------------------------------------------------------------


def request_abort(order_id: UUID, *, by: Actor, reason: str) -> Order:
    """Ask ground control to end a flight. The order is ABORTED once it, or telemetry, says so.

    Asking again while the first time stands changes nothing. Raises Refused unless it is in flight.
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


def take_back(part: MissionPart, *, reason: str) -> None:
    """Have a mission recalled by itself because what is known contradicts it."""
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


def send_recall(mission_id: UUID, *, now: datetime | None = None) -> None:
    """Ask the bridge for a recall that is wanted, if no other worker is at it."""
    now = now or timezone.now()
    due = Mission.objects.recalls_due(now)
    claim = outbox.claim(due, mission_id, until=claim_end(now), tries=F("tries") + 1)
    if claim is None:
        return
    with suppress(ClaimLost):
        _ask_for_it(claim, now)


def _ask_for_it(claim: Claim[Mission], now: datetime) -> None:
    """Raises ClaimLost: the later worker asks the bridge as well, and is told the same or more."""
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
        _settle(part, said)
        claim.end(
            recall_state=_outcome(said),
            recall_asked_at=now,
            said=said[:40],
            said_at=now,
            bridge_status=answer.status,
            bridge_answer=answer.words,
        )
    log.info("mission_recalled", intent_id=str(mission.pk), mission=said)


def _outcome(said: str) -> Recall:
    if said in OVER or said == UNKNOWN:
        return Recall.DONE
    return Recall.ASKED if said == "abort_requested" else Recall.TOO_LATE


def _settle(part: MissionPart, said: str) -> None:
    """What ground control says of a recalled mission may be the news that its order waits for."""
    mission = part.mission
    if said in OVER or said == UNKNOWN:
        set_over([part.job_id], by=str(GCS), because=f"Recalled, ground control says: {said}.")
    if mission.recall_mode != "abort":
        if said in NOT_FLOWN:
            # A verb should have ended the job; if none did, `sweep_abandoned` will.
            Mission.objects.filter(pk=mission.pk).update(state=State.WITHDRAWN)
        return
    try:
        if said == "delivered":
            lifecycle.advance(part.order_id, Status.DELIVERED, by=GCS, job_id=part.job_id)
        elif said in NOT_FLOWN:
            lifecycle.mission_over(
                part.order_id,
                job_id=part.job_id,
                ended=JobStatus.ABORTED,
                by=GCS,
                why=f"Asked for an abort, ground control says that the mission is {said}.",
                max_attempts=0,
                final=True,
            )
    except lifecycle.Refused as refusal:
        log.info("mission_over_already", intent_id=str(mission.pk), detail=refusal.detail)


def sweep_abandoned(now: datetime) -> int:
    """Queue again the orders whose mission was withdrawn for something that then did not happen."""
    abandoned = MissionPart.objects.whole().filter(
        mission__in=Mission.objects.unclaimed(now).filter(state=State.WITHDRAWN),
        job__status=JobStatus.ACTIVE,
    )
    parts = list(abandoned)
    for part in parts:
        try:
            lifecycle.requeue(
                part.order_id,
                job_id=part.job_id,
                by=SYSTEM,
                job_ends=JobStatus.CANCELED,
                why=f"The mission was withdrawn: {part.mission.recall_reason}",
            )
        except lifecycle.Refused as refusal:
            log.info("nothing_abandoned", intent_id=str(part.mission_id), detail=refusal.detail)
    return len(parts)


def _claim(order: Order) -> Claim[Mission] | None:
    """The order's mission, claimed so that no worker publishes it; None without one to claim.

    Raises Unavailable when a publisher keeps it.
    """
    job = order.current_job
    if job is None:
        return None
    current = Mission.objects.filter(state__in=(State.HELD, State.PENDING, State.ACCEPTED))
    deadline = time.monotonic() + PATIENCE_S
    while True:
        now = timezone.now()
        free = current.unclaimed(now)
        if claim := outbox.claim(free, job.mission_intent_id, until=claim_end(now)):
            return claim
        if not current.filter(pk=job.mission_intent_id).exists():
            return None
        if time.monotonic() > deadline:
            raise _busy()
        time.sleep(LOOK_EVERY_S)


def _busy() -> Unavailable:
    return Unavailable(
        "mission_being_sent",
        "The mission is just being sent to ground control; nothing was changed. Try again in some "
        "seconds.",
    )
