"""The bridge's answers to a withdrawal, their meaning, and the override by ops."""

import json
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import Settings

from dispatch.missions import before_launch, publishing, recalls
from dispatch.models import DispatchRun, Mission, MissionPart
from dispatch.planning import eligibility, runs
from dispatch.tests.support import able_drone, assigned, mission_of, stored, submitted, timeline
from fleet import registry
from fleet.models import DroneHold
from fleet.simulator.run import Simulator
from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from fleet.tests.raw_server import answering, http
from orders import lifecycle
from orders.models import Order
from orders.states import CancelReason, HoldCode, JobStatus, Status
from wingxtra.accounts.identity import SYSTEM, TELEMETRY, Actor, ActorKind
from wingxtra.problems import Conflict, Unavailable

pytestmark = pytest.mark.django_db

AMA = Actor(ActorKind.USER, "ama")


def cancel(order: Order, **more: Any) -> Order:
    return before_launch.cancel(order.pk, by=AMA, reason=CancelReason.SAFETY, **more)


def says(settings: Settings, body: Any, status: str = "200 OK") -> Any:
    """The bridge gives this answer to every request."""
    return answering(http(json.dumps(body).encode(), status=status))


@pytest.mark.parametrize("status", ["200 OK", "409 Conflict"])
@pytest.mark.parametrize("word", ["withdrawn", "failed", "expired", "rejected", "canceled"])
def test_a_mission_that_is_over_at_ground_control_is_over(
    settings: Settings, bridge: Simulator, word: str, status: str
) -> None:
    order, mission = submitted()
    with says(settings, {"status": word}, status) as server:
        settings.GCS_BRIDGE_URL = server.url
        assert cancel(order).status == Status.CANCELED
    mission.refresh_from_db()
    assert (mission.over_by, MissionPart.objects.get().live) == ("gcs", False)
    # A failed mission may have flown, and telemetry did not follow this one.
    asked = Order.objects.awaiting_staff().filter(pk=order.pk).exists()
    assert asked == (word == "failed")


def test_an_order_whose_mission_may_have_flown_gets_no_other_drone(
    settings: Settings, bridge: Simulator
) -> None:
    order, mission = assigned()
    Mission.objects.filter(pk=mission.pk).update(tries=1)
    other = DroneFactory()
    both = [TelemetryFactory(drone_id=pk) for pk in (order.assigned_drone_id, other.pk)]
    show(*both, fetched_at=timezone.now())
    with says(settings, {"status": "failed"}) as server:
        settings.GCS_BRIDGE_URL = server.url
        with pytest.raises(Conflict, match="may have flown") as refusal:
            before_launch.reassign(order.pk, other.pk, by=AMA)
    assert refusal.value.code == "mission_may_have_flown"
    recalls.sweep_abandoned(publishing.claim_end(timezone.now()))
    after = stored(order)
    assert (after.status, after.hold_code) == (Status.QUEUED, HoldCode.PARCEL_UNKNOWN)


@pytest.mark.parametrize("word", ["completed", "delivered"])
def test_a_flown_mission_is_not_canceled(settings: Settings, bridge: Simulator, word: str) -> None:
    order, _ = submitted()
    with says(settings, {"status": word}) as server:
        settings.GCS_BRIDGE_URL = server.url
        with pytest.raises(Conflict) as refusal:
            cancel(order)
    assert refusal.value.code == "mission_flown"
    assert stored(order).status == Status.MISSION_SUBMITTED


NO_WORD = [
    ({"detail": "Not Found"}, "404 Not Found"),  # a framework's answer to an unknown route
    ({"status": "unknown"}, "404 Not Found"),  # it accepted the mission
    ({}, "200 OK"),
    ({}, "405 Method Not Allowed"),
    ({}, "410 Gone"),
    ({}, "500 Internal Server Error"),
]


@pytest.mark.parametrize(("body", "status"), NO_WORD)
def test_without_a_mission_status_nothing_changes_and_ops_may_override(
    settings: Settings, bridge: Simulator, body: dict[str, Any], status: str
) -> None:
    order, mission = submitted()
    with says(settings, body, status) as server:
        settings.GCS_BRIDGE_URL = server.url
        with pytest.raises(Unavailable):
            cancel(order)
        mission.refresh_from_db()
        assert stored(order).status == Status.MISSION_SUBMITTED
        assert mission.is_live
        assert mission.recall_refused_at is not None
        assert cancel(order, override="The drone is on my bench.").status == Status.CANCELED
    mission.refresh_from_db()
    assert (mission.over_by, mission.over_because) == ("user:ama", "The drone is on my bench.")


