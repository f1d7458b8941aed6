"""Dispatch runs: from queued orders and telemetry to assignments and decisions."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from dispatch.models import DispatchDecision, DispatchRun, Mission
from dispatch.planning import runs
from dispatch.planning.inputs import waiting
from dispatch.tests.support import able_drone
from fleet import policy, registry
from fleet.airspace import rulebook
from fleet.feasibility import judge
from fleet.feasibility.rules import Priority
from fleet.live import picture
from fleet.models import Drone, DroneHold, ServiceArea
from fleet.tests.factories import (
    DroneFactory,
    GeoZoneFactory,
    HubFactory,
    ServiceAreaFactory,
    TelemetryFactory,
    seconds_ago,
    show,
    square,
)
from orders import lifecycle, placement
from orders.models import DeliveryJob, Order, WaitingOrder
from orders.states import CancelReason, Holder, JobStatus, Status
from orders.tests.factories import OrderFactory, StoreFactory, order_in
from wingxtra.accounts.identity import DISPATCHER, SYSTEM
from wingxtra.problems import Conflict, NotFound

pytestmark = pytest.mark.django_db

Outcome = DispatchDecision.Outcome


def fleet_of(count: int, **telemetry: object) -> list[Drone]:
    """This many drones that are ready to fly."""
    drones = DroneFactory.create_batch(count)
    show(*[TelemetryFactory(drone_id=drone.pk, **telemetry) for drone in drones])
    return drones


def run(**options: object) -> runs.Outcome:
    options = {"trigger": DispatchRun.Trigger.COMMAND, "by": DISPATCHER, **options}
    return runs.run(**options)


def status_of(order: Order) -> str:
    return Order.objects.get(pk=order.pk).status


def test_a_queued_order_gets_an_able_drone_and_the_run_says_why():
    (drone,) = fleet_of(1)
    order = OrderFactory()

    outcome = run()

    assert status_of(order) == Status.ASSIGNED
    decision = DispatchDecision.objects.get(order=order)
    assert (decision.outcome, decision.drone_id) == (Outcome.ASSIGNED, drone.pk)
    assert decision.figures["delivery_s"] > 0
    assert f"{drone.pk} takes" in decision.why
    assert "min to the door" in decision.why
    stored = DispatchRun.objects.get(pk=outcome.run.pk)
    assert (stored.assigned, stored.orders_considered, stored.drones_considered) == (1, 1, 1)
    assert stored.value == stored.bound
    assert stored.policy_version == policy.current().version
    assert Mission.objects.get(parts__order=order).drone_id == drone.pk


def test_the_assignment_event_has_the_drone_and_the_reason():
    (drone,) = fleet_of(1)
    order = OrderFactory()
    run()
    event = order.events.get(type="ASSIGNED")
    assert event.payload["drone_id"] == drone.pk
    assert event.actor == "dispatcher"
    assert "of its battery" in event.message


def test_the_promise_of_the_run_becomes_the_first_eta():
    fleet_of(1)
    order = OrderFactory()
    outcome = run()
    job = DeliveryJob.objects.get(order=order)
    expected_s = outcome.decisions[0].figures["delivery_s"]
    assert abs((job.promised_at - outcome.run.started_at).total_seconds() - expected_s) < 1
    assert job.eta_at == job.promised_at


def test_a_dry_run_decides_the_same_and_assigns_nothing():
    (drone,) = fleet_of(1)
    order = OrderFactory()
    outcome = run(dry_run=True)
    assert status_of(order) == Status.QUEUED
    assert outcome.decisions[0].drone_id == drone.pk
    assert outcome.run.assigned == 1
    assert DispatchRun.objects.get().dry_run
    assert not DeliveryJob.objects.exists()


def test_an_order_without_a_drone_has_counts_per_reason_and_the_closest_drone():
    low, lower = DroneFactory.create_batch(2)
    show(
        TelemetryFactory(drone_id=low.pk, battery_pct=9),
        TelemetryFactory(drone_id=lower.pk, battery_pct=None),
    )
    order = OrderFactory()
    outcome = run()
    (decision,) = outcome.unassigned
    assert decision.order_id == order.pk
    assert {"code": "no_battery_reading", "drones": 1} in decision.ruled_out
    assert {"code": "battery_below_minimum", "drones": 1} in decision.ruled_out
    assert f"The nearest to it is {low.pk}" in decision.why or lower.pk in decision.why
    assert status_of(order) == Status.QUEUED


def test_an_area_without_drones_is_explained():
    OrderFactory()
    outcome = run()
    assert outcome.unassigned[0].why == "This service area has no drones."


def test_nothing_is_dispatched_with_stale_telemetry():
    drone = DroneFactory()
    show(
        TelemetryFactory(drone_id=drone.pk, measured_at=seconds_ago(45)),
        fetched_at=seconds_ago(45),
    )
    order = OrderFactory()
    outcome = run()
    assert status_of(order) == Status.QUEUED
    assert outcome.unassigned[0].ruled_out == [{"code": "telemetry_aging", "drones": 1}]


def test_nothing_is_dispatched_without_telemetry():
    DroneFactory()
    order = OrderFactory()
    assert run().unassigned[0].ruled_out == [{"code": "no_telemetry", "drones": 1}]
    assert status_of(order) == Status.QUEUED


def test_a_drone_on_a_foreign_flight_is_never_chosen():
    fleet_of(1, armed=True)
    OrderFactory()
    assert run().unassigned[0].ruled_out == [{"code": "already_flying", "drones": 1}]


def test_a_grounded_drone_is_never_chosen():
    (drone,) = fleet_of(1)
    drone.grounded_at, drone.grounded_reason = timezone.now(), "Propeller"
    drone.save()
    OrderFactory()
    assert run().unassigned[0].ruled_out == [{"code": "grounded", "drones": 1}]


def test_a_drone_with_a_job_is_never_chosen():
    (drone,) = fleet_of(1)
    order_in(Status.LAUNCHED, drone=drone)
    OrderFactory()
    assert run().unassigned[0].ruled_out == [{"code": "busy", "drones": 1}]


def test_a_no_fly_zone_across_the_route_keeps_the_order_waiting():
    fleet_of(1)
    order = OrderFactory()
    GeoZoneFactory(polygon=square((5.6037 + 5.6150) / 2, (-0.1870 - 0.1750) / 2, 300))
    assert run().unassigned[0].ruled_out == [{"code": "crosses_no_fly_zone", "drones": 1}]
    assert status_of(order) == Status.QUEUED


def test_the_medical_order_gets_the_only_drone():
    fleet_of(1)
    normal = OrderFactory()
    medical = OrderFactory(priority=Priority.MEDICAL)
    outcome = run()
    assert status_of(medical) == Status.ASSIGNED
    assert status_of(normal) == Status.QUEUED
    assert "serves another order better" in outcome.unassigned[0].why


def test_orders_are_planned_together():
    """The near drone is better for both orders, but only one of them would be late without it."""
    near, far = DroneFactory.create_batch(2)
    show(
        TelemetryFactory(drone_id=near.pk),
        TelemetryFactory(drone_id=far.pk, lat=5.6037 - 0.02),
    )
    late = OrderFactory(deliver_by=timezone.now() + timedelta(minutes=6))
    relaxed = OrderFactory(deliver_by=timezone.now() + timedelta(hours=3))
    run()
    jobs = {job.order_id: job.drone_id for job in DeliveryJob.objects.active()}
    assert jobs == {late.pk: near.pk, relaxed.pk: far.pk}


def test_max_assignments_takes_the_most_valuable_pairs():
    fleet_of(2)
    OrderFactory()
    medical = OrderFactory(priority=Priority.MEDICAL)
    outcome = run(max_assignments=1)
    assert [order.pk for order in outcome.assigned] == [medical.pk]


def test_a_run_of_one_area_leaves_the_others_alone():
    fleet_of(2)
    here = OrderFactory()
    elsewhere = ServiceAreaFactory(name="Kumasi", polygon=square(6.69, -1.62, 20_000))
    HubFactory(service_area=elsewhere, lat=6.69, lng=-1.62)
    there = OrderFactory(service_area=elsewhere)
    run(service_area_id=here.service_area_id)
    assert (status_of(here), status_of(there)) == (Status.ASSIGNED, Status.QUEUED)


def test_an_unknown_area_is_not_found():
    with pytest.raises(NotFound):
        run(service_area_id=uuid4())


def test_a_test_order_never_gets_a_real_drone():
    fleet_of(1)
    order = OrderFactory(live_mode=False)
    run()
    assert status_of(order) == Status.QUEUED


def test_an_order_canceled_during_the_run_is_left_out(monkeypatch):
    fleet_of(2)
    canceled, kept = OrderFactory(), OrderFactory()
    assign_many = lifecycle.assign_many

    def cancel_first(assignments, *, by):
        lifecycle.cancel(canceled.pk, by=SYSTEM, reason=CancelReason.OTHER)
        return assign_many(assignments, by=by)

    monkeypatch.setattr(lifecycle, "assign_many", cancel_first)
    outcome = run()
    outcomes = {decision.order_id: decision.outcome for decision in outcome.decisions}
    assert outcomes == {canceled.pk: Outcome.OVERTAKEN, kept.pk: Outcome.ASSIGNED}
    assert status_of(kept) == Status.ASSIGNED
    assert outcome.run.assigned == 1


class TestPause:
    def test_everywhere(self):
        fleet_of(1)
        order = OrderFactory()
        policy.change(by=SYSTEM, dispatch_paused=True)
        with pytest.raises(Conflict, match="paused everywhere"):
            run()
        assert status_of(order) == Status.QUEUED
        assert runs.areas_with_work() == []
        assert runs.run_by_schedule(order.service_area_id) is None

    def test_in_one_area(self):
        fleet_of(1)
        order = OrderFactory()
        order.service_area.dispatch_paused = True
        order.service_area.save()
        with pytest.raises(Conflict, match=f"paused in {order.service_area.name}"):
            run(service_area_id=order.service_area_id)
        assert runs.areas_with_work() == []

    def test_a_dry_run_still_shows_what_would_be(self):
        fleet_of(1)
        OrderFactory()
        policy.change(by=SYSTEM, dispatch_paused=True)
        assert run(dry_run=True).run.assigned == 1


def test_the_schedule_plans_each_area_that_has_work():
    fleet_of(1)
    order = OrderFactory()
    ServiceAreaFactory(name="Kumasi")
    assert runs.areas_with_work() == [order.service_area_id]
    runs.run_by_schedule(order.service_area_id)
    assert runs.areas_with_work() == [order.service_area_id], "its unsent mission may be replanned"
    runs.run_by_schedule(order.service_area_id)
    Mission.objects.update(tries=1)
    assert runs.areas_with_work() == []
    assert runs.run_by_schedule(order.service_area_id) is None
    assert DispatchRun.objects.count() == 1, "a run with nothing to decide writes no row"


@pytest.mark.parametrize("count", [1, 8, 120])
def test_statements_do_not_grow_with_orders(count, django_assert_max_num_queries):
    fleet_of(count)
    OrderFactory.create_batch(count)
    with django_assert_max_num_queries(24):
        assert run().run.assigned == count


def test_a_plan_reads_the_same_of_an_order_as_its_model() -> None:
    def read(order: Order) -> WaitingOrder:
        return WaitingOrder.of(Order.objects.get(pk=order.pk))

    fleet_of(1)
    hub = HubFactory(lat=5.61, lng=-0.18)
    first = OrderFactory(
        payload_size_cm=[30, 20, 10], holder=Holder.HUB, holder_hub=hub, priority=Priority.MEDICAL
    )
    second = OrderFactory(store=StoreFactory())
    area_ids = [first.service_area_id]
    queued = waiting.queued(area_ids, policy.current(), timezone.now())
    assert queued == sorted([read(first), read(second)])
    assert waiting.unsent(area_ids) == []

    run(max_assignments=1)

    (unsent,) = waiting.unsent(area_ids)
    assert unsent == read(first)
    assert (unsent.flown_from, unsent.assigned_drone_id) == ((5.61, -0.18), Drone.objects.get().pk)


# --- parcels that are not ready ------------------------------------------------------------------


@pytest.mark.parametrize(("in_s", "flown"), [(-60, True), (30, True), (600, False)])
def test_an_order_is_assigned_only_when_its_parcel_will_be_ready(in_s: float, flown: bool) -> None:
    able_drone()
    OrderFactory(ready_at=timezone.now() + timedelta(seconds=in_s))
    assert bool(run().assigned) == flown


def test_a_drone_is_sent_so_that_it_arrives_when_the_parcel_is_ready() -> None:
    drone = able_drone()
    pickup_s = pickup_s_of(drone)
    order = OrderFactory(ready_at=timezone.now() + timedelta(seconds=pickup_s + 60))

    (decision,) = run().unassigned

    assert decision.drone_id == drone.pk
    assert 50 <= decision.figures["wait_s"] <= 60
    assert "so that it arrives when the parcel is ready" in decision.why
    Order.objects.update(ready_at=timezone.now() + timedelta(seconds=pickup_s - 1))
    run()
    assert status_of(order) == Status.ASSIGNED


def test_no_drone_is_kept_longer_than_the_look_ahead_for_a_parcel_that_is_not_ready() -> None:
    drone = able_drone()
    later = OrderFactory(ready_at=timezone.now() + timedelta(minutes=20))
    now = OrderFactory()
    outcome = run()
    assert status_of(now) == Status.ASSIGNED
    (decision,) = (one for one in outcome.decisions if one.order_id == later.pk)
    assert decision.why.startswith("The parcel is ready at ")
    assert f"{drone.pk} would be sent at" in decision.why


def pickup_s_of(drone: Drone) -> float:
    """Seconds from an assignment until the drone is at the pickup of a usual order."""
    now, book = timezone.now(), rulebook.load(timezone.now())
    order = OrderFactory.build(service_area=ServiceArea.objects.get())
    table = registry.drone_table([drone], picture.read(), registry.FREE, book, now)
    trips = placement.trip_table([order], book)
    found = judge.judge(table, trips, *judge.every_pair(1, 1), book.rules, book.zone_shapes, now)
    return float(found.to_pickup_s[0])


def test_a_parcel_that_is_ready_early_is_flown_early() -> None:
    able_drone()
    order = OrderFactory(ready_at=timezone.now() + timedelta(minutes=10))
    lifecycle.ready(order.pk, by=SYSTEM)
    assert runs.run(trigger=DispatchRun.Trigger.COMMAND, by=SYSTEM).assigned


def test_the_policy_can_require_that_parcels_are_reported_ready() -> None:
    policy.change(by=SYSTEM, ready_required=True)
    able_drone()
    order = OrderFactory()
    assert not runs.run(trigger=DispatchRun.Trigger.COMMAND, by=SYSTEM).assigned
    lifecycle.ready(order.pk, by=SYSTEM)
    assert runs.run(trigger=DispatchRun.Trigger.COMMAND, by=SYSTEM).assigned


# --- holds ---------------------------------------------------------------------------------------


def test_a_drone_on_hold_and_one_with_a_parcel_aboard_get_no_order() -> None:
    drone = able_drone()
    registry.hold(drone.pk, DroneHold.Code.FLIGHT_FAILED, "Motor 3.", by=SYSTEM)
    OrderFactory()
    outcome = runs.run(trigger=DispatchRun.Trigger.COMMAND, by=SYSTEM)
    assert outcome.unassigned[0].ruled_out == [{"code": "on_hold", "drones": 1}]
    registry.release(drone.pk, by=SYSTEM, note="New motor.")
    carried = order_in(Status.LAUNCHED, drone=drone)
    lifecycle.loaded(carried.pk, by=SYSTEM)
    lifecycle.mission_over(
        carried.pk, ended=JobStatus.FAILED, by=SYSTEM, why="Motor 3.", max_attempts=3
    )
    registry.release(drone.pk, by=SYSTEM, note="New motor.")
    outcome = runs.run(trigger=DispatchRun.Trigger.COMMAND, by=SYSTEM)
    assert outcome.unassigned[0].ruled_out == [{"code": "carries_parcel", "drones": 1}]


def test_a_parcel_at_a_hub_is_flown_from_there() -> None:
    drone = able_drone()
    order = order_in(Status.LAUNCHED, drone=drone)
    lifecycle.loaded(order.pk, by=SYSTEM)
    hub = HubFactory(service_area=order.service_area, lat=5.6100, lng=-0.1800)
    lifecycle.unloaded(order.pk, hub.pk, by=SYSTEM)
    able_drone()
    outcome = runs.run(trigger=DispatchRun.Trigger.COMMAND, by=SYSTEM)
    assert [each.pk for each in outcome.assigned] == [order.pk]
    body = Mission.objects.get(parts__job=outcome.assigned[0].current_job_id).body
    assert (body["pickup"]["lat"], body["pickup"]["lng"]) == (5.6100, -0.1800)


def test_an_order_on_hold_is_not_planned() -> None:
    drone = able_drone()
    order = order_in(Status.LAUNCHED, drone=drone)
    lifecycle.mission_over(
        order.pk,
        ended=JobStatus.FAILED,
        by=SYSTEM,
        why="Motor 3.",
        max_attempts=3,
        parcel_astray="It was not seen.",
    )
    DroneHold.objects.all().update(
        released_at=timezone.now(), released_by="ama", release_note="Looked."
    )
    assert runs.areas_with_work() == []
    assert not runs.run(trigger=DispatchRun.Trigger.COMMAND, by=SYSTEM).assigned
