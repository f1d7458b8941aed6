"""The text of a message, in the customer's language."""

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone, translation

from fleet import policy
from orders.models import Order
from orders.states import AT_THE_DROP_POINT, EventType
from tracking import doubts
from tracking.messages.models import CustomerMessage
from tracking.messages.triggers import Kind
from tracking.page import texts


def worded(message: CustomerMessage, code: str) -> tuple[str, str]:
    """Subject and text, in the customer's language where the order names it."""
    order = message.order
    job = order.current_job
    eta_s = job.eta_seconds(timezone.now()) if job and not doubts.is_doubted(order) else None
    is_an_end = message.kind in (Kind.DELIVERED, Kind.FAILED)
    merchant = order.merchant
    with translation.override(order.customer_language or settings.MESSAGE_LANGUAGE):
        shown = {
            "sender": merchant.name,
            "support": merchant.support_contact,
            "url": _link(order),
            "can_move": policy.current().customer_dropoff_radius_m > 0,
            "code": code,
            "eta": None if eta_s is None else texts.in_minutes(eta_s),
            "is_corrected": is_an_end and _is_corrected(order),
            "is_here": order.status in AT_THE_DROP_POINT,
            "because": texts.CANCELED_BECAUSE.get(
                order.cancel_reason, texts.PLAIN[texts.Look.CANCELED]
            ),
        }
        written = render_to_string(f"tracking/messages/{message.kind.lower()}.txt", shown)
    subject, _, text = written.strip().partition("\n")
    return subject[:200], text.strip()


def _is_corrected(order: Order) -> bool:
    """The end that the customer was told of was not the end."""
    corrections = order.events.filter(type=EventType.CORRECTED)
    return corrections.filter(payload__outcome=order.status).exists()


def _link(order: Order) -> str:
    """The page speaks the phone's language, unless the order names the customer's."""
    link = f"{settings.PUBLIC_BASE_URL}/track/{order.public_tracking_id}/"
    return f"{link}?lang={order.customer_language}" if order.customer_language else link
