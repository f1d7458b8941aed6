"""Sends webhooks: one try of a delivery, the plan of its retry, and the switching off of an
endpoint that keeps failing.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.webhooks import secrets, sender
from tracking.webhooks.events import TEST_TYPE
from tracking.webhooks.sender import Answer
from wingxtra import outbox
from wingxtra.outbox import Claim, ClaimLost

log = structlog.get_logger(__name__)
State = WebhookDelivery.State
# Pauses after failed tries, as Standard Webhooks recommends: ten tries in little more than 3 days.
PAUSES_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
SWITCHED_OFF_AFTER = timedelta(days=3)
GONE = 410
ATTEMPTS_KEPT = 20
ANSWER_KEPT = 1000
# An endpoint that fails slowly blocks a worker. It rests for a multiple of the time that it took.
SLOW_MS = 1000
REST_FACTOR = 5
SUCCESS_RESOLUTION = timedelta(minutes=1)


def deliver(delivery_id: UUID) -> bool:
    """Send one delivery if it is due and no other worker has claimed it. Returns whether it
    arrived. May be called any number of times, but not inside a transaction.
    """
    now = timezone.now()
    claim = outbox.claim(
        WebhookDelivery.objects.due(now),
        delivery_id,
        # Longer than a try can take, with the DNS lookup.
        until=now + timedelta(seconds=settings.WEBHOOK_TIMEOUT_S + 60),
        first_tried_at=Coalesce("first_tried_at", now),
    )
    if claim is None:
        return False
    with suppress(ClaimLost):  # also when the endpoint was removed at this moment
        delivery = claim.read(claim.mine().select_related("endpoint"))
        answer = _send(delivery, now)
        _record(claim, delivery, answer, now)
        return answer.accepted
    return False


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
    else:
        because = "The test event did not arrive." if not pauses_s else "All ten tries failed."
        changes |= {"state": State.GIVEN_UP, "given_up_because": because}
    with transaction.atomic():
        claim.end(**changes)
        _update_endpoint(delivery, answer, now)
    log.info(
        "webhook_tried",
        delivery_id=str(delivery.pk),
        type=delivery.type,
        status=answer.status,
        took_ms=answer.took_ms,
        arrived=answer.accepted,
    )


def _update_endpoint(delivery: WebhookDelivery, answer: Answer, now: datetime) -> None:
    """Record a success, or let the endpoint rest or switch it off after a failure."""
    row = WebhookEndpoint.objects.filter(pk=delivery.endpoint_id)
    if answer.accepted:
        stale = Q(last_success_at__isnull=True) | Q(last_success_at__lt=now - SUCCESS_RESOLUTION)
        row.filter(stale).update(last_success_at=now)
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


def due_after(delivery_id: UUID) -> UUID | None:
    """The id of the next due delivery to the same endpoint."""
    endpoint = WebhookDelivery.objects.filter(pk=delivery_id).values("endpoint")
    rows = WebhookDelivery.objects.due(timezone.now()).filter(endpoint__in=endpoint)
    return rows.values_list("pk", flat=True).first()


def purge(now: datetime, *, at_most: int = 10_000) -> int:
    """Delete deliveries older than WEBHOOK_DELIVERIES_KEPT_DAYS. Returns how many were deleted."""
    kept_since = now - timedelta(days=settings.WEBHOOK_DELIVERIES_KEPT_DAYS)
    old = WebhookDelivery.objects.order_by().filter(created_at__lt=kept_since)
    deleted, _ = old.filter(pk__in=old.values("pk")[:at_most]).delete()
    return deleted
