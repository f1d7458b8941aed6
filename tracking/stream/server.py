"""The process that holds the streams: one event loop, one connection for each open page."""

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import structlog
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.wsgi import WSGIRequest
from django.db import InterfaceError, OperationalError, connections
from django.http import HttpRequest, HttpResponse

from orders.tracking_ids import canonical_id
from tracking.page import cache, limits, position, texts
from tracking.stream import http, news
from tracking.stream.connection import SOON_MS, SPREAD_MS, Stream, is_behind, retry
from wingxtra import redis_client
from wingxtra.problems import NotFound

log = structlog.get_logger(__name__)

T = TypeVar("T")

PATH = re.compile(r"/track/([^/]+)/stream")
LOOK_EVERY_S = 0.1
# Threads for what waits for database and Redis: opening a stream, reading facts.
THREADS = 4
OPENS_WITHIN_S = 10.0
# A phone that vanished behind the proxy keeps its place no longer than this.
LASTS_S = 300.0
# Without Redis for so long, pages do better to ask for the page.
AWAY_S = 3.0
STUCK_S = 10.0
READ_AGAIN_S = 2.0
RETRY_AFTER_S = 30
ENDS_WITHIN_S = 3.0
# Stands for the state of a link whose pages know different things: all are told at the next look.
UNKNOWN: news.State = ()


@dataclass(slots=True)
class Link:
    """What the pages of a link know."""

    state: news.State
    streams: set[Stream] = field(default_factory=set)


