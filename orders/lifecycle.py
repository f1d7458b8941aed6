"""The only way to change an order's state: lock, transition, save, record.

Every verb here is one database transaction: the order, its job and its DeliveryEvents change
together or not at all. API, console, actors and commands call these verbs; no other code writes
`status` or a DeliveryEvent. A verb raises `Refused` (the state does not allow it) or `NotFound`.
A caller that catches one must fetch the order again: the object in memory may be half changed.
A caller with a transaction of its own locks the order once (`lock`) and gives it to its verbs.

After a verb has written its events it sends `recorded` inside the transaction. Receivers (mission
intents, webhooks, messages) write their own rows there and do slow work after commit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django_fsm import can_proceed

from fleet import policy, registry
from fleet.models import DroneHold
from orders import unit_of_work
from orders.batches import (
    Assignment,
    Delay,
    assign_many,
    enqueue_due,
    miss_proofs,
    place_many,
    predict_delays,
    told_of_delay,
)
from orders.custody import given_back, loaded, lost, never_left, ready, sight_lost, unloaded
from orders.models import DeliveryJob, Order
from orders.outcome import correct, delivered_after_all
from orders.states import (
    AT_THE_DROP_POINT,
    FLOWN_FROM,
    IN_FLIGHT,
    TERMINAL,
    WAITING,
    CancelReason,
    EventType,
    Happened,
    JobStatus,
    ReasonCode,
    Status,
    Transition,
    before,
    steps_between,
)
from orders.unit_of_work import Done, Locked, Refused, Which, lock, recorded
from wingxtra.accounts.identity import Actor, ActorKind

__all__ = [
    "Assignment",
    "Delay",
    "Done",
    "Locked",
    "Refused",
    "assign_many",
    "correct",
    "delivered_after_all",
    "enqueue_due",
    "given_back",
    "loaded",
    "lock",
    "lost",
    "miss_proofs",
    "never_left",
    "place_many",
    "predict_delays",
    "ready",
    "recorded",
    "sight_lost",
    "told_of_delay",
    "unloaded",
]  # re-exported, besides the verbs below

# --- one order at a time -------------------------------------------------------------------------


def place(order: Order, *, by: Actor) -> Order:
    """Write a new order with its first events; it waits in VALIDATED for a future `not_before`.

    Raises Conflict naming the merchant's order that has its `external_id`, and Invalid when its
    store was deleted. Any other failure ends the transaction of a caller that has one.
    """
    # No savepoint: it costs two statements, and callers write nothing else in their transaction.
    with transaction.atomic(savepoint=False):
        placed = unit_of_work.write_new([order], by=by)
    if placed:
        return order
    raise unit_of_work.why_not_written(order)


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
    with unit_of_work.assigning(order_id, drone_id, by=by) as (change, order):
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
    """Give an ASSIGNED order, whose mission is not accepted yet, to another drone."""
    with unit_of_work.assigning(order_id, drone_id, by=by) as (change, order):
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
    which: Which, *, job_id: UUID, by: Actor, occurred_at: datetime | None = None
) -> Order:
    """Ground control has accepted the job's intent. Idempotent."""
    return advance(
        which, Status.MISSION_SUBMITTED, job_id=job_id, by=by, occurred_at=occurred_at
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
    """Set a new window; queues the order at once when it is due already. The same window changes
    nothing.

    Call `dispatch.missions.before_launch.reschedule` instead: it checks the window and withdraws
    the mission.
    """
    with unit_of_work.changing(order_id, by=by) as (change, order):
        refuse_reschedule(order)
        if (order.not_before, order.deliver_by) != (not_before, deliver_by):
            change.step(order.reschedule, not_before=not_before, deliver_by=deliver_by, why=why)
            if not_before is None or not_before <= change.now:
                change.step(order.enqueue)
    return order


def refuse_reschedule(order: Order) -> None:
    """Raises Refused when it is too late for another window, or when no drone can pick the parcel
    up where it is.
    """
    _refuse_without_the_parcel(order)
    if not can_proceed(order.reschedule):
        detail = f"The order is {order.status}; “reschedule” is not possible from there."
        raise Refused(order, detail)


def cancel(order_id: UUID, *, by: Actor, reason: CancelReason, note: str = "") -> Order:
    """Cancel an order that has not launched. Idempotent.

    Call `dispatch.missions.before_launch.cancel` instead: it withdraws the mission first.
    """
    with unit_of_work.changing(order_id, by=by) as (change, order):
        if order.status != Status.CANCELED:
            change.step(order.cancel, reason=CancelReason(reason), note=note)
    return order


def mission_over(
    which: Which,
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

    parcel_astray: why the parcel's location is not known; empty when it is where the order says.
    While attempts are left, and unless `final` (ops asked for the abort), the order is queued
    again, on hold if no drone can pick the parcel up. Otherwise it ends FAILED or ABORTED with
    `reason`. A drone that has taken off, or may have, is put on hold until a person releases it.
    """
    with unit_of_work.changing(which, by=by, job_id=job_id, occurred_at=occurred_at) as (
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
    """The steps that a report caused. When it was not followed to its end, `note` says why."""

    order: Order
    applied: list[EventType]
    note: str = ""


def advance(
    which: Which,
    to: Status,
    *,
    by: Actor,
    occurred_at: datetime | None = None,
    job_id: UUID | None = None,
    message: str = "",
) -> Advance:
    """Take every step from the order's status to `to`.

    A drone's report of the hand-over stops at DELIVERING where the policy waits for the proof:
    `confirm` or a person completes the delivery. A report that would go backwards, or that comes
    after the end, is a no-op with a note. Raises Refused when the order has no mission.
    """
    with unit_of_work.changing(which, by=by, job_id=job_id, occurred_at=occurred_at) as (
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
        here = Status(order.status)
        if not steps_between(here, to):
            is_past = to == here or before(to, here)
            why = (
                f"The order is {here} already" if is_past else f"Nothing leads from {here} to {to}"
            )
            return Advance(order, [], f"{why}; nothing was changed.")
        if (
            to == Status.DELIVERED
            and by.kind in BY_THE_DRONE
            and order.lacks_proof
            and order.waits_for_proof(policy.current())
        ):
            return _await_proof(change, order)
        return Advance(order, _walk(change, order, to, message))


# Their word that a parcel was handed over is about the drone; a proof is about the recipient.
BY_THE_DRONE = (ActorKind.GCS, ActorKind.TELEMETRY)


def _await_proof(change: unit_of_work.Change, order: Order) -> Advance:
    applied = _walk(change, order, Status.DELIVERING)
    if order.proof_awaited_since is None:
        change.note(order, order.await_proof(change.happened_at(order)))
        applied.append(EventType.PROOF_AWAITED)
    needed = order.get_pod_requirement_display().lower()
    return Advance(order, applied, f"The hand-over is kept. The order waits for its {needed}.")


def confirm(order_id: UUID, *, by: Actor, proof: Callable[[Order], Happened | None]) -> Order:
    """Take a proof under the order's lock. At the drop point it completes the delivery; after
    DELIVERED it only adds the missing proof.

    `proof(order)` checks and stores the proof and returns `order.prove()`; it raises to refuse.
    Another event, such as CODE_REFUSED, is only recorded. None changes nothing.
    """
    with unit_of_work.changing(order_id, by=by) as (change, order):
        happened = proof(order)
        if happened is None:
            return order
        if happened.type == EventType.PROOF_RECORDED:
            _walk(change, order, Status.DELIVERED)
        change.note(order, happened)
    return order


def _walk(
    change: unit_of_work.Change, order: Order, to: Status, message: str = ""
) -> list[EventType]:
    """Take each step from the order's status to `to`; returns their events."""
    steps = steps_between(Status(order.status), to)
    for step in steps:
        # A drone at the drop point has the parcel aboard, even if no pickup was reported.
        is_there = step.target in (*AT_THE_DROP_POINT, Status.DELIVERED)
        if is_there and order.holder in FLOWN_FROM:
            change.note(order, order.load(), payload={"inferred": True})
        is_last = step.target == to
        _take(change, order, step, message if is_last else "", skipped=not is_last)
    return [step.event for step in steps]


def _take(
    change: unit_of_work.Change, order: Order, step: Transition, message: str, *, skipped: bool
) -> None:
    method: Callable[..., Happened] = getattr(order, step.name)
    arguments: dict[str, Any] = {"message": message} if message else {}
    if step.target == Status.DELIVERED:
        arguments["at"] = change.happened_at(order)
    # A step that was not reported is inferred from a later one, and marked so.
    change.step(method, **arguments, payload={"inferred": True} if skipped else {})


# --- changes without a transition ----------------------------------------------------------------


def amend(
    order_id: UUID,
    *,
    by: Actor,
    happened: Callable[[Order], Happened | None],
) -> Done:
    """Change details of an order under its lock. `happened(order)` edits the order and returns
    the event to write, None when there is nothing to change; it raises to refuse.
    """
    with unit_of_work.changing(order_id, by=by) as (change, order):
        event = happened(order)
        if event is not None:
            change.note(order, event)
    return Done(order, changed=event is not None)


def note(
    which: Which,
    happened: Happened,
    *,
    by: Actor,
    job_id: UUID | None = None,
    occurred_at: datetime | None = None,
) -> Order:
    """Add an event to the timeline without changing the order."""
    with unit_of_work.changing(which, by=by, job_id=job_id, occurred_at=occurred_at) as (
        change,
        order,
    ):
        change.note(order, happened)
    return order


def _refuse_without_the_parcel(order: Order) -> None:
    """Raises Refused unless a drone can pick the parcel up where it is."""
    if order.hold_code:
        raise Refused(
            order,
            f"{order.get_hold_code_display()}: {order.hold_message} Say first where the parcel is.",
            code="order_on_hold",
        )
    if order.holder not in FLOWN_FROM:
        detail = f"No drone can pick the parcel up where it is: {order.get_holder_display()}."
        raise Refused(order, detail, code="parcel_elsewhere")


def job_of(order: Order) -> DeliveryJob:
    """The order's current job. Raises Refused when it has none."""
    if order.current_job is None:
        raise Refused(order, f"The order is {order.status} and has no drone.", code="no_active_job")
    return order.current_job
