"""Which events and times cause a message to a customer.

A message is a row of an outbox. It is written in the event's transaction, so none is lost and none
tells of a rolled-back event. `sending.py` sends it after commit.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from dispatch.missions import discrepancies
from orders.changes.details import ADDRESSES
from orders.models import DeliveryEvent, Order, OrderQuerySet
from orders.states import IN_FLIGHT, TERMINAL, EventType, PodRequirement, Status
from tracking.messages import whatsapp
from tracking.messages.models import CodeToTell, CustomerMessage
from wingxtra.database import few_rows
from wingxtra.webhooks import secrets

log = structlog.get_logger(__name__)
Kind, Channel, State = CustomerMessage.Kind, CustomerMessage.Channel, CustomerMessage.State

KINDS = {
    EventType.CREATED: Kind.RECEIVED,
    EventType.LAUNCHED: Kind.LAUNCHED,
    EventType.RESCHEDULED: Kind.NEW_TIME,
    EventType.DELAY_PREDICTED: Kind.DELAYED,
    EventType.ARRIVED: Kind.ARRIVING,  # if `write_arrivals` has not written it before
    EventType.DELIVERED: Kind.DELIVERED,
    EventType.CANCELED: Kind.CANCELED,
    EventType.FAILED: Kind.FAILED,
    EventType.ABORTED: Kind.FAILED,
}
# These may be told again, about another event.
PER_EVENT = (Kind.NEW_TIME, Kind.DELAYED)
# Events that send a message a second time.
TOLD_AGAIN = (EventType.TRACKING_RENEWED,)
# After a correction the customer gets a message about the new outcome.
CORRECTED_TO: dict[str, CustomerMessage.Kind] = {
    Status.DELIVERED: Kind.DELIVERED,
    Status.FAILED: Kind.FAILED,
}
# Enough time to walk to the door.
NEAR = timedelta(minutes=2)
# On a short flight the launch message is enough.
MIN_GAP_AFTER_LAUNCH = timedelta(minutes=1)

MAX_PER_RUN = 200


class Wanted(NamedTuple):
    order: Order
    kind: CustomerMessage.Kind
    event: DeliveryEvent | None = None


def write_messages(events: Sequence[DeliveryEvent]) -> list[UUID]:
    """Write the messages that these events cause, in their transaction. Returns the messages' ids.

    Takes no statement for events that cause no message.
    """
    if not settings.MESSAGE_CHANNELS:
        return []
    _store_codes({event.order_id: event.order for event in events if _has_messages(event.order)})
    with_code = [
        event.order_id
        for event in events
        if event.status in TERMINAL and event.order.pod_requirement == PodRequirement.OTP
    ]
    if with_code:
        CodeToTell.objects.filter(order_id__in=with_code).delete()
    wanted = [
        Wanted(e.order, kind, e if kind in PER_EVENT or e.type in TOLD_AGAIN else None)
        for e in events
        if (kind := _kind_of(e)) is not None
    ]
    for order, kind, event in wanted:
        if event is not None and event.type in TOLD_AGAIN:
            waiting = CustomerMessage.objects.waiting().filter(order=order, kind=kind)
            waiting.update(state=State.DROPPED)  # the new one says the same
    return write(wanted)


def _kind_of(event: DeliveryEvent) -> CustomerMessage.Kind | None:
    if event.type == EventType.TRACKING_RENEWED:
        return _brings_the_link(event.order)
    if event.type == EventType.DETAILS_CHANGED and set(ADDRESSES) & set(
        event.payload.get("fields", ())
    ):
        return Kind.RECEIVED  # unless it was written before
    if event.type != EventType.CORRECTED:
        return KINDS.get(EventType(event.type))
    # A correction between FAILED and ABORTED changes nothing for the customer.
    was, outcome = event.payload["was"], event.payload["outcome"]
    return CORRECTED_TO[outcome] if Status.DELIVERED in (was, outcome) else None


def _brings_the_link(order: Order) -> CustomerMessage.Kind | None:
    """The message that brings the new link is written again, for the event of the renewal."""
    if order.is_terminal:
        return None
    return Kind.LAUNCHED if order.status in IN_FLIGHT else Kind.RECEIVED


def write_arrivals(now: datetime) -> list[UUID]:
    """Write a message for each order whose drone arrives within NEAR. Returns the messages' ids."""
    launch = CustomerMessage.objects.filter(
        order=OuterRef("pk"), kind=Kind.LAUNCHED, created_at__lte=now - MIN_GAP_AFTER_LAUNCH
    )
    near = Order.objects.filter(
        Exists(launch),
        status=Status.ENROUTE,
        current_job__eta_at__range=(now, now + NEAR),
        # Without telemetry the ETA is stale: time passes and it falls into the range anyway.
        current_job__flight__isnull=False,
        current_job__flight__link_lost_at__isnull=True,
    ).exclude(discrepancies.doubted())
    return _write_once(Kind.ARRIVING, near)


