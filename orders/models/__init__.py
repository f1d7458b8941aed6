"""Orders with their jobs and events, merchants' stores, and the places of loaders."""

from orders.loading.models import Loader
from orders.models.jobs import DeliveryEvent, DeliveryJob
from orders.models.order import Order
from orders.models.queries import OrderQuerySet
from orders.models.store import Store

__all__ = [
    "DeliveryEvent",
    "DeliveryJob",
    "Loader",
    "Order",
    "OrderQuerySet",
    "Store",
]
