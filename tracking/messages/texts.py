"""The text of a message, in the customer's language and in the local time of the delivery."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import dateformat, timezone, translation
from django.utils.translation import gettext

from dispatch.missions import discrepancies
from dispatch.models import Flight
from fleet import policy
from orders.models import Order
from orders.models.spot import pause_ends_at
from orders.states import AT_THE_DROP_POINT, WAITING, EventType
from tracking.messages import sms
from tracking.messages.models import CustomerMessage
from tracking.messages.triggers import Kind
from tracking.page import texts

OF_ANY_LENGTH = (CustomerMessage.Channel.EMAIL, CustomerMessage.Channel.WHATSAPP)
# Within this time a clock time needs no date.
CLOCK_ONLY = timedelta(hours=12)
# The spot is asked for only if the customer has at least this long for it.
MIN_TIME_FOR_SPOT = timedelta(seconds=30)
# A name that is cut to less than this is hard to recognize.
MIN_SENDER = 20
# For a sender whose name has no letter of the alphabet of SMS.
NO_NAME = "Wingxtra"


def rendered(message: CustomerMessage, code: str) -> tuple[str, str]:
    """(subject, text) in the order's `customer_language`, else in MESSAGE_LANGUAGE. The text is at
    most one segment of an SMS, except for e-mail and WhatsApp.
    """
    now = timezone.now()
    with translation.override(language_of(message.order)):
        context = _context(message, code, now)
        subject, text = written(message.kind, context)
        if message.channel not in OF_ANY_LENGTH:
            text = as_sms(message.kind, context)
    return subject[:200], text


def language_of(order: Order) -> str:
    return order.customer_language or settings.MESSAGE_LANGUAGE


def _context(message: CustomerMessage, code: str, now: datetime) -> dict[str, Any]:
    order, zone = message.order, message.order.service_area.zone
    is_an_end = message.kind in (Kind.DELIVERED, Kind.FAILED)
    eta_at = _eta_at(order, now)
    starts_at = order.not_before if order.not_before and order.not_before > now else None
    return {
        "sender": order.merchant.name,
        "support": order.merchant.support_contact,
        "url": _link(order),
        "can_move": message.kind == Kind.RECEIVED and _can_move(order, now),
        "code": code,
        "eta": local_time(eta_at + timedelta(seconds=30), zone, now) if eta_at else None,
        "starts": local_time(starts_at, zone, now) if starts_at else None,
        "ends": local_time(order.deliver_by, zone, now),
        "is_corrected": is_an_end and _is_corrected(order),
        "is_here": order.status in AT_THE_DROP_POINT,
        "because": texts.CANCELED_BECAUSE.get(
            order.cancel_reason, texts.HEADLINES[texts.Stage.CANCELED]
        ),
    }


def written(kind: str, context: dict[str, Any]) -> tuple[str, str]:
    """(subject, text) in the active language, of any length."""
    output = render_to_string(f"tracking/messages/{kind.lower()}.txt", context)
    subject, _, text = output.strip().partition("\n")
    return subject, text.strip()


def as_sms(kind: str, context: dict[str, Any]) -> str:
    """In one segment: if need be the sender's name is shortened, and the support contact left out.
    The link is never changed.
    """
    name = sms.shortened(context["sender"], sms.SEPTETS) or NO_NAME
    text = ""
    for support in (context["support"], ""):
        values = {**context, "support": support, "sender": "X"}
        room = sms.SEPTETS + 1 - (sms.septets(sms.plain(written(kind, values)[1])) or 0)
        sender = sms.shortened(name, room)
        text = sms.plain(written(kind, {**values, "sender": sender})[1])
        if sender == name or room >= MIN_SENDER:
            break
    return text


def local_time(at: datetime, zone: ZoneInfo, now: datetime) -> str:
    """The clock time in this zone, with the date unless it is obvious."""
    if abs(at - now) < CLOCK_ONLY:
        return dateformat.format(at.astimezone(zone), "H:i")
    # Translators: Django's date format of “Wed 4 Mar, 14:00”; its letters must be in GSM-7.
    return dateformat.format(at.astimezone(zone), gettext("D j M, H:i"))


def _can_move(order: Order, now: datetime) -> bool:
    """Whether the customer has time to show the spot: later a drone may be assigned."""
    rules = policy.current()
    if order.status not in WAITING or not rules.customer_dropoff_radius_m:
        return False
    possible_until = [at for at in (pause_ends_at(order, rules), order.not_before) if at]
    return any(at >= now + MIN_TIME_FOR_SPOT for at in possible_until)


def _eta_at(order: Order, now: datetime) -> datetime | None:
    """None when it is not believed."""
    job = order.current_job
    if job is None or job.eta_at is None or job.eta_at < now or discrepancies.is_doubted(order):
        return None
    is_silent = Flight.objects.filter(job=job, link_lost_at__isnull=False).exists()
    return None if is_silent else job.eta_at


def _is_corrected(order: Order) -> bool:
    """Whether a correction changed the order to its current status."""
    corrections = order.history().filter(type=EventType.CORRECTED)
    return corrections.filter(payload__outcome=order.status).exists()


def _link(order: Order) -> str:
    """Has `?lang=` only when the order names a language; else the page follows the browser."""
    link = f"{settings.PUBLIC_BASE_URL}/track/{order.public_tracking_id}/"
    return f"{link}?lang={order.customer_language}" if order.customer_language else link
