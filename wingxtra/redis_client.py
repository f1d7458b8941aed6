"""The Redis of a process, for what is not a queue.

`client` waits for an answer, `ask` does not, and a `Trip` asks several things at once.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

log = structlog.get_logger(__name__)

T = TypeVar("T")

TIMEOUT_S = 2
# A Redis that hangs must not hang every call: so long at most, and then it is left alone a while.
QUICK_TIMEOUT_S = 0.5
REST_S = 1.0


@cache
def client() -> redis.Redis:
    """Safe for threads. What it is asked raises RedisError within TIMEOUT_S while Redis is away."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )


class Away(Exception):
    """Redis does not answer, or did not a moment ago."""


def ask(question: Callable[[redis.Redis], T]) -> T:
    """What `question` gets of a client, for which a call does not have to wait. Raises Away."""
    global _rests_until
    if time.monotonic() < _rests_until:
        raise Away
    try:
        return question(_own_client(settings.REDIS_URL))
    except redis.RedisError as error:
        _rests_until = time.monotonic() + REST_S
        log.warning("redis_left_alone", error=str(error), for_s=REST_S)
        raise Away from error


_rests_until = 0.0


class Script:
    """A Lua script; Redis knows it by its digest once it was sent."""

    def __init__(self, text: str) -> None:
        self.text, self.sha = text, hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 (EVALSHA's)


@dataclass(slots=True)
class Answer:
    """To one question of a Trip: `value` is None before the trip, and while Redis is away."""

    arguments: tuple[Any, ...]
    script: Script | None = None
    value: Any = None

    @property
    def command(self) -> tuple[Any, ...]:
        return ("EVALSHA", self.script.sha, *self.arguments) if self.script else self.arguments


class Trip:
    """Questions of modules that know nothing of each other, asked in one round trip.

    They go straight over the thread's own connection, which takes half the time of redis-py's
    pipeline and Script.
    """

    def __init__(self) -> None:
        self._answers: list[Answer] = []

    def get(self, key: str) -> Answer:
        return self._expect(Answer(("GET", key)))

    def run(self, script: Script, keys: Sequence[str], values: Sequence[int]) -> Answer:
        return self._expect(Answer((len(keys), *keys, *values), script))

    def make(self) -> None:
        """Ask everything, and fill in the answers. Raises Away."""
        ask(self._make)

    def _expect(self, answer: Answer) -> Answer:
        self._answers.append(answer)
        return answer

    def _make(self, client: redis.Redis) -> None:
        connection: Any = client.connection
        try:
            commands = [answer.command for answer in self._answers]
            connection.send_packed_command(connection.pack_commands(commands))
            values = [_response(connection) for _ in commands]
            for answer, value in zip(self._answers, values, strict=True):
                if answer.script and isinstance(value, redis.exceptions.NoScriptError):
                    connection.send_command("EVAL", answer.script.text, *answer.arguments)
                    value = connection.read_response()
                if isinstance(value, redis.ResponseError):
                    raise value
                answer.value = value
        except BaseException:
            # A response that is still to come must not be read as that to another question.
            connection.disconnect()
            raise


def _response(connection: Any) -> Any:
    """A refusal is returned: those to the other questions have to be read as well."""
    try:
        return connection.read_response()
    except redis.ResponseError as refusal:
        return refusal


class _Clients(threading.local):
    """Of one thread, by address: nothing is borrowed and given back for each question."""

    def __init__(self) -> None:
        self.by_url: dict[str, redis.Redis] = {}


_clients = _Clients()


def _own_client(url: str) -> redis.Redis:
    client = _clients.by_url.get(url)
    if client is None:
        client = _clients.by_url[url] = redis.Redis.from_url(
            url,
            single_connection_client=True,
            socket_timeout=QUICK_TIMEOUT_S,
            socket_connect_timeout=QUICK_TIMEOUT_S,
            retry=Retry(NoBackoff(), retries=0),
        )
    _leave_if_stale(client.connection)
    return client


def _leave_if_stale(connection: Any) -> None:
    """One that the server has closed meanwhile: what is sent next connects anew."""
    try:
        is_stale = connection.can_read()
    except redis.ConnectionError:
        is_stale = True
    if is_stale:
        connection.disconnect()


# A connection of the parent's would give its answers to both.
os.register_at_fork(after_in_child=lambda: _clients.by_url.clear())
