"""Orders wait for a better drone, and move to one while their mission is unsent."""

from datetime import timedelta

import pytest
from django.utils import timezone

from dispatch.models import DispatchDecision, Mission
from dispatch.planning import manual_assignment, runs
from dispatch.tests.test_runs import run, status_of
from fleet import policy
from fleet.models import Drone
from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from orders import lifecycle
from orders.models import DeliveryJob, Order
from orders.states import JobStatus, Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import SYSTEM, Actor, ActorKind

pytestmark = pytest.mark.django_db

Outcome = DispatchDecision.Outcome
FAR_DEG = 0.05  # 5.6 km: about seven minutes


def near_and_far(near_pct: float = 40.0) -> tuple[Drone, Drone]:
    """(a charging drone at the hub beside the pickup, an able drone far away)."""
    near, far = DroneFactory.create_batch(2)
    see(near, far, near_pct=near_pct)
    return near, far


def see(near: Drone, far: Drone, near_pct: float) -> None:
    show(
        TelemetryFactory(drone_id=near.pk, battery_pct=near_pct),
        TelemetryFactory(drone_id=far.pk, lat=5.6037 - FAR_DEG),
    )


def decided(outcome: runs.Outcome, order: Order) -> DispatchDecision:
    (decision,) = [d for d in outcome.decisions if d.order_id == order.pk]
    return decision


# --- waiting -------------------------------------------------------------------------------------


def test_an_order_waits_for_a_near_drone_that_is_charged_soon():
    near, _ = near_and_far()
    order = OrderFactory()
    decision = decided(run(), order)
    assert status_of(order) == Status.QUEUED
    assert (decision.outcome, decision.drone_id) == (Outcome.WAITING, near.pk)
    assert decision.why.startswith(f"Waits for {near.pk}, able in about ")
    assert "sooner than by a drone that could start now" in decision.why
    wait_s = (decision.able_at - timezone.now()).total_seconds()
    assert 0 < wait_s <= policy.current().look_ahead_s
    assert decision.figures["wait_s"] == pytest.approx(wait_s, abs=5)


def test_a_waiting_order_is_assigned_once_its_drone_is_charged():
    near, far = near_and_far()
    order = OrderFactory()
    run()
    see(near, far, near_pct=60.0)
    run()
    assert DeliveryJob.objects.get(order=order).drone_id == near.pk


def test_an_order_does_not_wait_again_for_an_overdue_drone():
    _, far = near_and_far()
    order = OrderFactory(created_at=timezone.now() - timedelta(minutes=3))
    run()
    DispatchDecision.objects.update(able_at=timezone.now() - timedelta(minutes=2))
    decision = decided(run(), order)
    assert (decision.outcome, decision.drone_id) == (Outcome.ASSIGNED, far.pk)


def test_waits_of_dry_runs_do_not_count_as_overdue():
    near_and_far()
    order = OrderFactory()
    assert decided(run(dry_run=True), order).outcome == Outcome.WAITING
    DispatchDecision.objects.update(able_at=timezone.now() - timedelta(minutes=2))
    assert decided(run(), order).outcome == Outcome.WAITING


def test_an_order_dispatched_by_hand_does_not_wait():
    _, far = near_and_far()
    order = OrderFactory()
    run(only=[order.pk])
    assert DeliveryJob.objects.get(order=order).drone_id == far.pk


def test_the_policy_can_switch_waiting_off():
    policy.change(by=SYSTEM, look_ahead_s=0)
    _, far = near_and_far()
    order = OrderFactory()
    run()
    assert DeliveryJob.objects.get(order=order).drone_id == far.pk


def test_an_order_waits_for_a_drone_that_comes_home_soon():
    """The near drone delivers 1.7 km away, 5 seconds from now."""
    near, far = near_and_far(near_pct=90.0)
    flown = order_in(Status.ENROUTE, drone=near)
    DeliveryJob.objects.filter(order=flown).update(eta_at=timezone.now() + timedelta(seconds=5))
    show(
        TelemetryFactory(drone_id=near.pk, armed=True, lat=5.6150, lng=-0.1750, battery_pct=80),
        TelemetryFactory(drone_id=far.pk, lat=5.6037 - 2 * FAR_DEG),
    )
    policy.change(by=SYSTEM, look_ahead_s=400)
    order = OrderFactory()
    decision = decided(run(), order)
    assert (decision.outcome, decision.drone_id) == (Outcome.WAITING, near.pk)


