"""Drones that must not get a trip now: busy, on hold, with a parcel aboard, or not fit to fly."""

from datetime import datetime
from typing import Any

from django.db.models import F, Value

from dispatch.models import Mission
from fleet.airworthiness import fitness
from fleet.models import DroneHold
from fleet.registry import Engaged
from orders.models import DeliveryJob, Order
from orders.states import Holder


def current(now: datetime, *, without: DeliveryJob | None = None) -> Engaged:
    """All engaged drones, in two statements. The job `without` does not engage its drone."""
    jobs = DeliveryJob.objects.active()
    parcels = Order.objects.filter(holder=Holder.DRONE, holder_drone__isnull=False)
    if without is not None:
        jobs, parcels = jobs.exclude(pk=without.pk), parcels.exclude(pk=without.order_id)
    found: dict[str, set[str | None]] = {"busy": set(), "held": set(), "carrying": set()}
    rows = _as("busy", jobs, "drone_id").union(
        _as("busy", Mission.objects.errands(), "drone_id"),
        _as("held", DroneHold.objects.standing(), "drone_id"),
        _as("carrying", parcels, "holder_drone_id"),
        all=True,
    )
    for kind, drone_id in rows:
        found[kind].add(drone_id)
    return Engaged(**found, fitness=fitness.of(now))


def _as(kind: str, rows: Any, drone: str) -> Any:
    return rows.order_by().values_list(Value(kind), F(drone))
