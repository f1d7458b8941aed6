"""Messages in the console: those of each order, and those that could not be sent."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from orders.console import tabs
from orders.console.attention import about, listed, page
from orders.models import Order
from orders.states import TERMINAL
from tracking import actors
from tracking.messages import resending
from tracking.messages.models import CustomerMessage
from wingxtra.broker import enqueue
from wingxtra.console import actions, registry
from wingxtra.console.attention.counting import each, worst
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Section, add_section


def _messages_of(order: Order) -> tuple[QuerySet[CustomerMessage]]:
    return (order.messages.defer("address", "subject", "text").order_by("created_at"),)


def section(order: Order, request: HttpRequest, found: list[CustomerMessage]) -> Section | None:
    """Has no addresses and no texts: the order's page shows the address, the kind the text."""
    if not found:
        return None
    context = {"messages": found, "zone": order.service_area.zone}
    return Section("Messages to the customer", "console/order/messages.html", context)


def given_up(now: datetime) -> QuerySet[CustomerMessage]:
    """Only while the order is under way: later there is nothing that staff can do."""
    messages = CustomerMessage.objects.given_up().exclude(order__status__in=TERMINAL)
    return messages.select_related("order").order_by("created_at")


def unsent(look: Look) -> Iterator[Attention]:
    def item(message: CustomerMessage) -> Attention:
        kind, channel = message.get_kind_display(), message.get_channel_display()
        return Attention(
            key=f"message:{message.pk}",
            level=5,
            text=f"A message to the customer of order {message.order} was not sent: {kind.lower()}",
            detail=f"{channel}: {message.problem} Tried {message.tries} times.",
            url=page(message.order),
            since=message.created_at,
            cause="message",
            many="messages to customers were not sent",
            all_url=listed("tab=attention"),
            about=about(message.order),
        )

    return each(look, given_up, item)


def _send_again(order: Order, data: dict[str, Any], user: Any) -> str:
    rows = resending.send_code_again(order.pk, by=user.actor, why=data["reason"])
    for row in rows:
        enqueue(actors.send_message, str(row))
    return f"The recipient of order {order} is sent the code again."


add_section(Order, 80, section, _messages_of)
actions.register(
    actions.Action(
        model=Order,
        name="resend-code",
        label="Send the code again",
        permission="orders.change_order",
        form=actions.ReasonForm,
        carry_out=_send_again,
        why_not=resending.why_not,
        reads=resending.read,
        explanation="The message about the launch, with the code, goes to the recipient once more.",
    )
)
tabs.needs_attention(lambda now: given_up(now).values("order"))
registry.add_attention(unsent, checks="no message to a customer has failed", reads=worst(given_up))
