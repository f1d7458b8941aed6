"""What prevents assignments, also during a run: wind, zones, full hubs, pauses, locks."""

import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import close_old_connections, connection, transaction
from pytest_django import Settings

from dispatch.missions import publishing
from dispatch.models import DispatchDecision, DispatchRun, Mission
from dispatch.planning import manual_assignment, runs
from dispatch.planning.candidates import candidates
from dispatch.planning.optimum import planner
from dispatch.tests.support import assigned, mission_of, stored
from dispatch.tests.test_runs import fleet_of, run, status_of
from fleet import policy
from fleet.live import weather
from fleet.models import Hub, ServiceArea
from fleet.tests.factories import ACCRA, GeoZoneFactory, HubFactory, ServiceAreaFactory, square
from orders import lifecycle, placement
from orders.models import DeliveryJob, Order
from orders.states import Status
from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import DISPATCHER, SYSTEM
from wingxtra.database import bulk
from wingxtra.problems import Conflict

pytestmark = pytest.mark.django_db
Outcome = DispatchDecision.Outcome
Measured = tuple[tuple[float, float], float]  # where, and the wind in metres per second


def why(outcome: runs.Outcome, order: Order) -> tuple[str, str]:
    (decision,) = [d for d in outcome.decisions if d.order_id == order.pk]
    return decision.outcome, decision.why


# --- the wind ------------------------------------------------------------------------------------


@pytest.fixture
def wind(tmp_path: Path, settings: Settings) -> Callable[..., None]:
    """Sets the wind of the weather source."""
    source = tmp_path / "wind.json"
    settings.WEATHER_SOURCE = str(source)

    def blow(
        wind_mps: float, at: dict[str, tuple[tuple[float, float], float]] | None = None
    ) -> None:
        """The same everywhere, or by the name of a place: where it is and its wind."""
        now = datetime.now(UTC).isoformat()
        report: dict[str, Any] = {"measured_at": now, "wind_mps": wind_mps}
        if at is not None:
            report["places"] = [
                {"name": name, "lat": lat, "lng": lng, "wind_mps": mps, "at": now}
                for name, ((lat, lng), mps) in at.items()
            ]
        source.write_text(json.dumps(report))
        weather.refresh()

    return blow


