"""A script that every call asks, straight over a connection."""

import time
from typing import Any

import pytest
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from wingxtra.redis_client import Script


def hasty() -> redis.Redis:
    """Of one connection, which waits for an answer for 10 ms."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=0.01, max_connections=1, retry=Retry(NoBackoff(), 0)
    )


def test_a_script_that_the_server_has_forgotten_is_sent_anew() -> None:
    client = redis.Redis.from_url(settings.REDIS_URL)
    echo = Script("return {KEYS[1], ARGV[1]}")
    assert echo(client, ["a"], [1]) == [b"a", b"1"]
    client.script_flush()
    assert echo(client, ["b"], [2]) == [b"b", b"2"]


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one() -> None:
    client = hasty()
    with pytest.raises(redis.TimeoutError):
        Script("for i = 1, 10000000 do end return 'late'")(client, [], [])
    time.sleep(0.5)
    assert _asked(client, Script("return 'mine'")) == b"mine"


def _asked(client: redis.Redis, script: Script) -> Any:
    for _ in range(20):
        try:
            return script(client, [], [])
        except redis.TimeoutError:
            time.sleep(0.1)  # the server is still busy
    raise AssertionError("the server does not answer")
