"""Ops' answers about flights without telemetry, and about flights that end during the answer."""

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import pytest
import time_machine
from django.utils import timezone
from pytest_django import Settings

from dispatch.console import attention_doubts
from dispatch.console.orders import actions as order_actions
from dispatch.missions import answers, before_launch, discrepancies, recalls, reports
from dispatch.models import Discrepancy
from dispatch.tests.sky import START, Sky
from dispatch.tests.support import stored
from fleet import registry
from fleet.models import DroneHold
from fleet.simulator.run import Simulator
from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import Order
from orders.states import IN_FLIGHT, CancelReason, HoldCode, Holder, JobStatus, Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import GCS, TELEMETRY, Actor, ActorKind
from wingxtra.problems import Conflict

pytestmark = pytest.mark.django_db
STAFF = Actor(ActorKind.USER, "ama")
NOTE = "Looked on site."
Code = Discrepancy.Code


@pytest.fixture
def sky(settings: Settings) -> Iterator[Sky]:
    with Simulator([], speed=0) as simulator, time_machine.travel(START, tick=False) as clock:
        settings.GCS_BRIDGE_URL = simulator.url
        yield Sky(simulator, clock, [DroneFactory().pk])


def test_a_mission_flown_without_telemetry_can_be_confirmed_as_delivered() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    assert answers.confirm_delivered(order.pk, by=STAFF, note=NOTE).status == Status.DELIVERED


def test_a_mission_that_failed_without_telemetry_asks_for_the_parcel_and_holds_its_drone() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    drone_id = order.assigned_drone_id
    order = answers.confirm_failed(order.pk, by=STAFF, note=NOTE)
    assert (order.status, order.hold_code) == (Status.QUEUED, HoldCode.PARCEL_UNKNOWN)
    assert DroneHold.objects.standing().filter(drone=drone_id).exists()


def test_a_mission_that_ground_control_does_not_have_cannot_fail() -> None:
    with pytest.raises(lifecycle.Refused):
        answers.confirm_failed(order_in(Status.ASSIGNED).pk, by=STAFF, note=NOTE)


def test_no_discrepancy_is_raised_for_a_flight_that_has_just_ended() -> None:
    order = order_in(Status.ENROUTE)
    job = order.current_job
    assert job is not None
    lifecycle.mission_over(
        order.pk, ended=JobStatus.FAILED, by=STAFF, why=NOTE, max_attempts=3, job_id=job.pk
    )
    for code in (Code.STANDS_AT_HUB, Code.UNCLEAR_LANDING, Code.AT_THE_DROP):
        assert not discrepancies.raise_(job, code, "It stands.", by=TELEMETRY)
    assert not Discrepancy.objects.exists()


def test_a_doubt_about_an_order_on_hold_offers_every_answer_about_its_parcel() -> None:
    order = order_in(Status.ENROUTE)
    lifecycle.loaded(order.pk, by=GCS)
    job = stored(order).current_job
    assert job is not None
    lifecycle.mission_over(order.pk, ended=JobStatus.FAILED, by=GCS, why="Motor.", max_attempts=3)
    discrepancies.raise_(job, Code.FLIES_AFTER_END, "It flies on.", by=GCS)
    doubt = Discrepancy.objects.select_related("order__current_job").get()
    offered = {button.url.split("/")[4] for button in attention_doubts.remedies_of(doubt)}
    assert offered >= {"delivered", "at-hub", "never-left", "given-back", "lost", "settle"}


def test_a_mission_confirmed_over_without_telemetry_asks_where_the_parcel_is(sky: Sky) -> None:
    order = OrderFactory()
    sky.dispatch()
    sky.sweep()
    order = recalls.confirm_over(order.pk, by=STAFF, note=NOTE)
    assert (order.status, order.hold_code) == (Status.QUEUED, HoldCode.PARCEL_UNKNOWN)
    assert DroneHold.objects.standing().count() == 1


def _ends_without_a_word_of_the_bridge(order: Order, by: str) -> None:
    """Staff state in writing that its mission does not fly, and take the order from its drone."""
    if by == "requeue":
        before_launch.requeue(order.pk, by=STAFF, why="Storm.", override=NOTE)
    elif by == "cancel":
        before_launch.cancel(order.pk, by=STAFF, reason=CancelReason.SAFETY, override=NOTE)
    elif by == "over":
        recalls.confirm_over(order.pk, by=STAFF, note=NOTE)
    else:  # the process dies between the withdrawal and the verb
        recalls.withdraw_mission(order.pk, by=STAFF, reason="Storm.", override=NOTE)
        recalls.sweep_abandoned(timezone.now() + timedelta(minutes=5))


