"""The only door to a change of an order's state: lock, transition, save, record.

Every verb here is one database transaction: the order, its job and its DeliveryEvents change
together or not at all. API, console, actors and commands all come through these verbs, and nobody
else writes `status` or a DeliveryEvent. Verbs refuse with `Refused` (the state does not allow it)
or `NotFound`; whoever catches one must not touch the order object again, but fetch it anew.

After a verb has written its events it sends `recorded` inside the transaction: what hangs on it
(mission intents, webhooks, messages) writes its own rows there, and does slow work after commit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from fleet import registry
from fleet.models import DroneHold
from orders import unit_of_work
from orders.custody import given_back, loaded, lost, never_left, ready, sight_lost, unloaded
from orders.models import DeliveryJob, Order
from orders.outcome import correct, delivered_after_all
from orders.states import (
    FLOWN_FROM,
    IN_FLIGHT,
    MISSION_PATH,
    TERMINAL,
    WAITING,
    CancelReason,
    EventType,
    Happened,
    JobStatus,
    ReasonCode,
    Status,
)
from orders.unit_of_work import Refused, recorded
from wingxtra.accounts.identity import SYSTEM, Actor

__all__ = [
    "Refused",
    "correct",
    "delivered_after_all",
    "given_back",
    "loaded",
    "lost",
    "never_left",
    "ready",
    "recorded",
    "sight_lost",
    "unloaded",
]  # what others need besides the verbs below

# A drone that is there has the parcel aboard, also when its pickup was not seen.
AT_THE_DOOR = (Status.ARRIVED, Status.DELIVERING, Status.DELIVERED)

# --- one order at a time -------------------------------------------------------------------------


def place(order: Order, *, by: Actor) -> Order:
    """Write a new order with its first events; it waits in VALIDATED for a future `not_before`.

    Raises Conflict naming the merchant's order that has its `external_id`. Any other failure ends
    the transaction of a caller that has one.
    """
    # A savepoint would be two statements more, and who places an order does nothing else meanwhile.
    with transaction.atomic(savepoint=False):
        change = unit_of_work.Change([order], by=by)
        change.note(order, Happened(EventType.CREATED, "The order was placed."))
        change.step(order.validate)
        if order.not_before is None or order.not_before <= change.now:
            change.step(order.enqueue)
        is_new = change.write_new()
    if is_new:
        return order
    raise unit_of_work.first_placed(order) or IntegrityError(f"Order {order.pk} exists already.")


def assign(
    order_id: UUID,
    drone_id: str | None,
    *,
    by: Actor,
    why: str,
    override_reason: str = "",
    promised_at: datetime | None = None,
) -> Order:
    """Give a queued order to a drone. Raises Refused, or Conflict when the drone has a job.

    promised_at: when the parcel is expected at the door.
    """
    with unit_of_work.handing_over(order_id, drone_id, by=by) as (change, order):
        _refuse_without_the_parcel(order)
        change.step(
            order.assign,
            drone_id=drone_id,
            why=why,
            override_reason=override_reason,
            promised_at=promised_at,
        )
    return order


def reassign(
    order_id: UUID,
    drone_id: str,
    *,
    by: Actor,
    why: str,
    override_reason: str = "",
    promised_at: datetime | None = None,
) -> Order:
    """Give an assigned order, whose mission is not accepted yet, to another drone."""
    with unit_of_work.handing_over(order_id, drone_id, by=by) as (change, order):
        _refuse_without_the_parcel(order)
        change.step(
            order.reassign,
            drone_id=drone_id,
            why=why,
            override_reason=override_reason,
            promised_at=promised_at,
        )
    return order


def submit_mission(
    order_id: UUID, *, job_id: UUID, by: Actor, occurred_at: datetime | None = None
) -> Order:
    """Ground control has accepted the job's intent. Saying so again changes nothing."""
    return advance(
        order_id, Status.MISSION_SUBMITTED, job_id=job_id, by=by, occurred_at=occurred_at
    ).order


def requeue(
    order_id: UUID,
    *,
    by: Actor,
    why: str,
    job_ends: JobStatus = JobStatus.FAILED,
    job_id: UUID | None = None,
) -> Order:
    """End the current job and put the order back in the queue."""
    with unit_of_work.changing(order_id, by=by, job_id=job_id) as (change, order):
        change.step(order.requeue, job_ends=job_ends, why=why)
    return order