class Server:
    """`run` serves until `stop` is set, then ends all streams."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}
        self._places: Counter[str] = Counter()  # of links and of addresses, and "" for all
        self._looks = news.Looks()
        self._looked_at_s = self._tried_at_s = time.monotonic()
        self._unlooked: set[str] = set()  # links whose facts have just been read
        self._reading: dict[str, asyncio.Future[None]] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._pool, self._looker = ThreadPoolExecutor(THREADS), ThreadPoolExecutor(1)

    async def run(
        self, host: str, port: int, stop: asyncio.Event, listens: Callable[[int], None]
    ) -> None:
        """listens: is told the port, when connections are accepted."""
        server = await asyncio.start_server(
            self._connected, host, port, limit=http.HEAD_BYTES, backlog=1024
        )
        listens(server.sockets[0].getsockname()[1])
        work = [asyncio.create_task(each) for each in (self._follow(), self._tend(), stop.wait())]
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        server.close()
        self._end_all()
        if self._connections:
            await asyncio.wait(self._connections, timeout=ENDS_WITHIN_S)
        for task in (*work, *self._connections):
            task.cancel()
        for reading in self._reading.values():
            reading.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._looker.shutdown()
        with suppress(redis_client.Away):  # it is not counted any more after some seconds
            self._looks.end()
        for task in done:
            task.result()  # a failure ends the process, which is started again

    # --- what is new -----------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            started_s = self._tried_at_s = time.monotonic()
            at_once, self._unlooked = self._unlooked, set()
            watched = {
                name: news.Watched(link.state, {stream.language for stream in link.streams})
                for name, link in self._links.items()
            }
            look = partial(self._looks.look, watched, at_once, self._places[""])
            try:
                found, missing = await _in_thread(self._looker, look)
            except redis_client.Away:  # logged there
                self._unlooked |= at_once
                if started_s - self._looked_at_s > AWAY_S:
                    self._end_all()
            else:
                self._looked_at_s = started_s
                self._tell(found)
                self._read(missing)
            await asyncio.sleep(max(0.0, started_s + LOOK_EVERY_S - time.monotonic()))

    def _tell(self, found: dict[str, news.News]) -> None:
        for name, new in found.items():
            link = self._links.get(name)
            if link is None:
                continue
            link.state = new.state
            for stream in link.streams:
                if event := new.events.get(stream.language):
                    stream.tell(event)
                else:  # it has opened since
                    link.state = UNKNOWN
                if new.is_last:
                    stream.end(SOON_MS)

    def _read(self, missing: list[str]) -> None:
        """Read facts from the database, in threads; the next look finds them."""
        for name in missing:
            if name not in self._reading:
                reading = _in_thread(self._pool, partial(_keep_facts, name))
                self._reading[name] = reading
                reading.add_done_callback(partial(self._was_read, name))

    def _was_read(self, name: str, reading: "asyncio.Future[None]") -> None:
        if reading.cancelled():  # at the end of the process
            return
        error = reading.exception()
        if error is None:
            del self._reading[name]
            self._unlooked.add(name)
            return
        # The database or Redis is away, which is logged there.
        asyncio.get_running_loop().call_later(READ_AGAIN_S, self._reading.pop, name, None)
        if isinstance(error, redis_client.Away | OperationalError | InterfaceError):
            return
        if not isinstance(error, NotFound):
            log.error("stream_failed", error=str(error), exc_info=error)
        # There is no such link any more, or it is broken. The page asks, and says so.
        for stream in self._streams_of(name):
            stream.end(SPREAD_MS)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(1)
            now_s = time.monotonic()
            for link in self._links.values():
                for stream in link.streams:
                    stream.tend(now_s)

    def _end_all(self) -> None:
        for name in self._links:
            for stream in self._streams_of(name):
                stream.end(SPREAD_MS)

    def _streams_of(self, name: str) -> list[Stream]:
        link = self._links.get(name)
        return list(link.streams) if link else []

    # --- connections -----------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task  # noqa: S101 (for mypy)
        self._connections.add(task)
        try:
            request = await http.request(reader, writer)
            answer = await self._answer(request, reader, writer)
            if answer is not None:
                writer.write(http.encoded(answer))
        except (http.NoRequest, SuspiciousOperation):
            writer.write(http.encoded(http.refusal(HTTPStatus.BAD_REQUEST)))
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client is gone, or sends no request
        except asyncio.CancelledError:
            writer.transport.abort()  # it took too long to end
        except Exception as error:
            log.error("stream_failed", error=str(error), exc_info=error)
            writer.write(http.encoded(http.refusal(HTTPStatus.INTERNAL_SERVER_ERROR)))
        finally:
            self._connections.discard(task)
            # What a hung client has not taken would keep the connection.
            writer.transport.abort() if is_behind(writer) else writer.close()

    async def _answer(
        self, request: WSGIRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> HttpResponse | None:
        """None when it was a stream."""
        found = PATH.fullmatch(request.path_info)
        if request.path_info == "/health":
            return self._health()
        if found is None:
            return http.refusal(HTTPStatus.NOT_FOUND)
        if request.method != "GET":
            return http.refusal(HTTPStatus.METHOD_NOT_ALLOWED)
        with self._place(request, found[1]) as refusal:
            answer = refusal or await self._opened(request, found[1], reader, writer)
        if answer is not None:
            news.opened.labels(answer.status_code).inc()
        return answer

    @contextmanager
    def _place(self, request: HttpRequest, tracking_id: str) -> Iterator[HttpResponse | None]:
        """A place for a stream while it is open, or the refusal."""
        quotas = (
            limits.of_link(limits.Kind.POSITION, tracking_id),
            limits.ceiling_of_positions(request),
        )
        limit = {"": settings.STREAMS_AT_ONCE}
        limit |= {quota.who: limits.at_once(quota) for quota in quotas}
        full = [who for who, at_most in limit.items() if self._places[who] >= at_most]
        if full:
            is_ours = full[0] == ""
            yield position.without(
                HTTPStatus.SERVICE_UNAVAILABLE if is_ours else HTTPStatus.TOO_MANY_REQUESTS,
                RETRY_AFTER_S,
            )
            return
        self._places.update(limit.keys())
        try:
            yield None
        finally:
            self._places.subtract(limit.keys())
            for who in limit:
                if not self._places[who]:
                    del self._places[who]

    async def _opened(
        self,
        request: WSGIRequest,
        tracking_id: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> HttpResponse | None:
        try:
            async with asyncio.timeout(OPENS_WITHIN_S):
                first = await _in_thread(self._pool, partial(_first, request, tracking_id))
        except TimeoutError:
            return position.without(HTTPStatus.SERVICE_UNAVAILABLE, RETRY_AFTER_S)
        if isinstance(first, HttpResponse):
            return first
        news.opened.labels(HTTPStatus.OK.value).inc()
        name, stream = canonical_id(tracking_id) or "", Stream(writer, first.language)
        writer.write(http.STREAM_HEAD + retry(SPREAD_MS) + first.event)
        link = self._links.setdefault(name, Link(first.state))
        link.streams.add(stream)
        if link.state != first.state:  # either the others or this one know something older
            link.state = UNKNOWN
            self._unlooked.add(name)
        try:
            async with asyncio.timeout(LASTS_S * random.uniform(0.8, 1.2)):  # noqa: S311
                await reader.read(1)  # until the client or `Stream.end` closes the connection
        except TimeoutError:
            stream.end(SOON_MS)
        finally:
            link.streams.discard(stream)
            if not link.streams:
                self._links.pop(name, None)
        return None

    def _health(self) -> HttpResponse:
        """Whether this process looks for news; without Redis it does, and finds none."""
        if time.monotonic() - self._tried_at_s > STUCK_S:
            return http.refusal(HTTPStatus.SERVICE_UNAVAILABLE)
        return HttpResponse('{"status":"ok"}', "application/json")


# --- in threads ----------------------------------------------------------------------------------


def _in_thread(pool: ThreadPoolExecutor, work: Callable[[], T]) -> "asyncio.Future[T]":
    return asyncio.get_running_loop().run_in_executor(pool, work)


@dataclass(frozen=True, slots=True)
class First:
    """The first event of a stream, and what the page knows by it."""

    state: news.State
    language: str
    event: bytes


def _first(request: WSGIRequest, tracking_id: str) -> First | HttpResponse:
    """Counts the call like a poll."""
    try:
        seen = position.look(request, tracking_id)
        if isinstance(seen, HttpResponse):
            return seen
        if news.is_over(seen):
            # To this answer a browser connects no more.
            return http.refusal(HTTPStatus.NO_CONTENT)
        language = texts.language_of(request)
        return First(news.state_of(seen), language, news.event(seen, language))
    finally:
        connections.close_all()


def _keep_facts(name: str) -> None:
    try:
        cache.keep_facts(name)
    finally:
        connections.close_all()
