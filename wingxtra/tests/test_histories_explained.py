"""Queries of the day beside a long history: those about events name a time, and so PostgreSQL skips
the months before.
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

from dispatch.missions import delays
from dispatch.missions.records import writing
from dispatch.planning.inputs import waiting
from orders.console import pages as order_pages
from orders.models import EVENT_MARGIN, DeliveryEvent, Order
from orders.outcome import _refuse_when_too_late
from orders.states import Status
from orders.tests.factories import order_in
from pod import evidence
from tracking.tests.receiver import WebhookFactory
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
    endpoint = WebhookFactory()
    return order_in(Status.DELIVERED, merchant=endpoint.merchant)


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
    "news of orders": lambda order: order_pages.watch_of().token([order]),
    "delays": lambda order: delays.tell(timezone.now()),
    "unsent orders": lambda order: waiting.unsent([order.service_area_id]),
    "flight record": lambda order: writing.write(list(order.history())),
    "correction": lambda order: _refuse_when_too_late(order, timezone.now()),
    "evidence": lambda order: evidence.record_context(order, AS_MERCHANT, timezone.now()),
}
OF_A_TIME: dict[str, Callable[[], Any]] = {
    "dashboard": lambda: got(of_staff(), reverse("admin:index")),
    "report of a shift": lambda: got(of_staff(), reverse("admin:shift")),
    "metrics": lambda: list(metrics._Everything().collect()),
}


def this_month_on() -> set[str]:
    """Partitions of events that an order of now can be in, and the default one."""
    since = month_of(timezone.now() - EVENT_MARGIN)
    months = partitions.months_of(EVENTS) or []
    return {one.name for one in months if one.end > since} | {f"{EVENTS}_default"}


def of_events(found: dict[str, list[tuple[str, bool]]]) -> dict[str, list[tuple[str, bool]]]:
    """Without the queries whose time is that of a joined order: its months are known to PostgreSQL
    only while they run.
    """
    joined = re.compile(r"U0|JOIN \"|b\.order_id")
    return {
        sql: [one for one in scanned if one[0].startswith(EVENTS)]
        for sql, scanned in found.items()
        if not joined.search(sql)
    }


@pytest.mark.parametrize("name", OF_ONE_ORDER)
def test_queries_about_an_order_skip_the_months_before_it(name: str, order: Order) -> None:
    for sql, events in of_events(explained(lambda: OF_ONE_ORDER[name](order))).items():
        assert all(by_index for _, by_index in events), sql
        assert {table for table, _ in events} <= this_month_on(), sql


@pytest.mark.parametrize("name", OF_A_TIME)
def test_queries_about_a_time_read_its_months_only(name: str, order: Order) -> None:
    for sql, events in of_events(explained(OF_A_TIME[name])).items():
        assert {table for table, _ in events} <= this_month_on(), sql


def test_a_query_without_a_time_reads_every_month(order: Order) -> None:
    """The control: what these tests would find in a query that names no time, or no order."""
    (scanned,) = explained(lambda: list(order.events.all())).values()
    assert len(scanned) == MONTHS + 3
    (scanned,) = explained(lambda: list(DeliveryEvent.objects.filter(message="x"))).values()
    assert not any(by_index for _, by_index in scanned)
