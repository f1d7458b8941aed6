"""The bodies of webhooks and the endpoints that get them, by the Standard Webhooks scheme.

A delivery is a row of an outbox. It is written in the event's transaction, so none is lost and none
is about a rolled-back event. `deliveries.py` sends it after commit, at least once.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from orders.api.contract import OrderBody
from orders.api.serializers import event_json, order_json
from orders.models import DeliveryEvent
from orders.states import EventType
from tracking.models import WebhookDelivery
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey
from wingxtra.api.contracts import published_values
from wingxtra.database import bulk, few_rows
from wingxtra.database.statements import connection

EVENT_TYPES = tuple(f"order.{kind.lower()}" for kind in EventType)
TEST_TYPE = "webhook.test"
published_values("webhook", "type", [*EVENT_TYPES, TEST_TYPE])
MAX_BODY_BYTES = 20_000
# The caller for whom orders and events are serialized: a merchant.
AS_MERCHANT = ApiKey(role=Role.MERCHANT)


class Listener(NamedTuple):
    """What of an endpoint decides whether it gets an event."""

    pk: UUID
    live_mode: bool
    events: list[str]

    def wants(self, event_type: str, *, live_mode: bool) -> bool:
        return self.live_mode == live_mode and (not self.events or event_type in self.events)


def write_deliveries(events: Sequence[DeliveryEvent]) -> list[UUID]:
    """Write a delivery for each event to each endpoint that wants it, in the events' transaction.

    Takes one statement when no endpoint listens, else two. Returns the ids of the first delivery
    per order and endpoint: these can be sent after the commit, the others wait for them.
    """
    listeners = _listeners({event.order.merchant_id for event in events})
    rows: list[WebhookDelivery] = []
    orders: dict[UUID, OrderBody] = {}
    for event in events:
        event_type = f"order.{event.type.lower()}"
        wanting = [
            endpoint
            for endpoint in listeners[event.order.merchant_id]
            if endpoint.wants(event_type, live_mode=event.order.live_mode)
        ]
        if not wanting:
            continue
        if event.order_id not in orders:  # events of one change have one order, as it is after it
            orders[event.order_id] = order_json(event.order, AS_MERCHANT, event.created_at)
        body = _body(event_type, event, orders[event.order_id])
        rows += [
            few_rows.new(
                WebhookDelivery,
                endpoint_id=endpoint.pk,
                order_id=event.order_id,
                event_id=event.pk,
                type=event_type,
                body=body,
                created_at=event.created_at,
                next_try_at=event.created_at,
            )
            for endpoint in wanting
        ]
    bulk.insert(rows)
    first: dict[Any, UUID] = {}
    for row in rows:
        first.setdefault((row.endpoint_id, row.order_id), row.pk)
    return list(first.values())


def _listeners(merchant_ids: set[UUID]) -> dict[UUID, list[Listener]]:
    # The same lock as a foreign key takes: an endpoint that is deleted at the same time must not
    # make the order's transaction fail. Django has no API for FOR KEY SHARE.
    found = connection.rows_of(
        "SELECT id, merchant_id, live_mode, events FROM tracking_webhookendpoint"
        " WHERE merchant_id = ANY(%s) AND enabled ORDER BY id FOR KEY SHARE",
        [list(merchant_ids)],
    )
    listeners = defaultdict(list)
    for pk, merchant_id, live_mode, events in found:
        listeners[merchant_id].append(Listener(pk, live_mode, events))
    return listeners


def _body(event_type: str, event: DeliveryEvent, order: OrderBody) -> str:
    """The contract is docs/contracts/webhook.schema.json."""
    event_data = event_json(event, AS_MERCHANT)
    body = encoded(event_type, event.occurred_at, {"order": order, "event": event_data})
    if len(body.encode()) > MAX_BODY_BYTES:  # only the payload has no maximum length
        event_data["payload"] = {}
        body = encoded(event_type, event.occurred_at, {"order": order, "event": event_data})
    return body


def encoded(event_type: str, at: datetime, data: dict[str, Any]) -> str:
    return msgspec.json.encode({"type": event_type, "timestamp": at, "data": data}).decode()
