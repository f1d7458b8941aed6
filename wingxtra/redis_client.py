"""Redis clients of a process, for everything but the queue.

`ask` fails fast and pauses after a failure. A `RoundTrip` sends several commands at once, over
`ask`. Within a web request all of them wait for Redis at most WAIT_S in total (`WaitsLittle`), so
that a Redis that hangs makes no request slow (docs/decisions/0034-redis-away.md).
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import hiredis
import redis
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from redis.backoff import NoBackoff
from redis.retry import Retry

log = structlog.get_logger(__name__)

T = TypeVar("T")

# How long a command waits for its answer, and a web request for all answers together.
WAIT_S = 0.5
# After a command without an answer, Redis is left alone for this long.
PAUSE_S = 1.0


@cache
def client() -> redis.Redis:
    """Thread-safe. Its commands raise RedisError within WAIT_S while Redis is down."""
    return _new_client(settings.REDIS_URL)


class Away(redis.ConnectionError):
    """Redis does not answer, or did not within the last PAUSE_S, or it refuses: it is full."""


def ask(question: Callable[[redis.Redis], T]) -> T:
    """Call `question` with this thread's own client, under `attempt`. Raises Away."""
    return attempt(lambda: question(_own_client(settings.REDIS_URL)))


def attempt(work: Callable[[], T]) -> T:
    """Do `work`, whose commands wait WAIT_S each, unless Redis did not answer just before.

    Raises Away. After a pause one caller tries, and the others go on without Redis until it has an
    answer.
    """
    global _paused_until, _refusal_logged_at
    started, request = time.monotonic(), _request.get()
    if started < _paused_until or (request is not None and request.left_s <= 0):
        raise Away("Redis did not answer a moment ago.")
    if _paused_until:
        _paused_until = started + PAUSE_S
    try:
        done = work()
    except redis.ResponseError as error:  # it answers, so there is nothing to wait for
        if started - _refusal_logged_at > PAUSE_S:
            _refusal_logged_at = started
            log.warning("redis_refused", error=str(error))
        raise Away(str(error)) from error
    except redis.RedisError as error:
        _paused_until = time.monotonic() + PAUSE_S
        log.warning("redis_paused", error=str(error), for_s=PAUSE_S)
        raise Away(str(error)) from error
    finally:
        if request is not None:
            request.left_s -= time.monotonic() - started
    _paused_until = 0.0
    return done


_paused_until = _refusal_logged_at = 0.0


@dataclass(slots=True)
class _Request:
    """How long a web request may still wait for Redis, and what it has read ahead, by command."""

    left_s: float
    ahead: "dict[tuple[Any, ...], Answer]" = field(default_factory=dict)


_request: ContextVar[_Request | None] = ContextVar("_request", default=None)


class WaitsLittle:
    """Middleware: limits how long a request waits for Redis in total."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        outer = _request.set(_Request(WAIT_S))
        try:
            return self.get_response(request)
        finally:
            _request.reset(outer)


class Script:
    """A Lua script. After its first use, Redis finds it by its digest."""

    def __init__(self, text: str) -> None:
        self.text, self.sha = text, hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 (EVALSHA's)


@dataclass(slots=True)
class Answer:
    """The answer to one command of a RoundTrip. `value` is None until `send` succeeded; it may be
    None after it, too, and `is_known` tells.
    """

    arguments: tuple[Any, ...]
    script: Script | None = None
    value: Any = None
    is_known: bool = False

    @property
    def command(self) -> tuple[Any, ...]:
        return ("EVALSHA", self.script.sha, *self.arguments) if self.script else self.arguments


class RoundTrip:
    """Commands of independent modules, sent in one round trip.

    They use the thread's own connection directly, which takes half the time of redis-py's pipeline
    and Script.
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def get(self, key: str) -> Answer:
        return self.do("GET", key)

    def do(self, *command: Any) -> Answer:
        return self._expect(Answer(command))

    def eval(
        self, script: Script, keys: Sequence[str], values: Sequence[int | str | bytes]
    ) -> Answer:
        return self._expect(Answer((len(keys), *keys, *values), script))

    def send(self) -> None:
        """Send all commands and fill in the answers. Raises Away."""
        ask(self._send)

    def _expect(self, answer: Answer) -> Answer:
        self.answers.append(answer)
        return answer

    def _send(self, client: redis.Redis) -> None:
        connection: Any = client.connection
        try:
            # In C, and all of them at once: redis-py's own packing takes several times as long.
            commands = [hiredis.pack_command(answer.command) for answer in self.answers]
            connection.send_packed_command([b"".join(commands)])
            values = [_response(connection) for _ in commands]
            for answer, value in zip(self.answers, values, strict=True):
                if answer.script and isinstance(value, redis.exceptions.NoScriptError):
                    connection.send_command("EVAL", answer.script.text, *answer.arguments)
                    value = connection.read_response()
                if isinstance(value, redis.ResponseError):
                    raise value
                answer.value, answer.is_known = value, True
        except BaseException:
            # A late response must not be read as the answer to a later command.
            connection.disconnect()
            raise


def read_ahead(trip: RoundTrip, *command: Any) -> None:
    """Read on this round trip. The next `read` by this command in this web request needs none."""
    if (request := _request.get()) is not None:
        request.ahead[command] = trip.do(*command)


def read(*command: Any) -> Any:
    """The answer to a command that only reads; None if there is none. Raises Away."""
    (value,) = read_all([command])
    return value


def read_all(commands: Iterable[tuple[Any, ...]]) -> list[Any]:
    """The same of several, in one round trip for those that were not read ahead. Raises Away."""
    trip = RoundTrip()
    answers = [_read_ahead(command) or trip.do(*command) for command in commands]
    if trip.answers:
        trip.send()
    return [answer.value for answer in answers]


def _read_ahead(command: tuple[Any, ...]) -> Answer | None:
    request = _request.get()
    ahead = request.ahead.pop(command, None) if request else None
    return ahead if ahead is not None and ahead.is_known else None


def run(script: Script, keys: Sequence[str], values: Sequence[int | str | bytes]) -> Any:
    """The answer of a script. Raises Away."""
    trip = RoundTrip()
    answer = trip.eval(script, keys, values)
    trip.send()
    return answer.value


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
        client = _clients.by_url[url] = _new_client(url, single_connection_client=True)
    _disconnect_if_stale(client.connection)
    return client


def _new_client(url: str, **options: Any) -> redis.Redis:
    """Without retries: redis-py's own take up to a minute."""
    return redis.Redis.from_url(
        url,
        socket_timeout=WAIT_S,
        socket_connect_timeout=WAIT_S,
        retry=Retry(NoBackoff(), retries=0),
        **options,
    )


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
