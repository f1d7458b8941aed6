"""Drones that must not get a trip now: busy, on hold, with a parcel aboard, or not fit to fly."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet, Value

from dispatch.models import Mission
from fleet.airworthiness import fitness
from fleet.airworthiness.fitness import Fitness
from fleet.models import DroneHold
from fleet.registry import Engaged
from orders.models import DeliveryJob, Order
from orders.states import Holder
from wingxtra.database.statements import Statement


def current(now: datetime) -> Engaged:
    """All engaged drones, in two statements."""
    return engaged(_EVERY.all(), fitness.of(now))


def engaged(rows: Iterable[tuple[str, str]], fit: Mapping[str, Fitness]) -> Engaged:
    """What the rows of one of these statements mean."""
    found: dict[str, set[str | None]] = {"busy": set(), "held": set(), "carrying": set()}
    for kind, drone_id in rows:
        found[kind].add(drone_id)
    return Engaged(**found, fitness=fit)


def _rows(errands: Any, holds: Any, parcels: Any, jobs: Any = None) -> QuerySet[Any, Any]:
    """How each drone is engaged, and its id."""
    others = [_as("busy", jobs, "drone_id")] if jobs is not None else []
    return _as("busy", errands, "drone_id").union(
        _as("held", holds, "drone_id"),
        _as("carrying", parcels, "holder_drone_id"),
        *others,
        all=True,
    )


def _as(kind: str, rows: Any, drone: str) -> Any:
    return rows.order_by().values_list(Value(kind), F(drone))


def _jobs() -> Any:
    return DeliveryJob.objects.active()


def _parcels() -> Any:
    return Order.objects.filter(holder=Holder.DRONE, holder_drone__isnull=False)


_EVERY = Statement(
    lambda: _rows(Mission.objects.errands(), DroneHold.objects.standing(), _parcels(), _jobs())
)
# For those that read the jobs in another way.
WITHOUT_A_JOB = Statement(
    lambda: _rows(Mission.objects.errands(), DroneHold.objects.standing(), _parcels())
)
# How one drone is engaged without this job of this order.
OTHER_WORK = Statement(
    lambda drone_id, job_id, order_id: _rows(
        Mission.objects.errands().filter(drone=drone_id),
        DroneHold.objects.standing().filter(drone=drone_id),
        _parcels().filter(holder_drone=drone_id).exclude(pk=order_id),
        _jobs().filter(drone=drone_id).exclude(pk=job_id),
    ),
    drone_id=str,
    job_id=UUID,
    order_id=UUID,
)
