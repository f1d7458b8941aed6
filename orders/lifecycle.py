"""The only door to a change of an order's state: lock, transition, save, record.

Every verb here is one database transaction: the order, its job and its DeliveryEvents change
together or not at all. API, console, actors and commands all come through these verbs, and nobody
else writes `status` or a DeliveryEvent. Verbs refuse with `Refused` (the state does not allow it)
or `NotFound`; whoever catches one must not touch the order object again, but fetch it anew.

After a verb has written its events it sends `recorded` inside the transaction: what hangs on it
(mission intents, webhooks, messages) writes its own rows there, and does slow work after commit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone
from django_fsm import TransitionNotAllowed

from fleet.models import Drone
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import (
    MISSION_PATH,
    TERMINAL,
    WAITING,
    CancelReason,
    EventType,
    Happened,
    JobStatus,
    Status,
)
from wingxtra.accounts.identity import SYSTEM, Actor
from wingxtra.problems import Conflict, NotFound

# Sent with `events`: the DeliveryEvents just written, each with its `.order` and `.job` loaded.
recorded = Signal()


class Refused(Conflict):
    """The order's state does not allow the verb. Nothing was changed."""

    def __init__(self, order: Order, detail: str, code: str = "invalid_transition") -> None:
        super().__init__(code, detail, current_status=order.status)


# --- one order at a time -------------------------------------------------------------------------


def place(order: Order, *, by: Actor) -> Order:
    """Write a new order with its first events; it waits in VALIDATED for a future `not_before`."""
    with transaction.atomic():
        change = _Change([order], by=by, new=True)
        change.note(order, Happened(EventType.CREATED, "The order was placed."))
        change.step(order.validate)
        if order.not_before is None or order.not_before <= change.now:
            change.step(order.enqueue)
        change.write()
    return order


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
    with _handing_over(order_id, drone_id, by=by) as (change, order):
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
    with _handing_over(order_id, drone_id, by=by) as (change, order):
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
    with _changing(order_id, by=by, job_id=job_id) as (change, order):
        change.step(order.requeue, job_ends=job_ends, why=why)
    return order


def reschedule(
    order_id: UUID, *, not_before: datetime | None, deliver_by: datetime, by: Actor, why: str = ""
) -> Order:
    """Agree on a new window; the order is queued at once when it is due already."""
    with _changing(order_id, by=by) as (change, order):
        change.step(order.reschedule, not_before=not_before, deliver_by=deliver_by, why=why)
        if not_before is None or not_before <= change.now:
            change.step(order.enqueue)
    return order


def cancel(order_id: UUID, *, by: Actor, reason: CancelReason, note: str = "") -> Order:
    """Cancel an order that has not launched. Canceling a canceled order changes nothing.

    Whoever cancels one whose intent may have reached ground control withdraws that first:
    `dispatch.recalls.cancel` does both.
    """
    with _changing(order_id, by=by) as (change, order):
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
    job_id: UUID | None = None,
    occurred_at: datetime | None = None,
) -> Order:
    """The mission ended without a delivery: `ended` is FAILED or ABORTED.

    The order is queued again while attempts are left, unless `final` (ops asked for the abort).
    Otherwise it ends FAILED or ABORTED; one whose mission was refused before it was accepted walks
    through MISSION_SUBMITTED, because it was submitted.
    """
    with _changing(order_id, by=by, job_id=job_id, occurred_at=occurred_at) as (change, order):
        if order.attempts < max_attempts and not final:
            change.step(order.requeue, job_ends=ended, why=why)
        else:
            if order.status == Status.ASSIGNED:
                change.step(order.submit_mission, message="Submitted to ground control.")
            change.step(order.abort if ended == JobStatus.ABORTED else order.fail, why=why)
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
    with _changing(order_id, by=by, job_id=job_id, occurred_at=occurred_at) as (change, order):
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
            _take(change, order, step, message if step == to else "", skipped=step != to)
        return Advance(order, [EventType(event.type) for event in change.events])