class TestWind:
    def test_nothing_is_assigned_in_strong_wind_and_the_decision_says_so(self, wind):
        fleet_of(1)
        order = OrderFactory()
        wind(13.0)
        outcome = run()
        assert outcome.unassigned[0].ruled_out == [{"code": "too_windy", "drones": 1}]
        assert "Wind 13 m/s (wind.json, 0 s ago), limit 12 m/s" in outcome.unassigned[0].why
        assert outcome.unassigned[0].nearest["reasons"][0]["code"] == "too_windy"
        wind(4.0)
        run()
        assert status_of(order) == Status.ASSIGNED

    def test_a_gust_at_the_door_rules_out_drones_that_stand_in_calm_air(self, wind):
        fleet_of(3)
        order = OrderFactory()
        windy = order.dropoff_lat, order.dropoff_lng
        wind(4.0, at={"Osu": (ACCRA, 4.0), "Legon": (windy, 13.0)})
        outcome = run()
        assert outcome.unassigned[0].ruled_out == [{"code": "too_windy", "drones": 3}]
        assert "Wind 13 m/s at Legon (wind.json, 0 s ago)" in outcome.unassigned[0].why
        far = windy[0] + 1, windy[1]
        wind(4.0, at={"Legon": (far, 4.0)})
        run()
        assert status_of(order) == Status.QUEUED
        wind(4.0, at={"Osu": (ACCRA, 4.0), "Legon": (windy, 5.0)})
        run()
        assert status_of(order) == Status.ASSIGNED

    def test_nothing_is_assigned_without_wind_data(self, settings):
        settings.WEATHER_SOURCE = "/nowhere/wind.json"
        weather.redis_client.client().delete(weather.KEY)
        fleet_of(1)
        order = OrderFactory()
        assert run().unassigned[0].ruled_out == [{"code": "weather_unknown", "drones": 1}]
        (candidate,) = candidates(order)
        assert [reason.code for reason in candidate.reasons] == ["weather_unknown"]
        with pytest.raises(Conflict, match="The wind is unknown"):
            manual_assignment.assign(
                order.pk, candidate.drone_id, by=SYSTEM, override_reason="It is calm."
            )

    def test_wind_costs_time_and_energy_in_manual_and_automatic_assignment(self, wind):
        fleet_of(1)
        order = OrderFactory()
        wind(0.0)
        calm = candidates(order)[0]
        wind(8.0)
        windy = candidates(order)[0]
        assert windy.eta_seconds > calm.eta_seconds
        assert windy.energy_needed_pct > calm.energy_needed_pct
        assert run().decisions[0].figures["energy_pct"] == windy.energy_needed_pct

    def test_a_quote_considers_the_wind(self, wind):
        fleet_of(1)
        quoted = {}
        for wind_mps in (0.0, 8.0, 13.0):
            wind(wind_mps)
            order = OrderFactory.build(merchant=None, service_area=None)
            quoted[wind_mps], promise = placement.quote(order)
            assert quoted[wind_mps].problems == [], "the wind of this hour refuses no order"
        assert quoted[8.0].eta_low_s > quoted[0.0].eta_low_s
        assert quoted[13.0].eta_low_s is None
        assert quoted[8.0].held_up is None
        assert quoted[13.0].held_up.code == "too_windy"
        assert "Wind 13 m/s (wind.json, 0 s ago), limit 12" in quoted[13.0].held_up.message
        assert promise.held_up.message == f"{quoted[13.0].held_up.message} It flies once it may."
        assert promise.low_at is None

    def test_rising_wind_stops_an_unsent_mission(self, wind, bridge):
        wind(3.0)
        order, intent = assigned()
        wind(13.0)
        publishing.publish(intent.pk)
        assert stored(order).status == Status.QUEUED
        intent = Mission.objects.get(pk=intent.pk)
        assert intent.state == Mission.State.WITHDRAWN
        assert "Wind 13 m/s (wind.json, 0 s ago), limit 12 m/s" in intent.bridge_answer
        assert bridge.world.missions == {}


def test_a_new_zone_stops_an_unsent_mission(bridge):
    order, intent = assigned()
    GeoZoneFactory(polygon=square(5.6150, -0.1750, 300))
    publishing.publish(intent.pk)
    assert stored(order).status == Status.QUEUED
    event = order.events.filter(type="REQUEUED").get()
    assert "is in No-fly zone" in event.message


def test_a_detour_around_a_zone_is_planned_if_the_policy_allows_it():
    fleet_of(1)
    order = OrderFactory()
    GeoZoneFactory(polygon=square((5.6037 + 5.6150) / 2, (-0.1870 - 0.1750) / 2, 300))
    assert run().unassigned[0].ruled_out == [{"code": "crosses_no_fly_zone", "drones": 1}]
    straight_m = 2 * 1825 * policy.current().detour_factor
    policy.change(by=SYSTEM, detours_allowed=True)
    (decision,) = run().decisions
    assert (decision.outcome, status_of(order)) == (Outcome.ASSIGNED, Status.ASSIGNED)
    assert straight_m < decision.figures["distance_m"] < straight_m * 1.1


# --- hubs ----------------------------------------------------------------------------------------


