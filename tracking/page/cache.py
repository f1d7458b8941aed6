"""What the public sees of one delivery, in Redis.

- The *facts* of an order (`tracking/page/facts.py`) are read from the database once for all who
  watch, and again after a change of the order. Facts of a flight are kept for FLIGHT_S, because its
  page asks each second; others for FACTS_S.
- A *copy* is the view made of them and of the drone's newest telemetry: the same answer and ETag
  for all requests of MAX_AGE_S.

Without Redis each request builds the view, without a position.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
import redis
import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone, translation

from fleet.live import picture
from orders.models import DeliveryEvent, Order
from orders.states import EventType
from orders.tracking_ids import canonical_id
from tracking.page import arrival, facts, public, samples
from tracking.page.facts import Facts, Sender, ShownCase
from tracking.page.texts import Situation, Stage
from wingxtra import redis_client
from wingxtra.problems import NotFound

log = structlog.get_logger(__name__)

MAX_AGE_S = 1
FACTS_S = 2
# An event of the order ends them at once. What ends them only after this time: a new ETA, a doubt
# that is settled without an event, what is not of the order, as the merchant's name, and a change
# while Redis does not answer.
FLIGHT_S = 15
# One reader of the database; the others wait for what it reads.
READS_FOR_MS = 3_000
WAIT_S, LOOK_AGAIN_S = 2.0, 0.05
# Events of orders that are not in flight, before and after them.
BEFORE_FLIGHT = {
    EventType.CREATED,
    EventType.VALIDATED,
    EventType.QUEUED,
    EventType.ASSIGNED,
    EventType.REASSIGNED,
    EventType.MISSION_SUBMITTED,
}


@dataclass(frozen=True, slots=True)
class Copy:
    """The cached view: the API's answer, the fields that only the page shows, and their ETag."""

    view: dict[str, Any]
    situation: Situation
    sender: Sender
    live_mode: bool
    pod_requirement: str
    code_locked: bool
    deliver_by: datetime
    dropoff_radius_m: float
    has_instructions: bool
    cases: list[ShownCase]
    takes_cases: bool
    # The earliest and latest expected arrival, if the view has an ETA that is not over.
    arrival: tuple[datetime, datetime] | None
    # Metres to the north and east by which the customer has moved the drop point.
    dropoff_moved_m: tuple[float, float]
    etag: str
    # See `Glimpse`.
    version: str


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """The part of a copy that the API returns: the view as JSON, and the ETag."""

    view: msgspec.Raw
    etag: str


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What moves with the drone: some members of the view, when the drone was there, and when it is
    expected, as in `Copy`.

    version: changes with everything else that the page shows.
    """

    version: str
    view: dict[str, Any]
    at: datetime | None
    eta_at: datetime | None
    arrival: tuple[datetime, datetime] | None


class _Kept(msgspec.Struct):
    """Facts in Redis with the digest of their content, but for the ETA."""

    version: str
    facts: Facts


def fetch(tracking_id: str, *, fresh: bool = False) -> Copy:
    """The copy for an id in any spelling. `fresh` builds it again, after the caller's own change.

    Raises NotFound, the same for unknown and for malformed ids.
    """
    canonical = _canonical(tracking_id)
    if fresh:
        drop(canonical)
    return _decode_copy((None if fresh else _cached(canonical)) or _store(canonical))


def drop(*tracking_ids: str) -> None:
    """Forget these deliveries after a change: the next reader builds them. Who is building one now
    from older facts keeps none.
    """
    canonical = [canonical_id(tracking_id) for tracking_id in tracking_ids]
    keys = [key for one in canonical for key in (key_of(one), facts_key(one), _reads_key(one))]
    trip = redis_client.RoundTrip()
    trip.do("DEL", *keys)
    try:
        trip.send()
    except redis_client.Away as error:  # it ends by itself after FLIGHT_S at the latest
        log.warning("tracking_copy_not_deleted", error=str(error))


def drop_changed(events: Sequence[DeliveryEvent], **_: Any) -> None:
    """Receiver of `lifecycle.recorded`: watchers of a flight see a change at once, and a link that
    was renewed is unknown from the commit on.
    """
    changed = {
        tracking_id
        for event in events
        if event.type not in BEFORE_FLIGHT
        for tracking_id in (event.order.public_tracking_id, event.order.former_tracking_id)
        if tracking_id is not None
    }
    if changed:
        transaction.on_commit(lambda: drop(*changed), robust=True)


def _cached(canonical: str) -> Any:
    try:
        return redis_client.read("GET", key_of(canonical))
    except redis_client.Away:
        return None


def api_answer(tracking_id: str, cached: bytes | None) -> ApiAnswer:
    """The API's answer without decoding the view. `cached`: the value of `key_of` in Redis.

    Raises NotFound like `fetch`.
    """
    return _decode_answer(cached or _store(_canonical(tracking_id)))


def glimpse(tracking_id: str, cached: bytes | None, drawn: bytes | None, now: datetime) -> Glimpse:
    """Where the drone is now, without any statement if `cached` is there: the value of `facts_key`
    in Redis. drawn: the name of the newest picture.

    Raises NotFound like `fetch`, and Away.
    """
    kept = _decode_kept(cached) if cached else _kept(_canonical(tracking_id), now)
    known = kept.facts
    sample = samples.of(known, picture.read_named(drawn), now)
    order, lost_after_s = known.order, known.link_lost_after_s
    eta_at = public.forecast(order, sample, lost_after_s)
    view = {
        "status": order.status.value,
        "position": public.position(order, sample, lost_after_s),
        "dropoff": public.dropoff(order),
        "eta_seconds": None if eta_at is None else public.seconds_until(eta_at, now),
    }
    at = sample.at if sample and view["position"] else None
    expected = _arrival(known, view, now)
    return Glimpse(_version(kept, sample, view, expected, now), view, at, eta_at, expected)


def keep_facts(tracking_id: str) -> None:
    """Have the facts in Redis, read by one for all. Raises NotFound and Away."""
    _kept(_canonical(tracking_id), timezone.now())


_encode = msgspec.json.Encoder().encode
_decode_copy = msgspec.json.Decoder(Copy).decode
_decode_answer = msgspec.json.Decoder(ApiAnswer).decode
_decode_kept = msgspec.json.Decoder(_Kept).decode
# Two releases run side by side during an upgrade: each reads only what has the members it knows.
_MEMBERS = repr(msgspec.inspect.multi_type_info([Copy, _Kept]))
_LAYOUT = hashlib.sha256(_MEMBERS.encode()).hexdigest()[:8]


def key_of(tracking_id: str | None) -> str:
    """The Redis key of the copy. All malformed ids share one key, which is never set."""
    return f"tracking-view:{_LAYOUT}:{canonical_id(tracking_id or '')}"


def facts_key(tracking_id: str | None) -> str:
    """The same of the facts."""
    return f"tracking-facts:{_LAYOUT}:{canonical_id(tracking_id or '')}"


def _reads_key(canonical: str | None) -> str:
    return f"tracking-reads:{_LAYOUT}:{canonical}"


def _canonical(tracking_id: str) -> str:
    canonical = canonical_id(tracking_id)
    if canonical is None:
        raise NotFound("delivery")
    return canonical


def order_of(tracking_id: str) -> Order:
    """The order behind the link. Raises NotFound like `fetch`."""
    return facts.order_of(canonical_id(tracking_id))


# --- facts: read by one, for all -----------------------------------------------------------------

# KEYS: facts, who reads. ARGV: the asker, for how long it may read.
# Returns the facts, or whether the asker shall read them.
_FACTS_OR_READ = redis_client.Script("""
local facts = redis.call('GET', KEYS[1])
if facts then return {facts, 0} end
return {false, redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0}
""")
# KEYS: facts, who reads, copy. ARGV: the reader, facts, seconds. Whether they were kept: a change
# while they were read has ended the reading.
_KEEP_FACTS = redis_client.Script("""
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
""")
# KEYS: facts, copy. ARGV: the facts that it was made of, the copy, seconds.
_KEEP_COPY = redis_client.Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
return 1
""")


