"""What drones do for orders: the answers to `fleet.work`."""

from collections.abc import Collection
from uuid import UUID

from orders.models import DeliveryJob, Order
from orders.states import Holder


def active_jobs(drone_ids: Collection[str]) -> dict[str, UUID]:
    """By drone id; a drone without an active job is missing."""
    jobs = DeliveryJob.objects.active().filter(drone__in=drone_ids).order_by()
    return {str(drone_id): pk for drone_id, pk in jobs.values_list("drone_id", "pk")}


def carrying(drone_ids: Collection[str]) -> set[str]:
    """The ids of those that have a parcel aboard."""
    parcels = Order.objects.filter(holder=Holder.DRONE, holder_drone__in=drone_ids).order_by()
    return {str(drone_id) for drone_id in parcels.values_list("holder_drone_id", flat=True)}
