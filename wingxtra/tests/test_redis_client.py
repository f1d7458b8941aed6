"""Redis reads of every call, over one connection per thread."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from redis.connection import AbstractConnection

from wingxtra import redis_client
from wingxtra.redis_client import PAUSE_S, Away, RoundTrip, Script, WaitsLittle, ask


def connection_id(client: redis.Redis) -> Any:
    return client.client_id()


@pytest.fixture
def server() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client


def run(script: Script, *values: int) -> Any:
    """The script's answer, in its own round trip."""
    trip = RoundTrip()
    answer = trip.eval(script, ["a"], values)
    trip.send()
    return answer.value


ECHO = Script("return {KEYS[1], ARGV[1]}")


def test_commands_of_one_round_trip_are_sent_at_once_and_each_has_its_answer(
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
    trip = RoundTrip()
    known, echoed, unknown = trip.get("known"), trip.eval(ECHO, ["b"], [2]), trip.get("unknown")
    assert known.value is None
    trip.send()
    assert (known.value, echoed.value, unknown.value) == (b"value", [b"b", b"2"], None)
    assert len(sent) == 1


def test_a_script_that_the_server_has_forgotten_is_sent_again(server: redis.Redis) -> None:
    assert run(ECHO, 1) == [b"a", b"1"]
    server.script_flush()
    trip = RoundTrip()
    first, echoed, last = trip.get("x"), trip.eval(ECHO, ["b"], [2]), trip.get("y")
    trip.send()
    assert (first.value, echoed.value, last.value) == (None, [b"b", b"2"], None)


def test_a_refused_command_leaves_no_answer_for_the_next_round_trip(server: redis.Redis) -> None:
    server.lpush("list", "x")
    refused = RoundTrip()
    refused.get("list")
    refused.get("known")
    with pytest.raises(Away):
        refused.send()
    time.sleep(PAUSE_S)
    assert run(ECHO, 3) == [b"a", b"3"]
    server.delete("list")


@pytest.mark.parametrize("before", ["1", None])
def test_what_a_web_request_reads_ahead_is_the_answer_of_its_next_read(
    server: redis.Redis, before: str | None
) -> None:
    """Also that there is no value."""

    def view(request: HttpRequest) -> HttpResponse:
        trip = RoundTrip()
        redis_client.read_ahead(trip, "GET", "version")
        trip.send()
        server.set("version", "2")
        return HttpResponse(repr([redis_client.read("GET", "version") for _ in range(2)]))

    server.delete("version")
    if before is not None:
        server.set("version", before)
    ahead = before and before.encode()
    assert WaitsLittle(view)(HttpRequest()).content.decode() == repr([ahead, b"2"])  # type: ignore[attr-defined]
    assert redis_client.read("GET", "version") == b"2"
    outside = view(HttpRequest()).content.decode()
    assert outside == repr([b"2", b"2"]), "outside of a request nothing is kept"


def test_what_could_not_be_read_ahead_is_read_when_it_is_needed(server: redis.Redis) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        redis_client.read_ahead(RoundTrip(), "GET", "version")  # never sent
        return HttpResponse(redis_client.read("GET", "version"))

    server.set("version", "1")
    assert WaitsLittle(view)(HttpRequest()).content == b"1"  # type: ignore[attr-defined]


def test_a_late_answer_is_not_read_as_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_client, "WAIT_S", 0.5)

    def late() -> None:
        with pytest.raises(Away):
            run(Script("for i = 1, 300000000 do end return 'late'"))
        assert _retried(Script("return 'mine'")) == b"mine"

    with ThreadPoolExecutor(1) as thread:  # whose client has not waited longer before
        thread.submit(late).result()


def _retried(script: Script) -> Any:
    for _ in range(20):
        try:
            return run(script)
        except Away:
            time.sleep(PAUSE_S / 2)  # the server is still busy
    raise AssertionError("the server does not answer")


def test_a_connection_closed_by_the_server_is_replaced_without_an_error(
    server: redis.Redis,
) -> None:
    for _ in range(2):
        assert run(Script("return 'here'")) == b"here"
        server.client_kill_filter(_id=str(ask(connection_id)))


def test_each_thread_has_its_own_connection() -> None:
    mine = [ask(connection_id) for _ in range(2)]
    with ThreadPoolExecutor(1) as thread:
        another = [thread.submit(ask, connection_id).result() for _ in range(2)]
    assert mine[0] == mine[1]
    assert another[0] == another[1]
    assert mine[0] != another[0]


def test_a_forked_process_does_not_use_its_parents_connection() -> None:
    def forked() -> tuple[int, int, int]:
        mine, (reading, writing) = ask(connection_id), os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(writing, str(ask(connection_id)).encode())
            finally:
                os._exit(0)
        os.close(writing)
        os.waitpid(child, 0)
        with open(reading) as answer:
            return mine, int(answer.read()), ask(connection_id)

    with ThreadPoolExecutor(1) as thread:
        for before, child, after in (forked(), thread.submit(forked).result()):
            assert child != before == after