class TestLaunchesAtOnce:
    def test_a_hub_gets_no_more_orders_than_it_can_launch(self):
        fleet_of(4)
        Hub.objects.update(launches_at_once=2)
        normal = OrderFactory.create_batch(2)
        medical = OrderFactory.create_batch(2, priority="MEDICAL")
        outcome = run()
        assert {order.pk for order in outcome.assigned} == {order.pk for order in medical}
        assert outcome.run.assigned == 2
        for order in normal:
            result, text = why(outcome, order)
            assert result == Outcome.UNASSIGNED
            assert "launches 2 at once" in text

    def test_a_full_hub_has_no_able_drone_until_one_takes_off(self):
        fleet_of(2)
        Hub.objects.update(launches_at_once=1)
        first, second = OrderFactory.create_batch(2)
        run()
        flying = next(o for o in (first, second) if status_of(o) == Status.ASSIGNED)
        waiting = second if flying is first else first
        assert run().unassigned[0].ruled_out == [{"code": "hub_full", "drones": 2}]
        job = stored(flying).current_job
        lifecycle.advance(flying.pk, Status.LAUNCHED, job_id=job.pk, by=SYSTEM)
        run()
        assert status_of(waiting) == Status.ASSIGNED

    def test_another_hub_takes_over_in_the_next_run(self):
        near, far = fleet_of(2)
        Hub.objects.update(launches_at_once=1)
        far.hub = HubFactory(lat=5.58, service_area=near.hub.service_area)
        far.save()
        OrderFactory.create_batch(2)
        run()
        run()
        assert set(DeliveryJob.objects.values_list("drone_id", flat=True)) == {near.pk, far.pk}

    def test_ops_can_override_the_launch_limit(self):
        fleet_of(2)
        Hub.objects.update(launches_at_once=1)
        OrderFactory()
        run()
        order = OrderFactory()
        free = next(c for c in candidates(order) if c.overridable)
        assert [reason.code for reason in free.reasons] == ["hub_full"]
        with pytest.raises(Conflict, match="can launch at once"):
            manual_assignment.assign(order.pk, free.drone_id, by=SYSTEM)
        manual_assignment.assign(
            order.pk, free.drone_id, by=SYSTEM, override_reason="Two pads today."
        )


# --- changes during a run ------------------------------------------------------------------------


def during(monkeypatch: pytest.MonkeyPatch, happening: Callable[[], object]) -> None:
    """Call `happening` after a run has planned and before it assigns."""
    plan = planner.plan

    def plan_and_then(problem: planner.Problem) -> planner.Plan:
        result = plan(problem)
        happening()
        return result

    monkeypatch.setattr(planner, "plan", plan_and_then)


