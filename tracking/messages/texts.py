"""Messages to customers: what they are told, when, and that it arrives, but never twice.

A message is a row that is written in the event's transaction, so that none is lost and none tells
of what was rolled back. It is worded and addressed when it is sent: a corrected phone number
counts, and what is not true any more is not said. The row is an outbox (wingxtra.outbox).

A worker that dies or stands still in the middle of sending is the one way to send twice; the
message has the same id then, by which mail programs and gateways can tell.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.template.loader import render_to_string
from django.utils import timezone, translation

from fleet import policy
from orders.models import DeliveryEvent, Order, OrderQuerySet
from orders.states import IN_FLIGHT, TERMINAL, EventType, Status
from tracking import doubts
from tracking.messages import sender
from tracking.messages.models import CodeToTell, CustomerMessage
from tracking.messages.sender import Letter, NotSent
from tracking.page import texts
from tracking.webhooks import secrets
from wingxtra import outbox
from wingxtra.outbox import Claim, ClaimLost

log = structlog.get_logger(__name__)
Kind, Channel, State = CustomerMessage.Kind, CustomerMessage.Channel, CustomerMessage.State

KINDS = {
    EventType.CREATED: Kind.RECEIVED,
    EventType.LAUNCHED: Kind.LAUNCHED,
    EventType.ARRIVED: Kind.ARRIVING,  # unless `note_arrivals` was first
    EventType.DELIVERED: Kind.DELIVERED,
    EventType.CANCELED: Kind.CANCELED,
    EventType.FAILED: Kind.FAILED,
    EventType.ABORTED: Kind.FAILED,
}
# What a correction tells: the new outcome, to who was told another one.
CORRECTED_TO: dict[str, CustomerMessage.Kind] = {
    Status.DELIVERED: Kind.DELIVERED,
    Status.FAILED: Kind.FAILED,
}
# What is said of an end is said only while that is the end.
TRUE_OF = {
    Kind.DELIVERED: (Status.DELIVERED,),
    Kind.FAILED: (Status.FAILED, Status.ABORTED),
    Kind.CANCELED: (Status.CANCELED,),
}
# What makes no sense to anybody once the order is over.
ONLY_WHILE_UNDER_WAY = (Kind.RECEIVED, Kind.LAUNCHED, Kind.ARRIVING, Kind.DELAYED)
# Where nobody needs to hear any more that it is late.
TOO_CLOSE_TO_BE_LATE = (Status.ARRIVED, Status.DELIVERING, *TERMINAL)
# A forecast is no promise: a little later is no news. An old delay is no news either.
LATE_BY = timedelta(minutes=5)
OLD_NEWS = timedelta(hours=12)
# Time enough to go to the door, and not to wait there.
NEAR = timedelta(minutes=2)
PUT_OFF = timedelta(seconds=10)
AT_THE_DOOR = (Status.ARRIVED, Status.DELIVERING)
# On a short flight the launch has said it all.
JUST_TOLD = timedelta(minutes=1)

PAUSES_S = (10, 30, 120, 600, 1800, 3600, 7200)
CLAIM = timedelta(seconds=90)
BLOTTED_OUT = "••••••"
NOTED_AT_MOST = 200


# --- writing down what is to be told -------------------------------------------------------------


def note_down(events: Sequence[DeliveryEvent]) -> list[UUID]:
    """Write the messages that these events call for, in their transaction; returns their ids.

    Takes no statement for events of which customers are not told.
    """
    if not settings.MESSAGE_CHANNELS:
        return []
    _keep_codes({event.order_id: event.order for event in events if _is_told_of(event.order)})
    over = [event.order_id for event in events if event.status in TERMINAL]
    if over:
        CodeToTell.objects.filter(order_id__in=over).delete()
    return write((e.order, kind) for e in events if (kind := _kind_of(e)) is not None)


def _kind_of(event: DeliveryEvent) -> CustomerMessage.Kind | None:
    if event.type != EventType.CORRECTED:
        return KINDS.get(EventType(event.type))
    # Between FAILED and ABORTED nothing changes for the customer.
    was, outcome = event.payload["was"], event.payload["outcome"]
    return CORRECTED_TO[outcome] if Status.DELIVERED in (was, outcome) else None


def note_delays(now: datetime) -> list[UUID]:
    """Write a message for each order that is late, or will be; returns their ids."""
    late = Q(deliver_by__range=(now - OLD_NEWS, now)) | Q(
        current_job__eta_at__gt=F("deliver_by") + LATE_BY
    )
    return _note(Kind.DELAYED, Order.objects.exclude(status__in=TOO_CLOSE_TO_BE_LATE).filter(late))


def note_arrivals(now: datetime) -> list[UUID]:
    """Write a message for each order whose drone is about to be there; returns their ids."""
    launch = CustomerMessage.objects.filter(
        order=OuterRef("pk"), kind=Kind.LAUNCHED, created_at__lte=now - JUST_TOLD
    )
    near = Order.objects.filter(
        Exists(launch),
        status=Status.ENROUTE,
        current_job__eta_at__range=(now, now + NEAR),
        # A forecast that nothing is heard of any more would come true by itself.
        current_job__flight__isnull=False,
        current_job__flight__link_lost_at__isnull=True,
    ).exclude(doubts.doubted())
    return _note(Kind.ARRIVING, near)


def _note(kind: CustomerMessage.Kind, orders: OrderQuerySet) -> list[UUID]:
    """Write it for those of these orders whose customers can be told and were not."""
    if not settings.MESSAGE_CHANNELS:
        return []
    told = CustomerMessage.objects.filter(order=OuterRef("pk"), kind=kind)
    with transaction.atomic():
        orders = orders.filter(_reachable(), ~Exists(told))
        orders = orders.select_for_update(skip_locked=True, no_key=True, of=("self",))
        return write((order, kind) for order in orders[:NOTED_AT_MOST])


def _reachable() -> Q:
    """Orders that have what one of the channels needs."""
    channels = set(settings.MESSAGE_CHANNELS)
    reachable = Q(pk=None)
    if channels & {Channel.SMS, Channel.CONSOLE}:
        reachable |= ~Q(customer_phone="")
    if channels & {Channel.EMAIL, Channel.CONSOLE}:
        reachable |= ~Q(customer_email="")
    return reachable if Channel.CONSOLE in channels else reachable & Q(live_mode=True)


def _is_told_of(order: Order) -> bool:
    """Test orders bother nobody: where there is a terminal, they are seen there and only there."""
    return order.live_mode or Channel.CONSOLE in settings.MESSAGE_CHANNELS


def write(wanted: Iterable[tuple[Order, CustomerMessage.Kind]]) -> list[UUID]:
    """By each channel that reaches the customer, once per kind; returns the ids to send."""
    rows = [
        CustomerMessage(order_id=order.pk, kind=kind, channel=channel)
        for order, kind in wanted
        for channel in (settings.MESSAGE_CHANNELS if order.live_mode else [Channel.CONSOLE])
        if _is_told_of(order) and _address(order, channel)
    ]
    # An order that starts over, with another drone, tells nothing a second time.
    CustomerMessage.objects.bulk_create(rows, ignore_conflicts=True)
    return [row.pk for row in rows]


def _keep_codes(orders: dict[UUID, Order]) -> None:
    """A code is known at this one moment, and needed at launch."""
    for order in orders.values():
        if order.otp_code:
            sealed = secrets.sealed(order.otp_code)
            CodeToTell.objects.update_or_create(order_id=order.pk, defaults={"sealed": sealed})


def _address(order: Order, channel: str) -> str:
    phone, email = str(order.customer_phone or ""), order.customer_email
    return {Channel.SMS: phone, Channel.EMAIL: email, Channel.CONSOLE: phone or email}[
        Channel(channel)
    ]


# --- sending -------------------------------------------------------------------------------------


def deliver(message_id: UUID) -> bool:
    """Send one message if it is due and no other worker is at it; says whether it was sent.

    Call it any number of times, never inside a transaction.
    """
    now = timezone.now()
    claim = outbox.claim(CustomerMessage.objects.due(now), message_id, until=now + CLAIM)
    if claim is None:
        return False
    with suppress(ClaimLost):
        return _deliver(claim)
    return False


def _deliver(claim: Claim[CustomerMessage]) -> bool:
    """Raises ClaimLost."""
    row = claim.mine().select_related("order__merchant", "order__current_job")
    message = claim.read(row)
    changes = _try(message)
    claim.end(**changes)
    log.info(
        "message_tried",
        message_id=str(message.pk),
        order_id=str(message.order_id),
        kind=message.kind,
        channel=message.channel,
        state=changes.get("state", State.WAITING),
        problem=changes["problem"],
    )
    return changes.get("state") == State.SENT


def _try(message: CustomerMessage) -> dict[str, Any]:
    """What of the row changes by this try."""
    order = message.order
    if order.is_terminal and message.kind in ONLY_WHILE_UNDER_WAY:
        return {"state": State.DROPPED, "problem": f"The order is {order.status} already."}
    if order.status not in TRUE_OF.get(Kind(message.kind), Status):
        return {"state": State.DROPPED, "problem": f"The order is {order.status} now."}
    if message.kind == Kind.LAUNCHED and order.status not in IN_FLIGHT:
        problem = "No drone is in the air just now. It is said when one is."
        return {"next_try_at": timezone.now() + PUT_OFF, "problem": problem}
    if message.kind == Kind.ARRIVING and not _is_near(order, timezone.now()):
        problem = "No drone is known to be near just now. It is said when one is."
        return {"next_try_at": timezone.now() + PUT_OFF, "problem": problem}
    address = _address(order, message.channel)
    if not address:
        return {"state": State.DROPPED, "problem": "The order has no such address any more."}
    code = _code(order) if message.kind == Kind.LAUNCHED else ""
    subject, text = worded(message, code)
    kept = {
        "address": address,
        "subject": subject,
        "text": text.replace(code, BLOTTED_OUT) if code else text,
        "tries": message.tries + 1,
    }
    try:
        sender.send(message.channel, Letter(message.pk, address, subject, text))
    except NotSent as error:
        kept["problem"] = str(error)[:300]
        if error.for_good or message.tries >= len(PAUSES_S):
            return {**kept, "state": State.GIVEN_UP}
        pause = outbox.pause(message.tries + 1, PAUSES_S)
        return {**kept, "next_try_at": timezone.now() + pause}
    return {**kept, "state": State.SENT, "sent_at": timezone.now(), "problem": ""}


def _is_near(order: Order, now: datetime) -> bool:
    if doubts.is_doubted(order):
        return False
    if order.status != Status.ENROUTE:
        return order.status in AT_THE_DOOR
    eta_at = order.current_job.eta_at if order.current_job else None
    return eta_at is not None and now <= eta_at <= now + NEAR


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
            "is_here": order.status in AT_THE_DOOR,
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


def _code(order: Order) -> str:
    row = CodeToTell.objects.filter(pk=order.pk).first()
    if row is None:
        return ""
    try:
        return secrets.opened(row.sealed)
    except secrets.Unreadable:
        log.warning("code_unreadable", order_id=str(order.pk))
        return ""


# --- forgetting ----------------------------------------------------------------------------------


def forget(order: Order) -> None:
    """That a message was sent stays known, but not where to, nor what it said."""
    rows = CustomerMessage.objects.filter(order=order)
    rows.waiting().revoke(state=State.DROPPED)
    rows.update(address="", subject="", text="", problem="")
    CodeToTell.objects.filter(pk=order.pk).delete()
