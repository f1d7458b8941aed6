"""The console's million orders: a year of them, and the open ones of a bad afternoon.

As in `seed`, one of each kind is made by the real verbs and copied: orders that wait (a third of
them late), orders in flight with a drone each, and orders on hold because their parcel is lost from
sight. The newest orders have a whole history: all events, and a flight record with a track.
"""

from django.contrib.admin.models import LogEntry

from dispatch.models import FlightRecord, Mission, MissionPart
from dispatch.tests.test_bench_records import TRACK
from fleet.models import Drone
from orders import lifecycle
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import JobStatus, Status
from wingxtra.accounts.identity import DISPATCHER, GCS, Role
from wingxtra.accounts.models import Merchant, User
from wingxtra.console import actions
from wingxtra.tests.bench import seed
from wingxtra.tests.bench.seed import Changes, multiply

WAITING, FLYING, HELD = 600, 200, 50
DONE_BY_STAFF = 100_000
FLEET = "WX-BEN-"
FLIGHT = {
    "id": "md5('flight' || n)::uuid",
    "job_id": "md5('job' || n)::uuid",
    "order_id": "md5('order' || n)::uuid",
    "mission_id": "md5('intent' || n)::uuid",
    "drone_id": seed.DRONE_ID,
    "took_off_at": f"{seed.AGO} + interval '10 minutes'",
    "ended_at": f"{seed.AGO} + interval '20 minutes'",
    "landed_at": f"{seed.AGO} + interval '25 minutes'",
    "battery_before_pct": "95",
    "battery_after_pct": "95 - mod(n, 37)",
    "track": TRACK,
}


def grow(orders: int) -> int:
    """Add orders until there are about this many. Returns their number."""
    delivered = Order.objects.get(merchant__name="Shop of all shops")
    user = User.objects.create_user(seed.PERSON, role=Role.ADMIN, is_staff=True)
    actions.log(user, delivered, "Correct the details: nothing of note.")
    open_afternoon(Merchant.objects.get(name="Shop 1"))
    with seed.in_bulk():
        multiply(Mission, 1, min(orders, seed.ORDERS), parts__order=delivered)
        multiply(MissionPart, 1, min(orders, seed.ORDERS), order=delivered)
        _histories(delivered, min(orders, seed.ORDERS))
        multiply(Order, seed.ORDERS + 1, orders, pk=delivered.pk)
        multiply(DeliveryJob, seed.ORDERS + 1, orders, order=delivered)
        multiply(LogEntry, 1, DONE_BY_STAFF, _entry(), user=user)
    return Order.objects.count()


def _histories(order: Order, count: int) -> None:
    """The first events of the newest orders, each two minutes after the one before, and their
    flight records. Their last events are there.
    """
    events = DeliveryEvent.objects.filter(order=order).order_by("id")
    for step, event in enumerate(list(events)[: -seed.LAST_EVENTS]):
        at = f"{seed.AGO} + {step} * interval '2 minutes'"
        changes = {**seed.CHANGED[DeliveryEvent], "created_at": at, "occurred_at": at}
        multiply(DeliveryEvent, 1, count, changes, pk=event.pk)
    multiply(FlightRecord, 1, count, FLIGHT, order=order)


def open_afternoon(merchant: Merchant) -> None:
    """Adds the open orders, with their drones. The merchant has an order."""
    waiting, flying, held = _open_orders(merchant)
    with seed.without_triggers():
        multiply(Drone, 1, FLYING + HELD, {"drone_id": _drone()}, pk=flying.assigned_drone_id)
        _copies(waiting, 1, WAITING, "wait")
        _copies(flying, 1, FLYING, "fly")
        _copies(held, FLYING + 1, FLYING + HELD, "held")


def _open_orders(merchant: Merchant) -> tuple[Order, Order, Order]:
    where = Order.objects.filter(merchant=merchant).latest("created_at")
    body: dict[str, object] = {
        name: getattr(where, name)
        for name in ("pickup_lat", "pickup_lng", "dropoff_lat", "dropoff_lng", "payload_weight_kg")
    }
    drones = Drone.objects.order_by("pk")
    waiting, flying, held = (seed.placed(merchant, body) for _ in range(3))
    for order, drone in ((flying, drones[1]), (held, drones[2])):
        lifecycle.assign(order.pk, drone.pk, by=DISPATCHER, why="The soonest.")
        lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    lifecycle.mission_over(
        held.pk,
        ended=JobStatus.FAILED,
        by=GCS,
        why="It came down in a field.",
        max_attempts=3,
        parcel_astray="It came down in a field.",
    )
    return waiting, Order.objects.select_related("current_job").get(pk=flying.pk), held


def _copies(order: Order, first: int, last: int, name: str) -> None:
    """Copies of an open order with its job, mission and events, each with a drone of its own."""
    ids = {"id": _uuid(name), "current_job_id": _uuid(f"{name}-job")}
    if order.current_job_id is None:
        del ids["current_job_id"]
    has_parcel = {"holder_drone_id": _drone()} if order.holder_drone_id else {}
    multiply(Order, first, last, ids | has_parcel | _of_open(name), pk=order.pk)
    job = {"id": _uuid(f"{name}-job"), "order_id": _uuid(name)}
    if DeliveryJob.objects.filter(order=order).exists():
        flown: Changes = {"drone_id": _drone(), "mission_intent_id": _uuid(f"{name}-intent")}
        mission = {"id": _uuid(f"{name}-intent"), "drone_id": _drone()}
        part = {"job_id": job["id"], "order_id": job["order_id"], "mission_id": mission["id"]}
        multiply(DeliveryJob, first, last, {**job, **flown}, order=order)
        multiply(Mission, first, last, mission, parts__order=order)
        multiply(MissionPart, first, last, part | _serial(MissionPart), order=order)
    for event in DeliveryEvent.objects.filter(order=order):
        of_order = {"order_id": job["order_id"]} | ({"job_id": job["id"]} if event.job_id else {})
        multiply(DeliveryEvent, first, last, of_order | _serial(DeliveryEvent), pk=event.pk)


def _of_open(name: str) -> dict[str, str]:
    """Every third promise of a copy is broken, and a tenth is at risk."""
    return {
        "public_tracking_id": f"upper(left(md5('{name}-track' || n), 13))",
        "external_id": f"'{name.upper()}-' || n",
        "priority": seed.CHANGED[Order]["priority"],
        "deliver_by": "now() + (mod(n, 30) - 10) * interval '4 minutes'",
    }


def _entry() -> dict[str, str]:
    return _serial(LogEntry) | {"action_time": seed.AGO}


def _uuid(name: str) -> str:
    return f"md5('{name}' || n)::uuid"


def _drone() -> str:
    return f"'{FLEET}' || lpad(n::text, 4, '0')"


def _serial(model: type) -> dict[str, str]:
    table = model._meta.db_table  # type: ignore[attr-defined]
    return {"id": f"nextval(pg_get_serial_sequence('{table}', 'id'))"}
