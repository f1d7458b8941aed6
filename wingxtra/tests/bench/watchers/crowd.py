"""Many open pages in one process, each with the stream or the requests and pauses of `track.js`.

It runs as its own process, so that it shares no GIL with what it measures. It reads a Plan as JSON
from standard input and writes what the pages saw as JSON. Each request has a connection of its own,
as behind the proxy of compose.yaml.
"""

import heapq
import json
import random
import re
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

VERSION = re.compile(r'data-version="([^"]*)"')
EVERY_S = re.compile(r'data-every="([^"]*)"')
POSITION_EVERY_S = re.compile(r'data-position-every="([^"]*)"')
OLD_S = 60  # as in track.js, as are the pauses below
RECONNECTS_AFTER_S = 3.0
STARTS_WITHIN_S = 10.0
TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Plan:
    """Pages of these links, one each. What they see within the first `warm_up_s` does not count.
    streams_port: 0 for pages that poll.
    """

    port: int
    streams_port: int
    links: list[str]
    seconds: float
    warm_up_s: float


@dataclass(frozen=True)
class Seen:
    """arrivals: for each page its (screen time, telemetry time) pairs in POSIX seconds, in order.
    took_ms: of each answer, by kind. answers: by kind and status.
    """

    arrivals: list[list[tuple[float, float]]]
    took_ms: dict[str, list[float]]
    answers: dict[str, int]
    cpu_s: float


def watch(plan: Plan) -> "subprocess.Popen[str]":
    """Open the pages in another process; `seen` reads what they saw."""
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    process.stdin.write(json.dumps(asdict(plan)))
    process.stdin.close()
    return process


def seen(process: "subprocess.Popen[str]") -> Seen:
    assert process.stdout
    text = process.stdout.read()
    if process.wait():
        raise RuntimeError(f"The pages ended with {process.returncode}.")
    return Seen(**json.loads(text))


@dataclass(eq=False)
class Page:
    """One open page. It has one request at a time, besides its stream."""

    link: str
    version: str = ""
    every_s: float = 4.0
    position_every_s: float = 0.0
    shown_at: float = 0.0
    failures: int = 0
    asked: str = "page"  # or "position"
    sent_at: float = 0.0
    buffer: bytes = b""
    socket: Any = None
    stream: Any = None
    heard: bytes = b""
    arrivals: list[tuple[float, float]] = field(default_factory=list)

    def request(self, what: str) -> bytes:
        path = f"/track/{self.link}/" + ("" if what == "page" else what)
        return (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Language: en-GB,en\r\n"
            "User-Agent: pages of a benchmark\r\nConnection: close\r\n\r\n"
        ).encode()

    def take(self, status: int, body: bytes, now: float) -> float:
        """Show the answer; the seconds until the next request, 0 for at once, -1 for never."""
        if status != 200:
            return self._after_a_failure()
        if self.asked == "page":
            return self._take_page(body.decode(), now)
        if self.is_another(json.loads(body), now):
            self.asked = "page"
            return 0
        return self.position_every_s

    def is_another(self, seen: dict[str, Any], now: float) -> bool:
        """Show the position. Whether the page is to be asked for."""
        if seen["position"]:
            at = datetime.fromisoformat(seen["at"]).timestamp()
            if not self.arrivals or at > self.arrivals[-1][1]:
                self.arrivals.append((now, at))
        return bool(seen["page"] != self.version) or now - self.shown_at > OLD_S

    def _after_a_failure(self) -> float:
        if self.asked == "position":
            self.asked = "page"
            return self.every_s
        self.failures += 1
        return min(120.0, self.every_s * 2 ** min(self.failures, 6))

    def _take_page(self, html: str, now: float) -> float:
        self.failures, self.shown_at = 0, now
        self.version, self.every_s = _first(VERSION, html), float(_first(EVERY_S, html))
        self.position_every_s = float(_first(POSITION_EVERY_S, html) or 0)
        if self.position_every_s:
            self.asked = "position"
            return self.position_every_s
        return self.every_s or -1


def _first(pattern: re.Pattern[str], html: str) -> str:
    found = pattern.search(html)
    return found[1] if found else ""


