"""Which drones have a job or a parcel. Registered with `fleet.work`."""

from collections.abc import Collection
from uuid import UUID

from orders.models import DeliveryJob, Order
from orders.states import Holder


def active_jobs(drone_ids: Collection[str]) -> dict[str, UUID]:
    """Job id by drone id; drones without an active job are left out."""
    jobs = DeliveryJob.objects.active().filter(drone__in=drone_ids).order_by()
    return {str(drone_id): pk for drone_id, pk in jobs.values_list("drone_id", "pk")}


def carrying(drone_ids: Collection[str]) -> set[str]:
    """The ids of the drones that have a parcel aboard."""
    parcels = Order.objects.filter(holder=Holder.DRONE, holder_drone__in=drone_ids).order_by()
    return {str(drone_id) for drone_id in parcels.values_list("holder_drone_id", flat=True)}
