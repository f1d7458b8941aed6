"""Queries of the day beside a long history: each names a time, and so skips the months before, or
finds its rows in every month by an index.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dispatch.console.attention import lacking_a_drone
from dispatch.missions import delays
from dispatch.missions.records import writing
from dispatch.models import DispatchRun
from dispatch.planning import runs
from orders.console import pages as order_pages
from orders.models import EVENT_MARGIN, DeliveryEvent, Order
from orders.outcome import _refuse_when_too_late
from orders.states import Status
from orders.tests.factories import order_in
from pod import evidence
from tracking import forgetting
from tracking.models import WebhookDelivery
from tracking.tests.receiver import WebhookFactory
from tracking.webhooks import deliveries
from tracking.webhooks.events import AS_MERCHANT
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import UserFactory, key_client
from wingxtra.database import partitions
from wingxtra.database.partitions import month_of, months_after
from wingxtra.observability import metrics

pytestmark = pytest.mark.django_db
MONTHS = 6
EVENTS = "orders_deliveryevent"
WAYS_WITHOUT_INDEX = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
BY_MONTH = {history.table for history in partitions.histories}


@pytest.fixture
def _months() -> None:
    for history in partitions.histories:
        for back in range(1, MONTHS + 1):
            partitions.make(history, months_after(month_of(timezone.now()), -back))


@pytest.fixture
def order(_months: None) -> Order:
    """A new one, beside many decisions of former months."""
    endpoint = WebhookFactory()
    order = order_in(Status.DELIVERED, merchant=endpoint.merchant)
    run = DispatchRun.objects.create(trigger="SCHEDULE", actor="dispatcher", policy_version=1)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO dispatch_dispatchdecision (run_id, order_id, outcome, figures, runners_up,"
            " ruled_out, why, decided_at) SELECT %s, %s, 'UNASSIGNED', '{}', '[]', '[]', '',"
            f" now() - mod(n, {30 * MONTHS}) * interval '1 day' FROM generate_series(1, 6000) n",
            [run.pk, order_in(Status.DELIVERED).pk],
        )
        cursor.execute("ANALYZE dispatch_dispatchdecision")
    return order


def scans(plan: Any, partial: set[str]) -> Iterator[tuple[str, bool]]:
    """(partition, whether by a condition of an index or by all of a partial one) for each scan of a
    table by month.
    """
    if "Plan" in plan:
        plan = plan["Plan"]
    relation = plan.get("Relation Name", "")
    if any(relation.startswith(f"{table}_") for table in BY_MONTH):
        is_bitmap = plan["Node Type"] == "Bitmap Heap Scan"
        yield relation, is_bitmap or "Index Cond" in plan or plan.get("Index Name", "") in partial
    for inner in plan.get("Plans", ()):
        yield from scans(inner, partial)


def explained(act: Callable[[], Any]) -> dict[str, list[tuple[str, bool]]]:
    """The scans of each statement about a table by month that `act` sends. The tables are small, so
    PostgreSQL is told to prefer indexes.
    """
    with CaptureQueriesContext(connection) as captured:
        act()
    found = {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL")
        partial = {name for (name,) in cursor.fetchall()}
        for way in WAYS_WITHOUT_INDEX:
            cursor.execute(f"SET LOCAL {way} = off")
        for query in captured.captured_queries:
            sql = query["sql"]
            if "pg_inherits" in sql:  # it looks for rows of the default partitions
                continue
            is_ours = any(table in sql for table in BY_MONTH)
            if (
                is_ours
                and re.match(r"(SELECT|WITH|UPDATE|DELETE)\b", sql.strip())
                and any(t in sql for t in BY_MONTH)
            ):
                cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
                (plan,) = cursor.fetchone()[0]
                found[sql] = list(scans(plan, partial))
        for way in WAYS_WITHOUT_INDEX:
            cursor.execute(f"SET LOCAL {way} = on")
    return found


def of_staff() -> Client:
    browser = Client()
    browser.force_login(UserFactory(role=Role.OPS, is_staff=True))
    return browser


def got(client: Any, address: str) -> None:
    assert client.get(address).status_code == 200, address


def of_order(order: Order, path: str = "") -> None:
    got(key_client(role=Role.OPS), f"/api/v1/orders/{order.pk}{path}")


OF_ONE_ORDER: dict[str, Callable[[Order], Any]] = {
    "events by API": lambda order: of_order(order, "/events"),
    "page of the console": lambda order: got(
        of_staff(), reverse("admin:orders_order_change", args=[order.pk])
    ),
    "list of the console": lambda order: got(of_staff(), reverse("admin:orders_order_changelist")),
    "order of the GCS's page": lambda order: got(
        key_client(role=Role.OPS), reverse("gcs-order", args=[order.pk])
    ),
    "customer's page": lambda order: got(Client(), f"/track/{order.public_tracking_id}/"),
    "news of orders": lambda order: order_pages._latest_event_ids([order]),
    "delays": lambda order: delays.tell(timezone.now()),
    "unsent orders": lambda order: runs._unsent([order.service_area]),
    "flight record": lambda order: writing.write(list(order.history())),
    "correction": lambda order: _refuse_when_too_late(order, timezone.now()),
    "evidence": lambda order: evidence.record_context(order, AS_MERCHANT, timezone.now()),
}
OF_A_TIME: dict[str, Callable[[], Any]] = {
    "dashboard": lambda: got(of_staff(), reverse("admin:index")),
    "report of a shift": lambda: got(of_staff(), reverse("admin:shift")),
    "metrics": lambda: list(metrics._Everything().collect()),
}
BY_THE_WORKER: dict[str, Callable[[Order], Any]] = {
    "decisions by API": lambda order: of_order(order, "/decisions"),
    "webhooks due": lambda order: list(WebhookDelivery.objects.due_per_endpoint(timezone.now())),
    "a webhook taken": lambda order: deliveries.take(order.webhook_deliveries.all()[0].pk),
    "webhooks forgotten": lambda order: forgetting.forget(order),
    "orders without a drone": lambda order: list(lacking_a_drone(timezone.now())),
}


def this_month_on() -> set[str]:
    """Partitions of events that an order of now can be in, and the default one."""
    since = month_of(timezone.now() - EVENT_MARGIN)
    months = partitions.months_of(EVENTS) or []
    return {one.name for one in months if one.end > since} | {f"{EVENTS}_default"}


@pytest.mark.parametrize("name", OF_ONE_ORDER)
def test_queries_about_an_order_skip_the_months_before_it(name: str, order: Order) -> None:
    found = explained(lambda: OF_ONE_ORDER[name](order))
    for sql, scanned in found.items():
        events = [(table, by_index) for table, by_index in scanned if table.startswith(EVENTS)]
        assert all(by_index for _, by_index in scanned), sql
        if "U0" not in sql and "JOIN" not in sql and "b.order_id" not in sql:
            assert {table for table, _ in events} <= this_month_on(), sql
    assert found


@pytest.mark.parametrize("name", OF_A_TIME)
def test_queries_about_a_time_read_its_months_only(name: str, order: Order) -> None:
    for sql, scanned in explained(OF_A_TIME[name]).items():
        assert all(by_index for _, by_index in scanned), sql


@pytest.mark.parametrize("name", BY_THE_WORKER)
def test_queries_without_a_time_use_an_index_of_each_month(name: str, order: Order) -> None:
    found = explained(lambda: BY_THE_WORKER[name](order))
    assert found
    for sql, scanned in found.items():
        assert all(by_index for _, by_index in scanned), sql


def test_a_query_without_a_time_reads_every_month(order: Order) -> None:
    """The control: what these tests would find in a query that names no time, or no order."""
    (scanned,) = explained(lambda: list(order.events.all())).values()
    assert len(scanned) == MONTHS + 3
    (scanned,) = explained(lambda: list(DeliveryEvent.objects.filter(message="x"))).values()
    assert not any(by_index for _, by_index in scanned)
