"""Webhooks: merchants are told of every event, by the Standard Webhooks scheme.

A delivery is a row that is written in the event's transaction, so that none is lost and none tells
of what was rolled back. It is sent afterwards, at least once: the row is an outbox
(wingxtra.outbox).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from orders.api.serializers import event_json, order_json
from orders.models import DeliveryEvent
from orders.states import EventType
from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.webhooks import secrets, sender
from tracking.webhooks.sender import Answer
from wingxtra import outbox
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey
from wingxtra.api.contracts import published_values
from wingxtra.database.statements import connection
from wingxtra.outbox import Claim, ClaimLost
from wingxtra.problems import Conflict, NotFound

log = structlog.get_logger(__name__)
State = WebhookDelivery.State

EVENT_TYPES = tuple(f"order.{kind.lower()}" for kind in EventType)
TEST_TYPE = "webhook.test"
published_values("webhook", "type", [*EVENT_TYPES, TEST_TYPE])
MAX_BODY_BYTES = 20_000
MAX_PER_MERCHANT = 16
# Whoever may see an order and its events just as its merchant does.
AS_MERCHANT = ApiKey(role=Role.MERCHANT)

# After each try that failed, as the scheme recommends; ten tries in a little more than three days.
PAUSES_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
SWITCHED_OFF_AFTER = timedelta(days=3)
FORMER_SECRET_SIGNS_FOR = timedelta(days=1)
GONE = 410

ATTEMPTS_KEPT = 20
ANSWER_KEPT = 1000
# What is slow to fail holds up a worker; it is left alone for a multiple of the time that it took.
SLOW_MS = 1000
RESTS_TIMES = 5
SUCCESS_RESOLUTION = timedelta(minutes=1)


# --- writing down what is to be told -------------------------------------------------------------


def note_down(events: Sequence[DeliveryEvent]) -> list[UUID]:
    """Write a delivery for each event to each endpoint that wants it, in the events' transaction.

    Takes one statement where nobody listens, else two. Returns the deliveries that others do not
    have to wait for: those that can be sent once this is committed.
    """
    listeners = _listeners({event.order.merchant_id for event in events})
    rows: list[WebhookDelivery] = []
    for event in events:
        event_type = f"order.{event.type.lower()}"
        wanting = [
            endpoint
            for endpoint in listeners[event.order.merchant_id]
            if endpoint.wants(event_type, live_mode=event.order.live_mode)
        ]
        body = _body(event_type, event) if wanting else ""
        rows += [
            WebhookDelivery(
                endpoint=endpoint,
                order_id=event.order_id,
                event_id=event.pk,
                type=event_type,
                body=body,
                created_at=event.created_at,
                next_try_at=event.created_at,
            )
            for endpoint in wanting
        ]
    WebhookDelivery.objects.bulk_create(rows)
    first: dict[Any, UUID] = {}
    for row in rows:
        first.setdefault((row.endpoint_id, row.order_id), row.pk)
    return list(first.values())


def _listeners(merchant_ids: set[UUID]) -> dict[UUID, list[WebhookEndpoint]]:
    # Locked as by a foreign key: an endpoint that is removed just now must not fail the delivery of
    # a parcel when that is committed. Django has no words for FOR KEY SHARE.
    with connection.prepared_cursor() as cursor:
        cursor.execute(
            "SELECT id, merchant_id, live_mode, events FROM tracking_webhookendpoint"
            " WHERE merchant_id = ANY(%s) AND enabled ORDER BY id FOR KEY SHARE",
            [list(merchant_ids)],
        )
        found = cursor.fetchall()
    listeners = defaultdict(list)
    for pk, merchant_id, live_mode, events in found:
        endpoint = WebhookEndpoint(pk, merchant_id=merchant_id, live_mode=live_mode, events=events)
        listeners[merchant_id].append(endpoint)
    return listeners


def _body(event_type: str, event: DeliveryEvent) -> str:
    """The contract is docs/contracts/webhook.schema.json."""
    told = event_json(event, AS_MERCHANT)
    order = order_json(event.order, AS_MERCHANT, event.created_at)
    body = _encoded(event_type, event.occurred_at, {"order": order, "event": told})
    if len(body.encode()) > MAX_BODY_BYTES:  # everything else in it has a length that is limited
        told["payload"] = {}
        body = _encoded(event_type, event.occurred_at, {"order": order, "event": told})
    return body


def _encoded(event_type: str, at: datetime, data: dict[str, Any]) -> str:
    return msgspec.json.encode({"type": event_type, "timestamp": at, "data": data}).decode()


# --- sending -------------------------------------------------------------------------------------


def deliver(delivery_id: UUID) -> bool:
    """Send one delivery if it is due and no other worker is at it; says whether it arrived.

    Call it any number of times, never inside a transaction.
    """
    now = timezone.now()
    claim = outbox.claim(
        WebhookDelivery.objects.due(now),
        delivery_id,
        # Longer than a try can take, looking the address up included.
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
        _judge(delivery, answer, now)
    log.info(
        "webhook_tried",
        delivery_id=str(delivery.pk),
        type=delivery.type,
        status=answer.status,
        took_ms=answer.took_ms,
        arrived=answer.accepted,
    )


def _judge(delivery: WebhookDelivery, answer: Answer, now: datetime) -> None:
    """What a try says about the endpoint."""
    row = WebhookEndpoint.objects.filter(pk=delivery.endpoint_id)
    if answer.accepted:
        stale = Q(last_success_at__isnull=True) | Q(last_success_at__lt=now - SUCCESS_RESOLUTION)
        row.filter(stale).update(last_success_at=now)
        return
    if answer.took_ms > SLOW_MS:
        rest = timedelta(milliseconds=RESTS_TIMES * answer.took_ms)
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
    _give_up_waiting(endpoint)
    log.warning("webhook_switched_off", endpoint_id=str(endpoint.pk), because=because[:300])


def _give_up_waiting(endpoint: WebhookEndpoint) -> None:
    WebhookDelivery.objects.waiting().filter(endpoint=endpoint).update(
        state=State.GIVEN_UP, given_up_because="The webhook was switched off."
    )


def due_after(delivery_id: UUID) -> UUID | None:
    """What can be sent next to the same endpoint."""
    endpoint = WebhookDelivery.objects.filter(pk=delivery_id).values("endpoint")
    rows = WebhookDelivery.objects.due(timezone.now()).filter(endpoint__in=endpoint)
    return rows.values_list("pk", flat=True).first()


# --- what merchants do with their endpoints ------------------------------------------------------


def create(
    merchant_id: UUID,
    url: str,
    *,
    live_mode: bool = True,
    description: str = "",
    events: Iterable[str] = (),
) -> tuple[WebhookEndpoint, str]:
    """A new endpoint, and its secret, which nobody is told again. `url` has been checked.

    Raises Conflict when the merchant has enough of them.
    """
    own = WebhookEndpoint.objects.filter(merchant_id=merchant_id, live_mode=live_mode)
    if own.count() >= MAX_PER_MERCHANT:
        raise Conflict(
            "too_many_webhooks",
            f"There are {MAX_PER_MERCHANT} webhooks already. Delete one that is not needed.",
        )
    secret = secrets.new_secret()
    endpoint = WebhookEndpoint.objects.create(
        merchant_id=merchant_id,
        live_mode=live_mode,
        url=url,
        description=description,
        events=list(events),
        secret=secrets.sealed(secret),
    )
    return endpoint, secret


def change(endpoint_id: UUID, values: dict[str, Any]) -> WebhookEndpoint:
    """Change `url`, `description`, `events` or `enabled`. Switched on, it starts afresh; switched
    off, it is told nothing more, and what waits is given up. Raises NotFound.
    """
    with transaction.atomic():
        endpoint = _locked(endpoint_id)
        for name, value in values.items():
            setattr(endpoint, name, value)
        if endpoint.enabled:
            endpoint.switched_off_at, endpoint.switched_off_because = None, ""
            endpoint.rests_until = None
        else:
            _give_up_waiting(endpoint)
        endpoint.save()
    return endpoint


def rotate_secret(endpoint_id: UUID) -> tuple[WebhookEndpoint, str]:
    """A new secret. For a day the former one signs, too, so that receivers can change over.

    Raises NotFound.
    """
    secret = secrets.new_secret()
    with transaction.atomic():
        endpoint = _locked(endpoint_id)
        endpoint.former_secret, endpoint.former_secret_until = None, None
        try:
            secrets.opened(endpoint.secret)
        except secrets.Unreadable:
            log.warning("webhook_secret_unreadable", endpoint_id=str(endpoint_id))
        else:
            endpoint.former_secret = endpoint.secret
            endpoint.former_secret_until = timezone.now() + FORMER_SECRET_SIGNS_FOR
        endpoint.secret = secrets.sealed(secret)
        endpoint.save()
    return endpoint, secret


def remove(endpoint_id: UUID) -> None:
    """Delete an endpoint with its deliveries. Raises NotFound."""
    with transaction.atomic():
        _locked(endpoint_id).delete()


def _locked(endpoint_id: UUID) -> WebhookEndpoint:
    """For its change or removal; waits for the transactions that are noting deliveries to it."""
    endpoint = WebhookEndpoint.objects.select_for_update().filter(pk=endpoint_id).first()
    if endpoint is None:
        raise NotFound("webhook")
    return endpoint


def make_test(endpoint: WebhookEndpoint) -> WebhookDelivery:
    """A test event, whatever types the endpoint wants. It is tried once.

    Raises Conflict when the endpoint is switched off.
    """
    _refuse_switched_off(endpoint)
    now = timezone.now()
    data = {"webhook_id": endpoint.pk, "message": "This is a test. Your webhook works."}
    return WebhookDelivery.objects.create(
        endpoint=endpoint,
        type=TEST_TYPE,
        body=_encoded(TEST_TYPE, now, data),
        created_at=now,
        next_try_at=now,
    )


def replay(delivery: WebhookDelivery) -> WebhookDelivery:
    """Send it again, or at once if it is waiting: the same message under the same id, with all its
    tries before it. Raises Conflict when the endpoint is switched off.
    """
    _refuse_switched_off(delivery.endpoint)
    delivery.state, delivery.given_up_because = State.WAITING, ""
    delivery.tries, delivery.first_tried_at = 0, None
    delivery.next_try_at, delivery.delivered_at = timezone.now(), None
    delivery.save(
        update_fields=[
            "state",
            "given_up_because",
            "tries",
            "first_tried_at",
            "next_try_at",
            "delivered_at",
        ]
    )
    return delivery


def _refuse_switched_off(endpoint: WebhookEndpoint) -> None:
    if not endpoint.enabled:
        raise Conflict("webhook_is_off", "This webhook is switched off. Switch it on first.")


def purge(now: datetime, *, at_most: int = 10_000) -> int:
    """Forget deliveries that are WEBHOOK_DELIVERIES_KEPT_DAYS old; returns how many went."""
    kept_since = now - timedelta(days=settings.WEBHOOK_DELIVERIES_KEPT_DAYS)
    old = WebhookDelivery.objects.order_by().filter(created_at__lt=kept_since)
    deleted, _ = old.filter(pk__in=old.values("pk")[:at_most]).delete()
    return deleted
