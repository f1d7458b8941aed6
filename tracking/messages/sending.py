"""Sends messages: checks that a message is still true, makes its text, plans its retry.

Text and address are made when the message is sent, so a corrected phone number counts. A worker
that dies or freezes while it sends can cause a second copy. Both have the same id, so mail programs
and gateways can detect it.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from dispatch.missions import discrepancies
from orders.models import Order
from orders.states import AT_THE_DROP_POINT, IN_FLIGHT, EventType, Status
from tracking.messages import sender
from tracking.messages.models import CodeToTell, CustomerMessage
from tracking.messages.outgoing import Message, NotSent
from tracking.messages.texts import language_of, rendered
from tracking.messages.triggers import (
    NEAR,
    Kind,
    State,
    address,
    can_be_sms,
    log,
    write_sms_instead,
)
from wingxtra import outbox
from wingxtra.database.statements import Statement
from wingxtra.outbox import Claim, ClaimLost
from wingxtra.webhooks import secrets

# A message about the end is sent only while the order has this status: a correction may change it.
VALID_STATUSES = {
    Kind.DELIVERED: (Status.DELIVERED,),
    Kind.FAILED: (Status.FAILED, Status.ABORTED),
    Kind.CANCELED: (Status.CANCELED,),
}
# Dropped once the order is over.
ONLY_WHILE_UNDER_WAY = (
    Kind.RECEIVED,
    Kind.LAUNCHED,
    Kind.ARRIVING,
    Kind.DELAYED,
    Kind.NEW_TIME,
)
RECHECK_AFTER = timedelta(seconds=10)
PAUSES_S = (10, 30, 120, 600, 1800, 3600, 7200)
# A WhatsApp message that can be an SMS is given up sooner.
RETRIES_BEFORE_SMS = 2
CLAIM = timedelta(seconds=90)
REDACTED = "••••••"


def deliver(message_id: UUID) -> bool:
    """Send one message if it is due and no other worker has claimed it. Returns whether it was
    sent. May be called any number of times, but not inside a transaction.
    """
    now = timezone.now()
    claim = _DUE.claim(message_id, now=now, until=now + CLAIM)
    if claim is None:
        return False
    with suppress(ClaimLost):
        return _deliver(claim)
    return False


_DUE = outbox.Claims(CustomerMessage, CustomerMessage.objects.due)
_CLAIMED = Statement(
    lambda message_id, claim_id: (
        CustomerMessage.objects.filter(pk=message_id, claim_id=claim_id)
        .select_related("order__merchant", "order__service_area", "order__current_job")
        .order_by()
    ),
    message_id=UUID,
    claim_id=UUID,
)


def _deliver(claim: Claim[CustomerMessage]) -> bool:
    """Raises ClaimLost."""
    message = claim.found(_CLAIMED.first(message_id=claim.pk, claim_id=claim.id))
    changes = _try(message)
    with transaction.atomic():
        claim.end(**changes)
        if changes.get("state") == State.GIVEN_UP:
            write_sms_instead(message)
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
    """Try to send once. Returns the columns of the row that change."""
    order = message.order
    if outdated := _why_outdated(message, order):
        return {"state": State.DROPPED, "problem": outdated}
    if message.kind == Kind.LAUNCHED and order.status not in IN_FLIGHT:
        problem = "No drone is in the air now. The message waits for the next launch."
        return {"next_try_at": timezone.now() + RECHECK_AFTER, "problem": problem}
    if message.kind == Kind.ARRIVING and not _is_near(order, timezone.now()):
        problem = "No drone is near now. The message waits until one is."
        return {"next_try_at": timezone.now() + RECHECK_AFTER, "problem": problem}
    to = address(order, message.channel)
    if not to:
        return {"state": State.DROPPED, "problem": "The order has no address for this channel."}
    code = _code(order) if message.kind == Kind.LAUNCHED else ""
    subject, text = rendered(message, code)
    changes = {
        "address": to,
        "subject": subject,
        "text": text.replace(code, REDACTED) if code else text,
        "tries": message.tries + 1,
    }
    try:
        outgoing = Message(message.pk, to, subject, text, language_of(order))
        changes["gateway_id"] = sender.send(message.channel, outgoing)
    except NotSent as error:
        changes["problem"] = str(error)[:300]
        retries = RETRIES_BEFORE_SMS if can_be_sms(message) else len(PAUSES_S)
        if error.permanent or message.tries >= retries:
            return {**changes, "state": State.GIVEN_UP}
        pause = outbox.pause(message.tries + 1, PAUSES_S)
        return {**changes, "next_try_at": timezone.now() + pause}
    return {**changes, "state": State.SENT, "sent_at": timezone.now(), "problem": ""}


def _why_outdated(message: CustomerMessage, order: Order) -> str:
    """Why the message is not true any more; empty when it is."""
    if order.is_terminal and message.kind in ONLY_WHILE_UNDER_WAY:
        return f"The order is {order.status} already."
    if order.status not in VALID_STATUSES.get(Kind(message.kind), Status):
        return f"The order is {order.status} now."
    if message.kind == Kind.DELAYED and order.status in AT_THE_DROP_POINT:
        return "The drone is there."
    if message.kind == Kind.DELAYED and order.sla(timezone.now()) == "on_time":
        return "The order is expected in time again."
    later = order.history().filter(type=EventType.RESCHEDULED, pk__gt=message.event_id or 0)
    if message.event_id and later.exists():
        return "The order was rescheduled since."
    return ""


def _is_near(order: Order, now: datetime) -> bool:
    if discrepancies.is_doubted(order):
        return False
    if order.status != Status.ENROUTE:
        return order.status in AT_THE_DROP_POINT
    eta_at = order.current_job.eta_at if order.current_job else None
    return eta_at is not None and now <= eta_at <= now + NEAR


def _code(order: Order) -> str:
    row = CodeToTell.objects.filter(pk=order.pk).first()
    if row is None:
        return ""
    try:
        return secrets.opened(row.sealed)
    except secrets.Unreadable:
        log.warning("code_unreadable", order_id=str(order.pk))
        return ""
