"""Quotes: the answers to merchants about a trip, kept while an order may refer to them.

Quotes live in Redis and not in a table: there are many per order and each is valid for 15 minutes,
so a quote costs no SQL statement and needs no cleanup. An order that names a quote is checked again
like any other, and keeps the quote's id.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from orders.models import Order
from wingxtra import redis_client
from wingxtra.accounts.identity import STAFF_ROLES, Caller
from wingxtra.problems import FieldProblem

VALID_FOR = timedelta(minutes=15)
# Longer than VALID_FOR: an expired quote gets another error than an unknown one.
KEPT_FOR = timedelta(days=1)
# The fields that a quote is about; an order must match them.
TRIP = (
    "pickup_lat",
    "pickup_lng",
    "dropoff_lat",
    "dropoff_lng",
    "payload_weight_kg",
    "payload_type",
    "priority",
)


class Quote(msgspec.Struct, frozen=True):
    """`caller`: who asked for it. `trip`: the values of the TRIP fields. `answer`: what the API
    answered, beside id and time.
    """

    id: UUID
    caller: str
    trip: list[str | float]
    expires_at: datetime
    answer: dict[str, Any] = {}


def store(order: Order, caller: Caller, now: datetime, answer: dict[str, Any]) -> Quote:
    """Store a quote for this unsaved order. Raises RedisError."""
    quote = Quote(uuid.uuid4(), _owner(caller), _trip(order), now + VALID_FOR, answer)
    encoded = msgspec.json.encode(quote)
    redis_client.ask(lambda client: client.set(_key(quote.id), encoded, ex=KEPT_FOR))
    return quote


def find(quote_id: UUID, caller: Caller) -> Quote | None:
    """A quote that the caller may see, also an expired one for KEPT_FOR. Raises RedisError."""
    quote = _stored(quote_id)
    is_visible = quote and (caller.role in STAFF_ROLES or quote.caller == _owner(caller))
    return quote if is_visible else None


def _stored(quote_id: UUID) -> Quote | None:
    stored: Any = redis_client.ask(lambda client: client.get(_key(quote_id)))
    return msgspec.json.decode(stored, type=Quote) if stored else None


def problems(order: Order, caller: Caller, now: datetime) -> list[FieldProblem]:
    """Problems of the quote that this unsaved order names; empty when it names none."""
    if order.quote_id is None:
        return []

    def problem(code: str, message: str) -> list[FieldProblem]:
        return [FieldProblem("quote_id", code, message)]

    quote = _stored(order.quote_id)
    if quote is None or quote.caller != _owner(caller):
        return problem("quote_unknown", "You have no such quote.")
    if quote.expires_at <= now:
        expiry = f"{quote.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        return problem("quote_expired", f"The quote was valid until {expiry}. Ask for a new one.")
    differ = [
        name
        for name, was, now_is in zip(TRIP, quote.trip, _trip(order), strict=True)
        if was != now_is
    ]
    if differ:
        return problem("quote_differs", f"The quote was for another {', '.join(differ)}.")
    return []


def _owner(caller: Caller) -> str:
    return f"{caller.merchant_id or 'staff'}:{'live' if caller.live_mode else 'test'}"


def _trip(order: Order) -> list[str | float]:
    return [getattr(order, name) for name in TRIP]


def _key(quote_id: UUID) -> str:
    return f"quote:{quote_id}"
