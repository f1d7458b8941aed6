"""Sends a recipient the one-time code again: the launch message is written a second time."""

from uuid import UUID

from orders import lifecycle
from orders.models import Order
from orders.states import IN_FLIGHT, EventType, Happened
from tracking.messages import triggers
from tracking.messages.models import CodeToTell, CustomerMessage
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict

Kind, State = CustomerMessage.Kind, CustomerMessage.State


def why_not(order: Order) -> str | None:
    """None when the code can be sent again: the drone flies and the launch message was sent."""
    if order.status not in IN_FLIGHT:
        return "The code is sent when the drone takes off. Send it again after that."
    if not CodeToTell.objects.filter(pk=order.pk).exists():
        return "This order has no one-time code, or customers get no messages."
    launches = CustomerMessage.objects.filter(order=order, kind=Kind.LAUNCHED)
    if not launches.exists():
        return "The recipient has no address that messages go to."
    return "The message with the code is on its way." if launches.waiting().exists() else None


def send_code_again(order_id: UUID, *, by: Actor, why: str) -> list[UUID]:
    """Write the launch message again under a new id, so that no gateway drops it as a duplicate.

    Returns the ids of the messages to send. Raises Conflict with the sentence of `why_not`.
    """
    rows: list[UUID] = []

    def again(order: Order) -> Happened:
        if refused := why_not(order):
            raise Conflict("code_not_sendable", refused, current_status=order.status)
        CustomerMessage.objects.filter(order=order, kind=Kind.LAUNCHED).delete()
        rows.extend(triggers.write([triggers.Wanted(order, Kind.LAUNCHED)]))
        return Happened(EventType.DETAILS_CHANGED, f"The code is sent again: {why}")

    lifecycle.amend(order_id, by=by, happened=again)
    return rows