def _kept(canonical: str, now: datetime) -> _Kept:
    """The facts from Redis. The first who asks after a change reads them from the database, and the
    others wait for it; after WAIT_S each reads for itself. Raises NotFound and Away.
    """
    until_s = time.monotonic() + WAIT_S
    while time.monotonic() < until_s:
        reader = uuid4().hex
        trip = redis_client.RoundTrip()
        keys = [facts_key(canonical), _reads_key(canonical)]
        asked = trip.eval(_FACTS_OR_READ, keys, [reader, READS_FOR_MS])
        trip.send()
        cached, shall_read = asked.value
        if cached:
            return _decode_kept(cached)
        if not shall_read:
            time.sleep(LOOK_AGAIN_S)
        elif (kept := _read_and_keep(canonical, reader, now)) is not None:
            return kept
    return _read(canonical, now)


def _read_and_keep(canonical: str, reader: str, now: datetime) -> _Kept | None:
    """None after a change since."""
    try:
        kept = _read(canonical, now)
    except BaseException:
        drop(canonical)  # the next one shall read
        raise
    for_s = FLIGHT_S if kept.facts.in_flight else FACTS_S
    keys = [facts_key(canonical), _reads_key(canonical), key_of(canonical)]
    trip = redis_client.RoundTrip()
    was_kept = trip.eval(_KEEP_FACTS, keys, [reader, _encode(kept), for_s])
    trip.send()
    return kept if was_kept.value else None


