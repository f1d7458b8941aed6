"""The fleet picture: the latest answer of the Fleet API in Redis.

One write per poll, one read per dispatch run.
"""

import threading
from datetime import datetime
from functools import cache
from typing import Any
from uuid import uuid4

import msgspec
import redis
import structlog
from django.conf import settings
from django.dispatch import Signal
from django.utils import timezone
from msgspec import Struct
from prometheus_client import Counter
from redis.backoff import NoBackoff
from redis.retry import Retry

from fleet import policy
from fleet.live.client import FleetClient, FleetUnavailable
from fleet.live.telemetry import Decoded, Telemetry
from wingxtra import redis_client
from wingxtra.observability import metrics

log = structlog.get_logger(__name__)

KEY = "fleet:picture"
NAME = "name"
READER = "fleet:reader"
ANSWERS_WITHIN_S = 2.0  # Redis, to the writer of the picture
READS_ON_S = 1.0  # after the deadline of the call: decoding and storing
# An answer that is older by more than this was not late: the Fleet API's clock was corrected.
MAX_TRANSIT_S = 60
MAX_SKIPPED_IN_LOG = 5
# Limits the size of the picture if the Fleet API sends many invalid entries.
MAX_SKIPPED_IN_PICTURE = 10_000
MAX_REASON_CHARACTERS = 300

polls = Counter("wingxtra_fleet_polls_total", "Polls of the Fleet API by outcome.", ["outcome"])
skipped_drones = Counter(
    "wingxtra_fleet_drones_skipped_total",
    "Unusable entries in answers of the Fleet API.",
)


class Picture(Struct, frozen=True):
    """All drones of one Fleet API answer. fetched_at: when we received it, by our clock.

    clock_ahead_s: how far the Fleet API's clock was ahead of ours; negative when it was behind.
    skipped: drone id to the reason, as a sentence, for entries that are unusable or duplicates.
    """

    fetched_at: datetime
    telemetry: dict[str, Telemetry]
    clock_ahead_s: float = 0.0
    skipped: dict[str, str] = {}

    def age_s(self, now: datetime) -> float:
        """Seconds since the Fleet API answered."""
        return (now - self.fetched_at).total_seconds()

    def age_s_of(self, drone_id: str, now: datetime) -> float:
        """The age of a drone's telemetry in seconds; infinite when there is none.

        Clocks may disagree, so this is the worst case: the older of the sample's two times, by our
        clock or by the Fleet API's, the larger age counts. A time that lay in the future when the
        Fleet API answered gives a negative age; callers compare the absolute value. A wrong clock
        therefore never makes telemetry look fresh.
        """
        sample = self.telemetry.get(drone_id)
        if sample is None:
            return float("inf")
        times = sample.measured_at, sample.seen_at
        old_s = (now - min(times)).total_seconds() + max(0.0, self.clock_ahead_s)
        early_s = (max(times) - self.fetched_at).total_seconds() - self.clock_ahead_s
        return -early_s if early_s > old_s else max(0.0, old_s)


# Sent after a new picture is stored, by the process that polls.
renewed = Signal()


def refresh_alone() -> None:
    """`refresh` unless another process reads the Fleet API just now: it has one reader of ours,
    also when its answer is slow. Raises FleetUnavailable and RedisError.
    """
    client, reader = _redis(), uuid4().hex
    for_ms = round(1000 * (settings.FLEET_API_TIMEOUT_S + READS_ON_S))
    if not client.set(READER, reader, nx=True, px=for_ms):
        return
    try:
        refresh()
    finally:
        client.eval(_STOP_READING, 1, READER, reader)


def refresh() -> Decoded:
    """Poll the Fleet API once, store the picture and send `renewed`.

    Raises FleetUnavailable, logged and counted; the previous picture then stays.
    """
    try:
        with metrics.calling("fleet_api"):
            decoded = FleetClient().latest()
    except FleetUnavailable as problem:
        log.warning("fleet_poll_failed", code=problem.code, detail=problem.detail)
        polls.labels(problem.code).inc()
        raise
    is_newer = write(decoded, timezone.now())
    polls.labels("ok" if is_newer else "not_newer").inc()
    if is_newer:
        renewed.send(sender=Picture)
    else:
        log.warning("fleet_answer_not_newer", server_time=decoded.server_time.isoformat())
    if decoded.skipped:
        skipped_drones.inc(len(decoded.skipped))
        log.warning(
            "fleet_drones_skipped",
            count=len(decoded.skipped),
            first=dict(decoded.skipped[:MAX_SKIPPED_IN_LOG]),
        )
    return decoded


