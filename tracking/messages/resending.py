"""Sends a recipient the one-time code again: the launch message is written a second time."""

from uuid import UUID

from django.db.models import QuerySet

from orders import lifecycle
from orders.models import Order
from orders.states import IN_FLIGHT, EventType, Happened
from tracking.messages import triggers
from tracking.messages.models import CodeToTell, CustomerMessage
from wingxtra.accounts.identity import Actor
from wingxtra.database import together
from wingxtra.problems import Conflict

Kind, State = CustomerMessage.Kind, CustomerMessage.State


def read(order: Order) -> tuple[QuerySet[CodeToTell], QuerySet[CustomerMessage]]:
    """What `why_not` asks of: the code, without its value, and the messages about the launch."""
    launches = CustomerMessage.objects.filter(order=order, kind=Kind.LAUNCHED)
    return CodeToTell.objects.filter(pk=order.pk).only("pk"), launches.only("state")


def why_not(order: Order, code: list[CodeToTell], launches: list[CustomerMessage]) -> str | None:
    """None when the code can be sent again: the drone flies and the launch message was sent."""
    if order.status not in IN_FLIGHT:
        return "The code is sent when the drone takes off. Send it again after that."
    if not code:
        return "This order has no one-time code, or customers get no messages."
    if not launches:
        return "The recipient has no address that messages go to."
    is_on_its_way = any(one.state == State.WAITING for one in launches)
    return "The message with the code is on its way." if is_on_its_way else None


def send_code_again(order_id: UUID, *, by: Actor, why: str) -> list[UUID]:
    """Write the launch message again under a new id, so that no gateway drops it as a duplicate.

    Returns the ids of the messages to send. Raises Conflict with the sentence of `why_not`.
    """
    rows: list[UUID] = []

    def again(order: Order) -> Happened:
        if refused := why_not(order, *together.read(*read(order))):
            raise Conflict("code_not_sendable", refused, current_status=order.status)
        CustomerMessage.objects.filter(order=order, kind=Kind.LAUNCHED).delete()
        rows.extend(triggers.write([triggers.Wanted(order, Kind.LAUNCHED)]))
        return Happened(EventType.DETAILS_CHANGED, f"The code is sent again: {why}")

    lifecycle.amend(order_id, by=by, happened=again)
    return rows