def test_a_mission_in_the_air_cannot_be_overridden(settings: Settings, bridge: Simulator) -> None:
    order, _ = submitted()
    with says(settings, {"status": "launched"}, "409 Conflict") as server:
        settings.GCS_BRIDGE_URL = server.url
        with pytest.raises(Conflict, match="is launched"):
            cancel(order, override="I believe that it stands.")
    assert stored(order).status == Status.MISSION_SUBMITTED


def test_ops_confirm_in_writing_that_the_mission_is_over(bridge: Simulator) -> None:
    order, mission = submitted()
    order = recalls.confirm_over(order.pk, by=AMA, note="Its battery is out.")
    # Telemetry did not follow the drone, so it may have been at the pickup.
    assert (order.status, order.hold_code) == (Status.QUEUED, HoldCode.PARCEL_UNKNOWN)
    assert timeline(order)[-3:] == ["MISSION_OVER", "REQUEUED", "PARCEL_UNKNOWN"]
    mission.refresh_from_db()
    assert (mission.over_by, mission.is_live) == ("user:ama", False)
    with pytest.raises(Conflict, match="No mission"):
        recalls.confirm_over(order.pk, by=AMA, note="Again.")


# --- one live mission of an order ----------------------------------------------------------------


def ended_by_telemetry() -> Order:
    """An order whose mission ended by telemetry, without a confirmation by ground control."""
    order, _ = submitted()
    return lifecycle.mission_over(
        order.pk, ended=JobStatus.FAILED, by=TELEMETRY, why="Landed.", max_attempts=3
    )


def test_the_next_mission_waits_until_the_earlier_one_is_known_to_be_over(
    bridge: Simulator,
) -> None:
    order = ended_by_telemetry()
    former = Mission.objects.get()
    outcome = runs.run(trigger=DispatchRun.Trigger.COMMAND, by=SYSTEM)
    assert (outcome.assigned, stored(order).status) == ([], Status.QUEUED)
    # Nothing is sent even if the order is assigned past the planner.
    lifecycle.assign(order.pk, former.drone_id, by=SYSTEM, why="By mistake.")
    publishing.publish(mission_of(order).pk)
    assert mission_of(order).tries == 0
    assert "not known to be over" in mission_of(order).bridge_answer
    assert len(bridge.missions()) == 1

    recalls.send_recall(former.pk)  # the simulator withdraws it
    former.refresh_from_db()
    assert (former.over_by, former.recall_state) == ("gcs", Mission.Recall.DONE)
    Mission.objects.filter(tries=0).update(next_try_at=former.created_at)
    publishing.publish(mission_of(order).pk)
    assert mission_of(order).state == Mission.State.ACCEPTED
    assert MissionPart.objects.live().count() == 1


def test_the_database_refuses_a_second_live_mission(bridge: Simulator) -> None:
    order = ended_by_telemetry()
    lifecycle.assign(order.pk, "WX-DRN-001", by=SYSTEM, why="By mistake.")
    with pytest.raises(IntegrityError, match="one_live_mission"), transaction.atomic():
        MissionPart.objects.filter(live=False).update(live=True)


def test_a_recalled_mission_that_flies_is_a_mission_in_the_air(
    settings: Settings, bridge: Simulator
) -> None:
    order = ended_by_telemetry()
    with says(settings, {"status": "launched"}, "409 Conflict") as server:
        settings.GCS_BRIDGE_URL = server.url
        recalls.send_recall(Mission.objects.get().pk)
    mission = Mission.objects.get()
    assert (mission.recall_state, mission.over_at) == (Mission.Recall.TOO_LATE, None)
    assert not eligibility.may_be_planned(Order.objects.filter(pk=order.pk)).exists()


def test_an_assigned_drone_on_hold_is_not_sent(bridge: Simulator) -> None:
    order, mission = submitted()
    lifecycle.requeue(order.pk, by=SYSTEM, why="Again.", job_ends=JobStatus.CANCELED)
    recalls.send_recall(mission.pk)
    lifecycle.assign(order.pk, able_drone().pk, by=SYSTEM, why="Next.")
    registry.hold("WX-DRN-001", DroneHold.Code.FLIGHT_FAILED, "Motor 3.", by=SYSTEM)
    publishing.publish(mission_of(order).pk)
    assert stored(order).status == Status.QUEUED
    assert len(bridge.missions()) == 1