def elsewhere(work: Callable[[], object]) -> object:
    """Run `work` in a thread with its own connection, committed."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(alone, work).result(30)


def alone(work: Callable[[], object]) -> object:
    try:
        return work()
    finally:
        connection.close()
        close_old_connections()


@pytest.mark.django_db(transaction=True)
class TestChangesDuringARun:
    def test_a_pause_everywhere_stops_a_finished_plan(self, monkeypatch):
        fleet_of(2)
        orders = OrderFactory.create_batch(2)
        during(
            monkeypatch,
            lambda: elsewhere(lambda: policy.change(by=SYSTEM, dispatch_paused=True)),
        )
        outcome = run()
        assert outcome.assigned == []
        assert outcome.run.assigned == 0
        assert not DeliveryJob.objects.exists()
        for order in orders:
            assert why(outcome, order) == (
                Outcome.OVERTAKEN,
                "Dispatch was paused while this run was planning.",
            )

    def test_a_pause_of_one_area_leaves_the_other_areas_alone(self, monkeypatch):
        _, there = fleet_of(2)
        order = OrderFactory()
        kumasi = ServiceAreaFactory(polygon=square(5.6037, -0.1870, 20_000))
        there.hub = HubFactory(service_area=kumasi)
        there.save()
        other = OrderFactory(service_area=kumasi)
        paused = ServiceArea.objects.filter(pk=order.service_area_id)
        during(monkeypatch, lambda: elsewhere(lambda: paused.update(dispatch_paused=True)))
        outcome = run()
        assert [done.pk for done in outcome.assigned] == [other.pk]
        assert why(outcome, order)[0] == Outcome.OVERTAKEN

    def test_a_pause_during_the_writes_does_not_wait_and_rolls_them_back(self, monkeypatch):
        fleet_of(3)
        orders = OrderFactory.create_batch(3)
        write, written = bulk.copy, []

        def write_and_pause(rows: Any) -> None:
            write(rows)
            if isinstance(rows[0], DispatchDecision) and not written:
                written.append(DeliveryJob.objects.count())
                elsewhere(lambda: policy.change(by=SYSTEM, dispatch_paused=True))

        monkeypatch.setattr(bulk, "copy", write_and_pause)
        outcome = run()
        assert (written, outcome.assigned) == ([3], [])
        assert not DeliveryJob.objects.exists()
        assert {status_of(order) for order in orders} == {Status.QUEUED}
        assert DispatchRun.objects.get() == outcome.run
        assert [why(outcome, order) for order in orders] == [
            (Outcome.OVERTAKEN, "Dispatch was paused while this run was planning.")
        ] * 3
        assert DispatchDecision.objects.count() == 3

    def test_nothing_is_assigned_after_a_pause_is_saved(self, monkeypatch):
        """A pause between the last check and the commit waits for the commit."""
        fleet_of(3)
        OrderFactory.create_batch(3)
        check = runs._paused
        pool = ThreadPoolExecutor(1)
        found: list[Future[object]] = []

        def pause() -> int:
            policy.change(by=SYSTEM, dispatch_paused=True)
            return DeliveryJob.objects.count()

        def check_and_pause(orders: Any) -> dict[int, str]:
            paused = check(orders)
            found.append(pool.submit(alone, pause))
            with pytest.raises(TimeoutError):
                found[0].result(0.5)
            return paused

        monkeypatch.setattr(runs, "_paused", check_and_pause)
        run()
        at_the_pause = found[0].result(10)
        pool.shutdown()
        assert at_the_pause == 3 == DeliveryJob.objects.count()
        with pytest.raises(Conflict, match="paused"):
            run()

    def test_a_drone_assigned_by_hand_during_the_run_is_left_out(self, monkeypatch):
        drones = fleet_of(2)
        orders = OrderFactory.create_batch(2)
        mine = OrderFactory(live_mode=True, service_area=ServiceAreaFactory(name="By hand"))
        taken = drones[0].pk

        def take() -> None:
            lifecycle.assign(mine.pk, taken, by=SYSTEM, why="By hand.")

        during(monkeypatch, lambda: elsewhere(take))
        outcome = run(service_area_id=orders[0].service_area_id)
        results = sorted(decision.outcome for decision in outcome.decisions)
        assert results == [Outcome.ASSIGNED, Outcome.OVERTAKEN]
        assert DeliveryJob.objects.active().filter(drone_id=taken).get().order_id == mine.pk
        assert DeliveryJob.objects.active().count() == 2

    def test_an_order_locked_by_another_transaction_is_left_out(self, monkeypatch):
        fleet_of(2)
        held, free = OrderFactory.create_batch(2)
        release, holding = Future[None](), Future[None]()

        def hold() -> None:
            with transaction.atomic():
                Order.objects.select_for_update(no_key=True).get(pk=held.pk)
                holding.set_result(None)
                release.result(30)

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(alone, hold)
            holding.result(30)
            outcome = run()
            release.set_result(None)
            done.result(30)
        assert [order.pk for order in outcome.assigned] == [free.pk]
        assert why(outcome, held)[0] == Outcome.OVERTAKEN
        assert status_of(held) == Status.QUEUED

    def test_a_lost_connection_leaves_no_rows_and_no_lock(self, monkeypatch):
        """The lost connection releases the planner's lock, so the next run can start."""
        fleet_of(1)
        order = OrderFactory()

        def lose() -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

        with monkeypatch.context() as broken:
            during(broken, lose)
            with pytest.raises(Exception, match=r"terminat|closed"):
                runs.run(trigger=DispatchRun.Trigger.COMMAND, by=DISPATCHER)
        connection.close()
        assert not DispatchRun.objects.exists()
        run()
        assert status_of(order) == Status.ASSIGNED
        assert mission_of(order).drone_id is not None
