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


def rendered(message: CustomerMessage, code: str) -> tuple[str, str]:
    """(subject, text) in the order's `customer_language`, else in MESSAGE_LANGUAGE."""
    order = message.order
    job = order.current_job
    eta_s = job.eta_seconds(timezone.now()) if job and not doubts.is_doubted(order) else None
    is_an_end = message.kind in (Kind.DELIVERED, Kind.FAILED)
    merchant = order.merchant
    with translation.override(order.customer_language or settings.MESSAGE_LANGUAGE):
        context = {
            "sender": merchant.name,
            "support": merchant.support_contact,
            "url": _link(order),
            "can_move": policy.current().customer_dropoff_radius_m > 0,
            "code": code,
            "eta": None if eta_s is None else texts.in_minutes(eta_s),
            "is_corrected": is_an_end and _is_corrected(order),
            "is_here": order.status in AT_THE_DROP_POINT,
            "because": texts.CANCELED_BECAUSE.get(
                order.cancel_reason, texts.HEADLINES[texts.Stage.CANCELED]
            ),
        }
        output = render_to_string(f"tracking/messages/{message.kind.lower()}.txt", context)
    subject, _, text = output.strip().partition("\n")
    return subject[:200], text.strip()


def _is_corrected(order: Order) -> bool:
    """Whether a correction changed the order to its current status."""
    corrections = order.events.filter(type=EventType.CORRECTED)
    return corrections.filter(payload__outcome=order.status).exists()


def _link(order: Order) -> str:
    """Has `?lang=` only when the order names a language; else the page follows the browser."""
    link = f"{settings.PUBLIC_BASE_URL}/track/{order.public_tracking_id}/"
    return f"{link}?lang={order.customer_language}" if order.customer_language else link