def _take(change: "_Change", order: Order, step: Status, message: str, *, skipped: bool) -> None:
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
        arguments["at"] = change.happened_at
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
    with _changing(order_id, by=by) as (change, order):
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
    with _changing(order_id, by=by, job_id=job_id, occurred_at=occurred_at) as (change, order):
        change.note(order, happened)
    return order


# --- many at once --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assignment:
    order_id: UUID
    drone_id: str
    why: str
    promised_at: datetime | None = None


def assign_many(assignments: Sequence[Assignment], *, by: Actor) -> list[Order]:
    """Assign each pair that is still possible; returns the orders assigned.

    Pairs whose order is locked or no longer queued, or whose drone got a job meanwhile, are left
    out; the rest stands. Statements do not grow with the number of pairs.
    """
    with transaction.atomic():
        free = _free_drones(pair.drone_id for pair in assignments)
        orders = {
            order.pk: order
            for order in _locked([pair.order_id for pair in assignments], skip_locked=True)
            if order.status == Status.QUEUED
        }
        change = _Change(list(orders.values()), by=by)
        for pair in assignments:
            order = orders.get(pair.order_id)
            if order and order.status == Status.QUEUED and pair.drone_id in free:
                free.remove(pair.drone_id)
                change.step(
                    order.assign,
                    drone_id=pair.drone_id,
                    why=pair.why,
                    promised_at=pair.promised_at,
                )
        change.write()
    return [order for order in orders.values() if order.status == Status.ASSIGNED]


def enqueue_due(now: datetime, *, by: Actor = SYSTEM, at_most: int = 1000) -> int:
    """Queue the scheduled orders whose time has come; returns how many."""
    with transaction.atomic():
        ids = list(Order.objects.due(now).values_list("pk", flat=True)[:at_most])
        orders = [o for o in _locked(ids, skip_locked=True) if o.status == Status.VALIDATED]
        change = _Change(orders, by=by)
        for order in orders:
            change.step(order.enqueue)
        change.write()
    return len(orders)


# --- how it is done ------------------------------------------------------------------------------


@contextmanager
def _handing_over(
    order_id: UUID, drone_id: str | None, *, by: Actor
) -> Iterator[tuple["_Change", Order]]:
    with transaction.atomic():
        # Drones before orders, as in assign_many: one order of locking, no deadlock.
        if drone_id is not None and drone_id not in _free_drones([drone_id]):
            if not Drone.objects.filter(pk=drone_id).exists():
                raise NotFound("drone")
            raise Conflict("drone_busy", f"{drone_id} has an active job already.")
        with _changing(order_id, by=by) as (change, order):
            yield change, order


