"""The live picture of the fleet in Redis: one write per poll, one read per run."""

from datetime import datetime
from functools import cache

import msgspec
import redis
import structlog
from django.conf import settings
from django.utils import timezone
from msgspec import Struct
from prometheus_client import Counter

from fleet import policy
from fleet.live.client import FleetClient, FleetUnavailable
from fleet.live.telemetry import Decoded, Telemetry
from wingxtra.observability import metrics

log = structlog.get_logger(__name__)

KEY = "fleet:picture"
# No answer is on its way for this long. One that is older by more comes from a clock put right.
LONGEST_WAY_S = 60
SKIPPED_IN_THE_LOG = 5
# The picture stays small whatever the Fleet API sends.
SKIPPED_IN_THE_PICTURE = 10_000
REASON_CHARACTERS = 300

polls = Counter(
    "wingxtra_fleet_polls_total", "Polls of the Fleet API by how they ended.", ["outcome"]
)
skipped_drones = Counter(
    "wingxtra_fleet_drones_skipped_total",
    "Entries in answers of the Fleet API that were not usable.",
)


class Picture(Struct, frozen=True):
    """All drones as one answer of the Fleet API showed them. fetched_at: when it was here.

    clock_ahead_s: how far the Fleet API's clock was ahead of ours; negative when it was behind.
    skipped: drones with an entry that was not usable, or with a second one, and why, as a sentence.
    """

    fetched_at: datetime
    telemetry: dict[str, Telemetry]
    clock_ahead_s: float = 0.0
    skipped: dict[str, str] = {}

    def age_s(self, now: datetime) -> float:
        """How long ago the Fleet API answered."""
        return (now - self.fetched_at).total_seconds()

    def age_s_of(self, drone_id: str, now: datetime) -> float:
        """How old a drone's telemetry is at least; infinite when there is none.

        Clocks may disagree, and doubt makes it older: this is the age of the older of its times, by
        our clock or by the Fleet API's, whichever says more. A time that was still to come when the
        Fleet API answered is as doubtful as one so long ago: the age is negative then. So no wrong
        clock makes telemetry fresh for ever.
        """
        sample = self.telemetry.get(drone_id)
        if sample is None:
            return float("inf")
        times = sample.measured_at, sample.seen_at
        old_s = (now - min(times)).total_seconds() + max(0.0, self.clock_ahead_s)
        early_s = (max(times) - self.fetched_at).total_seconds() - self.clock_ahead_s
        return -early_s if early_s > old_s else max(0.0, old_s)


def renew() -> Decoded:
    """Ask the Fleet API once and keep what it says.

    Raises FleetUnavailable, logged and counted; then the former picture stays and grows old.
    """
    try:
        with metrics.calling("fleet_api"):
            decoded = FleetClient().latest()
    except FleetUnavailable as problem:
        log.warning("fleet_poll_failed", code=problem.code, detail=problem.detail)
        polls.labels(problem.code).inc()
        raise
    is_news = write(decoded, timezone.now())
    polls.labels("ok" if is_news else "not_newer").inc()
    if not is_news:
        log.warning("fleet_answer_not_newer", server_time=decoded.server_time.isoformat())
    if decoded.skipped:
        skipped_drones.inc(len(decoded.skipped))
        log.warning(
            "fleet_drones_skipped",
            count=len(decoded.skipped),
            first=dict(decoded.skipped[:SKIPPED_IN_THE_LOG]),
        )
    return decoded


def check() -> tuple[bool, str]:
    """For /ready/dispatch: whether the picture is as young as dispatch needs it, and its age."""
    seen, allowed_s = read(), policy.current().telemetry_max_age_s
    if seen is None:
        return False, "There is no picture of the fleet: the Fleet API has never answered."
    age_s = seen.age_s(timezone.now())
    text = f"{len(seen.telemetry)} drones, {age_s:.0f} s old, at most {allowed_s:.0f} s allowed."
    if abs(seen.clock_ahead_s) > allowed_s:
        return False, f"{text} The Fleet API's clock is off ours by {seen.clock_ahead_s:+.0f} s."
    return age_s <= allowed_s, text


def write(decoded: Decoded, fetched_at: datetime) -> bool:
    """Make this the picture, unless a newer answer, or this very one, has been written before.

    Answers are put in order by the Fleet API's clock, so that a cached or a late one, or one that a
    slower worker holds, never takes the place of a newer one. False when it was not written.
    """
    picture = Picture(
        fetched_at=fetched_at,
        telemetry={sample.drone_id: sample for sample in decoded.telemetry},
        clock_ahead_s=(decoded.server_time - fetched_at).total_seconds(),
        skipped={
            drone: reason[:REASON_CHARACTERS]
            for drone, reason in decoded.skipped[:SKIPPED_IN_THE_PICTURE]
        },
    )
    server_time_us = round(decoded.server_time.timestamp() * 1_000_000)
    return bool(
        _redis().eval(
            _WRITE_IF_NEWER,
            1,
            KEY,
            server_time_us,
            LONGEST_WAY_S * 1_000_000,
            msgspec.json.encode(picture),
        )
    )


def read() -> Picture | None:
    """The newest picture there is; None when there never was one. Raises RedisError."""
    stored = _redis().hget(KEY, "picture")
    return msgspec.json.decode(stored, type=Picture) if stored else None


_WRITE_IF_NEWER = """
local behind_us = (tonumber(redis.call('HGET', KEYS[1], 'server_time_us')) or -1) - ARGV[1]
if behind_us >= 0 and behind_us < tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'server_time_us', ARGV[1], 'picture', ARGV[3])
return 1
"""


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
