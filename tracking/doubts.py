"""When what is known of a delivery is not believed: its customer reads neither time nor place."""

from django.db.models import Exists, OuterRef, Q

from dispatch.models import Discrepancy
from orders.models import Order
from orders.states import Holder

# A zone in the way and a strong wind speak against the flight, and not against what is seen of it;
# a drone that stands at the drop point is where its customer expects it.
BELIEVED_ALL_THE_SAME = (
    Discrepancy.Code.AIRSPACE,
    Discrepancy.Code.WEATHER,
    Discrepancy.Code.AT_THE_DROP,
)


def contradicted() -> Exists:
    """Of orders: reports about the flight contradict each other, and it is not settled."""
    standing = Discrepancy.objects.filter(order=OuterRef("pk"), settled_at__isnull=True)
    return Exists(standing.exclude(code__in=BELIEVED_ALL_THE_SAME))


def doubted() -> Q:
    """Of orders: that, or our staff are asked where the parcel is."""
    return ~Q(hold_code="") | Q(holder=Holder.UNKNOWN) | Q(contradicted())


def is_doubted(order: Order) -> bool:
    """The same of one order, as it is in the database now."""
    return Order.objects.filter(doubted(), pk=order.pk).exists()
