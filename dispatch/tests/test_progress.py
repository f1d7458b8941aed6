"""Reports and telemetry move orders forward, each step once."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import time_machine
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from dispatch.missions import answers, discrepancies, publishing, recalls, reports
from dispatch.missions.following import progress
from dispatch.missions.reports import MissionEvent, ReportResult, ReportType
from dispatch.models import Discrepancy, Flight, Mission, MissionPart, MissionReport
from dispatch.planning import eligibility
from dispatch.tests.support import able_drone, assigned, mission_of, stored, submitted, timeline
from dispatch.tests.test_missions import in_threads, why
from fleet import policy, registry
from fleet.live.picture import Picture
from fleet.live.telemetry import Telemetry, decode_answer
from fleet.simulator.airframe import moved
from fleet.simulator.run import Simulator
from fleet.simulator.telemetry import latest
from fleet.tests.factories import ACCRA, DroneFactory, TelemetryFactory
from orders import lifecycle
from orders.lifecycle import Locked
from orders.models import DeliveryEvent, Order
from orders.states import HoldCode, Holder, JobStatus, Status
from orders.tests.factories import order_in
from orders.tests.test_lifecycle_races import at_once, together
from wingxtra.accounts.identity import GCS, SYSTEM, Actor, ActorKind, Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.problems import Invalid, NotFound

pytestmark = pytest.mark.django_db

WHOLE_FLIGHT = ["LAUNCHED", "ENROUTE", "ARRIVED", "DELIVERING", "DELIVERED"]


def report(order: Order, kind: Any, **values: Any) -> ReportResult:
    return reports.report(order.pk, MissionEvent(kind, **values), by=GCS)


# --- reports of ground control -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("LAUNCHED", Status.LAUNCHED),
        ("MISSION_LAUNCHED", Status.LAUNCHED),
        ("mission_launched", Status.LAUNCHED),
        ("DELIVERED", Status.DELIVERED),
        ("ABORTED", Status.ABORTED),
        ("ASSIGNED", None),
        ("MISSION_SUBMITTED", None),
        ("", None),
    ],
)
def test_event_names_are_parsed(name: str, status: Status | None) -> None:
    assert reports.report_type(name) == status


def test_a_report_moves_the_order_with_the_time_it_happened() -> None:
    with time_machine.travel(timezone.now() - timedelta(minutes=1)):
        order = order_in(Status.MISSION_SUBMITTED)
    at = timezone.now() - timedelta(seconds=40)
    done = report(order, Status.LAUNCHED, occurred_at=at, message="Up.")
    assert (done.applied, done.order.status) == (["LAUNCHED"], Status.LAUNCHED)
    event = DeliveryEvent.objects.get(order=order, type="LAUNCHED")
    assert (event.occurred_at, event.message, event.actor) == (at, "Up.", "gcs")


def test_a_report_that_skips_steps_adds_them() -> None:
    order = order_in(Status.LAUNCHED)
    assert report(order, Status.DELIVERING).applied == ["ENROUTE", "ARRIVED", "DELIVERING"]


def test_the_same_report_is_applied_once() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    report(order, Status.FAILED, event_id="e1")
    again = report(order, Status.FAILED, event_id="e1")
    assert (again.duplicate, again.applied) == (True, [])
    assert timeline(order).count("REQUEUED") == 1
    assert MissionReport.objects.get().type == Status.FAILED


def test_a_report_without_an_id_is_identified_by_its_time() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    at = timezone.now()
    report(order, Status.LAUNCHED, occurred_at=at)
    assert report(order, Status.LAUNCHED, occurred_at=at).duplicate


@pytest.mark.django_db(transaction=True)
def test_the_same_report_from_many_senders_at_once_is_applied_once() -> None:
    order, done = order_in(Status.MISSION_SUBMITTED), list[ReportResult]()
    in_threads(*[lambda: done.append(report(order, Status.DELIVERED, event_id="e1"))] * 6)
    assert [step for step in timeline(order) if step in WHOLE_FLIGHT] == WHOLE_FLIGHT
    assert sorted(one.duplicate for one in done) == [False] + [True] * 5


@pytest.mark.django_db(transaction=True)
def test_control_without_the_orders_lock_the_index_refuses_the_second_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order, barrier = order_in(Status.MISSION_SUBMITTED), Barrier(2)

    def lock(order_id: UUID, job_of: Callable[[UUID], Any]) -> Locked:
        found = stored(order)
        found.current_job = job_of(found.current_job_id)  # type: ignore[arg-type]
        together(barrier)
        return Locked(found)

    monkeypatch.setattr(lifecycle, "lock", lock)
    raised = at_once(*[lambda: report(order, Status.LAUNCHED, event_id="e1")] * 2)
    assert [type(error) for error in raised if error] == [IntegrityError]
    assert MissionReport.objects.count() == 1
    assert timeline(order).count("LAUNCHED") == 1


@pytest.mark.parametrize("kind", [Status.LAUNCHED, Status.ARRIVED])
def test_a_backward_report_changes_nothing_and_says_so(kind: Status) -> None:
    order = order_in(Status.ARRIVED)
    before = timeline(order)
    done = report(order, kind)
    assert (done.applied, timeline(order)) == ([], before)
    assert "ARRIVED already" in done.note


@pytest.mark.parametrize(
    ("status", "kind", "kept_as"),
    [
        (Status.DELIVERED, Status.LAUNCHED, []),
        (Status.DELIVERED, Status.DELIVERED, []),
        (Status.DELIVERED, Status.FAILED, ["CONTRADICTION"]),
        (Status.DELIVERED, Status.ABORTED, ["CONTRADICTION"]),
        (Status.FAILED, Status.LAUNCHED, ["CONTRADICTION", "PARCEL_UNKNOWN"]),
        (Status.FAILED, Status.DELIVERED, ["CONTRADICTION", "PARCEL_UNKNOWN"]),
        (Status.FAILED, Status.FAILED, ["LATE_REPORT"]),
        (Status.ABORTED, Status.ABORTED, ["LATE_REPORT"]),
    ],
)
def test_a_contradicting_report_after_the_end_is_noted_and_changes_no_outcome(
    status: Status, kind: Status, kept_as: list[str]
) -> None:
    order = order_in(status)
    before = timeline(order)
    done = report(order, kind)
    assert (done.applied, stored(order).status) == ([], status)
    assert timeline(order)[len(before) :] == kept_as
    assert done.note
    standing = Discrepancy.objects.filter(order=order, settled_at__isnull=True)
    assert standing.exists() == ("CONTRADICTION" in kept_as)


@pytest.mark.parametrize("kind", [Status.LAUNCHED, Status.DELIVERED])
def test_a_report_about_a_canceled_order_that_never_had_a_drone_is_refused(kind: Status) -> None:
    done = report(order_in(Status.CANCELED), kind)
    assert done.applied == []
    assert "nothing was changed" in done.note


@pytest.mark.parametrize("kind", [Status.LAUNCHED, Status.FAILED])
def test_a_report_about_an_order_without_a_mission_is_refused(kind: Status) -> None:
    order = order_in(Status.QUEUED)
    with pytest.raises(lifecycle.Refused):
        report(order, kind, event_id="e1")
    assert not MissionReport.objects.exists()  # the report may be repeated once there is a mission


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status.MISSION_SUBMITTED, "LAUNCHED"),
        (Status.MISSION_SUBMITTED, "PICKED_UP"),
        (Status.MISSION_SUBMITTED, "FAILED"),
        (Status.LAUNCHED, "DELIVERED"),
        (Status.ARRIVED, "LAUNCHED"),
        (Status.ARRIVED, "PICKED_UP"),
        (Status.DELIVERED, "FAILED"),
        (Status.FAILED, "DELIVERED"),
        (Status.ABORTED, "ABORTED"),
    ],
)
def test_each_report_is_kept_once_and_is_what_ground_control_last_said(
    status: Status, kind: str
) -> None:
    order = order_in(status, drone=able_drone())
    mission = Mission.objects.get(parts__order=order)
    report(order, ReportType(kind), event_id="e1")
    assert list(MissionReport.objects.values_list("type", flat=True)) == [kind]
    mission.refresh_from_db()
    assert (mission.said, mission.said_at is not None) == (kind, True)


def test_a_report_about_an_ended_mission_does_not_change_the_next_one() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    first = mission_of(order)
    lifecycle.requeue(order.pk, by=SYSTEM, why="Motor.")
    lifecycle.assign(order.pk, DroneFactory().pk, by=SYSTEM, why="Next.")
    done = report(order, Status.FAILED, intent_id=first.pk)
    assert (done.applied, stored(order).status) == ([], Status.ASSIGNED)
    assert "which is over for us" in done.note


@pytest.mark.parametrize("kind", [Status.LAUNCHED, Status.ENROUTE, Status.DELIVERED])
def test_a_mission_that_flies_after_its_end_recalls_the_next_one(kind: Status) -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    first = mission_of(order)
    lifecycle.requeue(order.pk, by=SYSTEM, why="Motor.")
    lifecycle.assign(order.pk, DroneFactory().pk, by=SYSTEM, why="Next.")
    report(order, kind, intent_id=first.pk)
    order = stored(order)
    assert (order.status, order.hold_code) == (Status.QUEUED, HoldCode.PARCEL_UNKNOWN)
    assert "CONTRADICTION" in timeline(order)
    assert not Mission.objects.filter(state=Mission.State.PENDING).exists()
    assert registry.held([first.drone_id])


def test_a_late_step_is_no_contradiction() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    first, flown_at = mission_of(order), timezone.now()
    lifecycle.requeue(order.pk, by=SYSTEM, why="Motor.")
    report(order, Status.LAUNCHED, intent_id=first.pk, occurred_at=flown_at)
    assert timeline(order)[-1] == "LATE_REPORT"
    assert stored(order).hold_code == ""


def test_a_report_with_the_mission_of_another_order_is_invalid() -> None:
    with pytest.raises(Invalid, match="never had a mission"):
        report(order_in(Status.MISSION_SUBMITTED), Status.LAUNCHED, intent_id=uuid4())


@pytest.mark.parametrize(
    "reported_at",
    [datetime(1970, 1, 1, tzinfo=UTC), timezone.now() + timedelta(hours=1)],
    ids=["1970", "an hour ahead"],
)
def test_an_impossible_time_in_a_report_is_clamped_and_noted(
    reported_at: datetime,
) -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    before = stored(order).last_step_at
    report(order, Status.DELIVERED, occurred_at=reported_at)
    order = stored(order)
    assert order.delivered_at is not None
    assert before <= order.delivered_at <= timezone.now()
    event = order.events.get(type="DELIVERED")
    assert event.payload["reported_at"] == reported_at.isoformat()


def test_an_unknown_order_is_not_found() -> None:
    with pytest.raises(NotFound):
        reports.report(UUID(int=1), MissionEvent(Status.LAUNCHED), by=GCS)


def test_a_failed_mission_is_retried_until_no_attempt_is_left() -> None:
    policy.change(by=SYSTEM, max_attempts=2)
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone(), pickup_lng=-0.16)
    Watch(order).launches()  # followed from the ground, never at the pickup
    assert report(order, Status.FAILED, message="Motor 3.").applied == ["REQUEUED"]
    assert (why(order, "REQUEUED"), stored(order).hold_code) == ("Motor 3.", "")
    lifecycle.assign(order.pk, "WX-DRN-001", by=SYSTEM, why="Next.")
    report(order, Status.LAUNCHED)
    Watch(order).launches()
    assert report(order, Status.FAILED).applied == ["FAILED"]
    assert stored(order).current_job.status == JobStatus.FAILED


def test_a_failure_in_flight_that_telemetry_did_not_see_leaves_the_parcel_unknown() -> None:
    order = order_in(Status.ENROUTE)
    drone_id = stored(order).assigned_drone_id
    assert report(order, Status.FAILED, message="Motor 3.").applied == ["REQUEUED"]
    order = stored(order)
    assert (order.holder, order.hold_code) == (Holder.UNKNOWN, HoldCode.PARCEL_UNKNOWN)
    assert timeline(order)[-2:] == ["PARCEL_UNKNOWN", "REQUEUED"]
    assert list(registry.held([drone_id])) == [drone_id]


def test_a_parcel_reported_aboard_stays_with_its_drone() -> None:
    order = order_in(Status.ENROUTE)
    drone_id = stored(order).assigned_drone_id
    assert report(order, ReportType.PICKED_UP).applied == ["PARCEL_LOADED"]
    assert report(order, ReportType.PICKED_UP).applied == []
    report(order, Status.FAILED, message="Motor 3.")
    order = stored(order)
    assert (order.holder, order.holder_drone_id) == (Holder.DRONE, drone_id)
    assert order.hold_code == HoldCode.PARCEL_ABOARD


def test_an_abort_by_ground_control_requeues_the_order() -> None:
    assert report(order_in(Status.ENROUTE), Status.ABORTED).applied == ["REQUEUED"]


def test_an_abort_requested_by_ops_ends_the_order() -> None:
    order = order_in(Status.ENROUTE)
    recalls.request_abort(order.pk, by=SYSTEM, reason="Storm.")
    assert report(order, Status.ABORTED).applied == ["ABORTED"]
    assert stored(order).status == Status.ABORTED


def test_a_reported_launch_replaces_a_lost_answer(bridge: Simulator) -> None:
    bridge.fault("bridge_500", times=1, after=True)
    order, intent = assigned()
    publishing.publish(intent.pk)
    done = report(order, Status.LAUNCHED, intent_id=intent.pk)
    assert done.applied == ["MISSION_SUBMITTED", "LAUNCHED"]
    assert mission_of(order).state == Mission.State.ACCEPTED


# --- telemetry -----------------------------------------------------------------------------------


def picture(*telemetry: Telemetry, at: datetime) -> Picture:
    return Picture(fetched_at=at, telemetry={sample.drone_id: sample for sample in telemetry})


def there(at: datetime, north_m: float, alt_m: float, drone_id: str = "WX-DRN-001") -> Telemetry:
    lat, lng = moved(*ACCRA, 0, north_m)
    armed = alt_m > 0
    return TelemetryFactory(
        drone_id=drone_id, measured_at=at, lat=lat, lng=lng, alt_m=alt_m, armed=armed
    )


class Watch:
    """Follows WX-DRN-001 sample by sample, one second apart; `sees` returns the new events."""

    def __init__(self, order: Order) -> None:
        self.order, self.now = order, timezone.now()
        self.last: Telemetry | None = None

    def sees(self, north_m: float, alt_m: float) -> list[str]:
        self.now += timedelta(seconds=1)
        self.last = there(self.now, north_m, alt_m)
        return self._follow(self.last)

    def hears_nothing(self, seconds: float) -> list[str]:
        self.now += timedelta(seconds=seconds)
        return self._follow(self.last)

    def _follow(self, sample: Telemetry | None) -> list[str]:
        before = len(timeline(self.order))
        progress.follow(picture(*[sample] if sample else [], at=self.now), self.now)
        return timeline(self.order)[before:]

    def launches(self) -> "Watch":
        self.sees(0, 0)
        for alt_m in (4.0, 8.0, 12.0):
            self.sees(0, alt_m)
        assert stored(self.order).status == Status.LAUNCHED
        return self


def test_a_flight_is_followed_by_the_fleet_api_alone(bridge: Simulator) -> None:
    order, _ = submitted()
    now = timezone.now()
    bridge.advance(1)
    for _ in range(400):
        bridge.advance(2)
        now += timedelta(seconds=2)
        answer = decode_answer(fleet_answer(bridge, now))
        progress.follow(picture(*answer.telemetry, at=now), now)
        if stored(order).status == Status.DELIVERED:
            break
    flown = ["LAUNCHED", "ENROUTE", "PARCEL_LOADED", "ARRIVED", "DELIVERING", "DELIVERED"]
    assert sorted(timeline(order)[-6:]) == sorted(flown)
    assert [step for step in timeline(order) if step in WHOLE_FLIGHT] == WHOLE_FLIGHT
    assert stored(order).holder == Holder.RECIPIENT
    assert {e.actor for e in order.events.filter(type__in=WHOLE_FLIGHT)} == {"telemetry"}
    assert stored(order).current_job.status == JobStatus.COMPLETED


def fleet_answer(simulator: Simulator, now: datetime) -> bytes:
    """The answer of GET telemetry/latest, measured at `now`."""
    with simulator.lock:
        readings = list(simulator.world.readings.values())
    answer = latest(readings, now, set())
    for entry in answer["drones"]:
        entry["last_seen_ts"] = entry["telemetry"]["ts"] = now.astimezone(UTC).isoformat()
    return json.dumps(answer).encode()


def test_a_step_that_ground_control_reported_is_not_repeated() -> None:
    order = order_in(Status.ENROUTE, drone=able_drone())
    watch = Watch(order)
    assert watch.sees(0, 0) == []
    seen = [step for alt_m in (4.0, 8.0, 12.0) for step in watch.sees(0, alt_m)]
    assert set(seen) <= {"PARCEL_LOADED"}  # it is on the ground at the pickup


def test_a_drone_that_takes_off_before_its_mission_was_sent_flies_another_task() -> None:
    order, _ = assigned()
    watch = Watch(order)
    for alt_m in (0.0, 4.0, 8.0, 12.0, 16.0):
        watch.sees(0, alt_m)
    assert stored(order).status == Status.ASSIGNED


def test_a_lost_link_and_its_return_are_noted_once() -> None:
    watch = Watch(order_in(Status.MISSION_SUBMITTED, drone=able_drone())).launches()
    assert watch.hears_nothing(15) == []
    assert watch.hears_nothing(10) == ["LINK_LOST"]
    assert watch.hears_nothing(60) == []
    assert "No telemetry for 25 s" in why(watch.order, "LINK_LOST")
    assert stored(watch.order).status == Status.LAUNCHED
    assert Flight.objects.get().link_lost_at is not None
    assert watch.sees(0, 14) == ["LINK_RESTORED"]
    assert watch.sees(0, 16) == []
    assert Flight.objects.get().link_lost_at is None
    assert watch.hears_nothing(30) == ["LINK_LOST"]


def test_a_drone_that_repeats_an_old_measurement_has_lost_its_link() -> None:
    watch = Watch(order_in(Status.MISSION_SUBMITTED, drone=able_drone())).launches()
    assert watch.last is not None
    old = watch.last.measured_at
    watch.now += timedelta(seconds=30)
    watch.last = TelemetryFactory(drone_id="WX-DRN-001", measured_at=old, seen_at=watch.now)
    assert watch.hears_nothing(0) == ["LINK_LOST"]


def test_a_parked_drone_may_be_silent() -> None:
    watch = Watch(order_in(Status.MISSION_SUBMITTED, drone=able_drone()))
    watch.sees(0, 0)
    assert watch.hears_nothing(600) == []


def test_a_drone_without_telemetry_in_flight_has_lost_its_link() -> None:
    watch = Watch(order_in(Status.LAUNCHED, drone=able_drone()))
    assert watch.hears_nothing(0) == []
    assert watch.hears_nothing(30) == ["LINK_LOST"]


def landed_away(order: Order) -> list[str]:
    """Turns back after 300 m and lands at home."""
    watch = Watch(order).launches()
    course = [*range(0, 300, 15), *range(300, -1, -15)]
    steps = [step for north_m in course for step in watch.sees(north_m, 12)]
    return steps + [step for alt_m in (9, 6, 3, *[0] * 8) for step in watch.sees(0, alt_m)]


def test_a_landing_without_a_delivery_requeues_the_order() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone(), pickup_lng=-0.16)
    assert landed_away(order) == ["ENROUTE", "REQUEUED"]
    assert "without a delivery" in why(order, "REQUEUED")
    assert stored(order).hold_code == ""  # it never visited the pickup
    assert registry.held(["WX-DRN-001"])


def test_a_landing_away_from_the_drop_point_confirms_an_abort() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone(), pickup_lng=-0.16)
    watch = Watch(order).launches()
    recalls.request_abort(order.pk, by=SYSTEM, reason="Storm.")
    for alt_m in (9, 6, 3, *[0] * 8):
        watch.sees(0, alt_m)
    assert stored(order).status == Status.ABORTED


def test_a_silence_that_may_hide_a_delivery_raises_a_discrepancy() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone())
    watch = Watch(order).launches()
    watch.hears_nothing(900)
    steps = [step for _ in range(9) for step in watch.sees(0, 0)]
    assert steps == ["LINK_RESTORED", "CONTRADICTION", "PARCEL_UNKNOWN"]
    assert "is not known" in why(order, "CONTRADICTION")
    assert stored(order).status == Status.LAUNCHED
    assert stored(order).holder == Holder.UNKNOWN
    assert Discrepancy.objects.get().code == Discrepancy.Code.UNCLEAR_LANDING
    assert watch.hears_nothing(300) == []  # it is on the ground: no link is lost


def test_ops_state_how_an_unclear_flight_ended() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone())
    watch = Watch(order).launches()
    watch.hears_nothing(900)
    for _ in range(9):
        watch.sees(0, 0)
    by = Actor(ActorKind.USER, "ama")
    answers.confirm_delivered(order.pk, by=by, note="The customer has it.")
    order = stored(order)
    assert (order.status, order.holder) == (Status.DELIVERED, Holder.RECIPIENT)
    settled = Discrepancy.objects.get()
    assert (settled.settled_by, settled.settlement) == ("user:ama", "The customer has it.")
    assert registry.held(["WX-DRN-001"])  # the drone's hold is released separately


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (None, Status.DELIVERED),
        (Discrepancy.Code.AT_THE_DROP, Status.DELIVERING),
        (Discrepancy.Code.UNCLEAR_LANDING, Status.DELIVERING),  # the door is beside a hub
    ],
)
def test_a_drone_that_leaves_the_door_in_doubt_has_not_delivered(
    code: Discrepancy.Code | None, status: Status
) -> None:
    door = moved(*ACCRA, 0, 300)
    order = order_in(
        Status.MISSION_SUBMITTED,
        drone=able_drone(),
        pickup_lat=ACCRA[0],
        pickup_lng=ACCRA[1],
        dropoff_lat=door[0],
        dropoff_lng=door[1],
    )
    watch = Watch(order).launches()
    for alt_m in range(16, 61, 4):
        watch.sees(0, alt_m)
    for north_m in range(0, 301, 15):
        watch.sees(north_m, 60)
    for alt_m in range(57, 7, -3):
        watch.sees(300, alt_m)
    assert stored(order).status == Status.DELIVERING
    if code is not None:
        discrepancies.raise_(order.jobs.get(), code, "It stood there.")
    for alt_m in range(10, 61, 4):
        watch.sees(300, alt_m)
    assert stored(order).status == status


def test_two_disarmed_samples_high_up_and_fast_change_nothing() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone(), pickup_lng=-0.16)
    watch = Watch(order).launches()
    for north_m in range(0, 600, 15):
        watch.sees(north_m, 60)
    for north_m in (600, 630):
        watch.now += timedelta(seconds=2)
        sample = there(watch.now, north_m, 60)
        assert watch._follow(msgspec.structs.replace(sample, armed=False, speed_mps=16.0)) == []
    assert stored(order).status == Status.ENROUTE


def test_a_drone_reported_flying_that_stands_at_its_hub_raises_a_discrepancy() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone())
    Mission.objects.update(tries=1)
    MissionPart.objects.update(live=True)
    report(order, Status.ENROUTE)
    watch = Watch(order)
    steps = [step for _ in range(75) for step in watch.sees(0, 0)]
    assert steps == ["CONTRADICTION"]
    assert Discrepancy.objects.get().code == Discrepancy.Code.STANDS_AT_HUB
    assert "disarmed at its hub" in why(order, "CONTRADICTION")
    assert stored(order).status == Status.ENROUTE


def test_a_mission_is_over_once_its_drone_has_stood_at_a_hub_for_a_minute() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone(), pickup_lng=-0.16)
    Mission.objects.update(tries=1)
    MissionPart.objects.update(live=True)
    landed_away(order)
    assert stored(order).status == Status.QUEUED
    assert not eligibility.may_be_planned(Order.objects.filter(pk=order.pk)).exists()
    watch = Watch(order)
    watch.now += timedelta(seconds=120)
    for _ in range(70):
        watch.sees(0, 0)
    mission = Mission.objects.get()
    assert (mission.over_by, mission.is_live) == ("telemetry", False)
    assert eligibility.may_be_planned(Order.objects.filter(pk=order.pk)).exists()


def test_the_eta_follows_the_flight_and_small_changes_are_not_written() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone())
    watch = Watch(order).launches()
    first = stored(order).current_job.eta_at
    assert first is not None
    assert watch.now < first < watch.now + timedelta(minutes=10)
    watch.sees(0, 16)
    assert stored(order).current_job.eta_at == first
    for north_m in range(0, 400, 5):  # a third of its speed, as in head wind
        watch.sees(north_m, 16)
    later = stored(order).current_job.eta_at
    assert later is not None
    assert later > first + timedelta(seconds=30)


@pytest.mark.django_db(transaction=True)
def test_the_number_of_statements_does_not_grow_with_the_flights(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    drones = [DroneFactory() for _ in range(12)]
    for drone in drones:
        order_in(Status.MISSION_SUBMITTED, drone=drone)
    now = timezone.now()

    def look(seconds: int) -> None:
        at = now + timedelta(seconds=seconds)
        samples = [there(at, 0, 0, drone.drone_id) for drone in drones]
        assert progress.follow(picture(*samples, at=at), at) == len(drones)

    look(1)
    # areas; lease, policy, hubs, flights; lease, flights; drones, strays, live missions, ways to a
    # base; lease
    with django_assert_num_queries(14):  # with BEGIN and COMMIT
        look(2)
    with django_assert_num_queries(10):  # no new telemetry, no writes
        look(2)


def test_a_drones_page_shows_the_disbelieved_value(client: Client) -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone(), pickup_lng=-0.16)
    watch = Watch(order).launches()
    for north_m in range(0, 600, 15):
        watch.sees(north_m, 60)
    watch.now += timedelta(seconds=2)
    sample = there(watch.now, 615, 60)
    watch._follow(msgspec.structs.replace(sample, armed=False, speed_mps=16.0))
    client.force_login(UserFactory(role=Role.OPS))
    page = client.get("/admin/fleet/drone/WX-DRN-001/change/").content.decode()
    assert "Not believed in flight" in page
    assert "armed: false" in page


# --- ground control against telemetry ------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ARRIVED", "DELIVERED"])
def test_a_reported_delivery_that_telemetry_rules_out_raises_a_discrepancy(kind: str) -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone(), pickup_lng=-0.16)
    Watch(order).launches()
    done = report(order, ReportType(kind))
    assert (done.applied, stored(order).status) == ([], Status.LAUNCHED)
    doubt = Discrepancy.objects.get()
    assert doubt.code == Discrepancy.Code.EARLY_REPORT
    assert "m from the drop point" in doubt.message


def test_without_telemetry_ground_control_is_believed() -> None:
    assert report(order_in(Status.LAUNCHED), Status.DELIVERED).order.status == Status.DELIVERED


def test_a_reported_flight_whose_drone_is_home_raises_a_discrepancy() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone(), pickup_lng=-0.16)
    Mission.objects.update(tries=1)
    MissionPart.objects.update(live=True)
    watch = Watch(order).launches()
    for north_m in range(0, 600, 15):
        watch.sees(north_m, 60)
    lifecycle.advance(order.pk, Status.DELIVERING, by=GCS)
    flight = Flight.objects.get()
    flight.state["phase"] = "DELIVERED"  # read, but not applied
    flight.save()
    watch.now += timedelta(seconds=200)
    steps = [step for _ in range(70) for step in watch.sees(0, 0)]
    assert "CONTRADICTION" in steps
    assert Discrepancy.objects.get().code == Discrepancy.Code.UNCLEAR_LANDING
