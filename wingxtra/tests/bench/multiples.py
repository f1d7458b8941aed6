"""What a call costs: processor time in this process, in multiples of the constant view's.

A call is a whole request as the server makes it: WSGI, all middleware, view, answer. PostgreSQL and
Valkey are other processes and not counted. Call and reference run in turn, a few at a time, and
medians count, so a busy machine changes the multiples less than the milliseconds.

The budgets are multiples of a *page that says nothing*: a constant view behind the middleware of
pages, which is what `/health` was when the budgets were set (0.27 ms).
"""

import gc
import itertools
import json
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client, RequestFactory
from django.urls import path

from fleet.models import Drone
from orders import lifecycle
from orders.states import JobStatus, Status
from tracking.page import cache
from wingxtra.accounts.identity import DISPATCHER, GCS
from wingxtra.tests.bench.references import watched
from wingxtra.tests.bench.seed import ORDERS, Seeded
from wingxtra.tests.bench.tables import Figure, Table

AT_A_TIME = 6
HEADINGS = ("call", "ms", "of a page that says nothing", "of the constant view", "statements")
REPORTS = ("LAUNCHED", "PICKED_UP", "ENROUTE", "ARRIVED", "DELIVERING", "DELIVERED")


@dataclass(frozen=True, slots=True)
class Call:
    """`request()` makes the environment of one request. `at_most`: times the page that says
    nothing. `forget()` is called before each.
    """

    name: str
    request: Callable[[], dict[str, Any]]
    at_most: float
    forget: Callable[[], object] = lambda: None


def measure(seeded: Seeded, wanted: re.Pattern[str], *, rounds: int = 15) -> None:
    title = f"What a call costs, in processor time of this process, with {ORDERS:,} orders"
    table = Table(title, HEADINGS)
    with frozen():
        page_ms = 1000 * median(_spent_s(PAGE) for _ in range(AT_A_TIME * rounds))
        table.row("page that says nothing", Figure(page_ms, ".2f"), "", "", "")
        for call in (call for call in calls(seeded) if wanted.search(call.name)):
            ms, of_page, of_constant = cost(call, rounds)
            with watched() as spent:
                _spent_s(call)
            table.row(
                call.name,
                Figure(ms, ".2f"),
                Figure(of_page, ".1f", at_most=call.at_most),
                Figure(of_constant, ".1f"),
                len(spent.statements),
            )


def cost(call: Call, rounds: int) -> tuple[float, float, float]:
    """Milliseconds of a call, and its multiples of PAGE and of CONSTANT."""
    for one in (call, PAGE, CONSTANT):
        _some_s(one)  # by then, caches are filled and statements are prepared
    rows = [(_some_s(call), _some_s(PAGE), _some_s(CONSTANT)) for _ in range(rounds)]
    return (
        1000 * median(mine for mine, _, _ in rows),
        median(mine / page for mine, page, _ in rows),
        median(mine / constant for mine, _, constant in rows),
    )


def function_calls(call: Call) -> int:
    """How many functions a call calls, Python's and C's. Other work on the machine changes it
    little.
    """
    call.forget()
    environment, counted = call.request(), 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        _answer(call, environment)
    finally:
        sys.setprofile(None)
    return counted


def _some_s(call: Call) -> float:
    return median(_spent_s(call) for _ in range(AT_A_TIME))


def _spent_s(call: Call) -> float:
    call.forget()
    environment = call.request()
    start_s = time.thread_time()
    status, body = _answer(call, environment)
    spent_s = time.thread_time() - start_s
    if not status.startswith("2"):
        raise RuntimeError(f"{call.name}: {status} {body[:500]!r}")
    return spent_s


def _answer(call: Call, environment: dict[str, Any]) -> tuple[str, bytes]:
    statuses: list[str] = []
    answering = _OTHER if call is PAGE else _OURS
    response = answering(environment, lambda status, headers: statuses.append(status))
    body = b"".join(response)
    response.close()
    return statuses[0], body


@contextmanager
def frozen() -> Iterator[None]:
    """As wingxtra/wsgi.py does."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


# --- the calls -----------------------------------------------------------------------------------


class _WithOwnPages(WSGIHandler):
    """Serves the pages of this module behind our middleware."""

    def get_response(self, request: HttpRequest) -> Any:
        request.urlconf = __name__  # type: ignore[attr-defined]
        return super().get_response(request)


def _says_nothing(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


urlpatterns = [path("nothing", _says_nothing)]
_OURS, _OTHER = WSGIHandler(), _WithOwnPages()
_make = RequestFactory(SERVER_NAME="127.0.0.1")


def _get(path: str, headers: dict[str, str] | None = None) -> Callable[[], dict[str, Any]]:
    return lambda: _make.get(path, headers=headers).environ


def _post(path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    once = headers | {"Idempotency-Key": uuid.uuid4().hex}
    return _make.post(path, json.dumps(body), content_type="application/json", headers=once).environ


PAGE = Call("page that says nothing", _get("/nothing"), 1)
CONSTANT = Call("constant view", _get("/health"), 0.67)


def calls(seeded: Seeded) -> Sequence[Call]:
    merchant, ops = ({"X-API-Key": key} for key in (seeded.merchant_key, seeded.ops_key))
    tracking = seeded.order.public_tracking_id
    track = _get(f"/api/v1/tracking/{tracking}")
    reports = _reports(seeded, ops)

    def uncache() -> None:
        cache.drop(tracking)

    return [
        CONSTANT,
        Call("GET /orders/{id}", _get(f"/api/v1/orders/{seeded.order.pk}", merchant), 2),
        Call("POST /orders", lambda: _post("/api/v1/orders", seeded.body, merchant), 8),
        Call("GET /orders, merchant", _get("/api/v1/orders", merchant), 6),
        Call("GET /orders, staff", _get("/api/v1/orders", ops), 6),
        Call("GET /orders?cursor=, merchant", _get("/api/v1/orders?cursor=", merchant), 6),
        Call("GET /orders?q= (rare), merchant", _get("/api/v1/orders?q=REF-51", merchant), 9),
        Call("GET /orders?q= (frequent), staff", _get("/api/v1/orders?q=mensah", ops), 9),
        Call("GET /tracking/{id}", track, 3),
        Call("GET /track/{id}/position", _get(f"/track/{tracking}/position"), 3),
        Call("GET /tracking/{id}, nothing cached", track, 5, uncache),
        Call("POST /orders/{id}/events", lambda: next(reports), 10),
    ]


def _reports(seeded: Seeded, ops: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A delivery after the other, each step reported by ground control."""
    client = Client(SERVER_NAME="127.0.0.1", headers={"X-API-Key": seeded.merchant_key})
    free = Drone.objects.exclude(jobs__status=JobStatus.ACTIVE).order_by("pk")
    drone_id = free.values_list("pk", flat=True)[0]
    for number in itertools.count():
        placed = client.post("/api/v1/orders", seeded.body, content_type="application/json").json()
        order = lifecycle.assign(placed["id"], drone_id, by=DISPATCHER, why="The only one.")
        lifecycle.advance(order.pk, Status.MISSION_SUBMITTED, by=GCS)
        for kind in REPORTS:
            report = {"event_type": kind, "event_id": f"{number}-{kind}", "source": "gcs"}
            yield _post(f"/api/v1/orders/{order.pk}/events", report, ops)
