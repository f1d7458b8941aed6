"""Many processes dispatch at once; a control without the locks must fail."""

import multiprocessing
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction

from dispatch.models import DispatchRun
from dispatch.planning import area_locks, runs
from dispatch.planning.optimum import planner
from dispatch.tests.test_counters import until
from dispatch.tests.test_mission_locks import another_one_waits
from dispatch.tests.test_missions import closing
from fleet import policy
from fleet.models import ServiceArea
from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from orders import unit_of_work
from orders.models import DeliveryJob, Order
from orders.states import Status
from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import DISPATCHER, SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)

PROCESSES, ORDERS, DRONES = 8, 50, 20
fork = multiprocessing.get_context("fork")


def dispatch_once(barrier: Any, results: Any) -> None:
    """Runs in a child process with its own connection."""
    barrier.wait(30)
    try:
        outcome = runs.run(trigger=DispatchRun.Trigger.COMMAND, by=DISPATCHER)
        results.put(outcome.run.assigned)
    except IntegrityError as refusal:
        results.put(f"refused by the database: {refusal}".splitlines()[0])
    finally:
        connections.close_all()


def in_processes(work: Callable[[Any, Any], None]) -> list[int | str]:
    connections.close_all()
    connection.close_pool()
    barrier, results = fork.Barrier(PROCESSES), fork.Queue()
    processes = [fork.Process(target=work, args=(barrier, results)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=30)
    return found


@pytest.fixture
def _busy_city() -> None:
    drones = DroneFactory.create_batch(DRONES)
    show(*[TelemetryFactory(drone_id=drone.pk) for drone in drones])
    OrderFactory.create_batch(ORDERS)


@pytest.mark.usefixtures("_busy_city")
def test_eight_processes_never_give_a_drone_or_an_order_two_jobs() -> None:
    found = in_processes(dispatch_once)

    assert all(isinstance(assigned, int) for assigned in found), found
    assert sum(found) == DRONES
    jobs = list(DeliveryJob.objects.active())
    assert len(jobs) == DRONES
    assert max(Counter(job.drone_id for job in jobs).values()) == 1
    assert max(Counter(job.order_id for job in jobs).values()) == 1
    assert Order.objects.filter(status=Status.ASSIGNED).count() == DRONES


@pytest.mark.usefixtures("_busy_city")
def test_control_without_the_locks_only_the_unique_index_prevents_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Shows that the test above would fail without the locks."""
    all_have_planned = fork.Barrier(PROCESSES)
    plan = planner.plan

    def plan_together(problem: planner.Problem) -> planner.Plan:
        result = plan(problem)
        all_have_planned.wait(30)
        return result

    monkeypatch.setattr(planner, "plan", plan_together)
    monkeypatch.setattr(area_locks, "wait_for", lambda areas: None)
    monkeypatch.setattr(unit_of_work, "free_drones", set)
    monkeypatch.setattr(
        unit_of_work,
        "lock_free",
        lambda ids: list(Order.objects.filter(pk__in=ids).order_by("pk")),
    )

    found = in_processes(dispatch_once)

    refused = [result for result in found if isinstance(result, str)]
    assert len(refused) == PROCESSES - 1, found
    assert any("one_active_job_per" in result for result in refused), found


@pytest.mark.parametrize("everywhere", [True, False])
def test_the_check_for_a_pause_waits_for_one_that_is_being_saved(everywhere: bool) -> None:
    order: Order = OrderFactory()
    areas, is_written = ServiceArea.objects.filter(pk=order.service_area_id), Event()

    def pause() -> None:
        with transaction.atomic():
            if everywhere:
                policy.change(by=SYSTEM, dispatch_paused=True)
            else:
                areas.update(dispatch_paused=True)
            is_written.set()
            until(another_one_waits)

    with ThreadPoolExecutor(1) as pool:
        pausing = pool.submit(closing(pause))
        assert is_written.wait(10)
        with transaction.atomic():
            # The control: without waiting, dispatch is not paused.
            assert not policy.current().dispatch_paused
            assert not areas.get().dispatch_paused
            assert runs._paused([order]) == {0: "Dispatch was paused while this run was planning."}
        pausing.result(10)
