"""Which drones have a job or a parcel. Registered with `fleet.work`."""

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet

from orders.models import DeliveryJob, Order
from orders.states import Holder


def jobs_of(drone_ids: Collection[str]) -> QuerySet[Any, Any]:
    """(drone id, job id) of active jobs."""
    jobs = DeliveryJob.objects.active().filter(drone__drone_id__among=list(drone_ids)).order_by()
    return jobs.values_list("drone_id", "pk")


def parcels_of(drone_ids: Collection[str]) -> QuerySet[Any, Any]:
    """(drone id,) of the drones that have a parcel aboard."""
    aboard = Order.objects.filter(holder=Holder.DRONE).order_by()
    among = aboard.filter(holder_drone__drone_id__among=list(drone_ids))
    return among.values_list("holder_drone_id")
