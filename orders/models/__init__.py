"""Orders with their jobs and events, and the hubs of loaders."""

from orders.loading.models import Loader
from orders.models.jobs import DeliveryEvent, DeliveryJob
from orders.models.order import Order
from orders.models.queries import OrderQuerySet

__all__ = [
    "DeliveryEvent",
    "DeliveryJob",
    "Loader",
    "Order",
    "OrderQuerySet",
]
