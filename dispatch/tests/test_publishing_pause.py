"""Publishing pauses when the bridge refuses every mission; no order loses an attempt."""

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import IntegrityError, connections
from django.utils import timezone
from pytest_django import Settings

from dispatch import actors
from dispatch.missions import publishing, publishing_pause
from dispatch.models import Mission, PublishingPause
from dispatch.tests.support import mission_of, stored, timeline
from fleet import policy
from fleet.simulator.run import Simulator
from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from fleet.tests.simulated import sim_drone
from orders import lifecycle
from orders.models import Order
from orders.states import Status
from orders.tests.factories import order_in
from wingxtra import outbox
from wingxtra.accounts.identity import SYSTEM
from wingxtra.problems import Conflict, Unavailable

pytestmark = pytest.mark.django_db
State = Mission.State
DRONES = [f"WX-DRN-{n:03d}" for n in range(1, 7)]


@pytest.fixture
def bridge(settings: Settings) -> Iterator[Simulator]:
    """A simulated GCS with six drones on the ground that refuses the form of every mission."""
    with Simulator([sim_drone(drone_id=name) for name in DRONES], speed=0) as simulator:
        settings.GCS_BRIDGE_URL = simulator.url
        settings.GCS_BRIDGE_TIMEOUT_S = 10.0
        simulator.fault("refuse_form")
        yield simulator


def assigned(count: int) -> list[Order]:
    """`count` orders, each with its own drone and a mission to send."""
    names = DRONES[:count]
    drones = [DroneFactory(drone_id=name) for name in names]
    show(*[TelemetryFactory(drone_id=name) for name in names])
    return [order_in(Status.ASSIGNED, drone=drone) for drone in drones]


def publish(*orders: Order) -> None:
    for order in orders:
        publishing.publish(mission_of(order).pk)


def sweep() -> list[str]:
    """The missions that the sweep would send now, in its order."""
    sent: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actors.publish_intent, "send", sent.append)
        actors.sweep_missions.fn()
    return sent


def test_three_different_orders_refused_orders_pause_publishing(bridge: Simulator) -> None:
    orders = assigned(5)
    publish(*orders[:2])
    assert publishing_pause.current() is None
    publish(*orders[2:])
    pause = PublishingPause.objects.get()
    assert (pause.refused, pause.ended_at) == (3, None)
    assert pause.because == "Ground control refused the mission (422): mission_type: Field required"
    assert publishing_pause.reason() == f"Publishing is paused: {pause.because}"

    refused, waiting = orders[:3], orders[3:]
    for order in refused:
        order = stored(order)
        assert (order.status, order.attempts, order.attempts_used) == (Status.QUEUED, 1, 0)
        assert "MISSION_SUBMITTED" not in timeline(order)
    for order in waiting:
        assert mission_of(order).state == State.PENDING
        assert mission_of(order).tries == 0
    assert sweep() == []
    assert bridge.missions() == []


def test_an_order_whose_last_attempt_is_refused_was_never_submitted(bridge: Simulator) -> None:
    policy.change(by=SYSTEM, max_attempts=1)
    (order,) = assigned(1)
    publish(order)
    assert timeline(order)[-2:] == ["ASSIGNED", "FAILED"]


def test_an_acceptance_in_between_resets_the_count(bridge: Simulator) -> None:
    orders = assigned(6)
    publish(*orders[:2])
    bridge.clear_faults()
    publish(orders[2])
    assert stored(orders[2]).status == Status.MISSION_SUBMITTED
    bridge.fault("refuse_form")
    publish(*orders[3:5])
    assert publishing_pause.current() is None
    publish(orders[5])
    assert PublishingPause.objects.get().refused == 3


def test_repeated_refusals_of_two_orders_do_not_pause(bridge: Simulator) -> None:
    orders = assigned(2)
    publish(*orders)
    for order, drone_id in zip(orders, DRONES, strict=False):
        lifecycle.assign(order.pk, drone_id, by=SYSTEM, why="Once more.")
        publish(order)
    assert publishing_pause.current() is None
    assert [stored(order).attempts_used for order in orders] == [2, 2]


def test_a_mission_refused_during_the_pause_costs_no_attempt(
    bridge: Simulator,
) -> None:
    orders = assigned(4)
    now = timezone.now()
    early = outbox.claim(
        Mission.objects.unsent(now), mission_of(orders[3]).pk, until=publishing.claim_end(now)
    )
    publish(*orders[:3])
    assert early is not None
    publishing._publish(early, SYSTEM, timezone.now())
    assert stored(orders[3]).attempts_used == 0
    assert PublishingPause.objects.get().refused == 3


