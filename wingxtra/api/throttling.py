"""Rate limits: a moving window per quota, counted in Redis for all processes.

Authenticated callers are limited per user or key, anonymous ones per client address; an app may
have quotas of its own. While Redis is down or full, authenticated callers are not limited, and each
process limits the others by itself, tries of one-time codes too (docs/decisions/0034).
"""

import math
import time
from dataclasses import dataclass
from functools import cache, lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address

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


@dataclass(frozen=True, slots=True)
class Quota:
    """`rate` (like "300/minute") calls of `who`, the key in Redis. `of` is for the refusal."""

    rate: str
    who: str
    of: str
    is_public: bool = True

    @property
    def limit(self) -> RateLimitItem:
        return _parsed(self.rate)


def of_caller(caller_key: str) -> Quota:
    rate = settings.API_RATE_AUTHENTICATED
    return Quota(rate, caller_key, "with these credentials", is_public=False)


def of_address(request: HttpRequest | Request) -> Quota:
    return Quota(settings.API_RATE_PUBLIC, f"address:{address_of(request)}", "from this address")


def address_of(request: HttpRequest | Request) -> str:
    """The client's IPv4 address, or its IPv6 /64, in which one subscriber has as many addresses as
    it likes.
    """
    return _counted_as(client_address(request))


@lru_cache(maxsize=10_000)  # parsing one is a twentieth of a short call
def _counted_as(address: str) -> str:
    try:
        known = ip_address(address)
    except ValueError:  # a Unix socket has none
        return address
    if isinstance(known, IPv6Address):
        mapped = known.ipv4_mapped
        return str(mapped or IPv6Network((int(known), 64), strict=False))
    return address


class TooManyRequests(Problem):
    status = 429
    title = "Too many requests"

    def __init__(self, quota: Quota, window: "Window") -> None:
        super().__init__(
            "throttled",
            f"More than {quota.limit} {quota.of}. Try again in {window.reset_s} seconds.",
        )
        self.window = window
        self.retry_after_s = window.reset_s


@dataclass(frozen=True, slots=True)
class Window:
    """What is left: `remaining` of `limit` calls, one more in `reset_s` seconds."""

    limit: int
    remaining: int
    reset_s: int

    def mark(self, response: HttpResponseBase) -> None:
        for prefix in ("", "X-"):
            response[f"{prefix}RateLimit-Limit"] = str(self.limit)
            response[f"{prefix}RateLimit-Remaining"] = str(self.remaining)
            response[f"{prefix}RateLimit-Reset"] = str(self.reset_s)


def tighter(one: Window | None, other: Window | None) -> Window | None:
    """The window that refuses first: its figures are for the headers."""
    known = [window for window in (one, other) if window is not None]
    return min(known, key=lambda window: window.remaining, default=None)


def count(quota: Quota, trip: redis_client.RoundTrip | None = None) -> Window | None:
    """Count a call; None if Redis could not.

    Adds the count to `trip` and sends it, so other commands on the trip cost no extra round trip.
    Raises TooManyRequests.
    """
    trip = trip or redis_client.RoundTrip()
    counted = Count(quota, trip)
    try:
        trip.send()
    except redis_client.Away:
        uncounted.labels("public" if quota.is_public else "authenticated").inc()
        return _hit_own(quota) if quota.is_public else None
    return counted.window()


class Count:
    """A count on a round trip that another one sends. With `if_exists`, a call counts only if Redis
    has this key.
    """

    def __init__(self, quota: Quota, trip: redis_client.RoundTrip, if_exists: str = "") -> None:
        keys = [f"wingxtra:calls:{quota.who}", *([if_exists] if if_exists else [])]
        window_us = quota.limit.get_expiry() * 1_000_000
        self.quota = quota
        self._answer = trip.eval(_count, keys, [quota.limit.amount, window_us])

    @property
    def was_counted(self) -> bool:
        return self._answer.value is not None

    def window(self) -> Window:
        """Only if it was counted. Raises TooManyRequests."""
        allowed, remaining, reset_s = self._answer.value
        return _window(self.quota, bool(allowed), remaining, reset_s)


# One round trip; its cost does not grow with the limit.
# KEYS: the times of the calls in microseconds, newest first; the key without which none counts.
# ARGV: limit, window in us.
# Returns whether the call is allowed, how many are left, and the seconds until there is one more.
_count = redis_client.Script("""
if KEYS[2] and redis.call('EXISTS', KEYS[2]) == 0 then
    return false
end
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
def _parsed(rate: str) -> RateLimitItem:
    return parse(rate)


def _hit_own(quota: Quota) -> Window:
    allowed = _own().hit(quota.limit, quota.who)
    stats = _own().get_window_stats(quota.limit, quota.who)
    return _window(quota, allowed, stats.remaining, math.ceil(stats.reset_time - time.time()))


def _window(quota: Quota, allowed: bool, remaining: int, reset_s: int) -> Window:
    window = Window(quota.limit.amount, remaining if allowed else 0, max(1, reset_s))
    if not allowed:
        raise TooManyRequests(quota, window)
    return window
