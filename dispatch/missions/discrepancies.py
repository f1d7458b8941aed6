"""What is not clear about a flight, or said differently by two sources: kept until it is settled.

Raising one writes it into the order's timeline and puts a line on the dashboard. A person settles
it, most often by saying what became of the parcel; what time makes clear settles itself.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from dispatch.missions import recalls
from dispatch.models import Discrepancy, MissionPart
from fleet import registry
from fleet.models import DroneHold
from orders import lifecycle
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import EventType, Happened, JobStatus, Status
from wingxtra.accounts.identity import SYSTEM, Actor, ActorKind
from wingxtra.problems import Conflict, FieldProblem, Invalid

Code = Discrepancy.Code

# A drone about which this is said is on hold until a person has looked at it.
HOLDS_THE_DRONE = {
    Code.UNCLEAR_LANDING: DroneHold.Code.UNCLEAR_LANDING,
    Code.STANDS_AT_HUB: DroneHold.Code.CONTRADICTION,
    Code.DELIVERED_AFTER_END: DroneHold.Code.CONTRADICTION,
    Code.FLIES_AFTER_END: DroneHold.Code.CONTRADICTION,
    Code.FAILED_AFTER_DELIVERY: DroneHold.Code.CONTRADICTION,
}
# What a person says of an order's end or of its parcel settles every doubt about it.
ANSWERS = {
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
# These end with the job, by any source.
OF_A_FLIGHT = (Code.EARLY_REPORT, Code.AT_THE_DROP, Code.STANDS_AT_HUB, Code.AIRSPACE, Code.WEATHER)
# Telemetry may see these while a person ends the job, and then they are answered already.
WHILE_IT_LASTS = (*OF_A_FLIGHT, Code.UNCLEAR_LANDING)


@transaction.atomic
def raise_(job: DeliveryJob, code: Discrepancy.Code, message: str, *, by: Actor = SYSTEM) -> bool:
    """Keep it, say it in the timeline, and hold the drone where the code asks for that. False, and
    nothing done, when it stands already, or is about a flight whose job has ended. The
    order's row is locked first.
    """
    Order.objects.select_for_update(no_key=True).get(pk=job.order_id)
    if code in WHILE_IT_LASTS and not DeliveryJob.objects.active().filter(pk=job.pk).exists():
        return False
    standing = Discrepancy.objects.filter(job=job, code=code, settled_at__isnull=True)
    if standing.exists():
        return False
    Discrepancy.objects.create(order_id=job.order_id, job=job, code=code, message=message[:500])
    happened = Happened(EventType.CONTRADICTION, message, {"code": code})
    lifecycle.note(job.order_id, happened, by=by)
    if job.drone_id and code in HOLDS_THE_DRONE:
        registry.hold(job.drone_id, HOLDS_THE_DRONE[code], message, by=by)
    return True


def about_an_ended_job(job: DeliveryJob, code: Discrepancy.Code, message: str, by: Actor) -> None:
    """A report says that a job which is over for us goes on, or has delivered: nothing new is
    flown for its order, what flies for it is taken back, and its parcel is asked for.

    While the next mission is only submitted, that is taken back first (`keep_in_step` goes on).
    """
    if not raise_(job, code, message, by=by):
        return
    for part in MissionPart.objects.filter(order=job.order_id).whole():
        if part.live:
            recalls.take_back(part, reason=message)
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
    """A person says in writing how it was. Raises Invalid without a word, Conflict when settled."""
    if not note.strip():
        raise Invalid([FieldProblem("note", "required", "Say how it was.")])
    with transaction.atomic():
        order_id = Discrepancy.objects.values_list("order_id", flat=True).get(pk=discrepancy_id)
        # The order first, as every verb does that settles one on its way.
        Order.objects.select_for_update(no_key=True).get(pk=order_id)
        one = Discrepancy.objects.select_for_update().get(pk=discrepancy_id)
        if one.settled_at is not None:
            raise Conflict("settled", f"Settled already by {one.settled_by}: {one.settlement}")
        _settle(Discrepancy.objects.filter(pk=one.pk), by, note)
        lifecycle.note(
            one.order_id, Happened(EventType.CONTRADICTION, f"Settled: {note.strip()}"), by=by
        )
    return one


def settle_when_clear(job_ids: Iterable[UUID], codes: Sequence[Discrepancy.Code], why: str) -> None:
    """What they are about is clear by itself, such as a zone that is not in the way any more."""
    standing = Discrepancy.objects.filter(
        job__in=list(job_ids), code__in=codes, settled_at__isnull=True
    )
    _settle(standing, SYSTEM, why)


def keep_in_step(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receives `lifecycle.recorded`: a person's word about an order settles what was unclear."""
    by_people = [
        e
        for e in events
        if e.type in ANSWERS and e.actor_kind in (ActorKind.USER, ActorKind.API_KEY)
    ]
    over = [e.job_id for e in events if e.type in ANSWERS and e.job_id]
    by_itself = [e for e in events if e.type == EventType.REQUEUED and e not in by_people]
    if by_people:
        last = by_people[-1]
        standing = Discrepancy.objects.filter(
            order__in={e.order_id for e in by_people}, settled_at__isnull=True
        )
        _settle(standing, last.actor, last.message)
    if over:
        settle_when_clear(over, OF_A_FLIGHT, "The flight is over.")
    for doubt in _stopping({e.order_id for e in by_itself}) if by_itself else ():
        lifecycle.sight_lost(doubt.order_id, by=SYSTEM, why=doubt.message)


def _stopping(order_ids: set[UUID]) -> QuerySet[Discrepancy]:
    """The doubts because of which nothing new is flown for these orders."""
    return Discrepancy.objects.filter(
        order__in=order_ids, settled_at__isnull=True, code__in=Discrepancy.STOPS_THE_ORDER
    )


def _settle(standing: QuerySet[Discrepancy], by: Actor | str, why: str) -> None:
    standing.update(
        settled_at=timezone.now(), settled_by=str(by)[:180], settlement=why.strip()[:300]
    )
