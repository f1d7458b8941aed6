"""The API calls with a budget, each from many concurrent clients."""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from django.test import Client

from orders.models import Order
from wingxtra.tests.bench import load, references
from wingxtra.tests.bench.seed import MERCHANTS, ORDERS, Seeded
from wingxtra.tests.bench.tables import Figure, Table
from wingxtra.tests.image import web_command
from wingxtra.tests.serving import served

CLIENTS = 8
CROWDS = (64, 200)
ROUNDS = 3
CROWD_ROUNDS = 7  # shares near 100 % are told apart from a machine's drift only by many
SESSIONS = 4  # of psycopg alone; more are not faster
NUMBER = "########"  # eight hashes, which are another number in each request of a run
RUN = "{run}"  # another in each run
HEADINGS = (
    *("call", "clients", "req/s", "p50 ms", "p99 ms", "statements", "database ms"),
    *("of constant view", "of psycopg", "psycopg req/s"),
)


@dataclass(frozen=True)
class Budget:
    """The budget of a call: docs/performance.md. Shares are of the reference's rate."""

    statements: int | None = None
    database_ms: float | None = None
    of_constant: float | None = None
    of_psycopg: float | None = None


ONE_ORDER = Budget(statements=2, of_constant=0.35)
NEW_ORDER = Budget(statements=6, of_psycopg=0.25)
FIRST_PAGE = Budget(statements=3)
NEXT_PAGE = Budget(statements=2)
SEARCH = Budget(database_ms=10)
TRACKING = Budget(statements=0, of_constant=0.5)
OF_FEW_CLIENTS = 0.9  # with many clients, of the rate with few


