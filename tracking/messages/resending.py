"""Telling a recipient the one-time code again, by the message that told it first."""

from uuid import UUID

from orders import lifecycle
from orders.models import Order
from orders.states import IN_FLIGHT, EventType, Happened
from tracking.messages import texts
from tracking.messages.models import CodeToTell, CustomerMessage
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict

Kind, State = CustomerMessage.Kind, CustomerMessage.State


def why_not(order: Order) -> str | None:
    """None when the code can be sent again: the drone flies, and the launch was told with it."""
    if order.status not in IN_FLIGHT:
        return "The code is told when the drone takes off; only then can it be sent again."
    if not CodeToTell.objects.filter(pk=order.pk).exists():
        return "This order has no one-time code, or customers get no messages."
    told = CustomerMessage.objects.filter(order=order, kind=Kind.LAUNCHED)
    if not told.exists():
        return "The recipient has no address that messages go to."
    return "The message with the code is on its way." if told.waiting().exists() else None


def send_code_again(order_id: UUID, *, by: Actor, why: str) -> list[UUID]:
    """Write the launch message anew, under a new id, so that no gateway takes it for a repetition.

    Returns what is to be sent. Raises Conflict with the sentence of `why_not`.
    """
    rows: list[UUID] = []

    def again(order: Order) -> Happened:
        if refused := why_not(order):
            raise Conflict("code_not_sendable", refused, current_status=order.status)
        CustomerMessage.objects.filter(order=order, kind=Kind.LAUNCHED).delete()
        rows.extend(texts.write([(order, Kind.LAUNCHED)]))
        return Happened(EventType.DETAILS_CHANGED, f"The code is sent again: {why}")

    lifecycle.amend(order_id, by=by, happened=again)
    return rows
