"""Sending messages: whether a message is still true, its address and text, its next try.

Text and address are made when the message is sent, so a corrected phone number counts. A worker
that dies or freezes while it sends can cause a second copy. Both have the same id, so mail programs
and gateways can detect it.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from orders.models import Order
from orders.states import AT_THE_DROP_POINT, IN_FLIGHT, Status
from tracking import doubts
from tracking.messages import sender
from tracking.messages.models import CodeToTell, CustomerMessage
from tracking.messages.sender import Letter, NotSent
from tracking.messages.texts import worded
from tracking.messages.triggers import NEAR, Kind, State, address, log
from tracking.webhooks import secrets
from wingxtra import outbox
from wingxtra.outbox import Claim, ClaimLost

# What is said of an end is said only while that is the end.
TRUE_OF = {
    Kind.DELIVERED: (Status.DELIVERED,),
    Kind.FAILED: (Status.FAILED, Status.ABORTED),
    Kind.CANCELED: (Status.CANCELED,),
}
# What makes no sense to anybody once the order is over.
ONLY_WHILE_UNDER_WAY = (Kind.RECEIVED, Kind.LAUNCHED, Kind.ARRIVING, Kind.DELAYED)
PUT_OFF = timedelta(seconds=10)
PAUSES_S = (10, 30, 120, 600, 1800, 3600, 7200)
CLAIM = timedelta(seconds=90)
BLOTTED_OUT = "••••••"


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
    to = address(order, message.channel)
    if not to:
        return {"state": State.DROPPED, "problem": "The order has no such address any more."}
    code = _code(order) if message.kind == Kind.LAUNCHED else ""
    subject, text = worded(message, code)
    kept = {
        "address": to,
        "subject": subject,
        "text": text.replace(code, BLOTTED_OUT) if code else text,
        "tries": message.tries + 1,
    }
    try:
        sender.send(message.channel, Letter(message.pk, to, subject, text))
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
