"""A mission reaches the bridge exactly once, with failures at every step."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from dispatch.missions import intent as contract
from dispatch.missions import publishing
from dispatch.models import Mission, MissionPart
from dispatch.tests.support import (
    able_drone,
    assigned,
    mission_of,
    seen,
    stored,
    submitted,
    timeline,
)
from fleet import policy, registry
from fleet.simulator.run import Simulator
from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import DeliveryEvent, DeliveryJob
from orders.states import CancelReason, ReasonCode, Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import DISPATCHER, SYSTEM
from wingxtra.problems import Conflict, Unavailable

pytestmark = pytest.mark.django_db
State = Mission.State


def wait_until(condition: Callable[[], object], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def later(minutes: float = 5) -> Any:
    return timezone.now() + timedelta(minutes=minutes)


def why(order: Any, event: str) -> str:
    return DeliveryEvent.objects.filter(order=order, type=event).latest("pk").message


# --- stored with the assignment ------------------------------------------------------------------


def test_every_number_of_an_intent_comes_from_the_order_the_drone_or_the_policy() -> None:
    policy.change(
        by=SYSTEM, cruise_alt_m=70, delivery_alt_m=9, max_wind_mps=14, loiter_timeout_s=99
    )
    order, intent = assigned(payload_weight_kg=1.25, priority="MEDICAL", payload_type="MEDICINE")
    body = intent.body
    assert body["intent_id"] == str(intent.pk) == str(order.current_job.mission_intent_id)
    assert (body["order_id"], body["drone_id"]) == (str(order.pk), "WX-DRN-001")
    assert body["pickup"] == {"lat": order.pickup_lat, "lng": order.pickup_lng, "alt_m": 70}
    assert body["dropoff"] == {
        "lat": order.dropoff_lat,
        "lng": order.dropoff_lng,
        "alt_m": 70,
        "delivery_alt_m": 9,
    }
    assert body["constraints"]["max_wind_mps"] == 12  # the drone's own limit is the lower one
    assert body["safety"]["loiter_timeout_s"] == 99
    assert body["metadata"] | {"created_at": None} == {
        "payload_type": "MEDICINE",
        "payload_weight_kg": 1.25,
        "priority": "MEDICAL",
        "created_at": None,
    }


def test_an_intent_that_breaks_the_contract_is_never_stored() -> None:
    policy.change(by=SYSTEM, cruise_alt_m=10, delivery_alt_m=20)
    order = order_in(Status.QUEUED)
    with pytest.raises(contract.InvalidIntent, match="20 m is above the cruise altitude of 10 m"):
        lifecycle.assign(order.pk, able_drone().pk, by=DISPATCHER, why="The only one.")
    assert stored(order).status == Status.QUEUED
    assert not DeliveryJob.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_assignment_that_is_rolled_back_leaves_no_intent() -> None:
    order, drone = order_in(Status.QUEUED), able_drone()
    with transaction.atomic():
        lifecycle.assign(order.pk, drone.pk, by=DISPATCHER, why="The only one.")
        transaction.set_rollback(True)
    assert not Mission.objects.exists()


def test_a_test_order_has_no_mission() -> None:
    order = OrderFactory(live_mode=False)
    lifecycle.assign(order.pk, None, by=DISPATCHER, why="A test order.")
    assert not Mission.objects.exists()


def test_with_automatic_submit_off_a_mission_waits_for_ops(bridge: Simulator) -> None:
    policy.change(by=SYSTEM, auto_submit=False)
    order, intent = assigned()
    publishing.publish(intent.pk)
    assert (intent.state, bridge.missions()) == (State.HELD, [])
    assert publishing.submit(order.pk, by=SYSTEM).mission.state == State.ACCEPTED
    assert stored(order).status == Status.MISSION_SUBMITTED


# --- published once ------------------------------------------------------------------------------


def test_an_accepted_mission_is_submitted(bridge: Simulator) -> None:
    _, intent = submitted()
    assert (intent.state, intent.tries, intent.bridge_status) == (State.ACCEPTED, 1, 201)
    assert [m["intent_id"] for m in bridge.missions()] == [str(intent.pk)]
    publishing.publish(intent.pk)
    assert bridge.missions()[0]["posts"] == 1


def test_two_500s_and_then_a_201_are_one_mission(bridge: Simulator) -> None:
    bridge.fault("bridge_500", times=2)
    order, intent = assigned()
    for minute in range(2):
        publishing.publish(intent.pk, now=later(minute))
        assert stored(order).status == Status.ASSIGNED
    publishing.publish(intent.pk, now=later(5))
    assert stored(order).status == Status.MISSION_SUBMITTED
    assert [m["posts"] for m in bridge.missions()] == [1]
    assert timeline(order).count("INTENT_FAILED") == 1


def test_a_500_after_the_bridge_took_the_mission_is_one_mission(bridge: Simulator) -> None:
    bridge.fault("bridge_500", times=1, after=True)
    order, intent = assigned()
    publishing.publish(intent.pk)
    assert stored(order).status == Status.ASSIGNED
    publishing.publish(intent.pk, now=later())
    assert stored(order).status == Status.MISSION_SUBMITTED
    assert mission_of(order).bridge_status == 409
    assert [m["posts"] for m in bridge.missions()] == [2]


def test_a_timeout_of_the_bridge_is_retried(bridge: Simulator, settings: Settings) -> None:
    settings.GCS_BRIDGE_TIMEOUT_S = 0.2
    bridge.fault("bridge_hang", times=1, seconds=1)
    order, intent = assigned()
    publishing.publish(intent.pk)
    assert stored(order).status == Status.ASSIGNED
    assert "had not answered in full after 0.2 s" in mission_of(order).bridge_answer
    settings.GCS_BRIDGE_TIMEOUT_S = 5
    publishing.publish(intent.pk, now=later())
    assert stored(order).status == Status.MISSION_SUBMITTED
    assert len(bridge.missions()) == 1


def test_a_bridge_that_refuses_connections_leaves_the_order_assigned(
    settings: Settings,
) -> None:
    settings.GCS_BRIDGE_URL = "http://127.0.0.1:11"  # a new URL has its own breaker
    order, intent = assigned()
    for minute in range(3):
        publishing.publish(intent.pk, now=later(minute))
    intent = mission_of(order)
    assert (stored(order).status, intent.state, intent.tries) == ("ASSIGNED", State.PENDING, 3)
    assert timeline(order).count("INTENT_FAILED") == 1
    assert "not reached" in why(order, "INTENT_FAILED")


def test_a_mission_that_is_not_due_is_not_sent(bridge: Simulator) -> None:
    bridge.fault("bridge_500", times=1)
    _, intent = assigned()
    publishing.publish(intent.pk)
    publishing.publish(intent.pk)
    assert bridge.missions() == []


def test_a_refused_mission_fails_the_job_with_the_bridges_text(bridge: Simulator) -> None:
    bridge.fault("bridge_reject")
    order, intent = assigned()
    publishing.publish(intent.pk)
    assert stored(order).status == Status.QUEUED
    assert "safety rules do not allow this mission" in why(order, "REQUEUED")
    intent.refresh_from_db()
    part = MissionPart.objects.with_related().get()
    assert (intent.state, part.job.status, bridge.missions()) == (State.REJECTED, "FAILED", [])
    assert (intent.over_by, part.live) == ("gcs", False)
    assert not registry.held([intent.drone_id])  # refused on paper


def test_a_refusal_after_an_unanswered_try_starts_no_other_drone(bridge: Simulator) -> None:
    bridge.fault("bridge_500", times=1, after=True)  # it has the mission, and we do not know
    order, intent = assigned()
    publishing.publish(intent.pk)
    bridge.fault("bridge_reject", times=1)
    publishing.publish(intent.pk, now=later())
    assert (stored(order).status, mission_of(order).state) == (Status.ASSIGNED, State.PENDING)
    assert MissionPart.objects.get().live
    # Not before the first try must be over at ground control; not even if a person asks.
    with pytest.raises(Unavailable, match="an earlier try was not answered and may count"):
        publishing.submit(order.pk, by=SYSTEM)
    assert mission_of(order).tries == 2
    assert mission_of(order).next_try_at > timezone.now() + timedelta(seconds=5)
    publishing.publish(intent.pk, now=later())
    assert stored(order).status == Status.MISSION_SUBMITTED
    assert len(bridge.missions()) == 1


def test_a_second_refusal_after_an_unanswered_try_counts(bridge: Simulator) -> None:
    bridge.fault("bridge_500", times=1)
    order, intent = assigned()
    publishing.publish(intent.pk)
    bridge.fault("bridge_reject")
    for minutes in (1, 3):
        publishing.publish(intent.pk, now=later(minutes))
    assert stored(order).status == Status.QUEUED
    assert Mission.objects.get().state == State.REJECTED
    assert not MissionPart.objects.get().live


def test_an_order_whose_last_attempt_is_refused_has_failed(bridge: Simulator) -> None:
    policy.change(by=SYSTEM, max_attempts=1)
    bridge.fault("bridge_reject")
    order, intent = assigned()
    publishing.publish(intent.pk)
    assert timeline(order)[-2:] == ["ASSIGNED", "FAILED"]
    assert stored(order).reason_code == ReasonCode.MISSION_REFUSED
    assert Mission.objects.get().state == State.REJECTED


@pytest.mark.django_db(transaction=True)
def test_a_publisher_killed_after_the_bridge_took_the_mission_does_not_fly_it_twice(
    bridge: Simulator,
) -> None:
    bridge.fault("bridge_hang", times=1, seconds=30)
    order, intent = assigned()
    with publisher(intent, bridge.url) as process:
        wait_until(bridge.missions)
        process.kill()
    assert stored(order).status == Status.ASSIGNED
    publishing.publish(intent.pk)  # still claimed by the killed publisher
    assert bridge.missions()[0]["posts"] == 1
    publishing.publish(intent.pk, now=later())
    assert stored(order).status == Status.MISSION_SUBMITTED
    assert [m["posts"] for m in bridge.missions()] == [2]


def test_an_intent_whose_publisher_died_before_sending_is_sent(bridge: Simulator) -> None:
    order, intent = assigned()
    Mission.objects.filter(pk=intent.pk).update(claimed_until=publishing.claim_end(timezone.now()))
    publishing.publish(intent.pk)
    assert bridge.missions() == []
    assert Mission.objects.unsent(later()).get() == intent
    publishing.publish(intent.pk, now=later())
    assert stored(order).status == Status.MISSION_SUBMITTED


@pytest.mark.django_db(transaction=True)
def test_one_of_many_publishers_calls_the_bridge(bridge: Simulator) -> None:
    order, intent = assigned()
    in_threads(*[lambda: publishing.publish(intent.pk)] * 6)
    assert stored(order).status == Status.MISSION_SUBMITTED
    assert [m["posts"] for m in bridge.missions()] == [1]


@pytest.mark.django_db(transaction=True)
def test_a_mission_accepted_for_a_job_that_is_over_is_recalled(bridge: Simulator) -> None:
    bridge.fault("bridge_hang", times=1, seconds=0.5)
    order, intent = assigned()
    sending = threading.Thread(target=closing(lambda: publishing.publish(intent.pk)))
    sending.start()
    wait_until(bridge.missions)
    lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER)
    sending.join()
    intent.refresh_from_db()
    assert (stored(order).status, intent.state) == (Status.CANCELED, State.WITHDRAWN)
    assert intent.recall_state == Mission.Recall.WANTED


def test_without_a_bridge_publishing_is_a_visible_error() -> None:
    order, intent = assigned()
    publishing.publish(intent.pk)
    intent = mission_of(order)
    assert (stored(order).status, intent.state, intent.tries) == ("ASSIGNED", State.PENDING, 0)
    assert "No GCS bridge is configured" in intent.bridge_answer
    assert "GCS_BRIDGE_URL" in why(order, "INTENT_FAILED")
    with pytest.raises(Unavailable, match="No GCS bridge is configured"):
        publishing.submit(order.pk, by=SYSTEM)


# --- feasibility right before publishing ---------------------------------------------------------


@pytest.mark.parametrize(
    ("telemetry", "code"),
    [({"battery_pct": 5.0}, "battery"), ({"armed": True}, "is armed")],
)
def test_a_drone_that_may_no_longer_fly_is_not_sent(
    bridge: Simulator, telemetry: dict[str, Any], code: str
) -> None:
    order, intent = assigned()
    seen(**telemetry)
    publishing.publish(intent.pk)
    assert (stored(order).status, bridge.missions()) == (Status.QUEUED, [])
    assert code in why(order, "REQUEUED").lower()
    intent.refresh_from_db()
    assert (intent.state, intent.recall_state) == (State.WITHDRAWN, "")


def test_a_drone_grounded_after_the_assignment_is_not_sent(bridge: Simulator) -> None:
    order, intent = assigned()
    registry.ground("WX-DRN-001", by=SYSTEM, reason="Cracked arm.")
    publishing.publish(intent.pk)
    assert (stored(order).status, bridge.missions()) == (Status.QUEUED, [])


def test_a_drone_that_launched_after_a_lost_answer_flies_our_mission(bridge: Simulator) -> None:
    bridge.fault("bridge_500", times=1, after=True)
    order, intent = assigned()
    publishing.publish(intent.pk)
    bridge.advance(20)
    seen(armed=True)
    publishing.publish(intent.pk, now=later(0.3))
    assert stored(order).status == Status.MISSION_SUBMITTED


def test_a_mission_that_may_have_arrived_is_withdrawn_before_another_drone_gets_it(
    bridge: Simulator,
) -> None:
    bridge.fault("bridge_500", times=1, after=True)
    order, intent = assigned()
    publishing.publish(intent.pk)
    seen(battery_pct=5.0)
    publishing.publish(intent.pk, now=later(0.3))
    assert stored(order).status == Status.QUEUED
    assert [m["status"] for m in bridge.missions()] == ["WITHDRAWN"]


# --- manual submission ---------------------------------------------------------------------------


def test_submitting_an_accepted_mission_changes_nothing(bridge: Simulator) -> None:
    order, intent = submitted()
    assert publishing.submit(order.pk, by=SYSTEM).mission == intent
    assert bridge.missions()[0]["posts"] == 1


def test_submitting_manually_does_not_wait_for_the_retry_pause(bridge: Simulator) -> None:
    bridge.fault("bridge_500", times=1)
    order, intent = assigned()
    publishing.publish(intent.pk)
    assert publishing.submit(order.pk, by=SYSTEM).mission.state == State.ACCEPTED


def test_submitting_a_mission_that_the_bridge_refuses_raises_conflict(bridge: Simulator) -> None:
    bridge.fault("bridge_reject")
    order, _ = assigned()
    with pytest.raises(Conflict, match="safety rules") as refused:
        publishing.submit(order.pk, by=SYSTEM)
    assert refused.value.code == "mission_refused"


def test_an_order_without_a_drone_has_nothing_to_submit() -> None:
    with pytest.raises(lifecycle.Refused) as refused:
        publishing.submit(order_in(Status.QUEUED).pk, by=SYSTEM)
    assert refused.value.code == "no_active_job"


def test_a_reassigned_order_has_a_new_mission_and_the_old_one_is_never_sent(
    bridge: Simulator,
) -> None:
    order, old = assigned()
    lifecycle.reassign(order.pk, DroneFactory().pk, by=SYSTEM, why="Faster.")
    publishing.publish(old.pk)
    old.refresh_from_db()
    assert (old.state, bridge.missions()) == (State.WITHDRAWN, [])
    assert mission_of(order).pk != old.pk


# --- helpers -------------------------------------------------------------------------------------


def closing(verb: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        try:
            verb()
        finally:
            connection.close()

    return run


def in_threads(*verbs: Callable[[], object]) -> None:
    threads = [threading.Thread(target=closing(verb)) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)


PUBLISH = """
import sys, uuid, django
django.setup()
from dispatch.missions import publishing
publishing.publish(uuid.UUID(sys.argv[1]))
"""


def publisher(intent: Mission, url: str) -> "subprocess.Popen[bytes]":
    """A separate process on the test's database that publishes the intent."""
    database = urlsplit(django_settings.DATABASE_URL)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "wingxtra.settings",
        "DATABASE_URL": database._replace(path="/" + connection.settings_dict["NAME"]).geturl(),
        "GCS_BRIDGE_URL": url,
        "GCS_BRIDGE_TIMEOUT_S": "30",
    }
    return subprocess.Popen(
        [sys.executable, "-c", PUBLISH, str(intent.pk)],
        cwd=django_settings.BASE_DIR,
        env=environment,
    )
