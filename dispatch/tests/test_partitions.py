"""Service areas are planned independently and in parallel, by worker processes as in production.

Each run is held back where it writes itself down, with its area's lock in hand. So what is counted
is how many are under way at that moment, and no luck with timing is needed.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection

from dispatch.actors import plan_area, plan_areas
from dispatch.models import DispatchDecision, DispatchRun
from dispatch.planning import area_locks
from fleet.models import Drone, ServiceArea
from fleet.tests.factories import (
    ACCRA,
    DroneFactory,
    HubFactory,
    ServiceAreaFactory,
    TelemetryFactory,
    show,
    square,
)
from orders.models import DeliveryJob, Order
from orders.states import Status
from orders.tests.factories import OrderFactory
from wingxtra import broker
from wingxtra.tests.test_broker import client, manage, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PROCESSES, AREAS, PER_AREA = 4, 8, 5
APART_DEG = 0.25


@pytest.fixture
def areas() -> list[ServiceArea]:
    """Side by side, each with as many drones as orders."""
    lat, lng = ACCRA
    made = []
    for number in range(AREAS):
        here = lng + number * APART_DEG
        area = ServiceAreaFactory(polygon=square(lat, here, side_m=20_000))
        hub = HubFactory(service_area=area, lat=lat, lng=here)
        DroneFactory.create_batch(PER_AREA, hub=hub)
        OrderFactory.create_batch(
            PER_AREA, service_area=area, pickup_lng=here, dropoff_lng=here + 0.012
        )
        made.append(area)
    return made


@pytest.fixture
def _workers(areas: list[ServiceArea]) -> Iterator[None]:
    """Four processes that do one thing at a time each, and telemetry that they find fresh."""
    command = ("worker", "--processes", str(PROCESSES), "--threads", "1")
    with manage(*command, settings_module="wingxtra.settings"):
        wait_until(broker.worker_heartbeat_at)
        homes = {drone.pk: drone.hub for drone in Drone.objects.select_related("hub")}
        show(*[TelemetryFactory(drone_id=pk, lat=h.lat, lng=h.lng) for pk, h in homes.items()])
        yield


@contextmanager
def runs_held_back() -> Iterator[psycopg.Connection[tuple[int]]]:
    """No run can write itself down until the end of this."""
    with psycopg.connect(**connection.get_connection_params()) as session:
        session.execute("LOCK TABLE dispatch_dispatchrun IN SHARE MODE")
        yield session


def planners(session: psycopg.Connection[tuple[int]]) -> list[tuple[int, int]]:
    """Who plans now: the area's lock, and the process of the database that serves who has it."""
    return session.execute(
        "SELECT objid::bigint, pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s"
        " AND granted AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())",
        [area_locks.PLANNER_LOCK],
    ).fetchall()


def messages() -> int:
    """What workers have not finished."""
    return client().hlen("dramatiq:default.msgs")


def is_all_assigned() -> bool:
    return not Order.objects.exclude(status=Status.ASSIGNED).exists()


@pytest.mark.usefixtures("_workers")
def test_four_workers_plan_eight_areas_four_at_a_time_and_none_twice() -> None:
    with runs_held_back() as session:
        for _ in range(2):  # as when a tick comes before the last one is worked off
            plan_areas.send()
        wait_until(lambda: len(planners(session)) == PROCESSES)
        at_work = planners(session)
        assert len({area for area, _ in at_work}) == PROCESSES
        assert len({process for _, process in at_work}) == PROCESSES
    wait_until(is_all_assigned)

    planned = DispatchRun.objects.exclude(orders_considered=0)
    assert planned.count() == AREAS
    assert {run.service_area_id for run in planned} == set(
        ServiceArea.objects.values_list("pk", flat=True)
    )
    assert {(run.orders_considered, run.drones_considered) for run in planned} == {
        (PER_AREA, PER_AREA)
    }
    decisions = DispatchDecision.objects.select_related("run", "order")
    assert Counter(decision.outcome for decision in decisions) == {
        DispatchDecision.Outcome.ASSIGNED: AREAS * PER_AREA
    }
    assert all(d.run.service_area_id == d.order.service_area_id for d in decisions)
    jobs = list(DeliveryJob.objects.active())
    assert len({job.drone_id for job in jobs}) == len({job.order_id for job in jobs}) == len(jobs)


@pytest.mark.usefixtures("_workers")
def test_the_same_area_is_planned_by_one_and_the_others_go_on(areas: list[ServiceArea]) -> None:
    """The control: where there is nothing to plan in parallel, the count above shows it."""
    with runs_held_back() as session:
        for _ in range(PROCESSES):
            plan_area.send(str(areas[0].pk))
        wait_until(lambda: planners(session) and messages() < PROCESSES)
        assert len(planners(session)) == 1
    wait_until(lambda: not messages())
    (planned,) = DispatchRun.objects.all()
    assert planned.assigned == PER_AREA


@pytest.mark.usefixtures("_workers")
def test_an_area_that_somebody_else_plans_is_left_alone(areas: list[ServiceArea]) -> None:
    """The other control: with all locks taken, as by a run over everything, no worker plans."""
    with psycopg.connect(**connection.get_connection_params()) as session:
        for area in areas:
            session.execute(
                "SELECT pg_advisory_xact_lock(%s, hashtext(%s))",
                [area_locks.PLANNER_LOCK, str(area.pk)],
            )
        for area in areas:
            plan_area.send(str(area.pk))
        wait_until(lambda: not messages())
        assert not DispatchRun.objects.exists()
    plan_areas.send()
    wait_until(is_all_assigned)
