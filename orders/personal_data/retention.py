"""Personal data of customers goes once it is not needed any more, or when they ask for it.

The order itself, its jobs and its events stay: they hold no personal data, and say of the drop
point only about where it was. Orders that are not over keep everything, because it is needed.
"""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from fleet import policy
from orders import lifecycle
from orders.models import Order
from wingxtra.problems import NotFound

log = structlog.get_logger(__name__)

# About a kilometre: a part of town, and no house.
DROPOFF_DECIMALS = 2

# Sent with `order`, inside the transaction that forgets its customer: who keeps something personal
# about it removes that now, and raises when that fails.
forgetting = Signal()


def forget(order_id: UUID) -> bool:
    """Remove what is personal about one order; False when that was done before.

    Raises NotFound, and Refused while the order is not over. Events cannot tell of this, because
    they are about the delivery; the log does.
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
        Order.objects.filter(pk=order.pk).update(
            customer_name="",
            customer_phone="",
            customer_email="",
            customer_language="",
            cancel_note="",
            dropoff_lat=round(order.dropoff_lat, DROPOFF_DECIMALS),
            dropoff_lng=round(order.dropoff_lng, DROPOFF_DECIMALS),
            dropoff_accuracy_m=None,
            dropoff_captured_at=None,
            given_lat=None,
            given_lng=None,
            forgotten_at=timezone.now(),
        )
        forgetting.send(sender=Order, order=order)
    log.info("customer_forgotten", order_id=str(order_id))
    return True


def forget_old(now: datetime, *, at_most: int = 1000) -> tuple[int, int]:
    """Do it for the orders that were over before the policy's `personal_data_days`.

    Each is a transaction of its own, and one that fails keeps no other from being done: it is
    logged and tried again the next time. Returns how many were done and how many failed.
    """
    over_since = now - timedelta(days=policy.current().personal_data_days)
    due = Order.objects.to_be_forgotten(over_since).order_by("updated_at")
    done = failed = 0
    for order_id in due.values_list("pk", flat=True)[:at_most]:
        try:
            done += forget(order_id)
        except Exception as error:  # noqa: BLE001 (a file store, a database, anybody's receiver)
            # Without its words: a database quotes the row in them.
            log.error("customer_not_forgotten", order_id=str(order_id), error=type(error).__name__)
            failed += 1
    return done, failed