def check() -> tuple[bool, str]:
    """For /ready/dispatch: whether the picture is fresh enough for dispatch, and its age."""
    latest, allowed_s = read(), policy.current().telemetry_max_age_s
    if latest is None:
        return False, "There is no picture of the fleet: the Fleet API has never answered."
    age_s = latest.age_s(timezone.now())
    text = f"{len(latest.telemetry)} drones, {age_s:.0f} s old, at most {allowed_s:.0f} s allowed."
    if abs(latest.clock_ahead_s) > allowed_s:
        ahead_s = latest.clock_ahead_s
        return False, f"{text} The Fleet API's clock differs from ours by {ahead_s:+.0f} s."
    return age_s <= allowed_s, text


def write(decoded: Decoded, fetched_at: datetime) -> bool:
    """Store this answer unless the same or a newer one is stored already. Returns whether it did.

    Answers are ordered by the Fleet API's clock, so that a cached answer, or a late one of a slow
    worker, never replaces a newer one.
    """
    picture = Picture(
        fetched_at=fetched_at,
        telemetry={sample.drone_id: sample for sample in decoded.telemetry},
        clock_ahead_s=(decoded.server_time - fetched_at).total_seconds(),
        skipped={
            drone: reason[:MAX_REASON_CHARACTERS]
            for drone, reason in decoded.skipped[:MAX_SKIPPED_IN_PICTURE]
        },
    )
    server_time_us = round(decoded.server_time.timestamp() * 1_000_000)
    return bool(
        _redis().eval(
            _WRITE_IF_NEWER,
            1,
            KEY,
            server_time_us,
            MAX_TRANSIT_S * 1_000_000,
            msgspec.json.encode(picture),
            uuid4().hex,
        )
    )


def read() -> Picture | None:
    """The stored picture; None if there never was one. Raises RedisError.

    Each process decodes a picture once, for all service areas and all threads.
    """
    return read_named(redis_client.ask(lambda client: client.hget(KEY, NAME)))


def read_named(name: Any) -> Picture | None:
    """The same for a caller that has just read its name (the field NAME of KEY)."""
    if name is None:
        return None
    known_as, known = _decoded
    return known if name == known_as else _decode_newest()


def _decode_newest() -> Picture | None:
    global _decoded
    with _decoding:
        known_as, known = _decoded
        answer: Any = redis_client.ask(lambda client: client.eval(_READ_IF_OTHER, 1, KEY, known_as))
        name, stored = answer
        if name is None:
            return None
        if stored is not None:
            known = msgspec.json.decode(stored, type=Picture)
            _decoded = name, known
        return known


# The name of the newest picture that this process has decoded, and the picture.
_decoded: tuple[bytes, Picture | None] = b"", None
_decoding = threading.Lock()

_READ_IF_OTHER = """
local name = redis.call('HGET', KEYS[1], 'name')
if not name then return {false, false} end
if name == ARGV[1] then return {name, false} end
return {name, redis.call('HGET', KEYS[1], 'picture')}
"""

_STOP_READING = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""

_WRITE_IF_NEWER = """
local behind_us = (tonumber(redis.call('HGET', KEYS[1], 'server_time_us')) or -1) - ARGV[1]
if behind_us >= 0 and behind_us < tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'server_time_us', ARGV[1], 'picture', ARGV[3], 'name', ARGV[4])
return 1
"""


@cache
def _redis() -> redis.Redis:
    """Without retries: the next poll is the retry."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=ANSWERS_WITHIN_S,
        socket_connect_timeout=ANSWERS_WITHIN_S,
        retry=Retry(NoBackoff(), retries=0),
    )
