"""What every call asks of Redis, over a connection of its thread's own."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from wingxtra.redis_client import Script, ask


def client_with(**options: Any) -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, single_connection_client=True, **options)


def my_id(client: redis.Redis) -> Any:
    return client.client_id()


@pytest.fixture
def server() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client


def test_a_script_that_the_server_has_forgotten_is_sent_anew(server: redis.Redis) -> None:
    client = client_with()
    echo = Script("return {KEYS[1], ARGV[1]}")
    assert echo(client, ["a"], [1]) == [b"a", b"1"]
    server.script_flush()
    assert echo(client, ["b"], [2]) == [b"b", b"2"]


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one() -> None:
    client = client_with(socket_timeout=0.01, retry=Retry(NoBackoff(), 0))
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


def test_a_connection_that_the_server_has_closed_costs_no_caller_an_error(
    server: redis.Redis,
) -> None:
    answer = Script("return 'here'")
    for _ in range(2):
        assert ask(lambda client: answer(client, [], [])) == b"here"
        server.client_kill_filter(_id=str(ask(my_id)))


def test_each_thread_has_one_connection_of_its_own() -> None:
    mine = [ask(my_id) for _ in range(2)]
    with ThreadPoolExecutor(1) as thread:
        another = [thread.submit(ask, my_id).result() for _ in range(2)]
    assert mine[0] == mine[1]
    assert another[0] == another[1]
    assert mine[0] != another[0]


def test_a_forked_process_does_not_listen_to_its_parents_connection() -> None:
    def forked() -> tuple[int, int, int]:
        mine, (reading, writing) = ask(my_id), os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(writing, str(ask(my_id)).encode())
            finally:
                os._exit(0)
        os.close(writing)
        os.waitpid(child, 0)
        with open(reading) as answer:
            return mine, int(answer.read()), ask(my_id)

    with ThreadPoolExecutor(1) as thread:
        for mine, the_childs, mine_after in (forked(), thread.submit(forked).result()):
            assert the_childs != mine == mine_after