def test_resuming_sends_the_oldest_first(bridge: Simulator) -> None:
    orders = assigned(6)
    publish(*orders[:3])
    waiting = [mission_of(order) for order in orders[3:]]
    for mission, tries_in_s in zip(waiting, [5, 0, 3], strict=True):
        soon = timezone.now() + timedelta(seconds=tries_in_s)
        Mission.objects.filter(pk=mission.pk).update(next_try_at=soon)
    bridge.clear_faults()
    publishing_pause.resume(by=SYSTEM)
    assert sweep() == [str(mission.pk) for mission in waiting]
    publish(*orders[3:])
    assert {stored(order).status for order in orders[3:]} == {Status.MISSION_SUBMITTED}
    with pytest.raises(Conflict, match="not paused"):
        publishing_pause.resume(by=SYSTEM)
    ended = PublishingPause.objects.get()
    assert (ended.ended_by, ended.ended_at is None) == (str(SYSTEM), False)


def test_refusals_before_the_resume_do_not_count_for_the_next_pause(
    bridge: Simulator,
) -> None:
    orders = assigned(6)
    publish(*orders[:3])
    publishing_pause.resume(by=SYSTEM)
    publish(*orders[3:5])
    assert publishing_pause.current() is None
    publish(orders[5])
    assert PublishingPause.objects.count() == 2


def test_submitting_manually_during_a_pause_says_why_nothing_is_sent(bridge: Simulator) -> None:
    orders = assigned(4)
    publish(*orders[:3])
    with pytest.raises(Unavailable, match="Publishing is paused: Ground control refused"):
        publishing.submit(orders[3].pk, by=SYSTEM)
    assert mission_of(orders[3]).state == State.PENDING


# --- the setting to change -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "why", "hint"),
    [
        (
            2,
            "schema_version: Extra inputs are not permitted; return_to: Extra inputs",
            "It names schema_version, return_to: set GCS_INTENT_VERSION=1 to leave that out.",
        ),
        (
            2,
            "actions.3: LOAD is no action",
            "It names LOAD: set GCS_INTENT_VERSION=1 to leave that out.",
        ),
        (
            1,
            "return_to: Field required",
            "It names return_to: set GCS_INTENT_VERSION=2 to send that.",
        ),
        (2, "PAYLOAD_TOO_HEAVY: return_to_sender", ""),
        (1, "mission_type: Field required", ""),
        (2, "", ""),
    ],
)
def test_the_setting_to_change_is_named(
    settings: Settings, version: int, why: str, hint: str
) -> None:
    settings.GCS_INTENT_VERSION = version
    assert publishing_pause.hint(why) == hint


def test_a_strict_bridge_leads_from_version_2_to_version_1(
    bridge: Simulator, settings: Settings
) -> None:
    bridge.clear_faults()
    bridge.fault("strict_members")
    settings.GCS_INTENT_VERSION = 2
    publish(*assigned(3))
    because = PublishingPause.objects.get().because
    assert "airspace_version: Extra inputs are not permitted" in because
    assert because.endswith("set GCS_INTENT_VERSION=1 to leave that out.")


# --- two workers at once -------------------------------------------------------------------------


def in_two_threads(orders: list[Order]) -> list[IntegrityError]:
    """Publish the missions of two orders at once; returns the database's errors."""
    barrier = threading.Barrier(2)
    wrong: list[IntegrityError] = []

    def work(mission: Mission) -> None:
        try:
            barrier.wait(10)
            publishing.publish(mission.pk)
        except IntegrityError as error:
            wrong.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(mission_of(order),)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return wrong


@pytest.mark.django_db(transaction=True)
def test_two_simultaneous_refusals_start_one_pause_and_forgive_once(
    bridge: Simulator,
) -> None:
    orders = assigned(4)
    publish(*orders[:2])
    # Both orders have failed once before, for another reason.
    Order.objects.filter(pk__in=[order.pk for order in orders[2:]]).update(attempts=2)
    assert in_two_threads(orders[2:]) == []
    assert PublishingPause.objects.get().refused == 3
    assert [stored(order).attempts_forgiven for order in orders] == [1, 1, 1, 1]


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_only_the_unique_index_prevents_a_second_pause(
    bridge: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control for the test above."""
    both_have_counted = threading.Barrier(2)
    count = publishing_pause._refused_orders

    def count_together() -> list[UUID]:
        refused = count()
        both_have_counted.wait(10)
        return refused

    orders = assigned(4)
    publish(*orders[:2])
    monkeypatch.setattr(publishing_pause, "_refused_orders", count_together)
    monkeypatch.setattr(publishing_pause, "recording_refusal", lambda _: nullcontext())
    (wrong,) = in_two_threads(orders[2:4])
    assert isinstance(wrong, IntegrityError)
    assert "one_publishing_pause_at_a_time" in str(wrong)
