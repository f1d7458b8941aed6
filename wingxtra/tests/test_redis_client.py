"""What every call asks of Redis, over a connection of its thread's own."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.conf import settings
from redis.connection import AbstractConnection

from wingxtra.redis_client import REST_S, Away, Script, Trip, ask


def my_id(client: redis.Redis) -> Any:
    return client.client_id()


@pytest.fixture
def server() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client


def run(script: Script, *values: int) -> Any:
    """The script's answer, on a trip of its own."""
    trip = Trip()
    answer = trip.run(script, ["a"], values)
    trip.make()
    return answer.value


ECHO = Script("return {KEYS[1], ARGV[1]}")


def test_questions_of_one_trip_are_asked_at_once_and_answered_each(
    server: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(ECHO, 1)
    server.set("known", b"value")
    send, sent = AbstractConnection.send_packed_command, []
    monkeypatch.setattr(
        AbstractConnection,
        "send_packed_command",
        lambda self, packed, **options: sent.append(packed) or send(self, packed, **options),
    )
    trip = Trip()
    known, echoed, unknown = trip.get("known"), trip.run(ECHO, ["b"], [2]), trip.get("unknown")
    assert known.value is None
    trip.make()
    assert (known.value, echoed.value, unknown.value) == (b"value", [b"b", b"2"], None)
    assert len(sent) == 1


def test_a_script_that_the_server_has_forgotten_is_sent_anew(server: redis.Redis) -> None:
    assert run(ECHO, 1) == [b"a", b"1"]
    server.script_flush()
    trip = Trip()
    first, echoed, last = trip.get("x"), trip.run(ECHO, ["b"], [2]), trip.get("y")
    trip.make()
    assert (first.value, echoed.value, last.value) == (None, [b"b", b"2"], None)


def test_a_refused_question_leaves_no_answer_behind_for_the_next_trip(server: redis.Redis) -> None:
    server.lpush("list", "x")
    refused = Trip()
    refused.get("list")
    refused.get("known")
    with pytest.raises(Away):
        refused.make()
    time.sleep(REST_S)
    assert run(ECHO, 3) == [b"a", b"3"]
    server.delete("list")


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one() -> None:
    with pytest.raises(Away):
        run(Script("for i = 1, 300000000 do end return 'late'"))
    assert _asked(Script("return 'mine'")) == b"mine"


def _asked(script: Script) -> Any:
    for _ in range(20):
        try:
            return run(script)
        except Away:
            time.sleep(REST_S / 2)  # the server is still busy
    raise AssertionError("the server does not answer")


def test_a_connection_that_the_server_has_closed_costs_no_caller_an_error(
    server: redis.Redis,
) -> None:
    for _ in range(2):
        assert run(Script("return 'here'")) == b"here"
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
