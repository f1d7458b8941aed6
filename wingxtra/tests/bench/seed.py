"""100,000 orders of 50 merchants, each with a job and its last events, multiplied in the database.

One order is placed and delivered by the real verbs. The others are copies of its rows with other
ids, names, times, references and outcomes, so this code names only the columns that it changes.
They are ten seconds apart: a day has 8,640. The console's million has 900,000 older orders without
missions and events, and open orders: see `million`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Model
from django.utils import timezone

from dispatch.models import Mission, MissionPart
from fleet.demo import city, seed
from fleet.models import Drone, ServiceArea
from orders import lifecycle
from orders.models import DeliveryEvent, DeliveryJob, Order, Store
from orders.states import Status
from wingxtra.accounts.identity import DISPATCHER, GCS, SYSTEM, Role
from wingxtra.accounts.models import ApiKey, Merchant

ORDERS = 100_000
LAST_EVENTS = 4  # of each of them
MERCHANTS = 50

# Values of the copies, numbered by n. UUIDs are the hexadecimal digits of a hash of n.
MERCHANT_ID = f"md5('merchant' || mod(n, {MERCHANTS}))::uuid"
FIRST_NAMES = "(ARRAY['Ama','Kofi','Yaa','Kwame','Efua','Kojo','Akosua','Yaw'])[1 + mod(n, 8)]"
LAST_NAMES = "(ARRAY['Mensah','Owusu','Boateng','Asante','Osei','Appiah'])[1 + mod(n / 8, 6)]"
AGO = "(now() - interval '2 hours' - n * interval '10 seconds')"
HAS_FAILED = "mod(n, 1000) = 0"
IS_CANCELED = "mod(n, 40) = 11"
REASONS = "ARRAY['WEATHER','DRONE_PROBLEM','CUSTOMER_ABSENT','LOST']"
DRONES = 12
# One drone flew a thousandth of the orders, the others the rest.
DRONE_ID = (
    "((SELECT array_agg(drone_id ORDER BY drone_id) FROM fleet_drone))"
    f"[CASE WHEN mod(n, 1000) = 3 THEN 1 ELSE 2 + mod(n, {DRONES - 1}) END]"
)
PERSON = "bench"  # did every twentieth step
Changes = Mapping[str, str]
CHANGED: dict[type[Model], Changes] = {
    Merchant: {"id": MERCHANT_ID, "name": "'Shop ' || n"},
    Order: {
        "id": "md5('order' || n)::uuid",
        "current_job_id": "md5('job' || n)::uuid",
        "public_tracking_id": "upper(left(md5('track' || n), 13))",
        "merchant_id": MERCHANT_ID,
        "external_id": "'REF-' || n",
        "store_id": "CASE WHEN mod(n, 5000) = 9 THEN (SELECT id FROM orders_store) END",
        "customer_name": f"{FIRST_NAMES} || ' ' || {LAST_NAMES} || ' ' || mod(n, 997)",
        "customer_phone": "'+23324' || lpad((mod(n::bigint * 7919, 10000000))::text, 7, '0')",
        "priority": "CASE WHEN mod(n, 50) = 7 THEN 'MEDICAL' WHEN mod(n, 9) = 0 THEN 'URGENT' "
        "ELSE 'NORMAL' END",
        "status": f"CASE WHEN {HAS_FAILED} THEN 'FAILED' WHEN {IS_CANCELED} THEN 'CANCELED' "
        "ELSE 'DELIVERED' END",
        "reason_code": f"CASE WHEN {HAS_FAILED} THEN ({REASONS})[1 + mod(n / 1000, 4)] ELSE '' END",
        "cancel_reason": f"CASE WHEN {IS_CANCELED} THEN 'CUSTOMER_REQUEST' ELSE '' END",
        "holder": f"CASE WHEN {HAS_FAILED} AND mod(n / 1000, 4) = 3 THEN 'LOST' "
        f"WHEN {HAS_FAILED} OR {IS_CANCELED} THEN 'SENDER' ELSE 'RECIPIENT' END",
        "delivered_at": f"CASE WHEN {HAS_FAILED} OR {IS_CANCELED} THEN NULL WHEN mod(n, 100) = 17 "
        f"THEN {AGO} + interval '90 minutes' ELSE {AGO} + interval '20 minutes' END",
        "deliver_by": f"{AGO} + interval '1 hour'",
        "created_at": AGO,
        "updated_at": AGO,
    },
    DeliveryJob: {
        "id": "md5('job' || n)::uuid",
        "order_id": "md5('order' || n)::uuid",
        "mission_intent_id": "md5('intent' || n)::uuid",
        "drone_id": DRONE_ID,
        "created_at": AGO,
        "ended_at": f"{AGO} + interval '20 minutes'",
    },
    Mission: {
        "id": "md5('intent' || n)::uuid",
        "drone_id": DRONE_ID,
        "tries": "1",
        "created_at": AGO,
        "landed_at": f"{AGO} + interval '25 minutes'",
        "over_at": f"{AGO} + interval '25 minutes'",
        "over_by": "'GCS'",
        "over_because": "'COMPLETED'",
    },
    MissionPart: {
        "id": "nextval(pg_get_serial_sequence('dispatch_missionpart', 'id'))",
        "mission_id": "md5('intent' || n)::uuid",
        "job_id": "md5('job' || n)::uuid",
        "order_id": "md5('order' || n)::uuid",
    },
    DeliveryEvent: {
        "id": "nextval(pg_get_serial_sequence('orders_deliveryevent', 'id'))",
        "order_id": "md5('order' || n)::uuid",
        "job_id": "md5('job' || n)::uuid",
        "actor_kind": "CASE WHEN mod(n, 20) = 0 THEN 'user' ELSE 'gcs' END",
        "actor_ref": f"CASE WHEN mod(n, 20) = 0 THEN '{PERSON}' ELSE '' END",
        "created_at": AGO,
        "occurred_at": AGO,
    },
}


@dataclass(frozen=True, slots=True)
class Seeded:
    """A merchant's key, the staff's key, and an open order of the merchant."""

    merchant_key: str
    ops_key: str
    order: Order
    body: dict[str, object]


def run() -> Seeded:
    seed.seed(DRONES)
    first = Merchant.objects.create(name="Shop of all shops")
    where = city.HUBS[0]
    body: dict[str, object] = {
        "pickup_lat": where.lat,
        "pickup_lng": where.lng,
        "dropoff_lat": where.lat + 0.01,
        "dropoff_lng": where.lng,
        "payload_weight_kg": 0.5,
    }
    Store.objects.create(merchant=first, name="Corner shop", lat=where.lat, lng=where.lng)
    delivered = placed(first, body)
    lifecycle.assign(delivered.pk, Drone.objects.all()[0].pk, by=DISPATCHER, why="The only one.")
    lifecycle.advance(delivered.pk, Status.DELIVERED, by=GCS)
    events = DeliveryEvent.objects.filter(order=delivered).values_list("pk", flat=True)
    with in_bulk():
        multiply(Merchant, 1, MERCHANTS, pk=first.pk)
        multiply(Order, 1, ORDERS, pk=delivered.pk)
        multiply(DeliveryJob, 1, ORDERS, order=delivered)
        for event_id in list(events)[-LAST_EVENTS:]:
            multiply(DeliveryEvent, 1, ORDERS, pk=event_id)
    merchant = Merchant.objects.get(name="Shop 1")
    return Seeded(
        ApiKey.issue(name="bench", role=Role.MERCHANT, merchant=merchant)[1],
        ApiKey.issue(name="bench", role=Role.OPS)[1],
        placed(merchant, body),
        body,
    )


def placed(merchant: Merchant, body: dict[str, object]) -> Order:
    order = Order(
        merchant=merchant,
        service_area=ServiceArea.objects.get(name=city.AREA_NAME),
        customer_name="Ama Mensah",
        customer_phone="+233241234567",
        pickup_name="Ridge Pharmacy",
        deliver_by=timezone.now() + timedelta(hours=1),
        **body,
    )
    return lifecycle.place(order, by=SYSTEM)


@contextmanager
def without_triggers() -> Iterator[CursorWrapper]:
    """A transaction without the triggers per row."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor


@contextmanager
def in_bulk() -> Iterator[None]:
    """Bulk mode: without the triggers per row, and the search index is created at the end."""
    (search,) = (index for index in Order._meta.indexes if index.name == "order_search")
    with without_triggers() as cursor, connection.schema_editor() as editor:
        cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
        editor.remove_index(Order, search)
        yield
        editor.add_index(Order, search)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")


def multiply(
    model: type[Model], first: int, last: int, changes: Changes | None = None, **one: object
) -> None:
    """Copy the row that `one` names for each number n from `first` to `last`.

    `changes`: SQL by column, by default CHANGED.
    """
    row = model._default_manager.get(**one)
    columns = [field.column for field in model._meta.concrete_fields]
    key = model._meta.pk.column
    changed = CHANGED[model] if changes is None else changes
    values = ", ".join(changed.get(column, f'"{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {values} "
            f"FROM {table}, generate_series({first}, {last}) AS n WHERE {table}.{key} = %s",
            [row.pk],
        )
