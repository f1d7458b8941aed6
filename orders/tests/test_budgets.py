"""Limits of SQL statements and rows read for the hot calls.

`make bench` measures their duration; tests never do.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from fleet.tests.factories import DroneFactory
from orders.models import Order, Store
from orders.tests.factories import OrderFactory, StoreFactory, multiply_orders
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import UserFactory, key_client
from wingxtra.tests.test_broker import wait_until

pytestmark = pytest.mark.django_db
PATH = "/api/v1/orders"
CONSOLE = "/admin/orders/order/"

TRIP = {
    "pickup_lat": 5.6037,
    "pickup_lng": -0.1870,
    "dropoff_lat": 5.6150,
    "dropoff_lng": -0.1750,
    "payload_weight_kg": 0.8,
}


@contextmanager
def sent() -> Iterator[list[tuple[str, Any]]]:
    """Yields the statements that are sent inside the block, with their values."""
    statements: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, values: Any, many: bool, context: Any) -> Any:
        statements.append((sql, values))
        return execute(sql, values, many, context)

    with connection.execute_wrapper(note):
        yield statements


def heads(statements: list[tuple[str, Any]]) -> list[str]:
    return [" ".join(sql.split())[:70] for sql, _ in statements]


def rows_read(sql: str, values: Any) -> int:
    """The maximum of rows that a step of the plan read, including the rows that it filtered out."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", values)
        (plan,) = cursor.fetchone()
    return max(_rows_of(plan[0]["Plan"]))


def _rows_of(step: dict[str, Any]) -> Iterator[float]:
    removed = sum(n for name, n in step.items() if name.startswith("Rows Removed"))
    yield (step["Actual Rows"] + removed) * step["Actual Loops"]
    for inner in step.get("Plans", ()):
        yield from _rows_of(inner)


