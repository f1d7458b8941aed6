"""A year of history: pages and calls beside 20 million events, and how a month of a million rows
leaves.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dispatch.models import FlightRecord
from dispatch.tests.test_bench_records import TRACK, database_cpu_s
from fleet.demo import seed as city
from fleet.models import Drone
from fleet.tests.factories import TelemetryFactory, show
from orders import lifecycle
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import Status
from tracking.models import WebhookDelivery
from tracking.tests.receiver import WebhookFactory
from wingxtra import redis_client
from wingxtra.accounts.identity import DISPATCHER, GCS, Role
from wingxtra.accounts.models import ApiKey, Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory
from wingxtra.console.livemap import store
from wingxtra.database import partitions
from wingxtra.database.partitions import History, month_of, months_after
from wingxtra.tests import cpu
from wingxtra.tests.bench import million, references, seed
from wingxtra.tests.bench.tables import Figure, Table

pytestmark = [pytest.mark.bench, pytest.mark.django_db(transaction=True)]

EVENTS = int(os.environ.get("BENCH_EVENTS", "20000000"))
ROWS = int(os.environ.get("BENCH_MONTH_ROWS", "1000000"))
MONTHS = 12
AIR_MIN = "8 + mod(n::bigint * 7919, 1200) / 60.0"
FLIGHT_DAYS = 60  # the newest have a flight record with a track
SAMPLES = 20
BUDGET_MS = 300

EVENTS_OF_ALL, WEBHOOKS = (
    next(one for one in partitions.histories if one.model is model)
    for model in (DeliveryEvent, WebhookDelivery)
)
SEEDED = Table("A year of events", ("what", "rows", "clock s", "MB"))
PAGES = Table(
    f"Beside {EVENTS:,} events in {MONTHS} months",
    ("what", "CPU ms", "of it database", "statements"),
)
LEAVING = Table(
    f"A month of {ROWS:,} deliveries of webhooks leaves",
    ("how", "clock s", "database CPU s", "WAL MB", "s locked"),
)


@pytest.fixture
def _only_its_own_months() -> Iterator[None]:
    """The database has its former months and indexes after the test."""
    before = {h.table: {one.name for one in partitions.months_of(h.table) or ()} for h in HISTORIES}
    yield
    (search,) = (index for index in Order._meta.indexes if index.name == "order_search")
    with connection.schema_editor() as editor, connection.cursor() as cursor:
        cursor.execute("TRUNCATE orders_order CASCADE")
        cursor.execute("DROP INDEX IF EXISTS order_search")
        editor.add_index(Order, search)
        for table, names in before.items():
            for one in partitions.months_of(table) or ():
                if one.name not in names:
                    cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {one.name}")
                    cursor.execute(f"DROP TABLE {one.name}")


HISTORIES = (EVENTS_OF_ALL, WEBHOOKS)


# --- a year of events ----------------------------------------------------------------------------


@pytest.mark.usefixtures("_only_its_own_months")
def test_pages_and_calls_beside_a_year_of_events() -> None:
    began_s, now = time.perf_counter(), timezone.now()
    merchant, orders = make_a_year(now)
    total = DeliveryEvent.objects.count()
    SEEDED.row("seeded", Figure(total, ","), Figure(time.perf_counter() - began_s), Figure(_mb()))
    newest, oldest = (_order(n) for n in (orders, 1))
    _pages(merchant, newest, oldest, now)
    _archive()


def make_a_year(now: datetime) -> tuple[Merchant, int]:
    """A year of orders of one merchant, the open ones of a bad afternoon, and a picture of all
    drones. Returns the merchant and how many orders are in the year.
    """
    city.seed(12)
    merchant = MerchantFactory()
    template = seed.placed(merchant, body())
    lifecycle.assign(template.pk, Drone.objects.all()[0].pk, by=DISPATCHER, why="The only one.")
    lifecycle.advance(template.pk, Status.DELIVERED, by=GCS)
    template = Order.objects.get(pk=template.pk)
    million.open_afternoon(merchant)
    start = months_after(month_of(now), -MONTHS)
    orders = EVENTS // DeliveryEvent.objects.filter(order=template).count()
    apart_s = _s(now - start) / orders
    made = f"'{start.isoformat()}'::timestamptz + n * interval '1 second' * {apart_s}"
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX order_search")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("SET maintenance_work_mem = '512MB'")
        multiply(Order, template.pk, 1, orders, made)
        multiply(DeliveryJob, template.current_job_id, 1, orders, made)
        flights = math.ceil(FLIGHT_DAYS * 86_400 / apart_s)
        flight = FlightRecord.objects.get(order=template).pk
        multiply(FlightRecord, flight, max(1, orders - flights), orders, made)
        for month in [months_after(start, count) for count in range(MONTHS)]:
            first, last = (
                math.ceil(_s(at - start) / apart_s) for at in (month, months_after(month, 1))
            )
            last -= 1
            _events_of_a_month(month, template, max(1, first), last, made)
        _insert_events("orders_deliveryevent", template, last + 1, orders, made, until=now)
        cursor.execute("SET session_replication_role = DEFAULT")
        cursor.execute("ANALYZE")
    return merchant, orders


def _pages(merchant: Any, newest: Order, oldest: Order, now: datetime) -> None:
    api, staff = Client(), Client()
    key = ApiKey.issue(name="bench", role=Role.MERCHANT, merchant=merchant)[1]
    api.defaults["HTTP_X_API_KEY"] = key
    user = UserFactory(role=Role.OPS, is_staff=True)
    staff.force_login(user, backend="wingxtra.console.roles.RoleBackend")
    for name, order in (("new order", newest), ("year-old order", oldest)):
        _page(f"GET /orders/{{id}}, {name}", api, f"/api/v1/orders/{order.pk}", 12)
        _page(f"GET /orders/{{id}}/events, {name}", api, f"/api/v1/orders/{order.pk}/events", 12)
        page = reverse("admin:orders_order_change", args=[order.pk])
        _page(f"console, page of a {name}", staff, page, 12)
    _page("GET /orders", api, "/api/v1/orders", 3)
    _page("console, list of orders", staff, reverse("admin:orders_order_changelist"), 12)
    _page("console, report of today", staff, reverse("admin:shift"), 12)
    month_ago = f"{now - timedelta(days=40):%Y-%m-%d}"
    area = newest.service_area_id
    for name, query in (
        ("yesterday", f"day={now - timedelta(days=1):%Y-%m-%d}"),
        ("7 days up to today", "days=7"),
        ("7 days of one area", f"days=7&area={area}"),
        ("40 days ago", f"day={month_ago}"),
        ("7 days up to 40 days ago", f"day={month_ago}&days=7"),
    ):
        _page(f"console, report of {name}", staff, f"{reverse('admin:shift')}?{query}", 12)
    show(*(TelemetryFactory(drone_id=key) for key in Drone.objects.values_list("pk", flat=True)))
    _page("console, map, its snapshot anew", staff, reverse("admin:map-data"), 12, _forget_the_map)


def _forget_the_map() -> None:
    redis_client.client().delete(store.KEY, store.RENEWED_BY_ONE)


def _page(
    name: str,
    client: Client,
    address: str,
    statements: int,
    before_each: Callable[[], object] = lambda: None,
) -> None:
    """The mean of some requests in this process, in CPU time of Python and PostgreSQL."""

    def load() -> HttpResponse:
        before_each()
        return client.get(address)

    for _ in range(SAMPLES):  # by then, statements are prepared
        answer = load()
        assert answer.status_code == 200, (address, answer.status_code, answer.content[:300])
    with references.watched() as statement_cost:
        load()
    with cpu.measured() as cost:
        for _ in range(SAMPLES):
            load()
    PAGES.row(
        name,
        Figure(1000 * cost.all_s / SAMPLES, at_most=BUDGET_MS),
        Figure(1000 * cost.database_s / SAMPLES, ".1f"),
        Figure(len(statement_cost.statements), at_most=statements),
    )


def _archive() -> None:
    began = time.perf_counter()
    with transaction.atomic():
        archived = partitions.archive(EVENTS_OF_ALL, timezone.now() + timedelta(days=31))
        locked = _locks()
    assert archived is not None
    took_s = time.perf_counter() - began
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {archived.name}")
    SEEDED.row("oldest month detached", "", Figure(took_s, ".3f"), "")
    print(f"Locks held for these {1000 * took_s:.0f} ms: {locked}")


# --- a month leaves ------------------------------------------------------------------------------


@pytest.mark.usefixtures("_only_its_own_months")
def test_a_month_is_dropped_and_not_deleted_row_by_row() -> None:
    now = timezone.now()
    by_row, as_a_whole = (months_after(month_of(now), -back) for back in (4, 3))
    endpoint = WebhookFactory()
    order = seed_order(endpoint.merchant)
    for month in (by_row, as_a_whole):
        partitions.make(WEBHOOKS, month)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO tracking_webhookdelivery (id, endpoint_id, order_id, type, body,"
                " state, given_up_because, tries, attempts, created_at, next_try_at)"
                " SELECT gen_random_uuid(), %s, %s, 'order.queued', repeat('x', 1200), 'DELIVERED',"
                " '', 1, '[]', %s + n * interval '1 second', %s FROM generate_series(1, %s) n",
                [endpoint.pk, order.pk, month, month, ROWS],
            )
            cursor.execute("ANALYZE tracking_webhookdelivery")
    with _measured("row by row, 10,000 at a time"):
        old = WebhookDelivery.objects.order_by().filter(created_at__lt=as_a_whole)
        while old.filter(pk__in=old.values("pk")[:10_000]).delete()[0]:
            pass
    with _measured("as a whole", is_locked=True):
        partitions._drop_old(
            History(WebhookDelivery, "created_at", lambda _: months_after(as_a_whole, 1)), now
        )
    assert not WebhookDelivery.objects.filter(created_at__lt=month_of(now)).exists()


@contextmanager
def _measured(how: str, *, is_locked: bool = False) -> Iterator[None]:
    wal, used_s, began = _wal_bytes(), database_cpu_s(), time.perf_counter()
    yield
    took_s = time.perf_counter() - began
    LEAVING.row(
        how,
        Figure(took_s, ".2f"),
        Figure(database_cpu_s() - used_s, ".2f"),
        Figure((_wal_bytes() - wal) / 1e6, ".1f"),
        Figure(took_s if is_locked else 0, ".2f"),
    )


# --- rows ----------------------------------------------------------------------------------------


def body() -> dict[str, object]:
    where = city.city.HUBS[0]
    return {
        "pickup_lat": where.lat,
        "pickup_lng": where.lng,
        "dropoff_lat": where.lat + 0.01,
        "dropoff_lng": where.lng,
        "payload_weight_kg": 0.5,
    }


def seed_order(merchant: Any) -> Order:
    city.seed(12)
    return seed.placed(merchant, body())


def _order(number: int) -> Order:
    return Order.objects.get(external_id=f"REF-{number}")


def _changed(made: str, until: datetime | None) -> dict[type[Model], dict[str, str]]:
    """SQL by column of the copies. until: no event is later; for events only."""
    event_at = f"LEAST({_later(made, '2 * step')}, '{until}')"
    job = "md5('job' || n)::uuid"
    return {
        Order: {
            "id": "md5('order' || n)::uuid",
            "current_job_id": job,
            "public_tracking_id": "upper(left(md5('track' || n), 13))",
            "external_id": "'REF-' || n",
            "created_at": made,
            "updated_at": made,
            "last_step_at": made,
            "delivered_at": _later(made, f"10 + {AIR_MIN}"),
            "deliver_by": f"{made} + interval '1 hour'",
        },
        DeliveryJob: {
            "id": "md5('job' || n)::uuid",
            "order_id": "md5('order' || n)::uuid",
            "mission_intent_id": "md5('intent' || n)::uuid",
            "created_at": made,
            "ended_at": _later(made, f"10 + {AIR_MIN}"),
        },
        FlightRecord: {
            "id": "md5('flight' || n)::uuid",
            "job_id": job,
            "order_id": "md5('order' || n)::uuid",
            "mission_id": "NULL",
            "took_off_at": _later(made, "10"),
            "ended_at": _later(made, f"10 + {AIR_MIN}"),
            "landed_at": _later(made, f"15 + {AIR_MIN}"),
            "battery_before_pct": "95",
            "battery_after_pct": f"95 - {AIR_MIN}",
            "track": TRACK,
        },
        DeliveryEvent: {
            "id": "nextval('orders_deliveryevent_id_seq')",
            "order_id": "md5('order' || n)::uuid",
            "job_id": f"CASE WHEN job_id IS NOT NULL THEN {job} END",
            "created_at": event_at,
            "occurred_at": event_at,
        },
    }


def _later(at: str, minutes: str) -> str:
    return f"{at} + ({minutes}) * interval '1 minute'"


def multiply(model: type[Model], pk: Any, first: int, last: int, made: str) -> None:
    names, values = _columns(model, made)
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {values} "
            f"FROM {table}, generate_series({first}, {last}) AS n WHERE {table}.id = %s",
            [pk],
        )


def _columns(model: type[Model], made: str, until: datetime | None = None) -> tuple[str, str]:
    changed = _changed(made, until)[model]
    columns = [field.column for field in model._meta.concrete_fields]
    values = ", ".join(changed.get(column, f'"{column}"') for column in columns)
    return ", ".join(f'"{column}"' for column in columns), values


def _events_of_a_month(month: datetime, template: Order, first: int, last: int, made: str) -> None:
    """As `partitions.make`, but its indexes are built after the rows are there."""
    table = f"orders_deliveryevent_{month:%Y_%m}"
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {table} "
            "(LIKE orders_deliveryevent INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
        )
        last_moment = months_after(month, 1) - timedelta(seconds=1)
        _insert_events(table, template, first, last, made, until=last_moment)
        cursor.execute(
            f"ALTER TABLE orders_deliveryevent ATTACH PARTITION {table} FOR VALUES FROM "
            f"('{month.isoformat()}') TO ('{months_after(month, 1).isoformat()}')"
        )


def _insert_events(
    table: str, template: Order, first: int, last: int, made: str, *, until: datetime
) -> None:
    names, values = _columns(DeliveryEvent, made, until)
    one = (
        "(SELECT *, row_number() OVER (ORDER BY id) - 1 AS step FROM orders_deliveryevent"
        " WHERE order_id = %s ORDER BY id) AS one"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) "
            f"SELECT {values} FROM generate_series({first}, {last}) AS n, {one} ORDER BY n, step",
            [template.pk],
        )


def _s(span: timedelta) -> float:
    return span.total_seconds()


def _one(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def _wal_bytes() -> int:
    return int(_one("SELECT pg_current_wal_insert_lsn() - '0/0'"))


def _mb() -> float:
    sizes = (
        "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('orders_deliveryevent')"
    )
    return float(_one(sizes)) / 1e6


def _locks() -> str:
    return str(
        _one(
            "SELECT string_agg(DISTINCT relation::regclass || ' ' || mode, ', ') FROM pg_locks "
            "WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode LIKE '%Exclusive%' "
            "AND relation::regclass::text NOT LIKE 'pg_%' AND EXISTS (SELECT FROM pg_class "
            "WHERE oid = relation AND relkind IN ('r', 'p'))"
        )
    )
