"""Messages in the console: what each customer was told, and who was not told what they should."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from orders.models import Order
from orders.states import TERMINAL
from tracking import actors
from tracking.messages import resending
from tracking.messages.models import CustomerMessage
from wingxtra.broker import enqueue
from wingxtra.console import actions, registry
from wingxtra.console.registry import Attention, Section, add_section


def told(order: Order, request: HttpRequest) -> Section | None:
    """Without addresses and texts: the order's facts have the one, and the kind says the other."""
    found = list(CustomerMessage.objects.filter(order=order).order_by("created_at"))
    if not found:
        return None
    return Section("Messages to the customer", "console/order/messages.html", {"messages": found})


def not_told(now: datetime) -> Iterator[Attention]:
    """While the order is under way: afterwards nobody can do anything about it any more."""
    rows = CustomerMessage.objects.given_up().exclude(order__status__in=TERMINAL)
    for message in rows.select_related("order").order_by("created_at")[:20]:
        kind, channel = message.get_kind_display(), message.get_channel_display()
        yield Attention(
            key=f"message:{message.pk}",
            level=5,
            text=f"The customer of order {message.order} was not told: {kind.lower()}",
            detail=f"{channel}: {message.problem} Tried {message.tries} times.",
            url=reverse("admin:orders_order_change", args=[message.order_id]),
            since=message.created_at,
        )


def _send_again(order: Order, data: dict[str, Any], user: Any) -> str:
    rows = resending.send_code_again(order.pk, by=user.actor, why=data["reason"])
    for row in rows:
        enqueue(actors.send_message, str(row))
    return f"The recipient of order {order} is sent the code again."


add_section(Order, 80, told)
actions.register(
    actions.Action(
        model=Order,
        name="resend-code",
        label="Send the code again",
        permission="orders.change_order",
        form=actions.ReasonForm,
        carry_out=_send_again,
        why_not=resending.why_not,
        explanation="The message about the launch, with the code, goes to the recipient once more.",
    )
)
registry.add_attention(not_told, checks="no message to a customer has failed")
