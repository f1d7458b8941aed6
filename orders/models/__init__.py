"""Orders with their jobs, events and notes, stores, places of loaders, and recurring orders."""

from orders.loading.models import Loader
from orders.models.jobs import EVENT_MARGIN, DeliveryEvent, DeliveryJob
from orders.models.note import Note
from orders.models.order import Order
from orders.models.queries import OrderQuerySet
from orders.models.store import Store
from orders.models.waiting import WaitingOrder
from orders.recurring.models import Occurrence, RecurringOrder

__all__ = [
    "EVENT_MARGIN",
    "DeliveryEvent",
    "DeliveryJob",
    "Loader",
    "Note",
    "Occurrence",
    "Order",
    "OrderQuerySet",
    "RecurringOrder",
    "Store",
    "WaitingOrder",
]
