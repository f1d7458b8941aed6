"""Orders move on by what ground control reports and by what telemetry shows, each thing once."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from dispatch import missions, progress, recalls
from dispatch.models import Flight, Mission, MissionReport
from dispatch.progress import MissionEvent, Reported
from dispatch.tests.support import able_drone, assigned, mission_of, stored, submitted, timeline
from dispatch.tests.test_missions import in_threads, why
from fleet import policy
from fleet.picture import Picture
from fleet.simulator.airframe import moved
from fleet.simulator.run import Simulator
from fleet.simulator.telemetry import latest
from fleet.telemetry import Telemetry, decode_answer
from fleet.tests.factories import ACCRA, DroneFactory, TelemetryFactory
from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import JobStatus, Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import GCS, SYSTEM
from wingxtra.problems import Invalid, NotFound

pytestmark = pytest.mark.django_db

WHOLE_FLIGHT = ["LAUNCHED", "ENROUTE", "ARRIVED", "DELIVERING", "DELIVERED"]


def report(order: Order, kind: Status, **values: Any) -> Reported:
    return progress.report(order.pk, MissionEvent(kind, **values), by=GCS)


# --- what ground control reports -----------------------------------------------------------------


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
def test_events_are_known_by_their_names(name: str, status: Status | None) -> None:
    assert progress.event_type(name) == status


def test_a_report_moves_the_order_with_the_time_it_happened() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    at = timezone.now() - timedelta(seconds=40)
    done = report(order, Status.LAUNCHED, occurred_at=at, message="Up.")
    assert (done.applied, done.order.status) == (["LAUNCHED"], Status.LAUNCHED)
    event = DeliveryEvent.objects.get(order=order, type="LAUNCHED")
    assert (event.occurred_at, event.message, event.actor) == (at, "Up.", "gcs")


def test_a_report_that_skips_steps_leaves_no_hole() -> None:
    order = order_in(Status.LAUNCHED)
    assert report(order, Status.DELIVERING).applied == ["ENROUTE", "ARRIVED", "DELIVERING"]


def test_the_same_report_is_applied_once() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    report(order, Status.FAILED, event_id="e1")
    again = report(order, Status.FAILED, event_id="e1")
    assert (again.duplicate, again.applied) == (True, [])
    assert timeline(order).count("REQUEUED") == 1
    assert MissionReport.objects.get().applied == ["REQUEUED"]


def test_a_report_without_an_id_is_told_by_its_time() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    at = timezone.now()
    report(order, Status.LAUNCHED, occurred_at=at)
    assert report(order, Status.LAUNCHED, occurred_at=at).duplicate


@pytest.mark.django_db(transaction=True)
def test_the_same_report_from_many_senders_at_once_is_applied_once() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    in_threads(*[lambda: report(order, Status.DELIVERED, event_id="e1")] * 6)
    assert timeline(order)[-5:] == WHOLE_FLIGHT
    assert timeline(order).count("DELIVERED") == 1


@pytest.mark.parametrize("kind", [Status.LAUNCHED, Status.ARRIVED])
def test_a_backward_report_changes_nothing_and_says_so(kind: Status) -> None:
    order = order_in(Status.ARRIVED)
    before = timeline(order)
    done = report(order, kind)
    assert (done.applied, timeline(order)) == ([], before)
    assert "ARRIVED already" in done.note


@pytest.mark.parametrize("kind", [Status.LAUNCHED, Status.DELIVERED, Status.FAILED, Status.ABORTED])
@pytest.mark.parametrize("status", [Status.DELIVERED, Status.FAILED, Status.CANCELED])
def test_a_report_after_the_end_changes_nothing_and_says_so(status: Status, kind: Status) -> None:
    order = order_in(status)
    before = timeline(order)
    done = report(order, kind)
    assert (done.applied, timeline(order)) == ([], before)
    assert "Nothing was changed" in done.note or "nothing was changed" in done.note


@pytest.mark.parametrize("kind", [Status.LAUNCHED, Status.FAILED])
def test_a_report_about_an_order_without_a_mission_is_refused(kind: Status) -> None:
    order = order_in(Status.QUEUED)
    with pytest.raises(lifecycle.Refused):
        report(order, kind, event_id="e1")
    assert not MissionReport.objects.exists()  # it may come again when there is a mission


def test_a_report_about_a_mission_that_is_over_does_not_touch_the_next_one() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    first = mission_of(order)
    lifecycle.requeue(order.pk, by=SYSTEM, why="Motor.")
    lifecycle.assign(order.pk, DroneFactory().pk, by=SYSTEM, why="Next.")
    for kind in (Status.LAUNCHED, Status.FAILED):
        done = report(order, kind, intent_id=first.pk)
        assert (done.applied, stored(order).status) == ([], Status.ASSIGNED)
        assert "job that is over" in done.note


def test_a_report_about_somebody_elses_mission_is_a_mistake() -> None:
    with pytest.raises(Invalid, match="never had a mission"):
        report(order_in(Status.MISSION_SUBMITTED), Status.LAUNCHED, intent_id=uuid4())


def test_a_report_from_the_future_is_refused_and_a_clock_a_little_ahead_is_set_right() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    with pytest.raises(Invalid, match="in the future"):
        report(order, Status.LAUNCHED, occurred_at=timezone.now() + timedelta(hours=1))
    report(order, Status.DELIVERED, occurred_at=timezone.now() + timedelta(seconds=30))
    delivered_at = stored(order).delivered_at
    assert delivered_at is not None
    assert delivered_at <= timezone.now()


def test_an_unknown_order_is_not_found() -> None:
    with pytest.raises(NotFound):
        progress.report(UUID(int=1), MissionEvent(Status.LAUNCHED), by=GCS)


def test_a_failed_mission_is_tried_again_until_no_attempt_is_left() -> None:
    policy.change(by=SYSTEM, max_attempts=2)
    order = order_in(Status.ENROUTE)
    assert report(order, Status.FAILED, message="Motor 3.").applied == ["REQUEUED"]
    assert why(order, "REQUEUED") == "Motor 3."
    lifecycle.assign(order.pk, DroneFactory().pk, by=SYSTEM, why="Next.")
    assert report(order, Status.FAILED).applied == ["FAILED"]
    assert stored(order).current_job.status == JobStatus.FAILED


def test_an_abort_by_ground_control_itself_leaves_the_order_to_another_drone() -> None:
    assert report(order_in(Status.ENROUTE), Status.ABORTED).applied == ["REQUEUED"]


def test_an_abort_that_ops_asked_for_is_the_end() -> None:
    order = order_in(Status.ENROUTE)
    recalls.request_abort(order.pk, by=SYSTEM, reason="Storm.")
    assert report(order, Status.ABORTED).applied == ["ABORTED"]
    assert stored(order).status == Status.ABORTED


def test_a_report_of_a_launch_is_also_the_answer_that_was_lost(bridge: Simulator) -> None:
    bridge.fault("bridge_500", times=1, after=True)
    order, intent = assigned()
    missions.publish(intent.pk)
    done = report(order, Status.LAUNCHED, intent_id=intent.pk)
    assert done.applied == ["MISSION_SUBMITTED", "LAUNCHED"]
    assert mission_of(order).state == Mission.State.ACCEPTED


# --- what telemetry shows ------------------------------------------------------------------------


def picture(*telemetry: Telemetry, at: datetime) -> Picture:
    return Picture(fetched_at=at, telemetry={sample.drone_id: sample for sample in telemetry})


def there(at: datetime, north_m: float, alt_m: float, drone_id: str = "WX-DRN-001") -> Telemetry:
    lat, lng = moved(*ACCRA, 0, north_m)
    armed = alt_m > 0
    return TelemetryFactory(
        drone_id=drone_id, measured_at=at, lat=lat, lng=lng, alt_m=alt_m, armed=armed
    )


class Watch:
    """Follows WX-DRN-001 look by look, one second apart; `sees` returns what was new in words."""

    def __init__(self, order: Order) -> None:
        self.order, self.now = order, timezone.now()
        self.last: Telemetry | None = None

    def sees(self, north_m: float, alt_m: float) -> list[str]:
        self.now += timedelta(seconds=1)
        self.last = there(self.now, north_m, alt_m)
        return self._look(self.last)

    def hears_nothing(self, seconds: float) -> list[str]:
        self.now += timedelta(seconds=seconds)
        return self._look(self.last)

    def _look(self, sample: Telemetry | None) -> list[str]:
        before = len(timeline(self.order))
        progress.follow(picture(*[sample] if sample else [], at=self.now), self.now)
        return timeline(self.order)[before:]

    def launches(self) -> "Watch":
        self.sees(0, 0)
        for alt_m in (4.0, 8.0, 12.0):
            self.sees(0, alt_m)
        assert stored(self.order).status == Status.LAUNCHED
        return self


def test_a_whole_flight_is_read_from_the_fleet_api_alone(bridge: Simulator) -> None:
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
    assert timeline(order)[-5:] == WHOLE_FLIGHT
    assert {e.actor for e in order.events.filter(type__in=WHOLE_FLIGHT)} == {"telemetry"}
    assert stored(order).current_job.status == JobStatus.COMPLETED


def fleet_answer(simulator: Simulator, now: datetime) -> bytes:
    """As GET telemetry/latest answers, with the measurements made at `now`."""
    with simulator.lock:
        readings = list(simulator.world.readings.values())
    answer = latest(readings, now, set())
    for entry in answer["drones"]:
        entry["last_seen_ts"] = entry["telemetry"]["ts"] = now.astimezone(UTC).isoformat()
    return json.dumps(answer).encode()


def test_what_ground_control_reported_first_is_not_told_again() -> None:
    order = order_in(Status.ENROUTE, drone=able_drone())
    watch = Watch(order)
    assert watch.sees(0, 0) == []
    assert [step for alt_m in (4.0, 8.0, 12.0) for step in watch.sees(0, alt_m)] == []


def test_a_drone_that_takes_off_before_its_mission_was_sent_flies_for_somebody_else() -> None:
    order, _ = assigned()
    watch = Watch(order)
    for alt_m in (0.0, 4.0, 8.0, 12.0, 16.0):
        watch.sees(0, alt_m)
    assert stored(order).status == Status.ASSIGNED


def test_a_link_that_is_lost_is_told_once_and_so_is_its_return() -> None:
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


def test_a_drone_that_repeats_an_old_measurement_has_lost_its_link_too() -> None:
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


def test_a_drone_that_is_never_heard_of_in_flight_has_lost_its_link() -> None:
    watch = Watch(order_in(Status.LAUNCHED, drone=able_drone()))
    assert watch.hears_nothing(0) == []
    assert watch.hears_nothing(30) == ["LINK_LOST"]


def landed_away(order: Order) -> list[str]:
    """Turns back after 300 m and lands at home."""
    watch = Watch(order).launches()
    course = [*range(0, 300, 15), *range(300, -1, -15)]
    steps = [step for north_m in course for step in watch.sees(north_m, 12)]
    return steps + [step for alt_m in (9, 6, 3, *[0] * 6) for step in watch.sees(0, alt_m)]


def test_a_drone_that_landed_without_delivering_gives_the_order_back() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone(), pickup_lng=-0.16)
    assert landed_away(order) == ["ENROUTE", "REQUEUED"]
    assert "Landed away from the drop point" in why(order, "REQUEUED")


def test_a_landing_away_from_the_drop_point_confirms_an_abort() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone(), pickup_lng=-0.16)
    watch = Watch(order).launches()
    recalls.request_abort(order.pk, by=SYSTEM, reason="Storm.")
    for alt_m in (9, 6, 3, *[0] * 6):
        watch.sees(0, alt_m)
    assert stored(order).status == Status.ABORTED


def test_where_a_silence_may_hide_a_delivery_nothing_is_assumed() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone())
    watch = Watch(order).launches()
    watch.hears_nothing(900)
    steps = [step for _ in range(6) for step in watch.sees(0, 0)]
    assert steps == ["LINK_RESTORED", "LINK_RESTORED"]
    assert "is not known" in why(order, "LINK_RESTORED")
    assert stored(order).status == Status.LAUNCHED
    assert watch.hears_nothing(300) == []  # it stands somewhere: no link is lost
    recalls.request_abort(order.pk, by=SYSTEM, reason="It came back with the parcel.")
    assert watch.hears_nothing(1) == ["ABORTED"]


def test_the_eta_follows_the_flight_and_small_changes_are_not_written() -> None:
    order = order_in(Status.MISSION_SUBMITTED, drone=able_drone())
    watch = Watch(order).launches()
    first = stored(order).current_job.eta_at
    assert first is not None
    assert watch.now < first < watch.now + timedelta(minutes=10)
    watch.sees(0, 16)
    assert stored(order).current_job.eta_at == first
    for north_m in range(0, 400, 5):  # a third of its speed: a head wind
        watch.sees(north_m, 16)
    later = stored(order).current_job.eta_at
    assert later is not None
    assert later > first + timedelta(seconds=30)


@pytest.mark.django_db(transaction=True)
def test_looking_at_many_flights_takes_no_more_statements_than_at_one(
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
    # lock, jobs, policy, flights (in a transaction of its own), unlock
    with django_assert_num_queries(7):
        look(2)
    with django_assert_num_queries(4):  # nothing new, nothing written
        look(2)


@pytest.mark.django_db(transaction=True)
def test_only_one_follower_works_at_a_time(bridge: Simulator) -> None:
    submitted()
    now = timezone.now()
    followed: list[int] = []
    with progress._alone() as is_alone:
        assert is_alone
        in_threads(lambda: followed.append(progress.follow(picture(at=now), now)))
    assert followed == [0]
    assert progress.follow(picture(at=now), now) == 1
