"""Closes the attempt under way when a person knows what became of the parcel.

Composed of the verbs of missions, lifecycle and custody, in one transaction.
"""

from uuid import UUID

from django.db import models, transaction
from django.utils import timezone

from dispatch.missions import answers, recalls
from dispatch.missions.before_launch import BEFORE_LAUNCH
from dispatch.models import Mission, MissionPart
from fleet import policy
from orders import lifecycle
from orders.models import Order
from orders.states import WITH_A_JOB, Holder, JobStatus, ReasonCode, Status
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict, NotFound


class Found(models.TextChoices):
    """Where the parcel is, or what became of it."""

    SENDER = "sender", "Still with the sender"
    RETURNED = "returned", "Back with the sender"
    DRONE = "drone", "Aboard the drone"
    HUB = "hub", "At a hub"
    DELIVERED = "delivered", "Delivered"
    LOST = "lost", "Lost"
    UNKNOWN = "unknown", "Not known"


ENDS_AS = {Found.LOST: ReasonCode.LOST, Found.RETURNED: ReasonCode.RETURNED_TO_SENDER}


def close_attempt(
    order_id: UUID, *, found: Found, is_over: bool, by: Actor, note: str, hub_id: int | None = None
) -> Order:
    """End the order's job, with its parcel where it was found (`hub_id` for a hub).

    is_over: the person knows that no drone flies the mission. Otherwise it is withdrawn before the
    launch, and in flight an abort is asked for; no other drone starts until that mission is over.
    A parcel that is back with its sender, or lost, ends the order; one that is still there is flown
    from there. A drone that has taken off is put on hold. Not inside a transaction.

    Raises Refused without an attempt and for a parcel that left its sender for a hub, Conflict or
    Unavailable when the mission cannot be withdrawn, and NotFound; nothing has changed then.
    """
    order = _fetch(order_id)
    _refuse_without_attempt(order)
    if found == Found.SENDER and order.holder == Holder.HUB:
        detail = f"Its parcel is at {order.holder_hub}. If the sender has it again, say that."
        raise lifecycle.Refused(order, detail, code="parcel_elsewhere")
    if found == Found.DELIVERED:
        if order.status == Status.ASSIGNED:
            detail = "No drone has started with it yet, so it cannot have been delivered."
            raise lifecycle.Refused(order, detail, code="not_flown")
        return answers.confirm_delivered(order_id, by=by, note=note)
    job_id = order.current_job_id
    if order.status in BEFORE_LAUNCH:
        job_id = recalls.withdraw_mission(
            order_id,
            by=by,
            reason=note,
            statuses=BEFORE_LAUNCH,
            override=note if is_over else "",
        )
    with transaction.atomic():
        before, order = order, _fetch(order_id, lock=True)
        if order.current_job_id != job_id or order.status != before.status:
            detail = f"The order is {order.get_status_display().lower()} now. Look at it again."
            raise Conflict("order_changed", detail, current_status=order.status)
        if found == Found.DRONE:
            lifecycle.loaded(order_id, by=by, message=note)
        if order.status in BEFORE_LAUNCH:
            lifecycle.requeue(order_id, by=by, why=note, job_ends=JobStatus.CANCELED, job_id=job_id)
        else:
            _end_flight(order, found, is_over, by=by, note=note)
        return _put(order_id, found, by=by, note=note, hub_id=hub_id)


def _fetch(order_id: UUID, *, lock: bool = False) -> Order:
    orders = Order.objects.filter(pk=order_id)
    if lock:
        orders = orders.select_for_update(no_key=True)
    order = orders.first()
    if order is None:
        raise NotFound
    return order


def _refuse_without_attempt(order: Order) -> None:
    if order.status not in WITH_A_JOB or order.current_job_id is None:
        detail = f"The order is {order.status}; no attempt is under way."
        raise lifecycle.Refused(order, detail, code="no_active_job")


def _end_flight(order: Order, found: Found, is_over: bool, *, by: Actor, note: str) -> None:
    job_id = order.current_job_id
    part = MissionPart.objects.live().filter(job=job_id).with_related().first()
    if part is not None and is_over:
        recalls.say_over(part, by=by, note=note)
    elif part is not None:
        recalls.request_abort(order.pk, by=by, reason=note)
    ends_as = ENDS_AS.get(found)
    lifecycle.mission_over(
        order.pk,
        ended=JobStatus.FAILED,
        by=by,
        why=note,
        max_attempts=policy.current().max_attempts,
        job_id=job_id,
        final=ends_as is not None,
        reason=ends_as or ReasonCode.DRONE_PROBLEM,
        parcel_astray=note if found in (Found.LOST, Found.UNKNOWN) else "",
    )
    # The end of its job has asked for a withdrawal, which does not end a flight.
    Mission.objects.of_job(job_id).filter(over_at__isnull=True, recall_mode="withdraw").update(
        recall_mode="abort", next_try_at=timezone.now()
    )


def _put(order_id: UUID, found: Found, *, by: Actor, note: str, hub_id: int | None) -> Order:
    """Record the holder, once the job has ended."""
    order = _fetch(order_id)
    if found == Found.HUB:
        if hub_id is None:
            raise NotFound("hub")
        return lifecycle.unloaded(order_id, hub_id, by=by, note=note)
    is_astray = found in (Found.LOST, Found.UNKNOWN) and order.holder != Holder.UNKNOWN
    if is_astray or (found == Found.RETURNED and order.holder == Holder.SENDER):
        order = lifecycle.sight_lost(order_id, by=by, why=note)
    if found == Found.LOST:
        return lifecycle.lost(order_id, by=by, note=note)
    if found == Found.RETURNED:
        return lifecycle.given_back(order_id, by=by, received_by=note)
    if found == Found.SENDER and order.holder != Holder.SENDER:
        return lifecycle.never_left(order_id, by=by, note=note)
    return order
