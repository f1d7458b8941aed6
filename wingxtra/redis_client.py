"""Redis clients of a process, for everything but the queue.

`client` waits up to TIMEOUT_S. `ask` fails fast and pauses after a failure. A `RoundTrip` sends
several commands at once, over `ask`.
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
# A Redis that hangs must not hang every call: after a short timeout, `ask` fails for a while.
QUICK_TIMEOUT_S = 0.5
PAUSE_S = 1.0


@cache
def client() -> redis.Redis:
    """Thread-safe. Its commands raise RedisError within TIMEOUT_S while Redis is down."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )


class Away(Exception):
    """Redis does not answer, or did not within the last PAUSE_S."""


def ask(question: Callable[[redis.Redis], T]) -> T:
    """Call `question` with this thread's client, which has a short timeout. Raises Away."""
    global _paused_until
    if time.monotonic() < _paused_until:
        raise Away
    try:
        return question(_own_client(settings.REDIS_URL))
    except redis.RedisError as error:
        _paused_until = time.monotonic() + PAUSE_S
        log.warning("redis_paused", error=str(error), for_s=PAUSE_S)
        raise Away from error


_paused_until = 0.0


class Script:
    """A Lua script. After its first use, Redis finds it by its digest."""

    def __init__(self, text: str) -> None:
        self.text, self.sha = text, hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 (EVALSHA's)


@dataclass(slots=True)
class Answer:
    """The answer to one command of a RoundTrip. `value` is None until `send` succeeded."""

    arguments: tuple[Any, ...]
    script: Script | None = None
    value: Any = None

    @property
    def command(self) -> tuple[Any, ...]:
        return ("EVALSHA", self.script.sha, *self.arguments) if self.script else self.arguments


class RoundTrip:
    """Commands of independent modules, sent in one round trip.

    They use the thread's own connection directly, which takes half the time of redis-py's pipeline
    and Script.
    """

    def __init__(self) -> None:
        self._answers: list[Answer] = []

    def get(self, key: str) -> Answer:
        return self._expect(Answer(("GET", key)))

    def eval(self, script: Script, keys: Sequence[str], values: Sequence[int]) -> Answer:
        return self._expect(Answer((len(keys), *keys, *values), script))

    def send(self) -> None:
        """Send all commands and fill in the answers. Raises Away."""
        ask(self._send)

    def _expect(self, answer: Answer) -> Answer:
        self._answers.append(answer)
        return answer

    def _send(self, client: redis.Redis) -> None:
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
            # A late response must not be read as the answer to a later command.
            connection.disconnect()
            raise


def _response(connection: Any) -> Any:
    """Returns an error instead of raising it: the other responses must be read too."""
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


class _Clients(threading.local):
    """One client per thread and address, which saves borrowing from a pool for each command."""

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
    _disconnect_if_stale(client.connection)
    return client


def _disconnect_if_stale(connection: Any) -> None:
    """Drop a connection that the server has closed: the next command connects again."""
    try:
        is_stale = connection.can_read()
    except redis.ConnectionError:
        is_stale = True
    if is_stale:
        connection.disconnect()


# Parent and child would read each other's responses from a shared connection.
os.register_at_fork(after_in_child=lambda: _clients.by_url.clear())