def test_an_order_is_left_to_a_near_drone_until_its_parcel_is_ready():
    """The far drone would have to start now, and would not deliver sooner."""
    near, far = near_and_far(near_pct=90.0)
    order = OrderFactory(ready_at=timezone.now() + timedelta(minutes=8))
    assert decided(run(), order).why.startswith("The parcel is ready at ")
    see(near, far, near_pct=10.0)
    assert decided(run(), order).drone_id == far.pk
    see(near, far, near_pct=90.0)
    Order.objects.update(ready_at=timezone.now() + timedelta(minutes=2))
    assert decided(run(), order).drone_id == near.pk


# --- replanning ----------------------------------------------------------------------------------


@pytest.fixture
def held() -> Order:
    """An order that dispatch assigned to the far drone. Its mission waits for ops to submit it."""
    policy.change(by=SYSTEM, auto_submit=False)
    near, far = near_and_far(near_pct=5.0)
    order = OrderFactory()
    run()
    assert DeliveryJob.objects.get(order=order).drone_id == far.pk
    see(near, far, near_pct=90.0)
    return order


def drone_of(order: Order) -> str | None:
    return DeliveryJob.objects.active().get(order=order).drone_id


def test_an_order_whose_mission_was_not_sent_moves_to_a_clearly_better_drone(held):
    near = Drone.objects.exclude(pk=drone_of(held)).get()
    decision = decided(run(), held)
    assert drone_of(held) == near.pk
    assert (decision.outcome, decision.drone_id) == (Outcome.ASSIGNED, near.pk)
    event = held.events.get(type="REASSIGNED")
    assert event.actor == "dispatcher"
    former, current = Mission.objects.order_by("created_at")
    assert (former.state, former.recall_state) == ("WITHDRAWN", "")
    assert (current.state, current.drone_id) == ("HELD", near.pk)


def test_the_schedule_replans_when_nothing_is_queued(held):
    assert runs.areas_with_work() == [held.service_area_id]
    runs.run_by_schedule(held.service_area_id)
    assert held.events.filter(type="REASSIGNED").exists()


def test_an_order_moves_to_a_better_drone_only_once(held):
    run()
    run()
    assert held.events.filter(type="REASSIGNED").count() == 1
    assert DeliveryJob.objects.filter(order=held, status=JobStatus.CANCELED).count() == 1


def test_manual_assignments_are_not_replanned():
    policy.change(by=SYSTEM, auto_submit=False)
    _, far = near_and_far(near_pct=90.0)
    order = OrderFactory()
    manual_assignment.assign(
        order.pk, far.pk, by=Actor(ActorKind.USER, "ama"), override_reason="Test."
    )
    run()
    assert drone_of(order) == far.pk


def test_a_mission_that_may_have_been_sent_is_not_replanned(held):
    far = drone_of(held)
    Mission.objects.update(tries=1)
    run()
    assert drone_of(held) == far


def test_a_mission_sent_during_the_run_keeps_its_drone_and_others_are_assigned(held, monkeypatch):
    far = drone_of(held)
    other = OrderFactory(priority="MEDICAL")
    assign_many, calls = lifecycle.assign_many, []

    def send_first(assignments, *, by):
        calls.append(assignments)
        Mission.objects.filter(parts__order=held).update(tries=1, state="PENDING")
        return assign_many(assignments, by=by)

    monkeypatch.setattr(lifecycle, "assign_many", send_first)
    DroneFactory()
    show(
        *[TelemetryFactory(drone_id=drone.pk) for drone in Drone.objects.exclude(pk=far)],
        TelemetryFactory(drone_id=far, lat=5.6037 - FAR_DEG),
    )
    outcome = run()
    assert len(calls) == 2
    assert drone_of(held) == far
    assert decided(outcome, held).outcome == Outcome.OVERTAKEN
    assert status_of(other) == Status.ASSIGNED
    assert not Mission.objects.exclude(recall_state="").exists()