@pytest.mark.parametrize("by", ["requeue", "cancel", "over", "sweep"])
@pytest.mark.parametrize("is_seen", [True, False])
def test_a_mission_that_may_have_flown_unseen_asks_where_the_parcel_is(
    sky: Sky, by: str, is_seen: bool
) -> None:
    order = OrderFactory(pickup_lat=5.6070, pickup_lng=-0.1885)  # not where its drone stands
    sky.dispatch()
    sky.simulator.fault("bridge_down", times=99)
    sky.sweep()  # the mission is sent, and no answer comes
    if is_seen:
        sky.poll()  # its drone stands on its pad
    _ends_without_a_word_of_the_bridge(order, by)
    asked = Order.objects.awaiting_staff().filter(pk=order.pk).exists()
    assert asked == DroneHold.objects.standing().exists() == (not is_seen)
    assert stored(order).holder == (Holder.SENDER if is_seen else Holder.UNKNOWN)


def test_a_flight_that_staff_believed_withdrawn_is_followed_to_its_end(sky: Sky) -> None:
    """The process died between the withdrawal and the verb, and the drone took off."""
    order = OrderFactory(pickup_lat=5.6070, pickup_lng=-0.1885)
    sky.dispatch()
    sky.sweep()
    sky.poll()
    assert stored(order).status == Status.MISSION_SUBMITTED
    sky.simulator.fault("bridge_down", times=99)
    before = before_launch.BEFORE_LAUNCH
    recalls.withdraw_mission(order.pk, by=STAFF, reason="Storm.", statuses=before, override=NOTE)
    for _ in range(20):
        if stored(order).status in IN_FLIGHT:
            break
        sky.poll()
    recalls.sweep_abandoned(timezone.now() + timedelta(minutes=5))
    assert stored(order).status in IN_FLIGHT, sky.story(order)


def test_a_pickup_reported_after_the_end_of_its_attempt_blocks_the_next_one() -> None:
    order = order_in(Status.ENROUTE)
    job = order.current_job
    assert job is not None
    lifecycle.requeue(order.pk, by=STAFF, why=NOTE)
    before_its_end = reports.MissionEvent(
        reports.ReportType.PICKED_UP, occurred_at=job.created_at, intent_id=job.mission_intent_id
    )
    reports.report(order.pk, before_its_end, by=GCS)
    assert stored(order).hold_code == HoldCode.PARCEL_UNKNOWN


def test_an_order_that_launched_after_the_page_was_opened_is_not_requeued() -> None:
    order = order_in(Status.ENROUTE)
    with pytest.raises(Conflict):
        order_actions._requeue(
            order, {"reason": NOTE, "override": ""}, SimpleNamespace(actor=STAFF)
        )
    assert stored(order).status == Status.ENROUTE


def test_a_mission_in_flight_that_is_confirmed_over_has_failed(sky: Sky) -> None:
    order = OrderFactory()
    sky.dispatch()
    sky.sweep()
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    order = recalls.confirm_over(order.pk, by=STAFF, note=NOTE)
    assert (order.status, order.hold_code) == (Status.QUEUED, HoldCode.PARCEL_UNKNOWN)


def test_a_reported_failure_of_an_unseen_flight_asks_for_the_parcel(sky: Sky) -> None:
    order = OrderFactory()
    sky.dispatch()
    sky.sweep()
    failed = reports.MissionEvent(reports.ReportType.FAILED, event_id="1")
    order = reports.report(order.pk, failed, by=GCS).order
    assert (order.status, order.hold_code) == (Status.QUEUED, HoldCode.PARCEL_UNKNOWN)
    assert DroneHold.objects.standing().count() == 1


def test_a_drone_that_was_silent_at_the_end_may_have_picked_the_parcel_up(sky: Sky) -> None:
    order = OrderFactory(
        pickup_lat=5.6370, pickup_lng=-0.1885, dropoff_lat=5.6410, dropoff_lng=-0.1830
    )
    drone_id = next(iter(sky.world.aircraft))
    sky.dispatch()
    sky.sweep()
    for _ in range(4):
        sky.poll()
    sky.fault("lose_link", drone_id, for_s=6000)
    for _ in range(4):
        sky.poll()
    order = answers.confirm_failed(order.pk, by=STAFF, note=NOTE)
    assert order.hold_code == HoldCode.PARCEL_UNKNOWN


