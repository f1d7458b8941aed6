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
# Where nobody needs to hear any more that it is late.
TOO_CLOSE_TO_BE_LATE = (*AT_THE_DROP_POINT, *TERMINAL)
# A forecast is no promise: a little later is no news. An old delay is no news either.
LATE_BY = timedelta(minutes=5)
OLD_NEWS = timedelta(hours=12)
# Time enough to go to the door, and not to wait there.
NEAR = timedelta(minutes=2)
# On a short flight the launch has said it all.
JUST_TOLD = timedelta(minutes=1)

NOTED_AT_MOST = 200


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
        if _is_told_of(order) and address(order, channel)
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


def address(order: Order, channel: str) -> str:
    phone, email = str(order.customer_phone or ""), order.customer_email
    return {Channel.SMS: phone, Channel.EMAIL: email, Channel.CONSOLE: phone or email}[
        Channel(channel)
    ]


# --- forgetting ----------------------------------------------------------------------------------


def forget(order: Order) -> None:
    """That a message was sent stays known, but not where to, nor what it said."""
    rows = CustomerMessage.objects.filter(order=order)
    rows.waiting().revoke(state=State.DROPPED)
    rows.update(address="", subject="", text="", problem="")
    CodeToTell.objects.filter(pk=order.pk).delete()
