"""Sends webhooks: one try of a delivery, the plan of its retry, and the switching off of an
endpoint that keeps failing.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Coalesce
from django.utils import timezone

from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.webhooks.events import TEST_TYPE
from wingxtra import outbox
from wingxtra.accounts.models import Merchant
from wingxtra.database.statements import Statement
from wingxtra.outbox import Claim, ClaimLost
from wingxtra.webhooks import secrets, sender
from wingxtra.webhooks.sender import Answer

log = structlog.get_logger(__name__)
State = WebhookDelivery.State
# Pauses after failed tries, as Standard Webhooks recommends: ten tries in little more than 3 days.
PAUSES_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
SWITCHED_OFF_AFTER = timedelta(days=3)
# How long after its first try a delivery that fails holds back the later events of its order. A
# refusal ends it at once when the message is refused again (docs/decisions/0028).
HOLDS_AFTER_REFUSAL = timedelta(minutes=1)
HOLDS_AFTER_FAILURE = timedelta(minutes=5)
GONE = 410
ATTEMPTS_KEPT = 20
ANSWER_KEPT = 1000
# An endpoint that fails slowly rests for a multiple of the time that it took.
SLOW_MS = 1000
REST_FACTOR = 5
SUCCESS_RESOLUTION = timedelta(minutes=1)
# A claim holds for the timeout of a try and this. The claims of a process that was killed count
# against the limits until then.
CLAIM_MARGIN_S = 15


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that this process has claimed, to be sent now."""

    claim: Claim[WebhookDelivery]
    delivery: WebhookDelivery
    at: datetime


def take(delivery_id: UUID) -> Taken | None:
    """Claim one delivery. None if it is not due, another worker has it, or as many tries are under
    way as there may be. May be called any number of times.
    """
    now = timezone.now()
    # A busy endpoint causes many calls that find nothing to do: this tells it for a tenth.
    if _is_unblocked.first(delivery_id=delivery_id, now=now) is None:
        return None
    with transaction.atomic():
        _lock_merchant.first(delivery_id=delivery_id)
        until = now + timedelta(seconds=settings.WEBHOOK_TIMEOUT_S + CLAIM_MARGIN_S)
        claim = _due(settings.WEBHOOK_AT_ONCE).claim(delivery_id, now=now, until=until)
    if claim is None:
        return None
    with suppress(ClaimLost):  # the endpoint was removed at this moment
        row = _claimed.first(delivery_id=claim.pk, claim_id=claim.id)
        return Taken(claim, claim.found(row), now)
    return None


_is_unblocked = Statement(
    lambda delivery_id, now: (
        WebhookDelivery.objects.unblocked(now).filter(pk=delivery_id).only("pk")
    ),
    delivery_id=UUID,
    now=datetime,
)


# One claim per merchant at a time: two at the same time would not count each other.
_lock_merchant = Statement(
    lambda delivery_id: (
        Merchant.objects.order_by()
        .filter(webhooks__deliveries=delivery_id)
        .select_for_update(no_key=True, of=("self",))
    ),
    delivery_id=UUID,
)


@cache
def _due(at_once: int) -> outbox.Claims[WebhookDelivery]:
    """at_once: WEBHOOK_AT_ONCE, which is a part of the statement."""
    return outbox.Claims(
        WebhookDelivery,
        WebhookDelivery.objects.due,
        lambda now: {"first_tried_at": Coalesce("first_tried_at", now)},
    )


_claimed = Statement(
    lambda delivery_id, claim_id: (
        WebhookDelivery.objects.filter(pk=delivery_id, claim_id=claim_id)
        .select_related("endpoint")
        .order_by()
    ),
    delivery_id=UUID,
    claim_id=UUID,
)


def send(taken: Taken) -> Answer | None:
    """Send what was claimed and write the result. None if the claim was lost.

    Uses no database connection while it waits for the receiver. Not inside a transaction.
    """
    answer = _send(taken.delivery, taken.at)
    with suppress(ClaimLost):
        _record(taken.claim, taken.delivery, answer, taken.at)
        return answer
    return None


def _send(delivery: WebhookDelivery, now: datetime) -> Answer:
    endpoint = delivery.endpoint
    try:
        keys = _keys(endpoint, now)
    except secrets.Unreadable:
        return Answer(None, "Our copy of the secret cannot be read any more. Rotate the secret.", 0)
    message_id = str(delivery.pk)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Wingxtra-Delivery-Webhooks/1",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": secrets.signatures(keys, message_id, now, delivery.body),
    }
    return sender.post(endpoint.url, delivery.body.encode(), headers)


def _keys(endpoint: WebhookEndpoint, now: datetime) -> list[str]:
    stored, until = [endpoint.secret], endpoint.former_secret_until
    if endpoint.former_secret and until and until > now:
        stored.append(endpoint.former_secret)
    return [secrets.opened(secret) for secret in stored]


