"""Closing an attempt: what becomes of order, parcel, drone and mission."""

from typing import Any

import pytest

from dispatch.missions.closing import Found, close_attempt
from dispatch.models import Mission, MissionPart
from dispatch.tests.support import assigned, mission_of, stored, submitted
from fleet.models import DroneHold, Hub
from fleet.simulator.run import Simulator
from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import Order
from orders.states import HoldCode, Holder, ReasonCode, Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import GCS, Actor, ActorKind
from wingxtra.problems import Problem

pytestmark = pytest.mark.django_db
AMA = Actor(ActorKind.USER, "ama")
NOTE = "I spoke to the hub."


def in_flight(loaded: bool = False) -> tuple[Order, Mission]:
    order, _ = submitted()
    if loaded:
        lifecycle.loaded(order.pk, by=GCS)
    lifecycle.advance(order.pk, Status.ENROUTE, by=GCS)
    return stored(order), mission_of(order)


def close(order: Order, found: Found, *, is_over: bool = True, **more: Any) -> Order:
    if found == Found.HUB:
        more["hub_id"] = Hub.objects.get().pk
    close_attempt(order.pk, found=found, is_over=is_over, by=AMA, note=NOTE, **more)
    return stored(order)


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize(
    ("found", "status", "holder", "hold"),
    [
        (Found.SENDER, Status.QUEUED, Holder.SENDER, ""),
        (Found.RETURNED, Status.FAILED, Holder.RETURNED, ""),
        (Found.DRONE, Status.QUEUED, Holder.DRONE, HoldCode.PARCEL_ABOARD),
        (Found.HUB, Status.QUEUED, Holder.HUB, ""),
        (Found.DELIVERED, Status.DELIVERED, Holder.RECIPIENT, ""),
        (Found.LOST, Status.FAILED, Holder.LOST, ""),
        (Found.UNKNOWN, Status.QUEUED, Holder.UNKNOWN, HoldCode.PARCEL_UNKNOWN),
    ],
)
def test_in_flight(
    bridge: Simulator, found: Found, status: Status, holder: Holder, hold: str, loaded: bool
) -> None:
    order, mission = in_flight(loaded)
    after = close(order, found)
    if found == Found.RETURNED:
        assert after.reason_code == ReasonCode.RETURNED_TO_SENDER
    assert (after.status, after.holder, after.hold_code) == (status, holder, hold)
    assert not MissionPart.objects.live().filter(order=order.pk).exists()
    assert Mission.objects.get(pk=mission.pk).over_at is not None
    was_held = DroneHold.objects.standing().filter(drone=mission.drone_id).exists()
    assert was_held == (found != Found.DELIVERED)
    assert "user:ama" in {event.actor for event in order.events.all()}


@pytest.mark.parametrize(
    ("found", "status", "holder"),
    [
        (Found.SENDER, Status.QUEUED, Holder.SENDER),
        (Found.RETURNED, Status.FAILED, Holder.RETURNED),
        (Found.DRONE, Status.QUEUED, Holder.DRONE),
        (Found.HUB, Status.QUEUED, Holder.HUB),
        (Found.LOST, Status.FAILED, Holder.LOST),
        (Found.UNKNOWN, Status.QUEUED, Holder.UNKNOWN),
    ],
)
@pytest.mark.parametrize("make", [assigned, submitted])
def test_before_launch_the_mission_is_withdrawn(
    bridge: Simulator, make: Any, found: Found, status: Status, holder: Holder
) -> None:
    order, mission = make()
    after = close(order, found, is_over=False)
    assert (after.status, after.holder) == (status, holder)
    assert Mission.objects.get(pk=mission.pk).state == Mission.State.WITHDRAWN
    assert not MissionPart.objects.live().filter(order=order.pk).exists()


def test_a_recalled_flight_is_aborted_and_no_other_drone_starts(bridge: Simulator) -> None:
    order, mission = in_flight()
    after = close(order, Found.SENDER, is_over=False)
    now = Mission.objects.get(pk=mission.pk)
    assert (after.status, now.recall_mode) == (Status.QUEUED, "abort")
    assert (now.recall_state, now.over_at) == (Mission.Recall.WANTED, None)
    assert MissionPart.objects.live().filter(order=order.pk).exists()


def test_a_parcel_that_no_drone_took_cannot_be_delivered(bridge: Simulator) -> None:
    order, _ = assigned()
    with pytest.raises(lifecycle.Refused, match="No drone has started"):
        close(order, Found.DELIVERED)
    assert stored(order).status == Status.ASSIGNED


@pytest.mark.parametrize("status", [Status.QUEUED, Status.DELIVERED, Status.CANCELED])
def test_without_an_attempt_nothing_is_closed(status: Status) -> None:
    order = order_in(status)
    with pytest.raises(lifecycle.Refused, match="no attempt is under way"):
        close(order, Found.UNKNOWN)


def test_a_refusal_in_the_middle_changes_nothing(bridge: Simulator) -> None:
    order, mission = in_flight()
    events = order.events.count()
    with pytest.raises(Problem):
        close_attempt(order.pk, found=Found.HUB, is_over=True, by=AMA, note=NOTE, hub_id=999_999)
    assert (stored(order).status, order.events.count()) == (Status.ENROUTE, events)
    assert Mission.objects.get(pk=mission.pk).over_at is None


def test_a_parcel_at_a_hub_is_not_still_with_its_sender(bridge: Simulator) -> None:
    order, _ = submitted()
    lifecycle.unloaded(order.pk, Hub.objects.get().pk, by=AMA)
    lifecycle.assign(order.pk, DroneFactory().pk, by=AMA, why="Near.")
    with pytest.raises(lifecycle.Refused, match="If the sender has it again"):
        close(order, Found.SENDER)
    assert (stored(order).status, stored(order).holder) == (Status.ASSIGNED, Holder.HUB)
