"""Which queued orders may be planned: none whose earlier mission may still fly."""

from dispatch.models import Discrepancy, MissionPart
from orders.models import Order, OrderQuerySet
from wingxtra.problems import Conflict


def may_be_planned(orders: OrderQuerySet) -> OrderQuerySet:
    """The orders without a live mission and without an unsettled contradiction between reports."""
    doubtful = Discrepancy.objects.filter(
        settled_at__isnull=True, code__in=Discrepancy.BLOCKING_CODES
    )
    return orders.exclude(pk__in=MissionPart.objects.live().values("order_id")).exclude(
        pk__in=doubtful.values("order_id")
    )


def refuse_unless_clear(order: Order) -> None:
    """Raises Conflict while an earlier mission of the order may still fly, or reports about the
    order contradict each other.
    """
    doubt = order.discrepancies.filter(
        settled_at__isnull=True, code__in=Discrepancy.BLOCKING_CODES
    ).first()
    if doubt is not None:
        raise Conflict(
            "reports_contradict",
            f"{doubt.message} Settle that first.",
            current_status=order.status,
        )
    former = order.parts.live().exclude(job=order.current_job_id).select_related("mission").first()
    if former is not None:
        raise Conflict(
            "mission_not_over",
            f"The mission {former.mission_id} of {former.mission.drone_id} is not known to be "
            "over. Check it in ground control, and confirm in writing that it is over.",
            current_status=order.status,
        )