class Crowd:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.pages = [Page(link) for link in plan.links]
        self.selector = selectors.DefaultSelector()
        self.due: list[tuple[float, int, Page]] = []
        self.took_ms: dict[str, list[float]] = {"page": [], "position": [], "stream": []}
        self.answers: Counter[str] = Counter()
        self.counts_from = 0.0

    def run(self) -> Seen:
        began = time.time()
        self.counts_from = began + self.plan.warm_up_s
        until = self.counts_from + self.plan.seconds
        for page in self.pages:
            self._later(page, began + random.uniform(0, STARTS_WITHIN_S))
        while (now := time.time()) < until:
            while self.due and self.due[0][0] <= now:
                self._ask(heapq.heappop(self.due)[2])
                now = time.time()
            wait_s = min(0.05, max(0.0, self.due[0][0] - now)) if self.due else 0.05
            for key, _ in self.selector.select(wait_s):
                page = key.data
                self._hear(page) if key.fileobj is page.stream else self._read(page)
            self._give_up(now)
        pairs = [self._counted(page) for page in self.pages]
        return Seen(pairs, self.took_ms, dict(self.answers), time.process_time())

    def _later(self, page: Page, at: float) -> None:
        heapq.heappush(self.due, (at, id(page), page))

    def _ask(self, page: Page) -> None:
        if page.socket:  # also due after its stream had ended
            return
        page.sent_at, page.buffer = time.time(), b""
        page.socket = self._connect(page, self.plan.port, page.asked)

    def _connect(self, page: Page, port: int, what: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(page.request(what))
        connection.setblocking(False)
        self.selector.register(connection, selectors.EVENT_READ, page)
        return connection

    def _hear(self, page: Page) -> None:
        """The stream of a page."""
        try:
            chunk = page.stream.recv(65_536)
        except ConnectionError:
            chunk = b""
        if not chunk:
            self._end_stream(page)
            return
        *events, page.heard = (page.heard + chunk).split(b"\n\n")
        now = time.time()
        for event in events:
            _, has_data, data = event.partition(b"data: ")
            if not has_data:
                continue
            self._count("stream event", now)
            # After a failure the page is asked for later.
            if page.is_another(json.loads(data), now) and not page.socket and not page.failures:
                page.asked = "page"
                self._ask(page)

    def _end_stream(self, page: Page) -> None:
        now = time.time()
        self._count("stream ended", now)
        self.selector.unregister(page.stream)
        page.stream.close()
        page.stream, page.heard = None, b""
        if not page.socket:  # the page, which tells whether there is still a flight
            page.asked = "page"
            self._later(page, now + random.uniform(1, RECONNECTS_AFTER_S))

    def _count(self, kind: str, now: float) -> None:
        if now >= self.counts_from:
            self.answers[kind] += 1

    def _read(self, page: Page) -> None:
        try:
            chunk = page.socket.recv(65_536)
        except ConnectionError:
            self._answered(page, 0, b"")
            return
        if chunk:
            page.buffer += chunk
            return
        head, _, body = page.buffer.partition(b"\r\n\r\n")
        self._answered(page, int(head[9:12] or 0), body)

    def _answered(self, page: Page, status: int, body: bytes) -> None:
        now = time.time()
        self.selector.unregister(page.socket)
        page.socket.close()
        page.socket = None
        if now >= self.counts_from:
            self.took_ms[page.asked].append(1000 * (now - page.sent_at))
        self._count(f"{page.asked} {status}", now)
        pause_s = page.take(status, body, now)
        if page.asked == "position" and self.plan.streams_port:
            if not page.stream:
                page.stream = self._connect(page, self.plan.streams_port, "stream")
        elif pause_s >= 0:
            self._later(page, now + pause_s * random.uniform(0.9, 1.1))

    def _give_up(self, now: float) -> None:
        late = [key.data for key in self.selector.get_map().values()] if self._is_turn(now) else []
        for page in late:
            if page.socket and now - page.sent_at > TIMEOUT_S:
                self._answered(page, 0, b"")

    def _is_turn(self, now: float) -> bool:
        """Once a second."""
        is_turn = int(now) != getattr(self, "_turn", 0)
        self._turn = int(now)
        return is_turn

    def _counted(self, page: Page) -> list[tuple[float, float]]:
        return [pair for pair in page.arrivals if pair[0] >= self.counts_from]


def delays_s(arrivals: list[tuple[float, float]], step_s: float = 0.05) -> Iterator[float]:
    """For telemetry of any moment, until the page shows it or newer: a message that arrives after
    the one before it was shown waits longest.
    """
    for (_, before_s), (screen_s, at_s) in pairwise(arrivals):
        moment_s = at_s
        while moment_s > before_s:
            yield screen_s - moment_s
            moment_s -= step_s


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


if __name__ == "__main__":
    json.dump(asdict(Crowd(Plan(**json.load(sys.stdin))).run()), sys.stdout)
