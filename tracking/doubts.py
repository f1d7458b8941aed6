"""Deliveries in doubt: their customers see neither an ETA nor a position."""

from django.db.models import Exists, OuterRef, Q

from dispatch.models import Discrepancy
from orders.models import Order
from orders.states import Holder

# Airspace and weather make the flight risky, but its telemetry is right. A drone at the drop point
# is where the customer expects it.
TELEMETRY_IS_RIGHT = (
    Discrepancy.Code.AIRSPACE,
    Discrepancy.Code.WEATHER,
    Discrepancy.Code.AT_THE_DROP,
)


def contradicted() -> Exists:
    """A condition on orders: reports about the flight contradict each other, not settled yet."""
    unsettled = Discrepancy.objects.filter(order=OuterRef("pk"), settled_at__isnull=True)
    return Exists(unsettled.exclude(code__in=TELEMETRY_IS_RIGHT))


def doubted() -> Q:
    """A condition on orders: contradicted, on hold, or the parcel's place is unknown."""
    return ~Q(hold_code="") | Q(holder=Holder.UNKNOWN) | Q(contradicted())


def is_doubted(order: Order) -> bool:
    """`doubted` for one order, read from the database now."""
    return Order.objects.filter(doubted(), pk=order.pk).exists()
