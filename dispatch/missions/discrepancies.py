"""Discrepancies: an unclear flight, or two sources that contradict each other.

Raising one notes it in the order's timeline and puts a line on the dashboard. A person settles it,
mostly by stating the outcome of the parcel; some codes are settled automatically when their cause
ends.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from dispatch.missions import recalls
from dispatch.models import Discrepancy, MissionPart
from fleet import registry
from fleet.models import DroneHold
from orders import lifecycle
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import EventType, Happened, Holder, JobStatus, Status
from wingxtra.accounts.identity import SYSTEM, Actor, ActorKind, said_by
from wingxtra.database.statements import Update
from wingxtra.problems import Conflict, FieldProblem, Invalid

Code = Discrepancy.Code

# These codes hold the drone until a person has checked it.
DRONE_HOLD_CODES = {
    Code.UNCLEAR_LANDING: DroneHold.Code.UNCLEAR_LANDING,
    Code.STANDS_AT_HUB: DroneHold.Code.CONTRADICTION,
    Code.DELIVERED_AFTER_END: DroneHold.Code.CONTRADICTION,
    Code.FLIES_AFTER_END: DroneHold.Code.CONTRADICTION,
    Code.FAILED_AFTER_DELIVERY: DroneHold.Code.CONTRADICTION,
}
# When a person causes one of these events, every discrepancy of the order is settled.
ANSWER_EVENTS = {
    EventType.DELIVERED,
    EventType.REQUEUED,
    EventType.CANCELED,
    EventType.FAILED,
    EventType.ABORTED,
    EventType.CORRECTED,
    EventType.PARCEL_FOUND,
    EventType.PARCEL_UNLOADED,
    EventType.PARCEL_RETURNED,
    EventType.PARCEL_LOST,
}
BEFORE_LAUNCH = (Status.ASSIGNED, Status.MISSION_SUBMITTED)
# These are settled when the job ends.
FLIGHT_CODES = (
    Code.EARLY_REPORT,
    Code.AT_THE_DROP,
    Code.STANDS_AT_HUB,
    Code.AIRSPACE,
    Code.WEATHER,
    Code.BATTERY,
)
# Airspace, weather and battery make the flight risky, but its telemetry is right. A drone at the
# drop point is where the customer expects it.
TELEMETRY_IS_RIGHT = (Code.AIRSPACE, Code.WEATHER, Code.BATTERY, Code.AT_THE_DROP)
# Raised for active jobs only: a person may end the job while telemetry is processed.
ACTIVE_JOB_CODES = (*FLIGHT_CODES, Code.UNCLEAR_LANDING)


@transaction.atomic
def raise_(job: DeliveryJob, code: Discrepancy.Code, message: str, *, by: Actor = SYSTEM) -> bool:
    """Store it, note it in the timeline, and hold the drone if the code requires that.

    Returns False and does nothing when the same one stands, or the code needs an active job. Locks
    the order's row first.
    """
    Order.objects.select_for_update(no_key=True).get(pk=job.order_id)
    if code in ACTIVE_JOB_CODES and not DeliveryJob.objects.active().filter(pk=job.pk).exists():
        return False
    standing = Discrepancy.objects.filter(job=job, code=code, settled_at__isnull=True)
    if standing.exists():
        return False
    Discrepancy.objects.create(order_id=job.order_id, job=job, code=code, message=message[:500])
    happened = Happened(EventType.CONTRADICTION, message, {"code": code})
    lifecycle.note(job.order_id, happened, by=by)
    if job.drone_id and code in DRONE_HOLD_CODES:
        registry.hold(job.drone_id, DRONE_HOLD_CODES[code], message, by=by)
    return True


def raise_for_ended_job(job: DeliveryJob, code: Discrepancy.Code, message: str, by: Actor) -> None:
    """Raise it for an ended job that is reported as flying or delivered.

    The order's live missions are recalled, its queued job is requeued, and the order is put on hold
    until a person states where the parcel is. Before launch of the next mission, the requeue comes
    first and `settle_answered` sets the hold.
    """
    if not raise_(job, code, message, by=by):
        return
    for part in MissionPart.objects.filter(order=job.order_id).with_related():
        if part.live:
            recalls.request_recall(part, reason=message)
        elif part.job.status == JobStatus.ACTIVE:
            lifecycle.requeue(
                job.order_id,
                by=SYSTEM,
                why=message,
                job_ends=JobStatus.CANCELED,
                job_id=part.job_id,
            )
    order = Order.objects.get(pk=job.order_id)
    if order.status not in BEFORE_LAUNCH:
        lifecycle.sight_lost(order.pk, by=SYSTEM, why=message)


def settle(discrepancy_id: int, *, by: Actor, note: str) -> Discrepancy:
    """Settle by a written statement. Raises Invalid without a note, Conflict when settled."""
    if not note.strip():
        raise Invalid([FieldProblem("note", "required", "Say what happened.")])
    with transaction.atomic():
        order_id = Discrepancy.objects.values_list("order_id", flat=True).get(pk=discrepancy_id)
        # Lock order: the order's row first, as in every verb.
        Order.objects.select_for_update(no_key=True).get(pk=order_id)
        doubt = Discrepancy.objects.select_for_update().get(pk=discrepancy_id)
        if doubt.settled_at is not None:
            who = said_by(doubt.settled_by)
            raise Conflict("settled", f"Settled already by {who}: {doubt.settlement}")
        _settle(Discrepancy.objects.filter(pk=doubt.pk), by, note)
        lifecycle.note(
            doubt.order_id, Happened(EventType.CONTRADICTION, f"Settled: {note.strip()}"), by=by
        )
    return doubt


def settle_when_clear(job_ids: Iterable[UUID], codes: Sequence[Discrepancy.Code], why: str) -> None:
    """Settle automatically because the cause has ended, such as a no-fly zone."""
    codes_given = [str(code) for code in codes]
    _CLEAR.run(job_ids=list(job_ids), codes=codes_given, at=timezone.now(), why=why[:300])


# Compiled once: each receipt asks.
_CLEAR = Update(
    lambda job_ids, codes, at, why: (
        Discrepancy.objects.filter(
            job__id__among=job_ids, code__among=codes, settled_at__isnull=True
        ),
        {"settled_at": at, "settled_by": str(SYSTEM), "settlement": why},
    ),
    job_ids=list,
    codes=list,
    at=datetime,
    why=str,
)


def settle_answered(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receives `lifecycle.recorded`: settle what the events of people or of job ends answer."""
    by_people = [
        e
        for e in events
        if e.type in ANSWER_EVENTS and e.actor_kind in (ActorKind.USER, ActorKind.API_KEY)
    ]
    over = [e.job_id for e in events if e.type in ANSWER_EVENTS and e.job_id]
    by_us = [e for e in events if e.type == EventType.REQUEUED and e not in by_people]
    if by_people:
        last = by_people[-1]
        standing = Discrepancy.objects.filter(
            order__in={e.order_id for e in by_people}, settled_at__isnull=True
        )
        _settle(standing, last.actor, last.message)
    if over:
        settle_when_clear(over, FLIGHT_CODES, "The flight is over.")
    for doubt in _blocking_doubts({e.order_id for e in by_us}) if by_us else ():
        lifecycle.sight_lost(doubt.order_id, by=SYSTEM, why=doubt.message)


def _blocking_doubts(order_ids: set[UUID]) -> QuerySet[Discrepancy]:
    """The discrepancies that block new missions for these orders."""
    return Discrepancy.objects.filter(
        order__in=order_ids, settled_at__isnull=True, code__in=Discrepancy.BLOCKING_CODES
    )


def _settle(standing: QuerySet[Discrepancy], by: Actor | str, why: str) -> None:
    standing.update(
        settled_at=timezone.now(), settled_by=str(by)[:180], settlement=why.strip()[:300]
    )


# --- deliveries in doubt: no ETA and no position is told -----------------------------------------


def contradicted() -> Exists:
    """A condition on orders: reports about the flight contradict each other, not settled yet."""
    unsettled = Discrepancy.objects.filter(order=OuterRef("pk"), settled_at__isnull=True)
    return Exists(unsettled.exclude(code__in=TELEMETRY_IS_RIGHT))


def doubted() -> Q:
    """A condition on orders: contradicted, on hold, or the parcel's place is unknown."""
    return ~Q(hold_code="") | Q(holder=Holder.UNKNOWN) | Q(contradicted())


def is_doubted(order: Order) -> bool:
    """`doubted` for one order, read from the database now."""
    return Order.objects.filter(doubted(), pk=order.pk).exists()