def _free_drones(drone_ids: Iterable[str]) -> set[str]:
    """Lock these drones (in id order) and return the ids of those without an active job."""
    locked = set(
        Drone.objects.select_for_update(no_key=True)
        .filter(pk__in=set(drone_ids))
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    # A statement of its own: it must see what was committed while we waited for the locks.
    busy = DeliveryJob.objects.active().filter(drone_id__in=locked)
    return locked - set(busy.values_list("drone_id", flat=True))


def _locked(order_ids: Sequence[UUID], *, skip_locked: bool = False) -> list[Order]:
    orders = list(
        Order.objects.select_for_update(skip_locked=skip_locked, no_key=True)
        .filter(pk__in=order_ids)
        .order_by("pk")
    )
    # Not a join: after waiting for a lock PostgreSQL reads the order anew but not what it is
    # joined with, and a job that was inserted meanwhile would be missing.
    jobs = DeliveryJob.objects.in_bulk({o.current_job_id for o in orders if o.current_job_id})
    for order in orders:
        order.current_job = jobs[order.current_job_id] if order.current_job_id else None
    return orders


@contextmanager
def _changing(
    order_id: UUID,
    *,
    by: Actor,
    job_id: UUID | None = None,
    occurred_at: datetime | None = None,
) -> Iterator[tuple["_Change", Order]]:
    """One transaction around one locked order; with `job_id`, only while that job is current."""
    with transaction.atomic():
        locked = _locked([order_id])
        if not locked:
            raise NotFound
        order = locked[0]
        if job_id is not None and (order.current_job is None or order.current_job.pk != job_id):
            raise Refused(order, "This is about a job that is over.", code="job_is_over")
        change = _Change([order], by=by, occurred_at=occurred_at)
        yield change, order
        change.write()


@dataclass
class _Change:
    """Locked orders, what happens to them, and one write of it all."""

    orders: list[Order]
    by: Actor
    occurred_at: datetime | None = None
    new: bool = False
    now: datetime = field(default_factory=timezone.now)
    events: list[DeliveryEvent] = field(default_factory=list)
    _jobs: dict[UUID, DeliveryJob] = field(default_factory=dict)
    _loaded: dict[UUID, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._loaded = {order.pk: dict(order.__dict__) for order in self.orders}

    @property
    def happened_at(self) -> datetime:
        return self.occurred_at or self.now

    def step(
        self,
        transition_method: Callable[..., Happened],
        *,
        payload: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        """Take one transition. Raises Refused when the order's state does not allow it."""
        order: Order = transition_method.__self__  # type: ignore[attr-defined]
        before = order.current_job
        try:
            happened = transition_method(**arguments)
        except TransitionNotAllowed as refusal:
            verb = transition_method.__name__.replace("_", " ")
            raise Refused(
                order, f"The order is {order.status}; “{verb}” is not possible from there."
            ) from refusal
        for job in (before, order.current_job):
            if job is not None:
                self._jobs[job.pk] = job
        self.note(order, happened, job=order.current_job or before, payload=payload)

    def note(
        self,
        order: Order,
        happened: Happened,
        *,
        job: DeliveryJob | None = None,
        payload: dict[str, Any] | None = None,
    ) -> None:
        self.events.append(
            DeliveryEvent(
                order=order,
                job=job or order.current_job,
                type=happened.type,
                status=order.status,
                message=happened.message[:500],
                payload={**happened.payload, **(payload or {})},
                actor_kind=self.by.kind,
                actor_ref=self.by.ref,
                occurred_at=self.happened_at,
                created_at=self.now,
            )
        )

    def write(self) -> None:
        """Ended jobs first: the database allows one active job per order and per drone."""
        if not self.events:
            return
        jobs = self._jobs.values()
        if ended := [job for job in jobs if not job._state.adding and job.ended_at]:
            for job in ended:
                job.updated_at = self.now
            DeliveryJob.objects.bulk_update(
                ended, ["status", "ended_because", "ended_at", "eta_at", "updated_at"]
            )
        if self.new:
            for order in self.orders:
                order.save(force_insert=True)
        if fresh := [job for job in jobs if job._state.adding]:
            DeliveryJob.objects.bulk_create(fresh)
        if not self.new:
            self._update_orders()
        DeliveryEvent.objects.bulk_create(self.events)
        recorded.send(sender=DeliveryEvent, events=self.events)

    def _update_orders(self) -> None:
        touched = list({event.order_id: event.order for event in self.events}.values())
        changed = {"updated_at"}
        for order in touched:
            order.updated_at = self.now
            order.current_job_id = order.current_job.pk if order.current_job else None
            loaded = self._loaded[order.pk]
            changed |= {
                f.attname
                for f in Order._meta.concrete_fields
                if order.__dict__[f.attname] != loaded[f.attname]
            }
        if len(touched) == 1:
            touched[0].save(update_fields=changed)
        else:
            names = [f.name for f in Order._meta.concrete_fields if f.attname in changed]
            Order.objects.bulk_update(touched, names, batch_size=1000)


def job_of(order: Order) -> DeliveryJob:
    """The order's current job. Raises Refused when it has none."""
    if order.current_job is None:
        raise Refused(order, f"The order is {order.status} and has no drone.", code="no_active_job")
    return order.current_job
