"""Test orders follow their timetable, without a real drone or the bridge."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from dispatch import actors, testmode
from dispatch.models import DispatchRun, Mission
from dispatch.planning import runs
from dispatch.testmode import TIMETABLES, due
from fleet.tests.factories import DroneFactory
from orders import lifecycle, scenarios
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import CancelReason, EventType, PodRequirement, ReasonCode, Scenario, Status
from orders.tests.factories import OrderFactory
from pod import codes, proofs
from pod.models import ProofOfDelivery
from wingxtra.accounts.identity import CUSTOMER, SYSTEM
from wingxtra.broker import schedule
from wingxtra.problems import Conflict

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
E = EventType


def ordered(scenario: Scenario, **attributes: Any) -> Order:
    return OrderFactory(live_mode=False, test_scenario=scenario, **attributes)


def fly_for(order: Order, seconds: float, *, tick_s: float = 1.0) -> list[str]:
    """Run the clock; returns the events after the order was queued."""
    start = timezone.now()
    with time_machine.travel(start, tick=False) as clock:
        for tick in range(int(seconds / tick_s)):
            clock.move_to(start + timedelta(seconds=(tick + 1) * tick_s))
            actors.fly_test_orders()
    return story(order)


def story(order: Order) -> list[str]:
    events = DeliveryEvent.objects.filter(order=order).values_list("type", flat=True)
    return list(events)[3:]


# --- the timetable -------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", [one for one in Scenario if one != Scenario.STEP_BY_STEP])
def test_every_scenario_is_over_in_about_a_minute(scenario: Scenario) -> None:
    times = [at_s for at_s, _ in TIMETABLES[scenario]]
    assert times == sorted(times)
    assert times[-1] <= 65


def test_steps_are_due_once_and_in_time() -> None:
    assert due(Scenario.DELIVERED, [], 1.9) == []
    assert due(Scenario.DELIVERED, [], 2) == [E.ASSIGNED]
    assert due(Scenario.DELIVERED, [E.ASSIGNED], 4) == []
    assert due(Scenario.DELIVERED, [E.ASSIGNED, E.DETAILS_CHANGED], 11) == [
        E.MISSION_SUBMITTED,
        E.LAUNCHED,
    ]
    assert due(Scenario.DELIVERED, [kind for _, kind in TIMETABLES[Scenario.DELIVERED]], 99) == []


def test_a_test_orders_drone_has_positions() -> None:
    def at(status: Status, seconds: float, *more: tuple[EventType, datetime]) -> Any:
        happened = [(E.LAUNCHED, NOON), (E.ENROUTE, NOON), *more]
        now = NOON + timedelta(seconds=seconds)
        return testmode.place(status, happened, (5.0, -1.0), (6.0, -2.0), now)

    assert at(Status.LAUNCHED, 3) == (5.0, -1.0)
    assert at(Status.ENROUTE, testmode.ENROUTE_S / 2) == (5.5, -1.5)
    assert at(Status.ENROUTE, 1000) == at(Status.ARRIVED, 0) == (6.0, -2.0)
    assert at(Status.ENROUTE, 3, (E.LINK_LOST, NOON)) is None
    assert at(Status.ENROUTE, 0, (E.LINK_LOST, NOON), (E.LINK_RESTORED, NOON + timedelta(1)))


@pytest.mark.parametrize(
    ("drop", "heading"), [((1, 0), 0), ((0, 1), 90), ((-1, 0), 180), ((0, -1), 270)]
)
def test_the_arrow_points_to_the_drop_point(drop: tuple[float, float], heading: float) -> None:
    assert testmode.heading_deg((0, 0), drop) == pytest.approx(heading)


# --- transitions by the clock --------------------------------------------------------------------

TO_THE_AIR = ["ASSIGNED", "MISSION_SUBMITTED", "LAUNCHED", "ENROUTE"]
TO_THE_DOOR = ["ARRIVED", "DELIVERING", "DELIVERED"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("scenario", "expected", "ends"),
    [
        (Scenario.DELIVERED, [*TO_THE_AIR, "PARCEL_LOADED", *TO_THE_DOOR], Status.DELIVERED),
        (Scenario.NO_DRONE, ["CANCELED"], Status.CANCELED),
        (
            Scenario.BRIDGE_REJECTS,
            ["ASSIGNED", "REQUEUED"] * 2 + ["ASSIGNED", "FAILED"],
            Status.FAILED,
        ),
        (
            Scenario.LINK_LOST,
            [*TO_THE_AIR, "PARCEL_LOADED", "LINK_LOST", "LINK_RESTORED", *TO_THE_DOOR],
            Status.DELIVERED,
        ),
        (Scenario.ABORTED, [*TO_THE_AIR, "ABORTED"], Status.ABORTED),
        (
            Scenario.FAILED_THEN_REDELIVERED,
            [*TO_THE_AIR, "REQUEUED", *TO_THE_AIR, "PARCEL_LOADED", *TO_THE_DOOR],
            Status.DELIVERED,
        ),
        (Scenario.WRONG_OTP, [*TO_THE_AIR, "PARCEL_LOADED", *TO_THE_DOOR], Status.DELIVERED),
    ],
)
@pytest.mark.parametrize("tick_s", [1.0, 13.0])
def test_each_scenario_has_its_events(
    scenario: Scenario, expected: list[str], ends: Status, tick_s: float
) -> None:
    DroneFactory()
    order = ordered(scenario)
    assert fly_for(order, 70, tick_s=tick_s) == expected
    assert Order.objects.get().status == ends
    assert not DeliveryJob.objects.exclude(drone=None).exists()
    assert not Mission.objects.exists()
    assert {e.actor for e in DeliveryEvent.objects.all()[3:]} == {"system:test mode"}
    assert fly_for(order, 3) == expected


@pytest.mark.django_db
def test_the_eta_counts_down_to_the_door() -> None:
    order = ordered(Scenario.DELIVERED)
    fly_for(order, 3)
    job = DeliveryJob.objects.get()
    assert job.eta_seconds(order.created_at) == 60


@pytest.mark.django_db
def test_a_scheduled_test_order_starts_when_it_is_due() -> None:
    later = timezone.now() + timedelta(hours=2)
    order = ordered(Scenario.ABORTED, not_before=later, deliver_by=later + timedelta(hours=1))
    actors.fly_test_orders()
    assert Order.objects.get().status == Status.VALIDATED
    with time_machine.travel(later, tick=False):
        lifecycle.enqueue_due(timezone.now())
        assert fly_for(order, 31)[-1] == "ABORTED"


@pytest.mark.django_db
def test_reports_about_a_test_order_count() -> None:
    canceled, reported = ordered(Scenario.DELIVERED), ordered(Scenario.DELIVERED)
    fly_for(reported, 6)
    lifecycle.cancel(canceled.pk, by=SYSTEM, reason=CancelReason.OTHER)
    lifecycle.advance(reported.pk, Status.ARRIVED, by=SYSTEM)
    fly_for(reported, 70)
    assert story(canceled) == ["ASSIGNED", "MISSION_SUBMITTED", "CANCELED"]
    assert story(reported) == [*TO_THE_AIR, "PARCEL_LOADED", *TO_THE_DOOR]


@pytest.mark.django_db
def test_a_live_order_is_not_flown_by_the_timetable() -> None:
    order = OrderFactory()
    assert fly_for(order, 70, tick_s=10) == []


@pytest.mark.django_db
def test_a_test_order_never_gets_a_real_drone() -> None:
    drone, order = DroneFactory(), ordered(Scenario.DELIVERED)
    outcome = runs.run(trigger=DispatchRun.Trigger.COMMAND, by=SYSTEM)
    assert (outcome.assigned, outcome.unassigned) == ([], [])
    with pytest.raises(lifecycle.Refused) as refusal:
        lifecycle.assign(order.pk, drone.pk, by=SYSTEM, why="By mistake.")
    assert refusal.value.code == "test_order"


@pytest.mark.django_db
def test_the_first_code_is_refused_and_the_second_delivers() -> None:
    order = ordered(Scenario.WRONG_OTP, pod_requirement=PodRequirement.OTP)
    code = order.otp_code
    assert code is not None
    fly_for(order, 41)
    with pytest.raises(codes.WrongCode) as refusal:
        proofs.record(order.pk, proofs.Evidence.code(code), by=CUSTOMER)
    assert refusal.value.extra == {"tries_left": 4}
    proofs.record(order.pk, proofs.Evidence.code(code), by=CUSTOMER)
    stored = Order.objects.get()
    assert (stored.status, stored.proof_missing) == (Status.DELIVERED, False)
    assert story(order)[5:] == [
        "ARRIVED",
        "CODE_REFUSED",
        "DELIVERING",
        "DELIVERED",
        "PROOF_RECORDED",
    ]


@pytest.mark.django_db
def test_refused_missions_are_never_called_accepted_or_flown() -> None:
    order = ordered(Scenario.BRIDGE_REJECTS)
    fly_for(order, 70)
    messages = DeliveryEvent.objects.filter(order=order).values_list("message", flat=True)[3:]
    assert set(messages) == {
        "A test order: no real drone flies it.",
        "Ground control refused the test mission, as asked for.",
    }
    assert Order.objects.get().reason_code == ReasonCode.MISSION_REFUSED


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (Scenario.LATE, ["on_time", "at_risk", "at_risk", "late", "late"]),
        (Scenario.AT_RISK, ["on_time", "at_risk", "at_risk", "at_risk", "on_time"]),
    ],
)
def test_a_promise_is_at_risk_or_broken(scenario: Scenario, expected: list[str]) -> None:
    order = ordered(scenario)
    order.deliver_by = order.created_at + scenarios.PROMISES[scenario]
    order.save()
    seen = []
    with time_machine.travel(order.created_at, tick=False) as clock:
        for seconds in (1, 3, 30, 45, 61):
            now = order.created_at + timedelta(seconds=seconds)
            clock.move_to(now)
            actors.fly_test_orders()
            seen.append(Order.objects.select_related("current_job").get().sla(now))
    assert seen == expected


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("scenario", "has_a_photo"), [(Scenario.DELIVERED, True), (Scenario.PROOF_MISSING, False)]
)
def test_the_drone_takes_the_photo_that_the_order_needs(
    scenario: Scenario, has_a_photo: bool
) -> None:
    order = ordered(scenario, pod_requirement=PodRequirement.PHOTO)
    fly_for(order, 61)
    stored = Order.objects.get()
    assert (stored.status, stored.proof_missing) == (Status.DELIVERED, not has_a_photo)
    assert ProofOfDelivery.objects.filter(order=order, method="PHOTO").exists() == has_a_photo


@pytest.mark.django_db
def test_the_first_code_locks_the_code() -> None:
    order = ordered(Scenario.CODE_LOCKED, pod_requirement=PodRequirement.OTP)
    assert order.otp_code is not None
    fly_for(order, 41)
    with pytest.raises(codes.WrongCode) as refusal:
        proofs.record(order.pk, proofs.Evidence.code(order.otp_code), by=CUSTOMER)
    assert refusal.value.extra == {"tries_left": 0}
    with pytest.raises(Conflict) as locked:
        proofs.record(order.pk, proofs.Evidence.code(order.otp_code), by=CUSTOMER)
    assert locked.value.code == "code_locked"


# --- one step on demand --------------------------------------------------------------------------


@pytest.mark.django_db
def test_each_advance_takes_one_step_until_the_end() -> None:
    order = ordered(Scenario.STEP_BY_STEP)
    fly_for(order, 3600, tick_s=600)
    expected = [*TO_THE_AIR, "PARCEL_LOADED", *TO_THE_DOOR]
    for steps in range(1, len(expected) + 1):
        testmode.advance(order.pk)
        assert story(order) == expected[:steps]
    with pytest.raises(lifecycle.Refused) as refusal:
        testmode.advance(order.pk)
    assert refusal.value.code == "no_next_step"


@pytest.mark.django_db
def test_an_advanced_order_keeps_the_times_of_its_later_steps() -> None:
    order = ordered(Scenario.DELIVERED)
    for _ in range(3):
        testmode.advance(order.pk)
    assert story(order) == TO_THE_AIR[:3]
    assert fly_for(order, 14) == TO_THE_AIR[:3]
    assert fly_for(order, 21) == [*TO_THE_AIR, "PARCEL_LOADED"]


@pytest.mark.django_db
def test_only_a_test_order_that_may_start_is_advanced() -> None:
    later = timezone.now() + timedelta(hours=2)
    scheduled = ordered(Scenario.DELIVERED, not_before=later, deliver_by=later + timedelta(hours=1))
    for order, code in ((OrderFactory(), "not_a_test"), (scheduled, "no_next_step")):
        with pytest.raises(lifecycle.Refused) as refusal:
            testmode.advance(order.pk)
        assert refusal.value.code == code
    assert story(scheduled) == []


def test_test_orders_are_flown_by_the_schedule() -> None:
    assert [tick.every_s for tick in schedule if tick.actor is actors.fly_test_orders] == [1]
