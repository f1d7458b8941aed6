"""Drones that must not get a trip now: busy, on hold, with a parcel aboard, or not fit to fly."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet, Value

from dispatch.models import Mission, MissionPart
from fleet.airworthiness import fitness
from fleet.airworthiness.fitness import Fitness
from fleet.models import DroneHold
from fleet.registry import Engaged
from orders.models import DeliveryJob, Order
from orders.states import Holder
from wingxtra.database.statements import Statement


def current(now: datetime) -> Engaged:
    """All engaged drones, in two statements."""
    return _engaged(_EVERY.all(), fitness.of(now))


def without(own: MissionPart, now: datetime) -> Engaged:
    """The same of one drone as if it had not this mission, its own."""
    drone_id = own.mission.drone_id
    rows = _OTHER_WORK.all(drone_id=drone_id, job_id=own.job_id, order_id=own.order_id)
    return _engaged(rows, fitness.of(now, [drone_id]))


def _engaged(rows: Iterable[tuple[str, str]], fit: Mapping[str, Fitness]) -> Engaged:
    found: dict[str, set[str | None]] = {"busy": set(), "held": set(), "carrying": set()}
    for kind, drone_id in rows:
        found[kind].add(drone_id)
    return Engaged(**found, fitness=fit)


def _rows(jobs: Any, errands: Any, holds: Any, parcels: Any) -> QuerySet[Any, Any]:
    """How each drone is engaged, and its id."""
    return _as("busy", jobs, "drone_id").union(
        _as("busy", errands, "drone_id"),
        _as("held", holds, "drone_id"),
        _as("carrying", parcels, "holder_drone_id"),
        all=True,
    )


def _as(kind: str, rows: Any, drone: str) -> Any:
    return rows.order_by().values_list(Value(kind), F(drone))


def _jobs() -> Any:
    return DeliveryJob.objects.active()


def _parcels() -> Any:
    return Order.objects.filter(holder=Holder.DRONE, holder_drone__isnull=False)


_EVERY = Statement(
    lambda: _rows(_jobs(), Mission.objects.errands(), DroneHold.objects.standing(), _parcels())
)
_OTHER_WORK = Statement(
    lambda drone_id, job_id, order_id: _rows(
        _jobs().filter(drone=drone_id).exclude(pk=job_id),
        Mission.objects.errands().filter(drone=drone_id),
        DroneHold.objects.standing().filter(drone=drone_id),
        _parcels().filter(holder_drone=drone_id).exclude(pk=order_id),
    ),
    drone_id=str,
    job_id=UUID,
    order_id=UUID,
)
