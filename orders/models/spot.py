"""The pause in which a customer can show the exact spot, before dispatch looks for a drone."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import F, Q

from fleet.feasibility.rules import Priority, Rules
from orders.states import DropoffSource

if TYPE_CHECKING:
    from orders.models.order import Order

# The pause is at most this share of the time from placing the order to its promise.
MAX_SHARE = 0.1


def waits_for_spot(rules: Rules, now: datetime) -> Q:
    """A condition on orders: `pause_ends_at` is later than now."""
    pause = timedelta(seconds=rules.spot_pause_s)
    if not pause or not rules.customer_dropoff_radius_m:
        return Q(pk=None)
    return Q(
        ~Q(customer_phone="", customer_email=""),
        priority=Priority.NORMAL,
        dropoff_source=DropoffSource.MERCHANT,
        created_at__gt=now - pause,
        deliver_by__gte=F("created_at") + pause / MAX_SHARE,
    )


def pause_ends_at(order: "Order", rules: Rules) -> datetime | None:
    """None for an order that does not wait: its priority is not NORMAL, its promise leaves no
    room, its customer cannot be asked, or the spot was shown already.
    """
    pause = timedelta(seconds=rules.spot_pause_s)
    is_asked = (
        bool(pause and rules.customer_dropoff_radius_m)
        and bool(order.customer_phone or order.customer_email)
        and order.priority == Priority.NORMAL
        and order.dropoff_source == DropoffSource.MERCHANT
        and order.deliver_by >= order.created_at + pause / MAX_SHARE
    )
    return order.created_at + pause if is_asked else None
