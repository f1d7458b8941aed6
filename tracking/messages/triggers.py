"""Which events and times cause a message to a customer.

A message is a row of an outbox. It is written in the event's transaction, so none is lost and none
tells of a rolled-back event. `sending.py` sends it after commit.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from orders.models import DeliveryEvent, Order, OrderQuerySet
from orders.states import AT_THE_DROP_POINT, TERMINAL, EventType, Status
from tracking import doubts
from tracking.messages.models import CodeToTell, CustomerMessage
from tracking.webhooks import secrets

log = structlog.get_logger(__name__)
Kind, Channel, State = CustomerMessage.Kind, CustomerMessage.Channel, CustomerMessage.State

KINDS = {
    EventType.CREATED: Kind.RECEIVED,
    EventType.LAUNCHED: Kind.LAUNCHED,
    EventType.ARRIVED: Kind.ARRIVING,  # if `write_arrivals` has not written it before
    EventType.DELIVERED: Kind.DELIVERED,
    EventType.CANCELED: Kind.CANCELED,
    EventType.FAILED: Kind.FAILED,
    EventType.ABORTED: Kind.FAILED,
}
# After a correction the customer gets a message about the new outcome.
CORRECTED_TO: dict[str, CustomerMessage.Kind] = {
    Status.DELIVERED: Kind.DELIVERED,
    Status.FAILED: Kind.FAILED,
}
NO_DELAY_MESSAGE = (*AT_THE_DROP_POINT, *TERMINAL)
# An ETA within this time after `deliver_by` does not count as late: forecasts are not exact.
LATE_BY = timedelta(minutes=5)
# Older delays get no message.
MAX_DELAY_AGE = timedelta(hours=12)
# Enough time to walk to the door.
NEAR = timedelta(minutes=2)
# On a short flight the launch message is enough.
MIN_GAP_AFTER_LAUNCH = timedelta(minutes=1)

MAX_PER_RUN = 200


def write_messages(events: Sequence[DeliveryEvent]) -> list[UUID]:
    """Write the messages that these events cause, in their transaction. Returns the messages' ids.

    Takes no statement for events that cause no message.
    """
    if not settings.MESSAGE_CHANNELS:
        return []
    _store_codes({event.order_id: event.order for event in events if _has_messages(event.order)})
    ended = [event.order_id for event in events if event.status in TERMINAL]
    if ended:
        CodeToTell.objects.filter(order_id__in=ended).delete()
    return write((e.order, kind) for e in events if (kind := _kind_of(e)) is not None)


def _kind_of(event: DeliveryEvent) -> CustomerMessage.Kind | None:
    if event.type != EventType.CORRECTED:
        return KINDS.get(EventType(event.type))
    # A correction between FAILED and ABORTED changes nothing for the customer.
    was, outcome = event.payload["was"], event.payload["outcome"]
    return CORRECTED_TO[outcome] if Status.DELIVERED in (was, outcome) else None


def write_delays(now: datetime) -> list[UUID]:
    """Write a message for each order that is late or will be late. Returns the messages' ids."""
    late = Q(deliver_by__range=(now - MAX_DELAY_AGE, now)) | Q(
        current_job__eta_at__gt=F("deliver_by") + LATE_BY
    )
    return _write_once(
        Kind.DELAYED, Order.objects.exclude(status__in=NO_DELAY_MESSAGE).filter(late)
    )


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
    ).exclude(doubts.doubted())
    return _write_once(Kind.ARRIVING, near)


def _write_once(kind: CustomerMessage.Kind, orders: OrderQuerySet) -> list[UUID]:
    """Write this message for reachable orders that have none yet. Returns the messages' ids."""
    if not settings.MESSAGE_CHANNELS:
        return []
    existing = CustomerMessage.objects.filter(order=OuterRef("pk"), kind=kind)
    with transaction.atomic():
        orders = orders.filter(_reachable(), ~Exists(existing))
        orders = orders.select_for_update(skip_locked=True, no_key=True, of=("self",))
        return write((order, kind) for order in orders[:MAX_PER_RUN])


def _reachable() -> Q:
    """Orders with an address for at least one of the channels."""
    channels = set(settings.MESSAGE_CHANNELS)
    reachable = Q(pk=None)
    if channels & {Channel.SMS, Channel.CONSOLE}:
        reachable |= ~Q(customer_phone="")
    if channels & {Channel.EMAIL, Channel.CONSOLE}:
        reachable |= ~Q(customer_email="")
    return reachable if Channel.CONSOLE in channels else reachable & Q(live_mode=True)


def _has_messages(order: Order) -> bool:
    """Messages of test orders go to the terminal only, if that channel is on."""
    return order.live_mode or Channel.CONSOLE in settings.MESSAGE_CHANNELS


def write(wanted: Iterable[tuple[Order, CustomerMessage.Kind]]) -> list[UUID]:
    """Write one message per kind and per channel that reaches the customer. Returns their ids."""
    rows = [
        CustomerMessage(order_id=order.pk, kind=kind, channel=channel)
        for order, kind in wanted
        for channel in (settings.MESSAGE_CHANNELS if order.live_mode else [Channel.CONSOLE])
        if _has_messages(order) and address(order, channel)
    ]
    # An order that starts again with another drone sends no message a second time.
    CustomerMessage.objects.bulk_create(rows, ignore_conflicts=True)
    return [row.pk for row in rows]


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
    return {Channel.SMS: phone, Channel.EMAIL: email, Channel.CONSOLE: phone or email}[
        Channel(channel)
    ]


# --- forgetting ----------------------------------------------------------------------------------


def forget(order: Order) -> None:
    """Keep that a message was sent; remove its address and text, and the code."""
    rows = CustomerMessage.objects.filter(order=order)
    rows.waiting().revoke(state=State.DROPPED)
    rows.update(address="", subject="", text="", problem="")
    CodeToTell.objects.filter(pk=order.pk).delete()
