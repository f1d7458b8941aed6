"""Forecasts in Redis: the outlook of each area, and the place of each waiting order.

`dispatch` writes them every few seconds. Without Redis, or after MAX_AGE, there is no forecast:
quotes fall back to a wide range, and a waiting order has no place.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from orders.promises.outlook import MAX_AGE, Outlook
from orders.states import Status
from wingxtra import redis_client

log = structlog.get_logger(__name__)

# The field of the hash of places that holds its Queue.
ABOUT = "about"


class Queue(Struct, frozen=True, array_like=True):
    """All waiting orders of an area. because: why none of them gets a drone, or empty."""

    made_at: datetime
    of: int
    because: str = ""


class Spot(Struct, frozen=True, array_like=True):
    """One order in line: when it is expected, in POSIX seconds. because: why that is not known;
    low_at is then the soonest, or None.
    """

    place: int
    low_at: float | None = None
    high_at: float | None = None
    because: str = ""


@dataclass(frozen=True, slots=True)
class InLine:
    """Where an order is in its area's line, and when it is expected at the door. None: not known,
    and `because` says why (WhyHeldUp). soonest_at: not earlier than this,
    also where no range is known.
    """

    place: int | None
    of: int
    low_at: datetime | None = None
    high_at: datetime | None = None
    because: str = ""
    soonest_at: datetime | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode_outlook = msgspec.msgpack.Decoder(Outlook).decode
_decode_queue = msgspec.msgpack.Decoder(Queue).decode
_decode_spot = msgspec.msgpack.Decoder(Spot).decode


def write(area_id: UUID, outlook: Outlook | None, queue: Queue, spots: Mapping[UUID, Spot]) -> None:
    """Replace what is known of an area. Raises Away."""
    trip = redis_client.RoundTrip()
    if outlook is None:
        trip.do("DEL", _outlook_key(area_id))
    else:
        trip.do("SET", _outlook_key(area_id), _encode(outlook), "EX", MAX_AGE.seconds)
    fields = [ABOUT, _encode(queue)]
    for order_id, spot in spots.items():
        fields += [order_id.hex, _encode(spot)]
    trip.do("DEL", _line_key(area_id))
    trip.do("HSET", _line_key(area_id), *fields)
    trip.do("EXPIRE", _line_key(area_id), MAX_AGE.seconds)
    trip.send()


def outlook_of(area_id: UUID) -> Outlook | None:
    """None if there is none, or if Redis is away."""
    try:
        stored = redis_client.read(_outlook_key(area_id))
    except redis_client.Away:
        return None
    return _decode_outlook(stored) if isinstance(stored, bytes) else None


class Waiting(Protocol):
    """An order, as a model object or as `orders.api.reading` reads it."""

    pk: Any
    status: str
    live_mode: bool
    hold_code: str
    service_area_id: Any
    in_line: InLine | None


def attach(orders: Sequence[Waiting], now: datetime) -> None:
    """Fill in `in_line` of the orders that wait for a drone; one round trip, none without such."""
    found = in_line(orders, now)
    for order in orders:
        order.in_line = found.get(order.pk)


def in_line(orders: Iterable[Waiting], now: datetime) -> dict[UUID, InLine]:
    waiting: dict[UUID, list[Waiting]] = {}
    for order in orders:
        if order.status == Status.QUEUED and order.live_mode and not order.hold_code:
            waiting.setdefault(order.service_area_id, []).append(order)
    trip = redis_client.RoundTrip()
    answers = {
        area_id: trip.do("HMGET", _line_key(area_id), ABOUT, *(one.pk.hex for one in of_area))
        for area_id, of_area in waiting.items()
    }
    if not answers:
        return {}
    try:
        trip.send()
    except redis_client.Away as error:
        log.warning("places_in_line_not_read", error=str(error))
        return {}
    found: dict[UUID, InLine] = {}
    for area_id, of_area in waiting.items():
        about, *spots = answers[area_id].value
        queue = _decode_queue(about) if about else None
        if queue is None or not now - MAX_AGE <= queue.made_at <= now + MAX_AGE:
            continue
        for order, spot in zip(of_area, spots, strict=True):
            if queue.because or spot:
                found[order.pk] = _in_line(queue, _decode_spot(spot) if spot else None)
    return found


def _in_line(queue: Queue, spot: Spot | None) -> InLine:
    if queue.because or spot is None:
        return InLine(None, queue.of, because=queue.because)
    low_at = None if spot.low_at is None else datetime.fromtimestamp(spot.low_at, UTC)
    if low_at is None or spot.high_at is None:
        return InLine(None, queue.of, because=spot.because, soonest_at=low_at)
    high_at = datetime.fromtimestamp(spot.high_at, UTC)
    return InLine(spot.place, queue.of, low_at, high_at, soonest_at=low_at)


def _outlook_key(area_id: UUID) -> str:
    # The number changes with the members of Outlook: another release may run beside this one.
    return f"outlook:2:{area_id}"


def _line_key(area_id: UUID) -> str:
    return f"line:{area_id}"
