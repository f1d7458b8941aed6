"""The unit of work of a lifecycle verb: lock orders, take steps, write everything once.

Only `orders.lifecycle` and its parts use this. Locks are taken on drones first, then on orders,
each in id order, so that two verbs cannot deadlock.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pgbulk
from django.db import IntegrityError, transaction
from django.db.transaction import TransactionManagementError
from django.dispatch import Signal
from django.utils import timezone
from django_fsm import TransitionNotAllowed

from fleet import work
from fleet.models import Drone
from orders.models import DeliveryEvent, DeliveryJob, Order, Store
from orders.states import EventType, Happened
from wingxtra.accounts.identity import Actor
from wingxtra.database import bulk, few_rows
from wingxtra.database.few_rows import RowChange, RowWrite
from wingxtra.database.statements import Statement
from wingxtra.problems import Conflict, FieldProblem, Invalid, NotFound, Problem

# A reported time that is corrected by more than this is kept in the event as `reported_at`.
CLOCK_TOLERANCE = timedelta(seconds=2)
ENDED_COLUMNS = ("status", "ended_because", "ended_at", "eta_at", "updated_at")

STORE_UNKNOWN = FieldProblem("store_id", "store_unknown", "There is no such store.")

# Sent with `events`: the DeliveryEvents just written, each with its `.order` and `.job` loaded.
recorded = Signal(use_caching=True)


class Refused(Conflict):
    """The order's state does not allow the verb. Nothing was changed."""

    def __init__(self, order: Order, detail: str, code: str = "invalid_transition") -> None:
        super().__init__(code, detail, current_status=order.status)


@dataclass(frozen=True, slots=True)
class Locked:
    """An order that the caller's transaction has locked, with its job as it is under the lock. A
    verb that gets it instead of the order's id takes part in that transaction, and reads and locks
    nothing again. When the verb raises, it has written nothing, and `order` may be half changed.

    also: rows of the caller that are written in the statement of the order's next change, which
    saves a round trip. The caller writes what is left of them in the end (`write_also`).
    """

    order: Order
    also: list[RowWrite] = field(default_factory=list)

    def write_also(self) -> None:
        for write in self.also:
            write.run()
        self.also.clear()


Which = UUID | Locked


@dataclass(frozen=True, slots=True)
class Done:
    """The order after a verb, and whether the verb changed it."""

    order: Order
    changed: bool


def duplicate_of(order: Order) -> Conflict | None:
    """A Conflict naming the merchant's order that has this `external_id` already, if any."""
    if not order.external_id:
        return None
    same = Order.objects.filter(merchant_id=order.merchant_id, external_id=order.external_id)
    first = same.values_list("pk", flat=True).first()
    return _duplicate(order, first) if first else None


def duplicates_of(orders: Sequence[Order]) -> dict[UUID, Conflict]:
    """The same for many orders in one statement, by the id of the order that is refused."""
    same = Order.objects.filter(
        merchant_id__in={order.merchant_id for order in orders},
        external_id__in={order.external_id for order in orders if order.external_id},
    )
    names = same.order_by().values_list("merchant_id", "external_id", "pk")
    first = {(merchant_id, external_id): pk for merchant_id, external_id, pk in names}
    taken = [(order, first.get((order.merchant_id, order.external_id))) for order in orders]
    return {order.pk: _duplicate(order, pk) for order, pk in taken if pk}


def _duplicate(order: Order, first: UUID) -> Conflict:
    detail = f"Order {first} has the external_id “{order.external_id}” already."
    return Conflict("duplicate_external_id", detail, order_id=str(first))


def why_not_written(order: Order) -> Problem:
    """Why `Change.write_new` did not write the order."""
    if duplicate := duplicate_of(order):
        return duplicate
    if order.store is not None and not Store.objects.filter(pk=order.store.pk).exists():
        return Invalid([STORE_UNKNOWN])
    raise IntegrityError(f"Order {order.pk} exists already.")


@contextmanager
def assigning(
    order_id: UUID, drone_id: str | None, *, by: Actor
) -> Iterator[tuple["Change", Order]]:
    """Like `changing`, with the drone locked as well. Raises NotFound for an unknown drone,
    Conflict for a busy one, and Refused for a test order.
    """
    with transaction.atomic():
        # Drones before orders, as in assign_many: the lock order that avoids deadlocks.
        if drone_id is not None and drone_id not in free_drones([drone_id]):
            if not Drone.objects.filter(pk=drone_id).exists():
                raise NotFound("drone")
            detail = f"{drone_id} has an active job already, a parcel aboard, or flies to its base."
            raise Conflict("drone_busy", detail)
        with changing(order_id, by=by) as (change, order):
            if drone_id is not None and not order.live_mode:
                raise Refused(order, "A test order never gets a real drone.", code="test_order")
            yield change, order