def _read(canonical: str, now: datetime) -> _Kept:
    found = facts.read(canonical, now)
    order = found.order
    timeless = replace(found, order=replace(order, eta_at=order.eta_at and order.deliver_by))
    return _Kept(hashlib.sha256(_encode(timeless)).hexdigest()[:16], found)


# --- the copy ------------------------------------------------------------------------------------


def _store(canonical: str) -> bytes:
    """A copy that is as new as the facts. Raises NotFound."""
    now = timezone.now()
    try:
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s:
            kept = _kept(canonical, now)
            encoded = _encode(_copy(kept, now))
            keys = [facts_key(canonical), key_of(canonical)]
            trip = redis_client.RoundTrip()
            was_kept = trip.eval(_KEEP_COPY, keys, [_encode(kept), encoded, MAX_AGE_S])
            trip.send()
            if was_kept.value:
                return encoded
    except redis_client.Away:
        pass
    return _encode(_copy(_read(canonical, now), now))


def _copy(kept: _Kept, now: datetime) -> Copy:
    known = kept.facts
    try:
        sample = samples.of(known, picture.read() if samples.is_followed(known) else None, now)
    except redis.RedisError:  # logged there
        sample = samples.of(known, None, now)
    # The API always answers in LANGUAGE_CODE: the request that fills the cache must not decide.
    with translation.override(settings.LANGUAGE_CODE):
        view, situation = public.view(known.order, known.log, sample, known.link_lost_after_s, now)
    is_over = situation.stage == Stage.OVER
    fields: dict[str, Any] = {
        "view": view,
        "situation": situation,
        "sender": known.sender,
        "live_mode": known.live_mode,
        "pod_requirement": known.pod_requirement,
        "code_locked": known.code_locked,
        "deliver_by": known.order.deliver_by,
        "dropoff_radius_m": known.dropoff_radius_m,
        "has_instructions": not is_over and known.has_instructions,
        "cases": [] if is_over else known.cases,
        "takes_cases": known.takes_cases,
        "arrival": _arrival(known, view, now),
        "dropoff_moved_m": known.dropoff_moved_m,
    }
    tag = hashlib.sha256(_encode(fields)).hexdigest()[:32]
    version = _version(kept, sample, view, fields["arrival"], now)
    return Copy(**fields, etag=f'"{tag}"', version=version)


def _arrival(known: Facts, view: dict[str, Any], now: datetime) -> tuple[datetime, datetime] | None:
    eta_at = known.order.eta_at
    if not view["eta_seconds"] or eta_at is None:
        return None
    return arrival.in_flight(eta_at, now) if known.in_flight else known.before_take_off


def _version(
    kept: _Kept,
    sample: public.DroneSample | None,
    view: dict[str, Any],
    expected: tuple[datetime, datetime] | None,
    now: datetime,
) -> str:
    order = kept.facts.order
    silent = public.is_silent(order, sample, kept.facts.link_lost_after_s)
    late = max(now, order.eta_at or now) > order.deliver_by
    return f"{kept.version}-{silent:d}{late:d}{view['position'] is None:d}{expected is None:d}"
