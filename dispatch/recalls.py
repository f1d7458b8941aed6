"""Taking missions back: before launch they are withdrawn, in flight an abort is asked for.

What may have reached the bridge is withdrawn there first; only then the order is changed. When the
bridge says that it has launched, or says nothing, the order stays as it is.
"""

import time
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from dispatch.bridge import BridgeClient, BridgeUnavailable
from dispatch.missions import GONE, Recall, State, claim_end, pause
from dispatch.models import MissionIntent
from orders import lifecycle
from orders.models import Order
from orders.states import (
    IN_FLIGHT,
    CancelReason,
    EventType,
    Happened,
    JobStatus,
    Status,
)
from wingxtra.accounts.identity import GCS, SYSTEM, Actor
from wingxtra.problems import Conflict, NotFound, Unavailable

# A publisher that is just speaking to the bridge is waited for so long.
PATIENCE_S = 2.0
LOOK_EVERY_S = 0.05

log = structlog.get_logger(__name__)


def recall_before(
    order_id: UUID, *, by: Actor, reason: str, statuses: tuple[Status, ...] = (Status.ASSIGNED,)
) -> UUID | None:
    """Make sure that the bridge has no mission of this order; to be called before a verb that ends
    its job. Returns the job it is about, None when the order (not in `statuses`) has no mission to
    take back: the verb itself decides then.

    On return nobody publishes the intent for as long as a claim lasts, and the verb has to follow
    at once. Where it does not (it was refused, the process died) `sweep_abandoned` queues the order
    again. Never inside a transaction.

    Raises Conflict `mission_launched`, and Unavailable when the bridge was not reached; then
    nothing has changed.
    """
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        raise NotFound
    if order.status not in statuses:
        return None
    intent = _claim(order)
    if intent is None or not intent.tries:
        return order.current_job_id
    row = MissionIntent.objects.filter(pk=intent.pk)
    # Written down first: if we die while the bridge withdraws it, `send_recall` finds out.
    row.update(
        recall_state=Recall.WANTED,
        recall_mode="withdraw",
        recall_by=str(by)[:180],
        recall_reason=reason[:300],
        next_try_at=timezone.now(),
    )
    try:
        answer = BridgeClient().recall(intent.pk, "withdraw")
        if answer.mission_status not in GONE:
            raise Conflict(
                "mission_launched",
                f"Ground control says that the mission is {answer.mission_status}, so it cannot be "
                "withdrawn; nothing was changed. Ask for an abort instead.",
                current_status=order.status,
            )
    except Exception:
        row.update(recall_state=Recall.NONE, recall_mode="", claimed_until=None)
        raise
    row.update(
        state=State.WITHDRAWN,
        recall_state=Recall.DONE,
        recall_asked_at=timezone.now(),
        bridge_status=answer.status,
        bridge_answer=answer.words,
    )
    return order.current_job_id


def cancel(order_id: UUID, *, by: Actor, reason: CancelReason, note: str = "") -> Order:
    """Cancel an order that has not launched; what ground control may hold is withdrawn first.

    Raises Conflict `mission_launched`, Refused, or Unavailable; then nothing has changed.
    """
    cancelable = (Status.ASSIGNED, Status.MISSION_SUBMITTED)
    for _ in range(3):
        job_id = recall_before(order_id, by=by, reason=reason.label, statuses=cancelable)
        with transaction.atomic():
            order = Order.objects.select_for_update(no_key=True).get(pk=order_id)
            if order.status in IN_FLIGHT:
                raise Conflict(
                    "mission_launched",
                    f"The order is {order.status}: its drone is in the air. Operations can ask for "
                    "an abort.",
                    current_status=order.status,
                )
            if order.status not in cancelable or order.current_job_id == job_id:
                return lifecycle.cancel(order_id, by=by, reason=reason, note=note)
    raise Conflict("order_busy", "The order is being reassigned; try again in a moment.")


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
        intents = MissionIntent.objects.filter(job_id=order.current_job_id)
        changed = intents.exclude(recall_mode="abort").update(
            recall_state=Recall.WANTED,
            recall_mode="abort",
            recall_by=str(by)[:180],
            recall_reason=reason[:300],
            next_try_at=timezone.now(),
        )
        if not changed:
            return None
        return Happened(EventType.ABORT_REQUESTED, f"An abort was asked for: {reason}".rstrip(": "))

    return lifecycle.amend(order_id, by=by, happened=ask)


