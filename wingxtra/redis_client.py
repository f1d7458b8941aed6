"""The one Redis client of a process, for what is not a queue or a rate limit."""

from functools import cache

import redis
from django.conf import settings

TIMEOUT_S = 2


@cache
def client() -> redis.Redis:
    """Safe for threads. What it is asked raises RedisError within TIMEOUT_S while Redis is away."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )
