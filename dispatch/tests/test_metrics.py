"""Prometheus metrics of dispatch: runs, missions, the bridge, flights and pauses."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dispatch.missions import bridge as the_bridge
from dispatch.models import DispatchRun, Flight
from dispatch.planning import runs
from dispatch.tests.support import able_drone, assigned, submitted
from fleet import policy
from fleet.models import ServiceArea
from fleet.simulator.run import Simulator
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import DISPATCHER, SYSTEM
from wingxtra.tests.scraped import scraped

pytestmark = pytest.mark.django_db


def counted(name: str, *labels: str) -> float:
    return scraped().get((f"wingxtra_{name}", *labels), 0.0)


def test_a_run_is_counted_with_its_phases_and_what_it_assigned() -> None:
    keys = [
        ("dispatch_runs_total", "assigned", "COMMAND"),
        ("dispatch_orders_assigned_total",),
        ("dispatch_orders_unassigned_total",),
        ("dispatch_run_seconds_count",),
        *[("dispatch_phase_seconds_count", phase) for phase in ("load", "judge", "plan", "record")],
    ]
    before = [counted(*key) for key in keys]
    OrderFactory()
    OrderFactory()
    able_drone()
    runs.run(trigger=DispatchRun.Trigger.COMMAND, by=DISPATCHER)
    assert [counted(*key) - was for key, was in zip(keys, before, strict=True)] == [1.0] * 8


def test_a_dry_run_assigns_nothing() -> None:
    keys = ("dispatch_runs_total", "dry", "COMMAND"), ("dispatch_orders_assigned_total",)
    before = [counted(*key) for key in keys]
    OrderFactory()
    able_drone()
    runs.run(trigger=DispatchRun.Trigger.COMMAND, by=DISPATCHER, dry_run=True)
    assert [counted(*key) - was for key, was in zip(keys, before, strict=True)] == [1, 0]


def test_active_missions_are_counted_by_state_and_the_outbox_by_age() -> None:
    _, intent = assigned()
    order_in(Status.DELIVERED)
    type(intent).objects.filter(pk=intent.pk).update(
        created_at=timezone.now() - timedelta(seconds=50)
    )
    assert counted("mission_intents", "PENDING") == 1
    assert counted("mission_intents", "ACCEPTED") == 0
    assert counted("mission_outbox", "mission") == 1
    assert counted("mission_outbox_seconds_max") == pytest.approx(50, abs=5)


def test_a_sent_mission_does_not_count_as_waiting(bridge: Simulator) -> None:
    before = counted("upstream_calls_total", "ok", "gcs_bridge")
    submitted()
    assert counted("mission_intents", "ACCEPTED") == 1
    assert counted("mission_outbox", "mission") == 0
    assert counted("mission_outbox_seconds_max") == 0
    assert counted("upstream_calls_total", "ok", "gcs_bridge") == before + 1


def test_an_open_circuit_breaker_is_a_metric(bridge: Simulator) -> None:
    _, intent = assigned()
    bridge.fault("bridge_down")
    assert counted("upstream_breaker_open", "gcs_bridge") == 0
    for _ in range(the_bridge.FAILURES_TO_OPEN):
        with pytest.raises(the_bridge.BridgeUnavailable):
            the_bridge.BridgeClient().submit(intent.pk, intent.body)
    assert counted("upstream_breaker_open", "gcs_bridge") == 1
    assert counted("upstream_calls_total", "bridge_unavailable", "gcs_bridge") >= 5


def test_a_lost_link_is_a_metric() -> None:
    order = order_in(Status.ENROUTE)
    now = timezone.now()
    Flight.objects.create(job=order.current_job, heard_at=now, link_lost_at=now)
    assert counted("flights_link_lost") == 1


def test_a_pause_is_a_metric() -> None:
    OrderFactory()
    assert (counted("dispatch_paused"), counted("dispatch_areas_paused")) == (0, 0)
    policy.change(by=SYSTEM, dispatch_paused=True)
    ServiceArea.objects.update(dispatch_paused=True)
    assert (counted("dispatch_paused"), counted("dispatch_areas_paused")) == (1, 1)


def test_the_number_of_statements_does_not_grow_with_the_rows(
    django_assert_num_queries: Any,
) -> None:
    from dispatch import metrics

    for _ in range(3):
        order_in(Status.ENROUTE)
        with django_assert_num_queries(5):
            for source in (metrics.missions, metrics.flights, metrics.pauses):
                list(source(timezone.now()))