@pytest.fixture
def plenty() -> Order:
    """One of 3,000 orders of 3 merchants."""
    order = OrderFactory(external_id="ref-0")
    OrderFactory(external_id="ref-1")
    OrderFactory(external_id="ref-2")
    multiply_orders(
        1000,
        {
            "id": "gen_random_uuid()",
            "public_tracking_id": "left(md5('track' || external_id || n || merchant_id), 13)",
            "external_id": "external_id || '-' || n",
            "created_at": "created_at - n * interval '1 minute'",
        },
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # also what the orders are joined with
    return order


def test_placing_an_order_takes_four_statements() -> None:
    DroneFactory()
    client = key_client(merchant=OrderFactory().merchant)

    def place() -> Any:
        headers = {"HTTP_IDEMPOTENCY_KEY": uuid.uuid4().hex}
        return client.post(PATH, {**TRIP, "external_id": uuid.uuid4().hex}, **headers)

    # In production the second order finds rulebook and key in memory. Inside a test's transaction
    # they are not cached, so their queries are excluded by their tables.
    assert place().status_code == 201
    with sent() as statements:
        assert place().status_code == 201
    own = [sql for sql, _ in statements if not re.search(r'FROM "(fleet_|accounts_apikey)', sql)]
    own = [sql for sql in own if "SAVEPOINT" not in sql]
    assert len(own) == 4, heads(statements)


def test_reading_an_order_takes_one_statement(plenty: Order) -> None:
    client = key_client(merchant=plenty.merchant)
    client.get(PATH)  # the first use of a key in a minute writes its last use
    with sent() as statements:
        assert client.get(f"{PATH}/{plenty.pk}").json()["id"] == str(plenty.pk)
    # Inside a test's transaction the key is not cached.
    own = [sql for sql in heads(statements) if "accounts_apikey" not in sql]
    assert len(own) == 1, heads(statements)


def as_merchant(order: Order) -> Any:
    return key_client(merchant=order.merchant)


def as_staff(_order: Order) -> Any:
    return key_client(role=Role.OPS)


@pytest.mark.parametrize("caller", [as_merchant, as_staff])
def test_a_first_page_takes_three_statements_and_reads_one_page(plenty: Order, caller: Any) -> None:
    client = caller(plenty)
    client.get(f"{PATH}/{plenty.pk}")  # the first use of a key in a minute writes its last use
    with sent() as statements:
        assert len(client.get(PATH).json()["items"]) == 20
    assert len(statements) == 3, heads(statements)
    assert rows_read(*statements[-1]) <= 20


@pytest.mark.parametrize("caller", [as_merchant, as_staff])
def test_a_cursor_page_takes_two_statements_and_reads_one_page(plenty: Order, caller: Any) -> None:
    client = caller(plenty)
    cursor = client.get(f"{PATH}?cursor=&page_size=100").json()["next_cursor"]
    with sent() as statements:
        assert len(client.get(f"{PATH}?cursor={cursor}").json()["items"]) == 20
    assert len(statements) == 2, heads(statements)
    assert rows_read(*statements[-1]) <= 21  # one more row shows whether there is a next page


@pytest.mark.django_db(transaction=True)
def test_counting_is_an_index_only_scan(plenty: Order) -> None:
    wait_until(_is_vacuumed)
    client = key_client(merchant=plenty.merchant)
    with sent() as statements:
        assert client.get(PATH).json()["total"] == 1001
    (count,) = [one for one in statements if "COUNT" in one[0]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {count[0]}", count[1])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Only Scan using order_merchant_newest_mode" in plan, plan


def _is_vacuumed() -> bool:
    """Whether every page is marked all-visible; an old open transaction prevents it."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) orders_order")
        cursor.execute(
            "SELECT relallvisible >= relpages FROM pg_class WHERE relname = 'orders_order'"
        )
        (is_all_visible,) = cursor.fetchone()
    return bool(is_all_visible)


def test_tracking_takes_no_statement(plenty: Order) -> None:
    address = f"/api/v1/tracking/{plenty.public_tracking_id}"
    tag = Client().get(address)["ETag"]
    with sent() as statements:
        assert Client().get(address).status_code == 200
        assert Client().get(address, headers={"If-None-Match": tag}).status_code == 304
    assert heads(statements) == []


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?p=2",
        "?tab=attention",
        "?tab=queued",
        "?tab=done",
        "?status__exact=QUEUED",
        "?priority__exact=MEDICAL",
        "?promise=late",
        "?q=f-1-77",
        "?drone=wx-drn-007",
        "?reason=WEATHER",
        "?holder__exact=LOST",
        "?tab=queued&o=6",
        "?q=mensah",
        "?q=nobody",
        "?o=4",
    ],
)
def test_the_console_list_takes_at_most_twelve_statements(plenty: Order, query: str) -> None:
    DroneFactory(drone_id="WX-DRN-007")
    browser = Client()
    browser.force_login(UserFactory(role=Role.OPS))
    with sent() as statements:
        assert browser.get(CONSOLE + query).status_code == 200
    assert len(statements) <= 12, heads(statements)


@pytest.mark.parametrize(
    "query", ["?reason=WEATHER", "?holder__exact=LOST", "?store__id__exact={}"]
)
def test_a_rare_value_of_a_filter_reads_its_own_orders_only(query: str) -> None:
    store = StoreFactory()
    multiply_orders_of(store)
    browser = Client()
    browser.force_login(UserFactory(role=Role.OPS))
    with sent() as statements:
        page = browser.get(CONSOLE + query.format(store.pk)).content.decode()
    assert page.count("<tr>") == 4
    (rows,) = [
        one
        for one in statements
        if "ORDER BY" in one[0] and '"orders_order"."status"' in one[0] and "counted_" not in one[0]
    ]
    # Of 3,001. A small table that they are joined with may be read as a whole.
    assert rows_read(*rows) <= 10


def multiply_orders_of(store: Store) -> None:
    """3,001 queued orders, and 3 that ended: one in a thousand is rare."""
    OrderFactory(external_id="ref")
    rare = "n % 1000 = 7"
    multiply_orders(
        3000,
        {
            "id": "gen_random_uuid()",
            "public_tracking_id": "left(md5('track' || n), 13)",
            "external_id": "'ref-' || n",
            "created_at": "created_at - n * interval '1 minute'",
            "status": f"CASE WHEN {rare} THEN 'FAILED' ELSE 'QUEUED' END",
            "reason_code": f"CASE WHEN {rare} THEN 'WEATHER' ELSE '' END",
            "holder": f"CASE WHEN {rare} THEN 'LOST' ELSE 'SENDER' END",
            "store_id": f"CASE WHEN {rare} THEN '{store.pk}'::uuid END",
        },
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # also what the orders are joined with


def test_an_order_is_the_same_alone_and_in_the_list(plenty: Order) -> None:
    client = key_client(merchant=plenty.merchant)
    one = client.get(f"{PATH}/{plenty.pk}").json()
    listed = next(i for i in client.get(PATH).json()["items"] if i["id"] == str(plenty.pk))
    hidden = {"customer_name", "customer_phone", "customer_email"}
    assert {k: v for k, v in one.items() if k not in hidden} == {
        k: v for k, v in listed.items() if k not in hidden
    }
    assert {one[k] for k in hidden} & {listed[k] for k in hidden} == {None}
