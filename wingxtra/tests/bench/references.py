"""The database cost of a call: its statements, their time, and the rate of psycopg alone."""

import os
import random
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor
from django.test import Client

SAMPLES = 50


@dataclass(frozen=True, slots=True)
class Sent:
    """One statement as psycopg receives it."""

    text: Any
    values: Any
    is_prepared: bool
    in_transaction: bool


@dataclass(slots=True)
class Cost:
    """Database cost of one call."""

    statements: list[Sent] = field(default_factory=list)
    database_ms: float = 0.0


def cost_of(call: Callable[[Client], Any]) -> Cost:
    """Make the call in this process several times: the cost of the one with the median time."""
    client = Client(SERVER_NAME="127.0.0.1")
    for _ in range(3):  # by then, statements are prepared
        call(client)
    costs = []
    for _ in range(SAMPLES):
        with watched() as cost:
            call(client)
        costs.append(cost)
    return sorted(costs, key=lambda cost: cost.database_ms)[SAMPLES // 2]


@contextmanager
def watched() -> Iterator[Cost]:
    """The statements sent in the context, and their time."""
    cost = Cost()

    def timed(execute: Any, text: Any, values: Any, many: bool, context: Any) -> Any:
        is_prepared = isinstance(context["cursor"].cursor, ServerBindingCursor)
        cost.statements.append(Sent(text, values, is_prepared, connection.in_atomic_block))
        start = time.perf_counter()
        try:
            return execute(text, values, many, context)
        finally:
            cost.database_ms += 1000 * (time.perf_counter() - start)

    with connection.execute_wrapper(timed):
        yield cost


def psycopg_rate(
    statements: Sequence[Sent], own: Sequence[Any], *, threads: int, seconds: float
) -> float:
    """How many times per second plain psycopg sends these statements from this many sessions.
    `own`: values that differ per request, as keys do. An error of a session is raised."""
    start = threading.Barrier(threads)

    def work(_: int) -> int:
        url, count = os.environ["DATABASE_URL"], 0
        with psycopg.connect(url, autocommit=True, prepare_threshold=2) as session:
            start.wait()
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                _send_all(session, statements, {value: _another(value) for value in own})
                count += 1
        return count

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads))) / seconds


def _send_all(session: Any, statements: Sequence[Sent], others: dict[Any, Any]) -> None:
    """As Django does: a transaction's statements between BEGIN and COMMIT."""
    begun = False
    for sent in statements:
        if sent.in_transaction != begun:
            session.execute("BEGIN" if sent.in_transaction else "COMMIT")
            begun = sent.in_transaction
        kind = psycopg.Cursor if sent.is_prepared else psycopg.ClientCursor
        with kind(session) as cursor:
            cursor.execute(sent.text, _exchanged(sent.values, others))
            if cursor.description:
                cursor.fetchall()
    if begun:
        session.execute("COMMIT")


def _exchanged(values: Any, others: dict[Any, Any]) -> Any:
    if isinstance(values, dict):
        return {name: _exchanged(value, others) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_exchanged(value, others) for value in values]
    try:
        return others.get(values, values)
    except TypeError:  # JSON, which is no key
        return values


def _another(value: Any) -> Any:
    """Another value of the same kind: a UUID, a 62-bit number, or as many hexadecimal digits."""
    if isinstance(value, uuid.UUID):
        return uuid.uuid4()
    if isinstance(value, int):
        return random.getrandbits(62)
    return secrets.token_hex(len(value))[: len(value)].upper()