def free_drones(drone_ids: Iterable[str]) -> set[str]:
    """Lock these drones in id order; returns the ids of those without an active job, without a
    parcel left aboard, and that are not sent to their base.
    """
    locked = {drone_id for (drone_id,) in _LOCKED_DRONES.all(drone_ids=list(set(drone_ids)))}
    # A separate statement: it must see what was committed while this one waited for the locks.
    return locked - {drone_id for (drone_id,) in _AT_WORK.all(drone_ids=list(locked))}


_LOCKED_DRONES = Statement(
    lambda drone_ids: (
        Drone.objects.select_for_update(no_key=True)
        .filter(pk__among=drone_ids)
        .order_by("pk")
        .values_list("pk")
    ),
    drone_ids=list,
)


def _at_work(drone_ids: Any) -> Any:
    busy = DeliveryJob.objects.active().filter(drone__drone_id__among=drone_ids).order_by()
    loaded = Order.objects.filter(holder_drone__drone_id__among=drone_ids).order_by()
    return busy.values_list("drone_id").union(
        loaded.values_list("holder_drone_id"), work.errands_of(drone_ids), all=True
    )


_AT_WORK = Statement(_at_work, drone_ids=list)


def lock_free(order_ids: Sequence[UUID]) -> list[Order]:
    """Lock those of these orders that no other transaction has locked; with their jobs."""
    orders = _LOCKED_IF_FREE.all(order_ids=list(order_ids))
    # Not a join: after waiting for a lock PostgreSQL reads the order row again but not the joined
    # row, so a job inserted during the wait would be missing.
    jobs = DeliveryJob.objects.in_bulk({o.current_job_id for o in orders if o.current_job_id})
    for order in orders:
        order.current_job = jobs[order.current_job_id] if order.current_job_id else None
    return orders


# Compiled once: almost each change of an order makes them.
_LOCKED_IF_FREE = Statement(
    lambda order_ids: (
        Order.objects.select_for_update(skip_locked=True, no_key=True)
        .filter(pk__among=order_ids)
        .order_by("pk")
    ),
    order_ids=list,
)
_LOCKED = Statement(
    lambda order_id: Order.objects.select_for_update(no_key=True).filter(pk=order_id).order_by(),
    order_id=UUID,
)
_JOB = Statement(lambda job_id: DeliveryJob.objects.filter(pk=job_id).order_by(), job_id=UUID)


def lock(order_id: UUID, job_of: Callable[[UUID], DeliveryJob | None] | None = None) -> Locked:
    """Lock one order until the caller's transaction ends. Raises NotFound.

    job_of: reads its job by the id, with more of it than the usual statement.
    """
    if not transaction.get_connection().in_atomic_block:
        raise TransactionManagementError("A lock outside of a transaction ends at once.")
    order = _LOCKED.first(order_id=order_id)
    if order is None:
        raise NotFound
    job_id = order.current_job_id
    read = job_of or (lambda pk: _JOB.first(job_id=pk))
    order.current_job = read(job_id) if job_id else None
    return Locked(order)


@contextmanager
def changing(
    which: Which,
    *,
    by: Actor,
    job_id: UUID | None = None,
    occurred_at: datetime | None = None,
) -> Iterator[tuple["Change", Order]]:
    """One transaction around one locked order. Raises NotFound, and Refused when `job_id` is given
    and is not the current job.
    """
    with nullcontext() if isinstance(which, Locked) else transaction.atomic():
        locked = which if isinstance(which, Locked) else lock(which)
        order = locked.order
        if job_id is not None and (order.current_job is None or order.current_job.pk != job_id):
            raise Refused(order, "This is about a job that is over.", code="job_is_over")
        change = Change([order], by=by, occurred_at=occurred_at, also=locked.also)
        yield change, order
        change.write()


def write_new(orders: Sequence[Order], *, by: Actor) -> list[Order]:
    """Write new orders with their first events, in the caller's transaction; returns those whose id
    and `external_id` were free.
    """
    change = Change(list(orders), by=by)
    for order in orders:
        change.note(order, Happened(EventType.CREATED, "The order was placed."))
        change.step(order.validate)
        if order.not_before is None or order.not_before <= change.now:
            change.step(order.enqueue)
    return change.write_new()


