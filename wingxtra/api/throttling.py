"""How often somebody may call: a moving window per caller, counted in Redis for all processes.

Whoever has logged in is limited as that user or key, everybody else by client address. While Redis
is away, callers we know go on unlimited and strangers are limited by each process on its own.
"""

import math
import time
from dataclasses import dataclass
from functools import lru_cache

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from prometheus_client import Counter
from redis.backoff import NoBackoff
from redis.retry import Retry
from rest_framework.request import Request

from wingxtra.api.client_address import client_address
from wingxtra.problems import Problem

log = structlog.get_logger(__name__)

# A Redis that hangs must not hang us: so long at most, and then it is left alone for a while.
REDIS_TIMEOUT_S = 0.5
REDIS_PAUSE_S = 1.0

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

    def mark(self, response: HttpResponseBase) -> None:
        for prefix in ("", "X-"):
            response[f"{prefix}RateLimit-Limit"] = str(self.limit)
            response[f"{prefix}RateLimit-Remaining"] = str(self.remaining)
            response[f"{prefix}RateLimit-Reset"] = str(self.reset_s)


def count(request: HttpRequest | Request, caller_key: str | None) -> Window | None:
    """Count this call; None when it could not be. `caller_key` is None for a stranger.

    Raises TooManyRequests.
    """
    global _redis_rests_until
    known = caller_key is not None
    rate = settings.API_RATE_AUTHENTICATED if known else settings.API_RATE_PUBLIC
    who = caller_key or f"address:{client_address(request)}"
    if time.monotonic() >= _redis_rests_until:
        try:
            return _hit(_shared(settings.REDIS_URL), parse(rate), who)
        except redis.RedisError as error:
            _redis_rests_until = time.monotonic() + REDIS_PAUSE_S
            log.warning("rate_limits_without_redis", error=str(error))
    uncounted.labels("authenticated" if known else "public").inc()
    return None if known else _hit(_own(), parse(rate), who)


_redis_rests_until = 0.0


@lru_cache
def _shared(url: str) -> MovingWindowRateLimiter:
    pool = redis.BlockingConnectionPool.from_url(
        url,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), retries=0),
        timeout=REDIS_TIMEOUT_S,
    )
    return MovingWindowRateLimiter(RedisStorage("redis://", pool, key_prefix="wingxtra:limits"))


@lru_cache
def _own() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())


def _hit(limiter: MovingWindowRateLimiter, limit: RateLimitItem, who: str) -> Window:
    allowed = limiter.hit(limit, who)
    stats = limiter.get_window_stats(limit, who)
    reset_s = max(1, math.ceil(stats.reset_time - time.time()))
    window = Window(limit.amount, stats.remaining if allowed else 0, reset_s)
    if not allowed:
        raise TooManyRequests(limit, window)
    return window