def reschedule(
    order_id: UUID, *, not_before: datetime | None, deliver_by: datetime, by: Actor, why: str = ""
) -> Order:
    """Agree on a new window; the order is queued at once when it is due already.

    Raises Refused as well while a person is asked where its parcel is.
    """
    with unit_of_work.changing(order_id, by=by) as (change, order):
        _refuse_without_the_parcel(order)
        change.step(order.reschedule, not_before=not_before, deliver_by=deliver_by, why=why)
        if not_before is None or not_before <= change.now:
            change.step(order.enqueue)
    return order


def cancel(order_id: UUID, *, by: Actor, reason: CancelReason, note: str = "") -> Order:
    """Cancel an order that has not launched. Canceling a canceled order changes nothing.

    Whoever cancels one whose intent may have reached ground control withdraws that first:
    `dispatch.missions.recalls.cancel` does both.
    """
    with unit_of_work.changing(order_id, by=by) as (change, order):
        if order.status != Status.CANCELED:
            change.step(order.cancel, reason=CancelReason(reason), note=note)
    return order


def mission_over(
    order_id: UUID,
    *,
    ended: JobStatus,
    by: Actor,
    why: str,
    max_attempts: int,
    final: bool = False,
    parcel_astray: str = "",
    reason: ReasonCode = ReasonCode.DRONE_PROBLEM,
    job_id: UUID | None = None,
    occurred_at: datetime | None = None,
) -> Order:
    """The mission ended without a delivery: `ended` is FAILED or ABORTED.

    parcel_astray: why it is not known where the parcel is now; empty when it is where the order
    says. The order is queued again while attempts are left, unless `final` (ops asked for the
    abort); on hold when no drone can be sent for the parcel. Otherwise it ends FAILED or ABORTED
    with `reason`. A drone that had taken off, or may have, is on hold until a person releases it.
    """
    with unit_of_work.changing(order_id, by=by, job_id=job_id, occurred_at=occurred_at) as (
        change,
        order,
    ):
        job, had_taken_off = order.current_job, order.status in IN_FLIGHT
        if parcel_astray:
            change.note(order, order.lose_sight(parcel_astray))
        gives_up = order.holder in FLOWN_FROM and order.attempts_used >= max_attempts
        if final or gives_up:
            end = order.abort if ended == JobStatus.ABORTED else order.fail
            change.step(end, why=why, reason=reason)
        else:
            change.step(order.requeue, job_ends=ended, why=why)
        if (had_taken_off or parcel_astray) and job and job.drone_id:
            registry.hold(job.drone_id, DroneHold.Code.FLIGHT_FAILED, why, by=by)
    return order


@dataclass(frozen=True, slots=True)
class Advance:
    """What a report changed: the steps taken, or none and why."""

    order: Order
    applied: list[EventType]
    note: str = ""


def advance(
    order_id: UUID,
    to: Status,
    *,
    by: Actor,
    occurred_at: datetime | None = None,
    job_id: UUID | None = None,
    message: str = "",
) -> Advance:
    """Walk the order along the mission's path up to `to`, through every step between.

    A report that would go backwards, or comes after the end, is a no-op that says so. Raises
    Refused when the order has no mission: there is nothing to report about.
    """
    with unit_of_work.changing(order_id, by=by, job_id=job_id, occurred_at=occurred_at) as (
        change,
        order,
    ):
        if order.status in WAITING:
            raise Refused(
                order,
                f"The order is {order.status} and has no mission, so it cannot be {to}.",
                code="no_active_mission",
            )
        if order.status in TERMINAL:
            return Advance(order, [], f"The order is {order.status} already; nothing was changed.")
        here, there = MISSION_PATH.index(Status(order.status)), MISSION_PATH.index(to)
        if there <= here:
            return Advance(order, [], f"The order is {order.status} already; nothing was changed.")
        for step in MISSION_PATH[here + 1 : there + 1]:
            if step in AT_THE_DOOR and order.holder in FLOWN_FROM:
                change.note(order, order.load(), payload={"inferred": True})
            _take(change, order, step, message if step == to else "", skipped=step != to)
        steps = [EventType(e.type) for e in change.events if e.type in MISSION_PATH]
        return Advance(order, steps)


def _take(
    change: unit_of_work.Change, order: Order, step: Status, message: str, *, skipped: bool
) -> None:
    method: Callable[..., Happened] = {
        Status.MISSION_SUBMITTED: order.submit_mission,
        Status.LAUNCHED: order.launch,
        Status.ENROUTE: order.go_enroute,
        Status.ARRIVED: order.arrive,
        Status.DELIVERING: order.begin_delivery,
        Status.DELIVERED: order.deliver,
    }[step]
    arguments: dict[str, Any] = {"message": message} if message else {}
    if step == Status.DELIVERED:
        arguments["at"] = change.happened_at(order)
    # A step nobody reported is told from the one after it, and says so.
    change.step(method, **arguments, payload={"inferred": True} if skipped else {})


