"""The verbs that end a mission before its launch: cancel, reschedule, requeue, reassign.

API, GCS page and console call these. The mission is withdrawn first, outside any transaction; then
one transaction changes the order. A refused request changes nothing, with one exception: a mission
that is over and may have flown (`mission_may_have_flown`).
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.db import transaction

from dispatch.missions import recalls
from dispatch.missions.parcel_doubt import hold_if_it_flew, unseen_flight
from dispatch.models import MissionPart
from dispatch.planning import manual_assignment
from dispatch.planning.limits import pilots
from orders import lifecycle, placement
from orders.models import Order
from orders.states import IN_FLIGHT, CancelReason, JobStatus, Status
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict

BEFORE_LAUNCH = (Status.ASSIGNED, Status.MISSION_SUBMITTED)
# The order may get another drone between the withdrawal and its row lock; then retry.
MAX_TRIES = 3


def cancel(
    order_id: UUID, *, by: Actor, reason: CancelReason, note: str = "", override: str = ""
) -> Order:
    """Cancel an order that has not launched.

    override: see `recalls.withdraw_mission`. Raises Conflict `mission_launched`, Refused, or
    Unavailable; then nothing has changed.
    """
    return _withdraw_then(
        order_id,
        lambda: lifecycle.cancel(order_id, by=by, reason=reason, note=note),
        by=by,
        reason=reason.label,
        override=override,
    )


def reschedule(
    order_id: UUID,
    *,
    not_before: datetime | None,
    deliver_by: datetime | None,
    by: Actor,
    why: str = "",
    override: str = "",
) -> lifecycle.Done:
    """Set a new window, checked like a new order's; by default it ends with the promise. The same
    window changes nothing and withdraws no mission.

    Raises Invalid for a window in which we cannot deliver, Refused when it is too late, and what
    `cancel` raises; then nothing has changed. Raises what `_refuse_if_it_flew` raises, too.
    """
    deliver_by = placement.check_window(order_id, not_before=not_before, deliver_by=deliver_by)
    order = Order.objects.select_related("current_job").get(pk=order_id)
    lifecycle.refuse_reschedule(order)
    if (order.not_before, order.deliver_by) == (not_before, deliver_by):
        return lifecycle.Done(order, changed=False)
    order = _withdraw_then(
        order_id,
        lambda: lifecycle.reschedule(
            order_id, not_before=not_before, deliver_by=deliver_by, by=by, why=why
        ),
        by=by,
        reason=why or "Rescheduled.",
        statuses=(Status.ASSIGNED,),
        override=override,
        needs_the_parcel=True,
    )
    return lifecycle.Done(order, changed=True)


def requeue(order_id: UUID, *, by: Actor, why: str, override: str = "") -> Order:
    """Take the order from its drone, back into the queue. Raises what `cancel` raises."""
    return _withdraw_then(
        order_id,
        lambda: lifecycle.requeue(order_id, by=by, why=why, job_ends=JobStatus.CANCELED),
        by=by,
        reason=why,
        override=override,
    )


def reassign(order_id: UUID, drone_id: str, *, by: Actor, override_reason: str = "") -> Order:
    """Give an assigned order to another drone.

    Raises what `manual_assignment.assign`, `recalls.withdraw_mission` and `_refuse_if_it_flew`
    raise, and Conflict `same_drone` for the drone that has the order.
    """
    order, chosen = manual_assignment.may_fly(order_id, drone_id, override_reason)
    if order.current_job and order.current_job.drone_id == drone_id:
        raise Conflict(
            "same_drone", f"{drone_id} has this order already.", current_status=order.status
        )
    job_id = recalls.withdraw_mission(order.pk, by=by, reason=f"Reassigned to {drone_id}.")
    with transaction.atomic():
        _refuse_if_it_flew(order, _part_of(job_id))
        chosen = manual_assignment.with_its_pad(order, chosen)
        supervised = pilots.reserve(order)
        changed = lifecycle.reassign(
            order.pk,
            drone_id,
            by=by,
            why=manual_assignment.in_words(chosen, override_reason),
            override_reason=override_reason,
            promised_at=manual_assignment.promise(chosen),
        )
        pilots.write([changed], supervised)
        manual_assignment.write_landing(changed, chosen)
    return changed


def _withdraw_then(
    order_id: UUID,
    verb: Callable[[], Order],
    *,
    by: Actor,
    reason: str,
    statuses: tuple[Status, ...] = BEFORE_LAUNCH,
    override: str,
    needs_the_parcel: bool = False,
) -> Order:
    """The order after `verb`, which ends its job once its mission is withdrawn. If the mission may
    have moved the parcel, the order is put on hold, and a verb that `needs_the_parcel` is refused.
    """
    for _ in range(MAX_TRIES):
        job_id = recalls.withdraw_mission(
            order_id, by=by, reason=reason, statuses=statuses, override=override
        )
        with transaction.atomic():
            order = Order.objects.select_for_update(no_key=True).get(pk=order_id)
            if order.status in IN_FLIGHT:
                raise Conflict(
                    "mission_launched",
                    f"The order is {order.status}: its drone is in the air. Operations can ask for "
                    "an abort.",
                    current_status=order.status,
                )
            if order.status in statuses and order.current_job_id != job_id:
                continue
            part = _part_of(job_id)
            if needs_the_parcel:
                _refuse_if_it_flew(order, part)
            return hold_if_it_flew(verb(), part)
    raise Conflict("order_busy", "The order is being reassigned; try again in a moment.")


def _refuse_if_it_flew(order: Order, part: MissionPart | None) -> None:
    """Raises Conflict if its withdrawn mission may have moved the parcel: no drone and no time can
    be promised then. `recalls.sweep_abandoned` queues the order again, on hold for its parcel.
    """
    if doubt := unseen_flight(order, part):
        raise Conflict(
            "mission_may_have_flown",
            f"The mission is over, and it may have flown. {doubt} The order goes back into the "
            "queue, and operations is asked where the parcel is.",
            current_status=order.status,
        )


def _part_of(job_id: UUID | None) -> MissionPart | None:
    return MissionPart.objects.with_related().filter(job=job_id).first()
