"""Personal data of customers is deleted after the retention period, or when they ask for it.

The order, its jobs and its events stay, with a rounded drop point and no personal data. Open
orders keep everything: the data is still needed.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q, QuerySet
from django.dispatch import Signal
from django.utils import timezone

from fleet import policy
from orders import lifecycle
from orders.models import Order, OrderQuerySet
from wingxtra.problems import NotFound

log = structlog.get_logger(__name__)

# About a kilometre: names a part of town, but no house.
DROPOFF_DECIMALS = 2

# Each answers the ids of orders whose data must stay at any age.
_holds: list[Callable[[], QuerySet[Any]]] = []

# Sent with `order`, inside the transaction that removes its personal data. A receiver removes what
# its app keeps, and raises when that fails.
forgetting = Signal()


def register_hold(held_orders: Callable[[], QuerySet[Any]]) -> None:
    """Keep the data of these orders; `held_orders` answers their ids."""
    _holds.append(held_orders)


def held_orders() -> QuerySet[Any]:
    """The ids of all held orders."""
    held = Q(pk__in=[])
    for held_by_one in _holds:
        held |= Q(pk__in=held_by_one())
    return Order.objects.filter(held).values("pk")


def _without_held(orders: OrderQuerySet) -> OrderQuerySet:
    for held_orders in _holds:
        orders = orders.exclude(pk__in=held_orders())
    return orders


def forget(order_id: UUID) -> bool:
    """Remove the personal data of one order; False when that was done before.

    Raises NotFound, and Refused while the order is open or its data are held. This writes a log
    line and no event: events are about the delivery.
    """
    with transaction.atomic():
        order = Order.objects.select_for_update(no_key=True).filter(pk=order_id).first()
        if order is None:
            raise NotFound
        if not order.is_terminal:
            raise lifecycle.Refused(
                order,
                f"The order is {order.status}: its data is needed until it is over. "
                "Cancel it first.",
                code="not_over",
            )
        if order.forgotten_at is not None:
            return False
        if not _without_held(Order.objects.filter(pk=order.pk)).exists():
            raise lifecycle.Refused(
                order,
                "The data of this order are held: an occurrence on its flight is not released. "
                "An administrator releases it in the console.",
                code="data_held",
            )
        Order.objects.filter(pk=order.pk).update(
            customer_name="",
            customer_phone="",
            customer_email="",
            customer_language="",
            cancel_note="",
            dropoff_address="",
            dropoff_instructions="",
            metadata={},
            dropoff_lat=round(order.dropoff_lat, DROPOFF_DECIMALS),
            dropoff_lng=round(order.dropoff_lng, DROPOFF_DECIMALS),
            dropoff_accuracy_m=None,
            dropoff_captured_at=None,
            given_lat=None,
            given_lng=None,
            forgotten_at=timezone.now(),
        )
        order.notes.all().delete()
        forgetting.send(sender=Order, order=order)
    log.info("customer_forgotten", order_id=str(order_id))
    return True


def forget_old(now: datetime, *, at_most: int = 1000) -> tuple[int, int]:
    """Remove the personal data of orders that ended before the policy's `personal_data_days`.

    Each order has its own transaction. A failure is logged, does not stop the others, and is tried
    again in the next run. Returns how many succeeded and how many failed.
    """
    ended_before = now - timedelta(days=policy.current().personal_data_days)
    due = _without_held(Order.objects.to_be_forgotten(ended_before)).order_by("updated_at")
    done = failed = 0
    for order_id in due.values_list("pk", flat=True)[:at_most]:
        try:
            done += forget(order_id)
        except Exception as error:  # noqa: BLE001 (file store, database, or any receiver)
            # Without the message: a database error quotes the row, which is personal data.
            log.error("customer_not_forgotten", order_id=str(order_id), error=type(error).__name__)
            failed += 1
    return done, failed
