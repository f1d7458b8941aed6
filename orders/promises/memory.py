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
        stored = redis_client.read(*_outlook_read(area_id))
    except redis_client.Away:
        return None
    return _decode_outlook(stored) if isinstance(stored, bytes) else None


# Where a merchant's last order was, and where an order was in line: a guess of what the next call
# reads. A right one saves a round trip, and a wrong one costs a command on another.
_last_area: dict[UUID, UUID] = {}
MAX_NOTED = 10_000


def note_area(of: UUID, area_id: UUID) -> None:
    """of: a merchant or an order."""
    if _last_area.get(of) != area_id:
        if len(_last_area) >= MAX_NOTED:
            _last_area.clear()
        _last_area[of] = area_id


def read_ahead_outlook(merchant_id: UUID, trip: redis_client.RoundTrip) -> None:
    """Read on this round trip the outlook that the merchant's next order is likely to need."""
    if area_id := _last_area.get(merchant_id):
        redis_client.read_ahead(trip, *_outlook_read(area_id))


def read_ahead_place(order_id: UUID, trip: redis_client.RoundTrip) -> None:
    """Read on this round trip the place of an order that was in line before."""
    if area_id := _last_area.get(order_id):
        redis_client.read_ahead(trip, *_line_read(area_id, [order_id]))


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
    if len(orders) == 1:  # not in lists: few of theirs are read by themselves
        [order] = orders
        if _waits(order):
            note_area(order.pk, order.service_area_id)
        else:
            _last_area.pop(order.pk, None)


def in_line(orders: Iterable[Waiting], now: datetime) -> dict[UUID, InLine]:
    waiting: dict[UUID, list[Waiting]] = {}
    for order in orders:
        if _waits(order):
            waiting.setdefault(order.service_area_id, []).append(order)
    commands = [
        _line_read(area_id, [o.pk for o in of_area]) for area_id, of_area in waiting.items()
    ]
    try:
        answers = redis_client.read_all(commands)
    except redis_client.Away as error:
        log.warning("places_in_line_not_read", error=str(error))
        return {}
    found: dict[UUID, InLine] = {}
    for of_area, (about, *spots) in zip(waiting.values(), answers, strict=True):
        queue = _decode_queue(about) if about else None
        if queue is None or not now - MAX_AGE <= queue.made_at <= now + MAX_AGE:
            continue
        for order, spot in zip(of_area, spots, strict=True):
            if queue.because or spot:
                found[order.pk] = _in_line(queue, _decode_spot(spot) if spot else None)
    return found


def _waits(order: Waiting) -> bool:
    return order.status == Status.QUEUED and order.live_mode and not order.hold_code


def _in_line(queue: Queue, spot: Spot | None) -> InLine:
    if queue.because or spot is None:
        return InLine(None, queue.of, because=queue.because)
    low_at = None if spot.low_at is None else datetime.fromtimestamp(spot.low_at, UTC)
    if low_at is None or spot.high_at is None:
        return InLine(None, queue.of, because=spot.because, soonest_at=low_at)
    high_at = datetime.fromtimestamp(spot.high_at, UTC)
    return InLine(spot.place, queue.of, low_at, high_at, soonest_at=low_at)


def _outlook_read(area_id: UUID) -> tuple[str, str]:
    return "GET", _outlook_key(area_id)


def _line_read(area_id: UUID, order_ids: Iterable[UUID]) -> tuple[str, ...]:
    return "HMGET", _line_key(area_id), ABOUT, *(order_id.hex for order_id in order_ids)


def _outlook_key(area_id: UUID) -> str:
    # The number changes with the members of Outlook: another release may run beside this one.
    return f"outlook:2:{area_id}"


def _line_key(area_id: UUID) -> str:
    return f"line:{area_id}"
