"""How often somebody may call: a moving window per caller, counted in Redis for all processes.

Whoever has logged in is limited as that user or key, everybody else by client address. While Redis
is away, callers we know go on unlimited and strangers are limited by each process on its own.
"""

import math
import time
from collections.abc import Sequence
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
    "Calls whose rate limit was not counted in Redis, because it was away.",
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
    """What is left of a caller's calls: `remaining` of `limit`, one more in `reset_s` seconds."""

    limit: int
    remaining: int
    reset_s: int
    # The values of what was asked along in Redis.
    along: Sequence[bytes | None] = ()

    def mark(self, response: HttpResponseBase) -> None:
        for prefix in ("", "X-"):
            response[f"{prefix}RateLimit-Limit"] = str(self.limit)
            response[f"{prefix}RateLimit-Remaining"] = str(self.remaining)
            response[f"{prefix}RateLimit-Reset"] = str(self.reset_s)


def count(
    request: HttpRequest | Request, caller_key: str | None, along: Sequence[str] = ()
) -> Window | None:
    """Count this call; None when it could not be. `caller_key` is None for a stranger.

    `along`: keys in Redis whose values are wanted as well. They cost no trip of their own, but are
    not there when Redis is away. Raises TooManyRequests.
    """
    known = caller_key is not None
    rate = settings.API_RATE_AUTHENTICATED if known else settings.API_RATE_PUBLIC
    who = caller_key or f"address:{client_address(request)}"
    try:
        return _hit_shared(_limit(rate), who, along)
    except redis_client.Away:
        uncounted.labels("authenticated" if known else "public").inc()
        return None if known else _hit_own(_limit(rate), who)


# One round trip, whose work does not grow with the limit.
# KEYS[1]: the times of the caller's calls in microseconds, newest first; then what is asked along.
# ARGV: limit, window in us. Answers whether the call is allowed, how many are left, in how many
# seconds there is one more, and what was asked along.
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
local along = #KEYS > 1 and redis.call('MGET', unpack(KEYS, 2)) or {}
return {allowed and 1 or 0, limit - used, free_in, along}
""")


@cache
def _own() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())


@cache
def _limit(rate: str) -> RateLimitItem:
    return parse(rate)


def _hit_shared(limit: RateLimitItem, who: str, along: Sequence[str]) -> Window:
    keys, values = [f"wingxtra:calls:{who}", *along], [limit.amount, limit.get_expiry() * 1_000_000]
    counted = redis_client.ask(lambda client: _count(client, keys, values))
    allowed, remaining, reset_s, found = counted
    return _judged(limit, bool(allowed), remaining, reset_s, found)


def _hit_own(limit: RateLimitItem, who: str) -> Window:
    allowed = _own().hit(limit, who)
    stats = _own().get_window_stats(limit, who)
    return _judged(limit, allowed, stats.remaining, math.ceil(stats.reset_time - time.time()))


def _judged(
    limit: RateLimitItem,
    allowed: bool,
    remaining: int,
    reset_s: int,
    along: Sequence[bytes | None] = (),
) -> Window:
    window = Window(limit.amount, remaining if allowed else 0, max(1, reset_s), along)
    if not allowed:
        raise TooManyRequests(limit, window)
    return window