def _record(
    claim: Claim[WebhookDelivery], delivery: WebhookDelivery, answer: Answer, tried_at: datetime
) -> None:
    """Raises ClaimLost."""
    now = timezone.now()
    attempt = {
        "at": tried_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "status": answer.status,
        "took_ms": answer.took_ms,
        "answer": answer.text[:ANSWER_KEPT],
    }
    changes: dict[str, Any] = {
        "tries": delivery.tries + 1,
        "attempts": [*delivery.attempts, attempt][-ATTEMPTS_KEPT:],
    }
    pauses_s = PAUSES_S if delivery.type != TEST_TYPE else ()
    if answer.accepted:
        changes |= {"state": State.DELIVERED, "delivered_at": now, "given_up_because": ""}
    elif delivery.tries < len(pauses_s):
        changes["next_try_at"] = now + outbox.pause(delivery.tries + 1, pauses_s)
        changes["holds_until"] = _holds_until(delivery, answer, now)
    else:
        because = "The test event did not arrive." if not pauses_s else "All ten tries failed."
        changes |= {"state": State.GIVEN_UP, "given_up_because": because}
    with transaction.atomic():
        # The endpoint is locked before its deliveries, as everywhere: no deadlock.
        endpoint = claim.found(_lock_endpoint.first(delivery_id=claim.pk, claim_id=claim.id))
        claim.end(**changes)
        _update_endpoint(endpoint, delivery, answer, now)
    log.info(
        "webhook_tried",
        delivery_id=str(delivery.pk),
        type=delivery.type,
        status=answer.status,
        took_ms=answer.took_ms,
        arrived=answer.accepted,
    )


_lock_endpoint = Statement(
    lambda delivery_id, claim_id: (
        WebhookEndpoint.objects.filter(deliveries=delivery_id, deliveries__claim_id=claim_id)
        .select_for_update(no_key=True, of=("self",))
        .order_by()
    ),
    delivery_id=UUID,
    claim_id=UUID,
)


def _holds_until(delivery: WebhookDelivery, answer: Answer, now: datetime) -> datetime:
    """Until when this failed delivery holds back the later events of its order. Never later than
    after a former try.
    """
    first_tried_at = delivery.first_tried_at or now
    if not answer.refused:
        until = first_tried_at + HOLDS_AFTER_FAILURE
    else:
        until = now if delivery.tries else first_tried_at + HOLDS_AFTER_REFUSAL
    return min(until, delivery.holds_until or until)


def _update_endpoint(
    endpoint: WebhookEndpoint, delivery: WebhookDelivery, answer: Answer, now: datetime
) -> None:
    """Record a success and the speed. After a failure let the endpoint rest or switch it off."""
    row = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    is_quick = answer.took_ms <= SLOW_MS
    if endpoint.is_quick != is_quick:
        row.update(is_quick=is_quick)
    if answer.accepted:
        last = endpoint.last_success_at
        if last is None or last < now - SUCCESS_RESOLUTION:
            row.update(last_success_at=now)
        return
    if answer.took_ms > SLOW_MS:
        rest = timedelta(milliseconds=REST_FACTOR * answer.took_ms)
        row.update(rests_until=now + rest)
    since = delivery.first_tried_at or now
    if answer.status == GONE:
        _switch_off(row, "It answered 410 (Gone).", now)
    elif now - since >= SWITCHED_OFF_AFTER:
        why = f"Nothing has arrived there since {since:%d %B %Y, %H:%M} UTC. Last: "
        why += f"{answer.status or ''} {answer.text}".strip()
        _switch_off(row.exclude(last_success_at__gte=since), why, now)


def _switch_off(row: Any, because: str, now: datetime) -> None:
    endpoint = row.filter(enabled=True).first()
    if endpoint is None:
        return
    row.update(enabled=False, switched_off_at=now, switched_off_because=because[:300])
    give_up_waiting(endpoint)
    log.warning("webhook_switched_off", endpoint_id=str(endpoint.pk), because=because[:300])


def give_up_waiting(endpoint: WebhookEndpoint) -> None:
    WebhookDelivery.objects.waiting().filter(endpoint=endpoint).update(
        state=State.GIVEN_UP, given_up_because="The webhook was switched off."
    )


def due_after(sent: WebhookDelivery) -> UUID | None:
    """The id of the next due delivery to the same endpoint."""
    statement = _next(settings.WEBHOOK_AT_ONCE)
    found = statement.first(endpoint_id=sent.endpoint_id, now=timezone.now())
    return found[0] if found else None


@cache
def _next(at_once: int) -> Statement[tuple[UUID]]:
    """at_once: as for `_due`."""
    return Statement(
        lambda endpoint_id, now: (
            WebhookDelivery.objects.due(now).filter(endpoint=endpoint_id).values_list("pk")
        ),
        endpoint_id=UUID,
        now=datetime,
    )


def kept_since(now: datetime) -> datetime:
    """Months of deliveries that end before it are dropped."""
    return now - timedelta(days=settings.WEBHOOK_DELIVERIES_KEPT_DAYS)
