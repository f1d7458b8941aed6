"""Merchants' endpoints: create, change, rotate the secret, remove, test, replay."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.webhooks.deliveries import State, give_up_waiting, log
from tracking.webhooks.events import TEST_TYPE, encoded
from wingxtra.problems import Conflict, NotFound
from wingxtra.webhooks import secrets

MAX_PER_MERCHANT = 16
FORMER_SECRET_SIGNS_FOR = timedelta(days=1)


def create(
    merchant_id: UUID,
    url: str,
    *,
    live_mode: bool = True,
    description: str = "",
    events: Iterable[str] = (),
) -> tuple[WebhookEndpoint, str]:
    """A new endpoint and its secret, which cannot be read again later. `url` must be checked.

    Raises Conflict when the merchant has MAX_PER_MERCHANT endpoints already.
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
    """Change `url`, `description`, `events` or `enabled`. Switching on clears the failures;
    switching off gives up the deliveries that wait. Raises NotFound.
    """
    with transaction.atomic():
        endpoint = _locked(endpoint_id)
        for name, value in values.items():
            setattr(endpoint, name, value)
        if endpoint.enabled:
            endpoint.switched_off_at, endpoint.switched_off_because = None, ""
            endpoint.rests_until = None
        else:
            give_up_waiting(endpoint)
        endpoint.save()
    return endpoint


def rotate_secret(endpoint_id: UUID) -> tuple[WebhookEndpoint, str]:
    """A new secret. The former one signs as well for a day, so that receivers can switch.

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


def _locked(endpoint_id: UUID, *, no_key: bool = False) -> WebhookEndpoint:
    """The row, locked for a change. Waits for transactions that write deliveries to it, unless
    `no_key`. Raises NotFound.
    """
    rows = WebhookEndpoint.objects.select_for_update(no_key=no_key)
    endpoint = rows.filter(pk=endpoint_id).first()
    if endpoint is None:
        raise NotFound("webhook")
    return endpoint


def make_test(endpoint: WebhookEndpoint) -> WebhookDelivery:
    """A test event, independent of the endpoint's `events`. It is tried once.

    Raises Conflict when the endpoint is switched off.
    """
    _refuse_switched_off(endpoint)
    now = timezone.now()
    data = {"webhook_id": endpoint.pk, "message": "This is a test. Your webhook works."}
    return WebhookDelivery.objects.create(
        endpoint=endpoint,
        type=TEST_TYPE,
        body=encoded(TEST_TYPE, now, data),
        created_at=now,
        next_try_at=now,
    )


def replay(delivery: WebhookDelivery) -> WebhookDelivery:
    """Send it again, or now if it is waiting: the same message with the same id and all its tries
    left. Raises Conflict when the endpoint is switched off.
    """
    _refuse_switched_off(delivery.endpoint)
    delivery.state, delivery.given_up_because = State.WAITING, ""
    delivery.tries, delivery.first_tried_at = 0, None
    delivery.next_try_at, delivery.delivered_at = timezone.now(), None
    delivery.holds_until = None
    delivery.save(
        update_fields=[
            "state",
            "given_up_because",
            "tries",
            "first_tried_at",
            "next_try_at",
            "delivered_at",
            "holds_until",
        ]
    )
    return delivery


def replay_failed(endpoint_id: UUID, since: datetime) -> int:
    """Send again what has failed since then, the oldest first. Returns how many.

    Events of orders whose tries failed, given up or not: each with all its tries left. A second
    call finds none of them. Raises NotFound, and Conflict when the endpoint is switched off.
    """
    with transaction.atomic():
        endpoint = _locked(endpoint_id, no_key=True)
        _refuse_switched_off(endpoint)
        return endpoint.deliveries.failed_since(since, timezone.now()).update(
            state=State.WAITING,
            given_up_because="",
            tries=0,
            first_tried_at=None,
            holds_until=None,
            next_try_at=F("created_at"),  # the oldest first
        )


def _refuse_switched_off(endpoint: WebhookEndpoint) -> None:
    if not endpoint.enabled:
        raise Conflict("webhook_is_off", "This webhook is switched off. Switch it on first.")
