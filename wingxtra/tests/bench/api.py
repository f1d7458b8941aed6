"""The calls of the API that have a budget, each from many clients at once."""

import json
import re
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from django.test import Client

from wingxtra.tests.bench import load, references, tables
from wingxtra.tests.bench.seed import Seeded
from wingxtra.tests.serving import production_command, served

CLIENTS = 8
CROWDS = (64, 200)
ROUNDS = 3
CROWD_ROUNDS = 7  # shares near 100 % are told apart from a machine's drift only by many
SESSIONS = 4  # of psycopg alone; more are not faster
NUMBER = "########"  # eight hashes, which are another number in each request of a run
RUN = "{run}"  # another in each run
WIDTHS = (36, 7, 7, 7, 7, 4, 6, 13, 14)
HEAD = ("call", "clients", "req/s", "p50 ms", "p99 ms", "SQL", "db ms", "% of constant", "% of SQL")


@dataclass(frozen=True)
class Call:
    name: str
    path: str
    headers: dict[str, str]
    body: str = ""

    def request(self) -> str:
        """As the load generator sends it."""
        method = "POST" if self.body else "GET"
        lines = [f"{method} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "", self.body]).replace(RUN, secrets.token_hex(4))

    def make(self, client: Client) -> Any:
        """In this process, through Django's test client."""
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

    tag = client.get(tracking)["ETag"]
    return [
        Call("POST /orders", "/api/v1/orders", keyed, json.dumps(seeded.body)),
        Call("GET /orders/{id}", one, merchant),
        Call("GET /orders, merchant", "/api/v1/orders", merchant),
        Call("GET /orders, staff", "/api/v1/orders", ops),
        Call("GET /orders?cursor=, merchant", next_page(merchant), merchant),
        Call("GET /orders?cursor=, staff", next_page(ops), ops),
        Call("GET /orders?q= (rare), merchant", "/api/v1/orders?q=REF-5051", merchant),
        Call("GET /orders?q= (rare), staff", "/api/v1/orders?q=ref-5051", ops),
        Call("GET /orders?q= (some), staff", "/api/v1/orders?q=mensah%2099", ops),
        Call("GET /orders?q= (frequent), staff", "/api/v1/orders?q=mensah", ops),
        Call("GET /orders?q= (all), staff", "/api/v1/orders?q=REF", ops),
        Call("GET /orders?q= (none), staff", "/api/v1/orders?q=nobody", ops),
        Call("GET /tracking/{id}", tracking, {}),
        Call("GET /tracking/{id}, 304", tracking, {"If-None-Match": tag}),
        Call("GET /track/{id}/, the page", f"/track/{seeded.order.public_tracking_id}/", {}),
    ]


def measure(seeded: Seeded, wanted: re.Pattern[str], *, seconds: float) -> None:
    rows = [call for call in calls(seeded) if wanted.search(call.name)]
    tables.row(WIDTHS, HEAD)
    with served(production_command(), ENVIRONMENT="demo") as (base,):
        server = Server(urlsplit(base).port or 0, seconds)
        constant = Call("constant view", "/health", {})
        server.loaded(constant, CLIENTS)  # what is done once is done then
        tables.row(WIDTHS, _load_cells(constant.name, CLIENTS, server.loaded(constant, CLIENTS)))
        for call in rows:
            result, share = server.beside((call, CLIENTS), (constant, CLIENTS))
            cells = _load_cells(call.name, CLIENTS, result)
            cells += _cost_cells(call, result.rate, seconds)
            cells.insert(-1, f"{share:.0%}")
            tables.row(WIDTHS, cells)
        crowded = [c for c in rows if c.name in ("POST /orders", "GET /orders/{id}")]
        for call, clients in [(call, clients) for call in crowded for clients in CROWDS]:
            few = (call, CLIENTS)
            result, share = server.beside((call, clients), few, rounds=CROWD_ROUNDS)
            cells = _load_cells(call.name, clients, result)
            tables.row(WIDTHS, [*cells, "", "", f"{share:.0%} of 8 clients'"])


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
        """The result of `one`, and its rate as a share of the other's: taken in turn, and the
        median of each, because the speed of a machine drifts.
        """
        pairs = [(self.loaded(*one), self.loaded(*other)) for _ in range(rounds)]
        results = sorted((mine for mine, _ in pairs), key=lambda result: result.rate)
        return results[rounds // 2], median(mine.rate / theirs.rate for mine, theirs in pairs)


def _load_cells(name: str, clients: int, result: load.Result) -> list[object]:
    times = (f"{ms:.1f}" for ms in (result.p50_ms, result.p99_ms))
    return [name, clients, f"{result.rate:.0f}", *times]


def _cost_cells(call: Call, rate: float, seconds: float) -> list[object]:
    """Statements, their time, and the share of what psycopg alone does."""
    made: list[Any] = []
    cost = references.cost_of(lambda client: made.append(call.make(client)))
    cells: list[object] = [len(cost.statements), f"{cost.database_ms:.2f}"]
    if not cost.statements:
        return [*cells, ""]
    alone = references.psycopg_rate(
        cost.statements,
        _own(cost.statements) if call.body else [],
        threads=SESSIONS,
        seconds=seconds,
    )
    return [*cells, f"{rate / alone:.0%} of {alone:.0f}"]


def _own(statements: Sequence[references.Sent]) -> list[Any]:
    """What another request would have of its own: order and tracking id, lock and digest."""
    # The key is remembered: what is read of it is not sent again.
    claim, order = (sent.values for sent in statements[:2])
    ids = [value for value in order[:2] if isinstance(value, str | uuid.UUID)]
    return [claim["lock"], claim["digest"], *ids]
