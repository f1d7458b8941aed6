"""Rate limits: a moving window per caller, counted in Redis for all processes.

Authenticated callers are limited per user or key, anonymous ones per client address. While Redis is
down, authenticated callers are not limited, and each process limits anonymous ones by itself.
"""

import math
import time
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from prometheus_client import Counter
from rest_framework.request import Request

from wingxtra import redis_client
from wingxtra.api.client_address import client_address
from wingxtra.problems import Problem

uncounted = Counter(
    "wingxtra_api_calls_uncounted",
    "Calls whose rate limit was not counted in Redis, because Redis was down.",
    ["caller"],
)


class TooManyRequests(Problem):
    status = 429
    title = "Too many requests"

    def __init__(self, limit: RateLimitItem, window: "Window") -> None:
        super().__init__(
            "throttled",
            f"More than {limit}. Try again in {window.reset_s} seconds.",
        )
        self.window = window
        self.retry_after_s = window.reset_s


@dataclass(frozen=True, slots=True)
class Window:
    """A caller's quota: `remaining` of `limit` calls are left, one more in `reset_s` seconds."""

    limit: int
    remaining: int
    reset_s: int

    def mark(self, response: HttpResponseBase) -> None:
        for prefix in ("", "X-"):
            response[f"{prefix}RateLimit-Limit"] = str(self.limit)
            response[f"{prefix}RateLimit-Remaining"] = str(self.remaining)
            response[f"{prefix}RateLimit-Reset"] = str(self.reset_s)


def count(
    request: HttpRequest | Request,
    caller_key: str | None,
    trip: redis_client.RoundTrip | None = None,
) -> Window | None:
    """Count this call; None if Redis could not. `caller_key` is None for an anonymous caller.

    Adds the count to `trip` and sends it, so other commands on the trip cost no extra round trip.
    Raises TooManyRequests.
    """
    known = caller_key is not None
    rate = settings.API_RATE_AUTHENTICATED if known else settings.API_RATE_PUBLIC
    who = caller_key or f"address:{client_address(request)}"
    try:
        return _hit_shared(_limit(rate), who, trip or redis_client.RoundTrip())
    except redis_client.Away:
        uncounted.labels("authenticated" if known else "public").inc()
        return None if known else _hit_own(_limit(rate), who)


# One round trip; its cost does not grow with the limit.
# KEYS: the times of the caller's calls in microseconds, newest first. ARGV: limit, window in us.
# Returns whether the call is allowed, how many are left, and the seconds until there is one more.
_count = redis_client.Script("""
local clock = redis.call('TIME')
local now, limit, window = clock[1] * 1000000 + clock[2], tonumber(ARGV[1]), tonumber(ARGV[2])
local oldest = redis.call('LINDEX', KEYS[1], -1)
while oldest and oldest + window <= now do
    redis.call('RPOP', KEYS[1])
    oldest = redis.call('LINDEX', KEYS[1], -1)
end
local used = redis.call('LLEN', KEYS[1])
local allowed = used < limit
if allowed then
    redis.call('LPUSH', KEYS[1], string.format('%.0f', now))
    redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
    used = used + 1
end
local free_in = math.ceil(((oldest or now) + window - now) / 1000000)
return {allowed and 1 or 0, limit - used, free_in}
""")


@cache
def _own() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())


@cache
def _limit(rate: str) -> RateLimitItem:
    return parse(rate)


def _hit_shared(limit: RateLimitItem, who: str, trip: redis_client.RoundTrip) -> Window:
    window_us = limit.get_expiry() * 1_000_000
    counted = trip.eval(_count, [f"wingxtra:calls:{who}"], [limit.amount, window_us])
    trip.send()
    allowed, remaining, reset_s = counted.value
    return _window(limit, bool(allowed), remaining, reset_s)


def _hit_own(limit: RateLimitItem, who: str) -> Window:
    allowed = _own().hit(limit, who)
    stats = _own().get_window_stats(limit, who)
    return _window(limit, allowed, stats.remaining, math.ceil(stats.reset_time - time.time()))


def _window(limit: RateLimitItem, allowed: bool, remaining: int, reset_s: int) -> Window:
    window = Window(limit.amount, remaining if allowed else 0, max(1, reset_s))
    if not allowed:
        raise TooManyRequests(limit, window)
    return window
