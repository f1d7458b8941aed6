"""The verbs that change who holds a parcel. Call them through `orders.lifecycle`."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from fleet.models import Hub
from orders import unit_of_work
from orders.models import DeliveryEvent, Order
from orders.states import (
    FLOWN_FROM,
    IN_FLIGHT,
    WITH_A_JOB,
    EventType,
    Holder,
    JobStatus,
    ReasonCode,
    Status,
)
from orders.unit_of_work import Refused, Which
from wingxtra.accounts.identity import Actor
from wingxtra.problems import NotFound

OPEN_BEFORE_LOADING = (
    Status.VALIDATED,
    Status.QUEUED,
    Status.ASSIGNED,
    Status.MISSION_SUBMITTED,
    Status.LAUNCHED,
    Status.ENROUTE,
)


def ready(order_id: UUID, *, by: Actor) -> Order:
    """Record that the parcel can be loaded. Idempotent; no change once it is loaded."""
    with unit_of_work.changing(order_id, by=by) as (change, order):
        if order.status not in (*OPEN_BEFORE_LOADING, *WITH_A_JOB):
            raise Refused(order, f"The order is {order.status}; its parcel is not expected.")
        if order.parcel_ready_at is None and order.holder in FLOWN_FROM:
            change.note(order, order.ready())
    return order


def loaded(
    which: Which,
    *,
    by: Actor,
    message: str = "",
    job_id: UUID | None = None,
    occurred_at: datetime | None = None,
) -> Order:
    """Record that the parcel is aboard the drone of the current job. Idempotent.

    Raises Refused without a job, and when the parcel is neither with the sender nor at a hub.
    """
    with unit_of_work.changing(which, by=by, job_id=job_id, occurred_at=occurred_at) as (
        change,
        order,
    ):
        job = order.current_job
        if order.status not in WITH_A_JOB or job is None:
            detail = f"The order is {order.status} and has no drone to be loaded onto."
            raise Refused(order, detail, code="no_active_job")
        if order.holder != Holder.DRONE:
            _refuse_unless_held_by(order, FLOWN_FROM)
            change.note(order, order.load(message))
    return order


def sight_lost(
    order_id: UUID,
    *,
    by: Actor,
    why: str,
    job_id: UUID | None = None,
    occurred_at: datetime | None = None,
) -> Order:
    """Record that the parcel's location is not known any more. Idempotent.

    Cancels a job that has not taken off: its drone would not find the parcel at the pickup.
    """
    with unit_of_work.changing(order_id, by=by, job_id=job_id, occurred_at=occurred_at) as (
        change,
        order,
    ):
        if not order.is_at_rest and order.holder != Holder.UNKNOWN:
            change.note(order, order.lose_sight(why))
            if order.status in (Status.ASSIGNED, Status.MISSION_SUBMITTED):
                change.step(order.requeue, job_ends=JobStatus.CANCELED, why=why)
            elif order.status == Status.QUEUED:
                order.hold_for_the_parcel(why)
    return order


def unloaded(order_id: UUID, hub_id: int, *, by: Actor, note: str = "") -> Order:
    """Record that the parcel is at this hub; the order is flown from there. Idempotent.

    Ends the current job, also in flight, and queues the order again. Raises NotFound for an unknown
    hub, and Refused for a parcel at rest.
    """
    hub = Hub.objects.filter(pk=hub_id).first()
    if hub is None:
        raise NotFound("hub")
    with unit_of_work.changing(order_id, by=by) as (change, order):
        _refuse_unless_held_by(order, (Holder.DRONE, Holder.UNKNOWN, *FLOWN_FROM))
        if order.holder_hub_id == hub.pk and not order.hold_code:
            return order
        change.note(order, order.unload(hub, note))
        if order.status in WITH_A_JOB:
            ends = JobStatus.FAILED if order.status in IN_FLIGHT else JobStatus.CANCELED
            change.step(order.requeue, job_ends=ends, why=f"The parcel is at {hub.name}.")
        elif order.status == Status.QUEUED:
            order.lift_hold()
    return order


def never_left(order_id: UUID, *, by: Actor, note: str) -> Order:
    """Record that the parcel was never picked up and is still with the sender.

    Also against a reported pickup: to telemetry, a drone that only hovers there looks as if it
    picked up, and a loader can tap the wrong parcel. Both reports stay in the timeline. Raises
    Refused while a drone is in flight with the parcel.
    """
    with unit_of_work.changing(order_id, by=by) as (change, order):
        _refuse_unless_held_by(order, (Holder.UNKNOWN, Holder.DRONE))
        if order.holder == Holder.DRONE and order.status in IN_FLIGHT:
            detail = (
                f"{order.holder_drone_id} is in flight with it. Say first how its flight ended."
            )
            raise Refused(order, detail, code="parcel_was_loaded")
        change.note(order, order.stay(note))
        if order.status == Status.QUEUED:
            order.lift_hold()
    return order


def observed_pickups(orders: Collection[Order]) -> list[DeliveryEvent]:
    """The reported pickup of each of these orders, unless a later event puts its parcel elsewhere.

    A pickup that was inferred from a later step does not count. One statement; at least one order.
    """
    types = (EventType.PARCEL_LOADED, EventType.PARCEL_UNLOADED, EventType.PARCEL_FOUND)
    events = DeliveryEvent.objects.since(min(order.created_at for order in orders))
    moves = events.filter(order__in=orders, type__in=types).order_by("id")
    last = {event.order_id: event for event in moves}
    return [
        event
        for event in last.values()
        if event.type == EventType.PARCEL_LOADED and not event.payload.get("inferred")
    ]


def given_back(order_id: UUID, *, by: Actor, received_by: str) -> Order:
    """The sender has the parcel again. An open order ends FAILED with that reason."""
    with unit_of_work.changing(order_id, by=by) as (change, order):
        _refuse_unless_held_by(order, (Holder.DRONE, Holder.UNKNOWN, Holder.HUB))
        change.note(order, order.give_back(received_by))
        _fail_unless_over(change, order, ReasonCode.RETURNED_TO_SENDER)
    return order


def lost(order_id: UUID, *, by: Actor, note: str) -> Order:
    """The parcel is lost. An open order ends FAILED with that reason."""
    with unit_of_work.changing(order_id, by=by) as (change, order):
        _refuse_unless_held_by(order, (Holder.DRONE, Holder.UNKNOWN, Holder.HUB))
        change.note(order, order.lose(note))
        _fail_unless_over(change, order, ReasonCode.LOST)
    return order


def _fail_unless_over(change: unit_of_work.Change, order: Order, reason: ReasonCode) -> None:
    if not order.is_terminal:
        change.step(order.fail, why=reason.label, reason=reason)


def _refuse_unless_held_by(order: Order, holders: Collection[str]) -> None:
    if order.holder not in holders:
        detail = f"The parcel is elsewhere: {order.get_holder_display().lower()}."
        raise Refused(order, detail, code="parcel_elsewhere")
