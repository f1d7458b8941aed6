"""How long a whole run takes, from queued orders and telemetry to the committed rows."""

import gc
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from dispatch.models import DispatchDecision, DispatchRun, Mission
from dispatch.planning import runs
from dispatch.tests.test_bench import SIDE_KM, big_city, peak_mb, planned
from fleet import registry
from fleet.feasibility.tables import DroneTable
from fleet.live import picture
from fleet.live.telemetry import Decoded, Telemetry
from fleet.models import Drone, DroneKind, Hub
from fleet.tests.factories import METRE_DEG, ServiceAreaFactory, square
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import Status
from wingxtra.accounts.identity import DISPATCHER
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.database import bulk
from wingxtra.tests.bench.tables import Figure, Table

pytestmark = [pytest.mark.bench, pytest.mark.django_db(transaction=True)]

RUNS = Table(
    "Whole runs, from loading to committed rows; the database is not in CPU seconds",
    (
        *("orders x drones", "assigned", "CPU s", "clock s", "x the plan's CPU"),
        *("decisions CPU s", "decisions clock s", "peak MB"),
    ),
    first_width=16,
)


def settle(orders: int, drones: int, areas: int) -> DroneTable:
    """Write `big_city` to the database. Returns its drones, for `write_telemetry`."""
    fleet, trips = big_city(orders, drones, areas)
    half_m = SIDE_KM * 1000 / 2
    whole = square(half_m * METRE_DEG, half_m * METRE_DEG, side_m=2.2 * half_m)
    area_of = [ServiceAreaFactory(polygon=whole) for _ in range(areas)]
    hubs: dict[tuple[float, float], Hub] = {}
    kinds: dict[float, DroneKind] = {}
    rows = []
    for i in range(drones):
        place = float(fleet.home_lat[i]), float(fleet.home_lng[i])
        if place not in hubs:
            hubs[place] = Hub.objects.create(
                name=f"Hub {len(hubs)}",
                lat=place[0],
                lng=place[1],
                service_area=area_of[fleet.area[i]],
            )
        load_kg = float(fleet.max_payload_kg[i])
        if load_kg not in kinds:
            physics = {name: float(getattr(fleet, name)[i]) for name in registry.PHYSICS}
            kinds[load_kg] = DroneKind.objects.create(
                name=f"{load_kg} kg", payload_types=["PARCEL", "MEDICINE"], **physics
            )
        hub = hubs[place]
        drone = Drone(drone_id=fleet.drone_id[i], kind=kinds[load_kg], hub=hub, base=hub)
        rows.append(drone)
    Drone.objects.bulk_create(rows)
    place_orders(trips, area_of)
    return fleet


def place_orders(trips, area_of) -> None:
    random = np.random.default_rng(1)
    merchant, now = MerchantFactory(), datetime.now(UTC)
    Order.objects.bulk_create(
        [
            Order(
                merchant=merchant,
                service_area=area_of[trips.area[i]],
                pickup_lat=float(trips.pickup_lat[i]),
                pickup_lng=float(trips.pickup_lng[i]),
                dropoff_lat=float(trips.dropoff_lat[i]),
                dropoff_lng=float(trips.dropoff_lng[i]),
                payload_weight_kg=float(trips.payload_weight_kg[i]),
                payload_type="PARCEL",
                pod_requirement="NONE",
                priority=str(random.choice(("NORMAL", "URGENT", "MEDICAL"), p=(0.7, 0.2, 0.1))),
                status=Status.QUEUED,
                deliver_by=now + timedelta(hours=1),
            )
            for i in range(len(trips))
        ],
        batch_size=1000,
    )


def write_telemetry(fleet: DroneTable) -> None:
    """Write current telemetry of all drones. Busy ones are armed."""
    now = datetime.now(UTC)
    telemetry = [
        Telemetry(
            drone_id=fleet.drone_id[i],
            measured_at=now,
            seen_at=now,
            lat=float(fleet.lat[i]),
            lng=float(fleet.lng[i]),
            armed=bool(fleet.busy[i]),
            battery_pct=float(fleet.battery_pct[i]),
        )
        for i in range(len(fleet))
    ]
    assert picture.write(Decoded(now, telemetry, []), now)


@pytest.fixture
def _as_in_a_worker() -> Iterator[None]:
    """A worker does this once it has loaded everything."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("_as_in_a_worker")
@pytest.mark.parametrize(
    ("orders", "drones", "areas", "limit_s"), [(1000, 200, 4, 0.2), (10_000, 5000, 4, 5.0)]
)
def test_a_whole_run(orders, drones, areas, limit_s):
    """From loading to committed assignments, jobs, events, decisions and intents, with log lines
    and enqueued jobs. CPU seconds of this process, without the database, after a dry run.
    """
    fleet = settle(orders, drones, areas)
    write_telemetry(fleet)
    run(dry_run=True)
    write_telemetry(fleet)
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    outcome = run()
    took_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s

    assigned = outcome.run.assigned
    assert assigned > drones / 20
    assert outcome.run.value == outcome.run.bound
    assert DispatchDecision.objects.filter(run=outcome.run).count() == orders
    assert DeliveryJob.objects.active().count() == assigned
    assert DeliveryEvent.objects.filter(type="ASSIGNED").count() == assigned
    assert Mission.objects.count() == assigned
    store_s, store_cpu_s = seconds_to_store(outcome.decisions)
    RUNS.row(
        f"{orders:,} x {drones:,}",
        assigned,
        Figure(cpu_s, ".2f", at_most=limit_s),
        Figure(took_s, ".2f"),
        Figure(cpu_s / planning_cpu_s(orders, drones, areas), ".1f"),
        Figure(store_cpu_s, ".2f", at_most=1.0),
        Figure(store_s, ".2f"),
        Figure(peak_mb(), at_most=1536),
    )


def run(**options: bool) -> runs.Outcome:
    return runs.run(trigger=DispatchRun.Trigger.COMMAND, by=DISPATCHER, **options)


def planning_cpu_s(orders: int, drones: int, areas: int) -> float:
    """The same city from tables to the certified plan, without a database."""
    city = big_city(orders, drones, areas)
    started_cpu_s = time.process_time()
    planned(*city)
    return time.process_time() - started_cpu_s


def seconds_to_store(decisions: list[DispatchDecision]) -> tuple[float, float]:
    """(clock seconds with the database, CPU seconds) to write these decisions, best of three."""
    found = []
    for _ in range(3):
        for decision in decisions:
            decision.pk = None
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        bulk.copy(decisions)
        found.append((time.perf_counter() - started_s, time.process_time() - started_cpu_s))
    return min(found)
