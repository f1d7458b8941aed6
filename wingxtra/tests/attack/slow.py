"""Tries with slow connections and forged headers."""

import socket
import time
from urllib.parse import urlsplit

from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.tests.attack.stack import Seen, Stack, Visitor
from wingxtra.tests.edge import SLOW, slow_clients

MAY_COST_MS = 50.0
HEADERS_WITHIN_S = 8.0  # five seconds, and the server's own rhythm
CALLS = 100


def slow_bodies_behind_the_proxy(stack: Stack) -> Seen:
    """200 connections that send a byte of a body now and then, through the proxy"""
    return _slow_bodies(stack.edge)


def slow_bodies_without_a_proxy(stack: Stack) -> Seen:
    """the same, without a proxy"""
    return _slow_bodies(stack.bare)


def headers_that_never_end(stack: Stack) -> Seen:
    """a connection whose headers never end, with and without the proxy"""
    took = [_closed_after_s(url) for url in (stack.edge, stack.bare)]
    with_s, without_s = took
    return Seen(
        f"closed after {with_s:.1f} s by the proxy, {without_s:.1f} s by the web process",
        max(took) < HEADERS_WITHIN_S,
    )


def a_forged_address(stack: Stack) -> Seen:
    """X_Forwarded_For with another address at each of 8 wrong passwords"""
    name = UserFactory().username
    statuses = [
        Visitor(stack.edge, X_Forwarded_For=f"9.9.9.{number}")
        .post("/api/v1/auth/token", json={"username": name, "password": "wrong"})
        .status_code
        for number in range(8)
    ]
    tried = statuses.index(429) if 429 in statuses else len(statuses)
    return Seen(f"locked out after {tried} of 8 passwords", tried <= 5)


def _slow_bodies(url: str) -> Seen:
    """The quieter of two measurements each: the machine has other work, too."""
    _, key = ApiKey.issue(name="others", role=Role.OPS)
    visitor = Visitor(url, **{"X-API-Key": key})
    _p99_ms(visitor)  # the first calls of each process are slow
    before_ms = min(_p99_ms(visitor) for _ in range(2))
    with slow_clients(url):
        beside_ms = min(_p99_ms(visitor) for _ in range(2))
    return Seen(
        f"p99 of others: {before_ms:.0f} ms alone, {beside_ms:.0f} ms beside {SLOW}",
        beside_ms <= before_ms + MAY_COST_MS,
    )


def _p99_ms(visitor: Visitor) -> float:
    """Of calls one after the other, each second one with a body."""
    took = []
    for number in range(CALLS):
        ask = ("POST", "/api/v1/orders") if number % 2 else ("GET", "/health")
        answer, seconds = visitor.timed(*ask, json={} if number % 2 else None)
        if answer.status_code not in (200, 400):
            return float("inf")
        took.append(1000 * seconds)
    return sorted(took)[-2]


def _closed_after_s(url: str) -> float:
    at = urlsplit(url)
    with socket.create_connection((at.hostname, at.port), timeout=HEADERS_WITHIN_S) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        started = time.monotonic()
        try:
            while connection.recv(4096):
                pass
        except TimeoutError:
            return float("inf")
        return time.monotonic() - started
