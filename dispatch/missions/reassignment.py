"""Giving an assigned order to another drone: the mission is taken back first."""

from uuid import UUID

from dispatch.missions import recalls
from dispatch.planning import manual_assignment
from orders import lifecycle
from orders.models import Order
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict


def reassign(order_id: UUID, drone_id: str, *, by: Actor, override_reason: str = "") -> Order:
    """Raises as `manual_assignment.assign` and `recalls.recall_before` do, and Conflict
    `same_drone` for the drone that has the order.
    """
    order, chosen = manual_assignment.may_fly(order_id, drone_id, override_reason)
    if order.current_job and order.current_job.drone_id == drone_id:
        raise Conflict(
            "same_drone", f"{drone_id} has this order already.", current_status=order.status
        )
    recalls.recall_before(order.pk, by=by, reason=f"Reassigned to {drone_id}.")
    return lifecycle.reassign(
        order.pk,
        drone_id,
        by=by,
        why=manual_assignment.in_words(chosen, override_reason),
        override_reason=override_reason,
        promised_at=manual_assignment.promise(chosen),
    )
