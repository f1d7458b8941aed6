"""CPU cost of an order, a drone and an open tracking page, for docs/scaling.md."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psutil
import pytest
import requests
from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from dispatch.missions import mission_watch, publishing
from dispatch.missions.following import progress
from dispatch.models import DispatchRun, Mission, MissionPart
from dispatch.planning import runs
from fleet.demo import city, seed
from fleet.live import picture as live
from fleet.live.telemetry import Decoded, Telemetry
from fleet.models import Drone, Hub
from fleet.simulator.airframe import SimDrone
from fleet.simulator.run import Simulator
from fleet.tests.factories import ACCRA, METRE_DEG, DroneFactory, TelemetryFactory, show
from orders.models import Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from orders.tracking_ids import new_tracking_id
from tracking.models import WebhookDelivery
from tracking.tests.receiver import WebhookFactory, deliver, receiving
from tracking.webhooks import endpoints
from wingxtra.accounts.identity import DISPATCHER, Role
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import key_client
from wingxtra.tests.bench.multiples import frozen
from wingxtra.tests.bench.tables import Figure, Table
from wingxtra.tests.cpu import Cost, measured
from wingxtra.tests.serving import served

pytestmark = [pytest.mark.bench, pytest.mark.django_db(transaction=True)]

DRONES, ROUNDS = 40, 5
STEPS = ("LAUNCHED", "ENROUTE", "ARRIVED", "DELIVERING", "DELIVERED")
OF_ALL_PLACED = ("placing", "reading it once")
WEBHOOKS = 60
LOOKS = 5
CALLS = 1500
COSTS = Table(
    "What the parts of a day cost, in milliseconds of the processor (docs/scaling.md)",
    ("one of", "in all", "ours", "PostgreSQL", "Valkey"),
    first_width=48,
)


def test_the_cost_of_an_order_from_placement_to_delivery(settings: Any) -> None:
    """The work of web and workers, with a webhook row of its merchant for each step.

    More orders are placed and read than the drones can deliver, so these parts are for one order
    placed. Sending webhooks is not included.
    """
    seed.seed(DRONES)
    shop = key_client(merchant=_merchant())
    ops = key_client(role=Role.OPS)
    drones = list(Drone.objects.select_related("hub"))
    parts: dict[str, list[Cost]] = defaultdict(list)
    done = 0
    simulated = [SimDrone.from_dict(one) for one in city.simulated(DRONES)]
    with Simulator(simulated, speed=0) as bridge, frozen():
        settings.GCS_BRIDGE_URL = bridge.url
        for number in range(1 + ROUNDS):
            at = datetime.now(UTC) + timedelta(seconds=number)
            show(*[_at_home(drone) for drone in drones], fetched_at=at)
            with _part(parts, "placing"):
                placed = [shop.post("/api/v1/orders", _near(d.hub)).json() for d in drones]
            with _part(parts, "planning"):
                runs.run(trigger=DispatchRun.Trigger.COMMAND, by=DISPATCHER)
            with _part(parts, "publishing"):
                for intent in Mission.objects.unsent(timezone.now()):
                    publishing.publish(intent.pk)
            with _part(parts, "five reports"):
                for order in Order.objects.filter(status=Status.MISSION_SUBMITTED):
                    path = f"/api/v1/orders/{order.pk}/events"
                    for step in STEPS:
                        assert ops.post(path, {"event_type": step}).status_code == 200
                    done += 1
            with _part(parts, "reading it once"):
                for order in placed:
                    shop.get(f"/api/v1/orders/{order['id']}")
            bridge.advance(900)
            if number == 0:  # it compiles the statements and fills the caches
                parts.clear()
                done = 0
    assert done >= 50, done
    of_one = []
    for name, costs in parts.items():
        times = DRONES * ROUNDS if name in OF_ALL_PLACED else done
        show_cost(f"an order: {name}", _sum(costs), times)
        of_one.append(_shared(_sum(costs), times))
    show_cost(f"an order, of {done} delivered", _sum(of_one), 1)


def test_the_cost_of_sending_a_webhook(settings: Any) -> None:
    """With its receiver, which answers in this process."""
    settings.WEBHOOK_TRUSTED_HOSTS = ["127.0.0.1"]
    with receiving() as shop:
        endpoint = WebhookFactory(url=shop.url)
        for _ in range(WEBHOOKS + 2):
            OrderFactory(merchant=endpoint.merchant)
        created = WebhookDelivery.objects.filter(type="order.created")
        ids = list(created.values_list("pk", flat=True))
        for pk in ids[:2]:  # the first ones fill the caches
            assert deliver(pk)
        with measured() as cost:
            for pk in ids[2:]:
                assert deliver(pk)
    show_cost("a webhook sent", cost, WEBHOOKS)


@contextmanager
def _part(parts: dict[str, list[Cost]], name: str) -> Iterator[None]:
    with measured() as cost:
        yield
    parts[name].append(cost)


def _shared(cost: Cost, times: int) -> Cost:
    return Cost(cost.ours_s / times, cost.database_s / times, cost.redis_s / times)


def _sum(costs: list[Cost]) -> Cost:
    return Cost(*(sum(getattr(c, n) for c in costs) for n in ("ours_s", "database_s", "redis_s")))


def _merchant() -> Any:
    merchant = Merchant.objects.first()
    assert merchant is not None
    endpoints.create(merchant.pk, "https://hooks.example.invalid/wingxtra")
    return merchant


def _near(hub: Hub) -> dict[str, Any]:
    """An order that every drone of the hub can fly."""
    return {
        "pickup_lat": hub.lat,
        "pickup_lng": hub.lng,
        "dropoff_lat": hub.lat + 0.004,
        "dropoff_lng": hub.lng,
        "payload_weight_kg": 0.5,
        "payload_type": "PARCEL",
    }


def _at_home(drone: Drone) -> Any:
    return TelemetryFactory(drone_id=drone.pk, lat=drone.hub.lat, lng=drone.hub.lng)


@pytest.mark.parametrize(("flying", "standing"), [(300, 700), (3000, 7000)])
def test_the_cost_of_drones_per_poll(flying: int, standing: int) -> None:
    """Each two seconds: store the answer of a poll and follow every flight."""
    ids = in_flight(flying)
    here = [f"WX-STD-{number}" for number in range(standing)]
    like_them(Drone.objects.get(pk=ids[0]), [{"pk": pk} for pk in here])
    now = timezone.now()
    moments = [now + timedelta(seconds=2 * look) for look in range(LOOKS + 1)]
    seen = [_seen(ids, here, at, look) for look, at in enumerate(moments)]
    _look(moments[0], seen[0])  # the first one makes the rows
    with measured() as cost:
        for at, telemetry in zip(moments[1:], seen[1:], strict=True):
            _look(at, telemetry)
    with measured() as watching:
        for area_id in mission_watch.areas():
            mission_watch.watch_area(area_id, moments[-1])
    show_cost(f"a judgement of {flying:,} missions in flight", watching, 1)
    of = f"a poll of {flying + standing:,} drones, {flying:,} in flight"
    show_cost(of, cost, LOOKS, budget_ms=1000.0 * (flying + standing) / 10_000)


def _look(at: datetime, telemetry: list[Telemetry]) -> None:
    live.write(Decoded(at, telemetry, []), at)
    seen = live.read()
    assert seen is not None
    progress.follow(seen, at)


def in_flight(count: int) -> list[str]:
    """Orders ENROUTE, all like the first one; returns the ids of their drones."""
    order = order_in(Status.ENROUTE, drone=DroneFactory())
    part = MissionPart.objects.select_related("mission", "job__drone", "order").get(order=order)
    numbers = range(count - 1)
    drones = [f"WX-FLY-{number}" for number in numbers]
    ids = [(uuid4(), uuid4(), uuid4()) for _ in numbers]
    with transaction.atomic():
        like_them(part.job.drone, [{"pk": pk} for pk in drones])
        like_them(
            part.order,
            [
                {"pk": order_id, "current_job_id": job_id, "public_tracking_id": new_tracking_id()}
                | {"holder_drone_id": part.order.holder_drone_id and drone_id}
                for (order_id, job_id, _), drone_id in zip(ids, drones, strict=True)
            ],
        )
        like_them(
            part.job,
            [
                {"pk": job_id, "order_id": order_id, "mission_intent_id": mission_id}
                | {"drone_id": drone_id}
                for (order_id, job_id, mission_id), drone_id in zip(ids, drones, strict=True)
            ],
        )
        like_them(
            part.mission,
            [
                {"pk": mission_id, "drone_id": drone_id}
                for (*_, mission_id), drone_id in zip(ids, drones, strict=True)
            ],
        )
        like_them(
            part,
            [
                {"pk": None, "order_id": order_id, "job_id": job_id, "mission_id": mission_id}
                for order_id, job_id, mission_id in ids
            ],
        )
    return [part.job.drone_id, *drones]


def like_them(one: Model, differences: list[dict[str, Any]]) -> None:
    """Insert rows like `one`, with these columns instead of its own."""
    columns = {field.attname: getattr(one, field.attname) for field in one._meta.concrete_fields}
    pk = one._meta.pk
    assert pk is not None
    rows = [
        type(one)(
            **{**columns, pk.attname: each["pk"]} | {k: v for k, v in each.items() if k != "pk"}
        )
        for each in differences
    ]
    type(one)._base_manager.bulk_create(rows, batch_size=500)


def _seen(flying: list[str], standing: list[str], at: datetime, look: int) -> list[Telemetry]:
    """Telemetry of drones that fly north at 15 m/s."""
    common = {"measured_at": at, "lat": ACCRA[0] + 30 * look * METRE_DEG}
    return [
        TelemetryFactory(drone_id=pk, armed=True, alt_m=60.0, speed_mps=15.0, **common)
        for pk in flying
    ] + [TelemetryFactory(drone_id=pk, measured_at=at) for pk in standing]


@pytest.mark.parametrize(
    ("what", "path"),
    [
        ("position", "/track/{}/position"),
        ("whole page", "/track/{}/"),
        ("answer of the API", "/api/v1/tracking/{}"),
    ],
)
def test_the_cost_of_an_open_tracking_page(what: str, path: str) -> None:
    """In flight the page asks for the position each second, and for the whole page each 20 s."""
    order = order_in(Status.ENROUTE, drone=DroneFactory())
    with served(LOG_LEVEL="WARNING") as (url,), requests.Session() as session:
        address = url + path.format(order.public_tracking_id)
        pid = _listening(url)
        with measured(pid) as cost:
            for number in range(CALLS):
                if number % 300 == 0:
                    show(TelemetryFactory(drone_id=order.assigned_drone_id))
                assert session.get(address).status_code == 200
    show_cost(f"a tracking page's poll: {what}", cost, CALLS)


def show_cost(of: str, cost: Cost, times: int, budget_ms: float | None = None) -> None:
    of_each = (cost.ours_s, cost.database_s, cost.redis_s)
    parts = [Figure(1000 * part_s / times, ".2f") for part_s in of_each]
    COSTS.row(of, Figure(1000 * cost.all_s / times, ".2f", budget_ms), *parts)


def _listening(url: str) -> int:
    """The main process of the server on this address."""
    port = int(url.rpartition(":")[2])
    return next(child.pid for child in psutil.Process().children() if str(port) in child.cmdline())