def _write_once(kind: CustomerMessage.Kind, orders: OrderQuerySet) -> list[UUID]:
    """Write this message for reachable orders that have none yet. Returns the messages' ids."""
    if not settings.MESSAGE_CHANNELS:
        return []
    existing = CustomerMessage.objects.filter(order=OuterRef("pk"), kind=kind)
    with transaction.atomic():
        orders = orders.filter(_reachable(), ~Exists(existing))
        orders = orders.select_for_update(skip_locked=True, no_key=True, of=("self",))
        return write(Wanted(order, kind) for order in orders[:MAX_PER_RUN])


def _reachable() -> Q:
    """Orders with an address for at least one of the channels."""
    channels = set(usable_channels())
    reachable = Q(pk=None)
    if channels & {Channel.SMS, Channel.WHATSAPP, Channel.CONSOLE}:
        reachable |= ~Q(customer_phone="")
    if channels & {Channel.EMAIL, Channel.CONSOLE}:
        reachable |= ~Q(customer_email="")
    return reachable if Channel.CONSOLE in channels else reachable & Q(live_mode=True)


def _has_messages(order: Order) -> bool:
    """Messages of test orders go to the terminal only, if that channel is on."""
    return order.live_mode or Channel.CONSOLE in settings.MESSAGE_CHANNELS


def write(wanted: Iterable[Wanted]) -> list[UUID]:
    """Write one message per kind and per channel that reaches the customer; an order that starts
    again with another drone tells nothing a second time. Returns the ids of those written.
    """
    rows = [
        CustomerMessage(
            order_id=order.pk, event_id=event.pk if event else None, kind=kind, channel=channel
        )
        for order, kind, event in wanted
        for channel in _channels(order)
    ]
    return [row.pk for row in few_rows.insert_those_that_are_new(rows)]


def usable_channels() -> list[str]:
    """MESSAGE_CHANNELS without one that is not configured."""
    return [
        channel
        for channel in settings.MESSAGE_CHANNELS
        if channel != Channel.WHATSAPP or whatsapp.is_configured()
    ]


def _channels(order: Order) -> list[str]:
    """The channels that reach this customer. A phone gets an SMS only if it gets no WhatsApp."""
    if not _has_messages(order):
        return []
    usable = usable_channels() if order.live_mode else [Channel.CONSOLE]
    reaching = [channel for channel in usable if address(order, channel)]
    if Channel.WHATSAPP in reaching and Channel.SMS in reaching:
        reaching.remove(Channel.SMS)
    return reaching


def can_be_sms(message: CustomerMessage) -> bool:
    """Whether an SMS can take the place of this message."""
    by_whatsapp = message.channel == Channel.WHATSAPP
    return by_whatsapp and Channel.SMS in settings.MESSAGE_CHANNELS


def write_sms_instead(message: CustomerMessage) -> None:
    """Replace a WhatsApp message that was given up by an SMS, in the same transaction; once. The
    sweep sends it.
    """
    if not can_be_sms(message):
        return
    rows = CustomerMessage.objects
    replaced = rows.filter(pk=message.pk, state=State.GIVEN_UP).update(state=State.REPLACED)
    if replaced:
        sms = CustomerMessage(
            order_id=message.order_id,
            event_id=message.event_id,
            kind=message.kind,
            channel=Channel.SMS,
        )
        rows.bulk_create([sms], ignore_conflicts=True)


def _store_codes(orders: dict[UUID, Order]) -> None:
    """A code is in memory only now, but the launch message needs it."""
    rows = [
        CodeToTell(order_id=order.pk, sealed=secrets.sealed(order.otp_code))
        for order in orders.values()
        if order.otp_code
    ]
    CodeToTell.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["order"], update_fields=["sealed"]
    )


def address(order: Order, channel: str) -> str:
    phone, email = str(order.customer_phone or ""), order.customer_email
    return {
        Channel.SMS: phone,
        Channel.WHATSAPP: phone,
        Channel.EMAIL: email,
        Channel.CONSOLE: phone or email,
    }[Channel(channel)]


# --- forgetting ----------------------------------------------------------------------------------


def forget(order: Order) -> None:
    """Keep that a message was sent; remove its address and text, and the code."""
    rows = CustomerMessage.objects.filter(order=order)
    rows.waiting().revoke(state=State.DROPPED)
    rows.update(address="", subject="", text="", problem="", gateway_id="")
    CodeToTell.objects.filter(pk=order.pk).delete()