def send_recall(intent_id: UUID, *, now: datetime | None = None) -> None:
    """Ask the bridge for a recall that is wanted, if nobody else is at it."""
    now = now or timezone.now()
    due = MissionIntent.objects.recalls_due(now).filter(pk=intent_id)
    if not due.update(claimed_until=claim_end(now), tries=F("tries") + 1):
        return
    row = MissionIntent.objects.filter(pk=intent_id)
    intent = row.get()
    try:
        answer = BridgeClient().recall(
            intent.pk, "abort" if intent.recall_mode == "abort" else "withdraw"
        )
    except BridgeUnavailable as problem:
        row.update(
            claimed_until=None,
            next_try_at=now + pause(intent.tries),
            bridge_status=problem.bridge_status,
            bridge_answer=problem.detail[:1000],
        )
        log.warning("recall_not_sent", intent_id=str(intent_id), detail=problem.detail)
        return
    outcome = {"abort_requested": Recall.ASKED, "launched": Recall.TOO_LATE}
    with transaction.atomic():
        _settle(intent, answer.mission_status)
        row.update(
            claimed_until=None,
            recall_state=outcome.get(answer.mission_status, Recall.DONE),
            recall_asked_at=now,
            bridge_status=answer.status,
            bridge_answer=answer.words,
        )
    log.info("mission_recalled", intent_id=str(intent_id), mission=answer.mission_status)


def sweep_abandoned(now: datetime) -> int:
    """Queue again the orders whose mission was withdrawn for something that then did not happen."""
    abandoned = MissionIntent.objects.filter(
        Q(claimed_until__isnull=True) | Q(claimed_until__lte=now),
        state=State.WITHDRAWN,
        job__status=JobStatus.ACTIVE,
    )
    intents = list(abandoned)
    for intent in intents:
        try:
            lifecycle.requeue(
                intent.order_id,
                job_id=intent.job_id,
                by=SYSTEM,
                job_ends=JobStatus.CANCELED,
                why=f"The mission was withdrawn: {intent.recall_reason}",
            )
        except lifecycle.Refused as refusal:
            log.info("nothing_abandoned", intent_id=str(intent.pk), detail=refusal.detail)
    return len(intents)


def _claim(order: Order) -> MissionIntent | None:
    """The order's intent, claimed so that nobody publishes it; None when there is nothing to claim.

    Raises Unavailable when a publisher keeps it.
    """
    live = MissionIntent.objects.filter(
        job_id=order.current_job_id, state__in=(State.HELD, State.PENDING, State.ACCEPTED)
    )
    deadline = time.monotonic() + PATIENCE_S
    while True:
        now = timezone.now()
        free = live.filter(Q(claimed_until__isnull=True) | Q(claimed_until__lte=now))
        if free.update(claimed_until=claim_end(now)):
            return live.get()
        if not live.exists():
            return None
        if time.monotonic() > deadline:
            raise Unavailable(
                "mission_being_sent",
                "The mission is just being sent to ground control; nothing was changed. Try again "
                "in some seconds.",
            )
        time.sleep(LOOK_EVERY_S)


def _settle(intent: MissionIntent, mission: str) -> None:
    """What ground control says of a recalled mission may be the news that its order waits for."""
    if intent.recall_mode != "abort":
        if mission in GONE:
            # Somebody's verb should have ended the job; if none did, `sweep_abandoned` will.
            MissionIntent.objects.filter(pk=intent.pk).update(state=State.WITHDRAWN)
        return
    try:
        if mission == "delivered":
            lifecycle.advance(intent.order_id, Status.DELIVERED, by=GCS, job_id=intent.job_id)
        elif mission in GONE | {"failed", "aborted"}:
            lifecycle.mission_over(
                intent.order_id,
                job_id=intent.job_id,
                ended=JobStatus.ABORTED,
                by=GCS,
                why=f"Asked for an abort, ground control says that the mission is {mission}.",
                max_attempts=0,
                final=True,
            )
    except lifecycle.Refused as refusal:
        log.info("mission_over_already", intent_id=str(intent.pk), detail=refusal.detail)