def _deleted_stores(orders: Sequence[Order]) -> set[UUID]:
    """The stores of these orders that are gone. The others stay until the transaction ends."""
    stores = {order.store.pk: order.store for order in orders if order.store is not None}
    return {pk for pk in sorted(stores) if not few_rows.lock_against_deletion(stores[pk])}


@dataclass
class Change:
    """Locked orders, the steps they take, and one write of all rows."""

    orders: list[Order]
    by: Actor
    occurred_at: datetime | None = None
    also: list[RowWrite] = field(default_factory=list)
    now: datetime = field(default_factory=timezone.now)
    events: list[DeliveryEvent] = field(default_factory=list)
    _jobs: dict[UUID, DeliveryJob] = field(default_factory=dict)
    _loaded: dict[UUID, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._loaded = {order.pk: dict(order.__dict__) for order in self.orders}

    def happened_at(self, order: Order) -> datetime:
        """The reported time, clamped between the order's last step and now: clocks differ."""
        reported = self.occurred_at or self.now
        return min(max(reported, order.last_step_at), max(self.now, order.last_step_at))

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
        order.last_step_at = self.happened_at(order)

    def note(
        self,
        order: Order,
        happened: Happened,
        *,
        job: DeliveryJob | None = None,
        payload: dict[str, Any] | None = None,
    ) -> None:
        """Add an event about the order, without a transition."""
        at = self.happened_at(order)
        if self.occurred_at and abs(self.occurred_at - at) > CLOCK_TOLERANCE:
            payload = {**(payload or {}), "reported_at": self.occurred_at.isoformat()}
        event = few_rows.new(
            DeliveryEvent,
            type=happened.type,
            status=order.status,
            message=happened.message[:500],
            payload={**happened.payload, **(payload or {})},
            actor_kind=self.by.kind,
            actor_ref=self.by.ref,
            occurred_at=at,
            created_at=self.now,
        )
        event.order, event.job = order, job or order.current_job
        self.events.append(event)

    def write(self) -> None:
        """Write jobs, orders and events. Ended jobs go first: the database allows one active job
        per order and per drone.
        """
        if not self.events:
            return
        jobs = self._jobs.values()
        ended = [job for job in jobs if not job._state.adding and job.ended_at]
        for job in ended:
            job.updated_at = self.now
        fresh = [job for job in jobs if job._state.adding]
        orders, columns = self._changed_orders()
        if len(orders) == 1 and not fresh:  # the usual change: one statement
            also = [*_changes(ended, ENDED_COLUMNS), *_changes(orders, columns), *self.also]
            self.also.clear()
            self._write_events(also)
            return
        _update(ended, ENDED_COLUMNS)
        bulk.insert(fresh)
        _update(orders, columns)
        self._write_events()

    def write_new(self) -> list[Order]:
        """The same for new orders. Returns those that were written: an order is skipped when a
        unique index has its id or `external_id` already, or when its store was deleted. A SELECT
        before would be a race. `why_not_written` says why.
        """
        gone = _deleted_stores(self.orders)
        wanted = [order for order in self.orders if order.store_id not in gone]
        if len(wanted) == len(self.orders) == 1:  # the usual: one statement
            if not few_rows.insert_if_new_with(wanted[0], self.events):
                return []
            self._tell_receivers()
            return wanted
        new = few_rows.insert_those_that_are_new(wanted)
        written = {order.pk for order in new}
        self.events = [event for event in self.events if event.order_id in written]
        self._write_events()
        return new

    def _write_events(self, also: Sequence[RowWrite] = ()) -> None:
        if self.events:
            bulk.insert(self.events, also)
            self._tell_receivers()

    def _tell_receivers(self) -> None:
        recorded.send(sender=DeliveryEvent, events=self.events)

    def _changed_orders(self) -> tuple[list[Order], list[str]]:
        """The orders that have an event, and the columns in which any of them has changed."""
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
        return touched, sorted(changed)


def _changes(rows: Sequence[Order | DeliveryJob], names: Sequence[str]) -> list[RowChange]:
    return [
        RowChange(type(row), row.pk, {name: row.__dict__[name] for name in names}) for row in rows
    ]


def _update(rows: Sequence[Order] | Sequence[DeliveryJob], names: Sequence[str]) -> None:
    """Write these columns of rows of one model."""
    if len(rows) > 1:
        fields = [type(rows[0])._meta.get_field(name).name for name in names]
        pgbulk.update(type(rows[0]), rows, fields)
    else:
        for change in _changes(rows, names):
            change.run()
