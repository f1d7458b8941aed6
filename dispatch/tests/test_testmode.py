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
from orders import lifecycle
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import CancelReason, EventType, PodRequirement, Scenario, Status
from orders.tests.factories import OrderFactory
from pod import codes, proofs
from wingxtra.accounts.identity import CUSTOMER, SYSTEM
from wingxtra.broker import schedule

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


@pytest.mark.parametrize("scenario", Scenario)
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


def test_test_orders_are_flown_by_the_schedule() -> None:
    assert [tick.every_s for tick in schedule if tick.actor is actors.fly_test_orders] == [1]