def fly_unseen_to_the_drop(sky: Sky, **fault: object) -> Order:
    """Ground control reports only the launch; the drone lands at the drop and stays."""
    order = OrderFactory(
        pickup_lat=5.6070, pickup_lng=-0.1885, dropoff_lat=5.6110, dropoff_lng=-0.1830
    )
    drone_id = next(iter(sky.world.aircraft))
    sky.fault("stay_at_drop", drone_id, drop=False, report=False)
    sky.fault(drone_id=drone_id, **fault)  # type: ignore[arg-type]
    sky.dispatch()
    sky.sweep()
    sky.poll()
    launched = next(report for report in sky.undelivered() if report[1].event_type == "LAUNCHED")
    sky.deliver(*launched)
    for _ in range(130):
        sky.poll()
    return stored(order)


def test_a_drone_that_stays_at_the_drop_point_unseen_raises_a_discrepancy(sky: Sky) -> None:
    order = fly_unseen_to_the_drop(sky, kind="lose_link", for_s=600)
    assert order.status == Status.LAUNCHED
    doubt = Discrepancy.objects.get(order=order)
    assert doubt.code == Code.AT_THE_DROP
    assert "has been stationary for" in doubt.message


def test_a_drone_that_stays_in_a_field_unseen_raises_a_discrepancy(sky: Sky) -> None:
    drone_id = next(iter(sky.world.aircraft))
    sky.fault("land_short", drone_id)
    order = fly_unseen_to_the_drop(sky, kind="lose_link", for_s=600)
    assert order.holder == Holder.UNKNOWN
    assert Discrepancy.objects.filter(order=order, code=Code.UNCLEAR_LANDING).exists()


def test_leaving_the_drop_point_is_no_proof_of_a_delivery(sky: Sky) -> None:
    order = OrderFactory(
        pickup_lat=5.6070, pickup_lng=-0.1885, dropoff_lat=5.6110, dropoff_lng=-0.1830
    )
    drone_id = next(iter(sky.world.aircraft))
    sky.fault("stay_at_drop", drone_id, drop=False, report=False, seconds=1500)
    sky.dispatch()
    sky.sweep()
    for _ in range(90):
        sky.poll()
    assert sky.stands_at_home(drone_id) is False  # with the parcel aboard
    assert stored(order).status != Status.DELIVERED
    assert order.discrepancies.filter(settled_at__isnull=True).exists()


def test_a_flight_that_was_over_before_telemetry_showed_it_may_have_the_parcel(sky: Sky) -> None:
    order = OrderFactory(
        pickup_lat=5.6070, pickup_lng=-0.1885, dropoff_lat=5.6110, dropoff_lng=-0.1830
    )
    drone_id = next(iter(sky.world.aircraft))
    sky.fault("carry_home", drone_id)
    sky.dispatch()
    sky.sweep()
    sky.flies_unseen(600)
    for _ in range(5):
        sky.poll()
    assert sky.world.ledger.aboard(drone_id)
    answers.confirm_failed(order.pk, by=STAFF, note=NOTE)
    assert stored(order).holder == Holder.UNKNOWN


def test_a_drone_that_stays_at_the_door_after_its_delivery_is_held(sky: Sky) -> None:
    order = OrderFactory(
        pickup_lat=5.6070, pickup_lng=-0.1885, dropoff_lat=5.6110, dropoff_lng=-0.1830
    )
    drone_id = next(iter(sky.world.aircraft))
    sky.fault("stay_at_drop", drone_id, drop=True)
    sky.dispatch()
    sky.sweep()
    for _ in range(80):
        sky.poll()
        for mission, event in list(sky.undelivered()):
            sky.deliver(mission, event)
    assert stored(order).status == Status.DELIVERED
    (hold,) = DroneHold.objects.standing().filter(drone=drone_id)
    assert hold.code == DroneHold.Code.LANDED_AWAY
    registry.release(drone_id, by=STAFF, note="I stand beside it: the customer lets it stay.")
    for _ in range(40):
        sky.poll()
    assert not DroneHold.objects.standing().exists()


def test_a_drone_that_comes_home_after_its_delivery_is_not_held(sky: Sky) -> None:
    OrderFactory(pickup_lat=5.6070, pickup_lng=-0.1885, dropoff_lat=5.6110, dropoff_lng=-0.1830)
    sky.dispatch()
    sky.sweep()
    for _ in range(80):
        sky.poll()
        for mission, event in list(sky.undelivered()):
            sky.deliver(mission, event)
    assert not DroneHold.objects.exists()