@dataclass(frozen=True)
class Call:
    name: str
    path: str
    headers: dict[str, str]
    body: str = ""
    budget: Budget = Budget()

    def request(self) -> str:
        """The request for the load generator."""
        method = "POST" if self.body else "GET"
        lines = [f"{method} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "", self.body]).replace(RUN, secrets.token_hex(4))

    def make(self, client: Client) -> Any:
        """Make the call in this process, with Django's test client."""
        run = secrets.token_hex(4)
        headers = {name: value.replace(RUN, run) for name, value in self.headers.items()}
        if self.body:
            return client.post(
                self.path, self.body, content_type="application/json", headers=headers
            )
        return client.get(self.path, headers=headers)


def calls(seeded: Seeded) -> list[Call]:
    merchant, ops = ({"X-API-Key": key} for key in (seeded.merchant_key, seeded.ops_key))
    # A key that was used is answered from memory.
    keyed = merchant | {"Idempotency-Key": f"{RUN}-{NUMBER}"}
    one = f"/api/v1/orders/{seeded.order.pk}"
    tracking = f"/api/v1/tracking/{seeded.order.public_tracking_id}"
    client = Client(SERVER_NAME="127.0.0.1")

    def next_page(headers: dict[str, str]) -> str:
        page = client.get("/api/v1/orders?page_size=100&cursor=", headers=headers).json()
        return f"/api/v1/orders?cursor={page['next_cursor']}"

    def found(text: str) -> str:
        return f"/api/v1/orders?q={text}"

    tag = client.get(tracking)["ETag"]
    page = f"/track/{seeded.order.public_tracking_id}/"
    return [
        Call("POST /orders", "/api/v1/orders", keyed, json.dumps(seeded.body), NEW_ORDER),
        Call("GET /orders/{id}", one, merchant, budget=ONE_ORDER),
        Call("GET /orders, merchant", "/api/v1/orders", merchant, budget=FIRST_PAGE),
        Call("GET /orders, staff", "/api/v1/orders", ops, budget=FIRST_PAGE),
        Call("GET /orders?cursor=, merchant", next_page(merchant), merchant, budget=NEXT_PAGE),
        Call("GET /orders?cursor=, staff", next_page(ops), ops, budget=NEXT_PAGE),
        Call("GET /orders?q= (rare), merchant", found("REF-5051"), merchant, budget=SEARCH),
        Call("GET /orders?q= (rare), staff", found("ref-5051"), ops, budget=SEARCH),
        Call("GET /orders?q= (some), staff", found("mensah%2099"), ops, budget=SEARCH),
        Call("GET /orders?q= (frequent), staff", found("mensah"), ops, budget=SEARCH),
        Call("GET /orders?q= (all), staff", found("REF"), ops, budget=SEARCH),
        Call("GET /orders?q= (none), staff", found("nobody"), ops, budget=SEARCH),
        Call("GET /tracking/{id}", tracking, {}, budget=TRACKING),
        Call("GET /tracking/{id}, 304", tracking, {"If-None-Match": tag}, budget=TRACKING),
        Call("GET /track/{id}/, the page", page, {}),
        Call("GET /track/{id}/position", f"{page}position", {}),
    ]


def measure(seeded: Seeded, wanted: re.Pattern[str], *, seconds: float) -> None:
    rows = [call for call in calls(seeded) if wanted.search(call.name)]
    command = web_command()
    table = Table(
        f"The API with {ORDERS:,} orders of {MERCHANTS} merchants, {seconds:g} s of load at a "
        f"time, served by\n{' '.join(command)}",
        HEADINGS,
    )
    with served(command, ENVIRONMENT="demo") as (base,):
        server = Server(urlsplit(base).port or 0, seconds)
        constant = Call("constant view", "/health", {})
        server.loaded(constant, CLIENTS)  # what is done once is done then
        result = server.loaded(constant, CLIENTS)
        table.row(*_load_cells(constant.name, CLIENTS, result), "", "", "", "", "")
        for call in rows:
            result, share = server.beside((call, CLIENTS), (constant, CLIENTS))
            of_constant = Figure(share, ".0%", at_least=call.budget.of_constant)
            statements, database_ms, *of_psycopg = _cost_cells(call, result.rate, seconds)
            cells = _load_cells(call.name, CLIENTS, result)
            table.row(*cells, statements, database_ms, of_constant, *of_psycopg)
        _measure_crowds(server, rows, seconds)


def _measure_crowds(server: "Server", rows: Sequence[Call], seconds: float) -> None:
    table = Table(
        f"The API with many clients at once, {seconds:g} s of load at a time",
        ("call", "clients", "req/s", "p50 ms", "p99 ms", f"of {CLIENTS} clients' rate"),
    )
    crowded = [call for call in rows if call.budget in (NEW_ORDER, ONE_ORDER)]
    for call, clients in [(call, clients) for call in crowded for clients in CROWDS]:
        few = (call, CLIENTS)
        result, share = server.beside((call, clients), few, rounds=CROWD_ROUNDS)
        of_few = Figure(share, ".0%", at_least=OF_FEW_CLIENTS)
        table.row(*_load_cells(call.name, clients, result), of_few)


@dataclass(frozen=True)
class Server:
    port: int
    seconds: float  # of load at a time

    def loaded(self, call: Call, clients: int) -> load.Result:
        plan = load.Plan(self.port, call.request(), clients, self.seconds, warm_up_s=0.5)
        result = load.generate(plan)
        if result.errors:
            raise RuntimeError(f"{call.name}: {result.answers}")
        return result

    def beside(
        self, one: tuple[Call, int], other: tuple[Call, int], *, rounds: int = ROUNDS
    ) -> tuple[load.Result, float]:
        """The result of `one`, and its rate as a share of the other's. They alternate, and medians
        count, because the speed of a machine drifts.
        """
        pairs = [(self.loaded(*one), self.loaded(*other)) for _ in range(rounds)]
        results = sorted((mine for mine, _ in pairs), key=lambda result: result.rate)
        return results[rounds // 2], median(mine.rate / theirs.rate for mine, theirs in pairs)


def _load_cells(name: str, clients: int, result: load.Result) -> list[object]:
    times = (Figure(ms, ".1f") for ms in (result.p50_ms, result.p99_ms))
    return [name, clients, Figure(result.rate, ",.0f"), *times]


def _cost_cells(call: Call, rate: float, seconds: float) -> list[object]:
    """Statements, their time, the share of psycopg's rate, and that rate."""
    made: list[Any] = []
    cost = references.cost_of(lambda client: made.append(call.make(client)))
    budget = call.budget
    cells: list[object] = [
        Figure(len(cost.statements), at_most=budget.statements),
        Figure(cost.database_ms, ".2f", at_most=budget.database_ms),
    ]
    if not cost.statements:
        return [*cells, "", ""]
    alone = references.psycopg_rate(
        cost.statements,
        _own(cost.statements) if call.body else [],
        threads=SESSIONS,
        seconds=seconds,
    )
    share = Figure(rate / alone, ".0%", at_least=budget.of_psycopg)
    return [*cells, share, Figure(alone, ",.0f")]


def _own(statements: Sequence[references.Sent]) -> list[Any]:
    """The values that differ per request: order and tracking id, lock and digest."""
    # The API key is cached: no statement reads it.
    claim, order = (sent.values for sent in statements[:2])
    columns = [field.column for field in Order._meta.concrete_fields]
    of_order = dict(zip(columns, order, strict=True))
    return [claim["lock"], claim["digest"], of_order["id"], of_order["public_tracking_id"]]