# --- changes that are no transitions -------------------------------------------------------------


def amend(
    order_id: UUID,
    *,
    by: Actor,
    happened: Callable[[Order], Happened | None],
) -> Order:
    """Change details of an order under its lock. `happened(order)` edits it and says what it did.

    It returns None when there is nothing to change, and raises to refuse.
    """
    with unit_of_work.changing(order_id, by=by) as (change, order):
        what = happened(order)
        if what is not None:
            change.note(order, what)
    return order


def note(
    order_id: UUID,
    happened: Happened,
    *,
    by: Actor,
    job_id: UUID | None = None,
    occurred_at: datetime | None = None,
) -> Order:
    """Write into the timeline what changed nothing about the order itself."""
    with unit_of_work.changing(order_id, by=by, job_id=job_id, occurred_at=occurred_at) as (
        change,
        order,
    ):
        change.note(order, happened)
    return order


# --- many at once --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assignment:
    """instead_of: the job that a better drone takes over; None for an order without one."""

    order_id: UUID
    drone_id: str
    why: str
    promised_at: datetime | None = None
    instead_of: UUID | None = None


def assign_many(assignments: Sequence[Assignment], *, by: Actor) -> list[Order]:
    """Assign each pair that is still possible, and reassign where a job is given; returns the
    orders that got their drone. Orders may exchange drones.

    Pairs whose order is locked or changed, or whose drone got a job meanwhile, are left out, and
    with them those that need the drone that such an order keeps; the rest stands. Statements do not
    grow with the number of pairs.
    """
    with transaction.atomic():
        free = unit_of_work.free_drones(pair.drone_id for pair in assignments)
        orders = {
            order.pk: order
            for order in unit_of_work.locked(
                [pair.order_id for pair in assignments], skip_locked=True
            )
        }
        possible = _possible(assignments, orders, free)
        change = unit_of_work.Change([orders[pair.order_id] for pair in possible], by=by)
        for pair in possible:
            order = orders[pair.order_id]
            change.step(
                order.reassign if pair.instead_of else order.assign,
                drone_id=pair.drone_id,
                why=pair.why,
                promised_at=pair.promised_at,
            )
        change.write()
    return change.orders


def _possible(
    assignments: Sequence[Assignment], orders: dict[UUID, Order], free: set[str]
) -> list[Assignment]:
    """Those whose order stands as the plan supposed, and whose drone is free or becomes so."""
    pairs: list[Assignment] = []
    seen: set[UUID | str] = set()  # each order and each drone once
    for pair in assignments:
        order = orders.get(pair.order_id)
        wanted = Status.ASSIGNED if pair.instead_of else Status.QUEUED
        stands = (
            order
            and order.status == wanted
            and order.current_job_id == pair.instead_of
            and not order.hold_code
            and order.holder in FLOWN_FROM
        )
        if stands and pair.order_id not in seen and pair.drone_id not in seen:
            seen |= {pair.order_id, pair.drone_id}
            pairs.append(pair)
    while True:
        given_up = {orders[pair.order_id].assigned_drone_id for pair in pairs}
        still = [pair for pair in pairs if pair.drone_id in free or pair.drone_id in given_up]
        if len(still) == len(pairs):
            return pairs
        pairs = still


def enqueue_due(now: datetime, *, by: Actor = SYSTEM, at_most: int = 1000) -> int:
    """Queue the scheduled orders whose time has come; returns how many."""
    with transaction.atomic():
        ids = list(Order.objects.due(now).values_list("pk", flat=True)[:at_most])
        orders = [
            o for o in unit_of_work.locked(ids, skip_locked=True) if o.status == Status.VALIDATED
        ]
        change = unit_of_work.Change(orders, by=by)
        for order in orders:
            change.step(order.enqueue)
        change.write()
    return len(orders)


def _refuse_without_the_parcel(order: Order) -> None:
    """Raises Refused unless a drone can be sent for the parcel."""
    if order.hold_code:
        raise Refused(
            order,
            f"{order.get_hold_code_display()}: {order.hold_message} Say first where the parcel is.",
            code="order_on_hold",
        )
    if order.holder not in FLOWN_FROM:
        words = f"The parcel is not where a drone can be sent for it: {order.get_holder_display()}."
        raise Refused(order, words, code="parcel_elsewhere")


def job_of(order: Order) -> DeliveryJob:
    """The order's current job. Raises Refused when it has none."""
    if order.current_job is None:
        raise Refused(order, f"The order is {order.status} and has no drone.", code="no_active_job")
    return order.current_job
