"""A flight without an order has its record too, and a flight that is known only afterwards."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from dispatch.missions import reports
from dispatch.missions.following import progress
from dispatch.missions.reposition import following, publishing, verbs
from dispatch.missions.reposition import reports as way_home
from dispatch.missions.reposition.reports import ReportType
from dispatch.models import ErrandFlight, FlightRecord, Missing, Mission, MissionPart
from dispatch.tests.support import seen, stored, submitted
from dispatch.tests.test_flight_records import record_of
from dispatch.tests.test_progress import fleet_answer, picture, there
from dispatch.tests.test_reposition import airport, drone, osu  # noqa: F401 (fixtures)
from fleet.airworthiness import records as airworthiness
from fleet.live.telemetry import Telemetry, decode_answer
from fleet.models import BatteryPack, Drone, Hub, MaintenanceRule
from fleet.simulator.run import Simulator
from orders import lifecycle
from orders.models import Order
from orders.states import JobStatus, Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import GCS, SYSTEM, Actor, ActorKind, Role
from wingxtra.accounts.tests.factories import UserFactory, key_client

pytestmark = pytest.mark.django_db

AMA = Actor(ActorKind.USER, "ama")


@pytest.fixture(autouse=True)
def _second(settings: Settings) -> None:
    settings.GCS_INTENT_VERSION = 2


def sent_home() -> Mission:
    seen()
    mission = verbs.send_to_base("WX-DRN-001", by=AMA)
    publishing.publish(mission.pk)
    return Mission.objects.get(pk=mission.pk)


def followed(bridge: Simulator, seconds: int) -> datetime:
    """Every second of the simulated flight is seen; returns the time at its end."""
    now = timezone.now()
    for _ in range(seconds):
        bridge.advance(1)
        now += timedelta(seconds=1)
        progress.follow(picture(*decode_answer(fleet_answer(bridge, now)).telemetry, at=now), now)
    return now


def told(mission: Mission, kind: ReportType, **values: Any) -> None:
    way_home.report(mission.pk, kind, by=GCS, **values)


# --- flights without an order --------------------------------------------------------------------


def test_a_flight_to_the_base_has_a_complete_record_without_typing(
    bridge: Simulator,
    drone: Drone,  # noqa: F811
    airport: Hub,  # noqa: F811
) -> None:
    BatteryPack.objects.create(serial="PACK-7", drone=drone)
    mission = sent_home()
    followed(bridge, 400)
    record = FlightRecord.objects.get()
    assert (record.mission, record.order, record.job) == (mission, None, None)
    assert (record.activity, record.outcome) == ("REPOSITION", JobStatus.COMPLETED)
    assert (record.hub, record.landed_place) == ("Osu", "Airport")
    assert record.packs == ["PACK-7"]
    assert record.distance_m == pytest.approx(record.planned_m, rel=0.1)
    assert record.conformance["inside"] > 0.95
    assert record.battery_before_pct > record.battery_after_pct
    assert record.landed_at > record.took_off_at
    assert record.duration_s == (record.landed_at - record.took_off_at).total_seconds()
    assert [one["type"] for one in record.events] == ["LAUNCHED"]
    assert not {Missing.TRACK, Missing.LANDING, Missing.ENERGY, Missing.PACKS} & set(record.missing)
    flown = Drone.objects.get()
    assert (flown.flights, flown.flight_seconds, flown.cycles) == (1, round(record.duration_s), 1)
    assert BatteryPack.objects.get().cycles == 1
    assert not ErrandFlight.objects.exists()


def test_its_record_is_exported_and_shown(bridge: Simulator, drone: Drone, client: Any) -> None:  # noqa: F811
    sent_home()
    followed(bridge, 400)
    answer = key_client(role=Role.OPS).get("/api/v1/flight-records", {"format": "jsonl"})
    body = json.loads(b"".join(answer.streaming_content))
    assert (body["order_id"], body["pickup_lat"], body["packs"]) == (None, None, [])
    client.force_login(UserFactory(role=Role.READONLY, is_staff=True))
    page = client.get(f"/admin/dispatch/flightrecord/{body['id']}/change/").content.decode()
    assert "To another hub" in page
    assert "Flown, part 1" in page


def test_reported_by_ground_control_alone_it_names_what_is_missing(
    bridge: Simulator,
    drone: Drone,  # noqa: F811
) -> None:
    mission = sent_home()
    at = mission.created_at + timedelta(microseconds=1)
    told(mission, ReportType.LAUNCHED, occurred_at=at)
    told(mission, ReportType.FAILED, message="Motor 3.")
    record = FlightRecord.objects.get()
    assert (record.took_off_at, record.outcome) == (at, JobStatus.FAILED)
    assert [one["type"] for one in record.events] == ["LAUNCHED", "FAILED"]
    assert {Missing.TRACK, Missing.LANDING, Missing.ENERGY} <= set(record.missing)


@pytest.mark.parametrize("days", [-1, 1])
def test_an_impossible_time_of_the_take_off_is_clamped(
    bridge: Simulator,
    drone: Drone,  # noqa: F811
    days: int,
) -> None:
    mission = sent_home()
    told(mission, ReportType.LAUNCHED, occurred_at=timezone.now() + timedelta(days=days))
    told(mission, ReportType.LANDED)
    record = FlightRecord.objects.get()
    assert mission.created_at <= record.took_off_at <= record.ended_at


def test_a_landing_that_was_never_seen_to_begin_is_a_flight(
    bridge: Simulator,
    drone: Drone,  # noqa: F811
) -> None:
    told(sent_home(), ReportType.LANDED)
    record = FlightRecord.objects.get()
    assert (record.took_off_at, record.duration_s) == (None, None)
    assert Missing.TAKE_OFF_TIME in record.missing


@pytest.mark.parametrize("launch", [False, True])
def test_one_that_never_left_the_ground_has_none(
    bridge: Simulator,
    drone: Drone,  # noqa: F811
    osu: Hub,  # noqa: F811
    launch: bool,
) -> None:
    """A reported launch makes none while telemetry shows that it has stood all the time."""
    Drone.objects.update(stands_at=osu, stands_since=timezone.now() - timedelta(hours=1))
    mission = sent_home()
    if launch:
        told(mission, ReportType.LAUNCHED)
    told(mission, ReportType.ABORTED)
    assert not FlightRecord.objects.exists()
    assert not ErrandFlight.objects.exists()


def test_one_sample_in_the_air_is_no_flight(bridge: Simulator, drone: Drone) -> None:  # noqa: F811
    mission = sent_home()
    now = timezone.now()
    for second, alt_m in enumerate([0.0, 0.0, 40.0, 0.0, 0.0]):
        at = now + timedelta(seconds=4 * second)
        progress.follow(picture(there(at, 900, alt_m), at=at), at)
    assert ErrandFlight.objects.get().points == []
    told(mission, ReportType.ABORTED)
    assert not FlightRecord.objects.exists()


def test_a_person_who_ends_it_leaves_its_record(bridge: Simulator, drone: Drone) -> None:  # noqa: F811
    mission = sent_home()
    told(mission, ReportType.LAUNCHED)
    verbs.confirm_over(mission.pk, by=AMA, note="It stands in a field.")
    assert FlightRecord.objects.get().outcome == JobStatus.ABORTED


def read_in_a_look() -> Mission:
    """As a look reads it, before other transactions change it."""
    return Mission.objects.select_related("drone", "errand_flight").get()


def test_a_take_off_that_is_reported_during_a_look_is_kept(
    bridge: Simulator,
    drone: Drone,  # noqa: F811
) -> None:
    mission, now = sent_home(), timezone.now()
    before_its_row = read_in_a_look()
    told(mission, ReportType.LAUNCHED, occurred_at=now)
    following._see(before_its_row, there(now, 0, 0))
    flight = ErrandFlight.objects.get()
    assert (flight.launched_at is not None, flight.start_lat is not None) == (True, True)
    ErrandFlight.objects.update(launched_at=None)
    before_the_report = read_in_a_look()
    ErrandFlight.objects.update(launched_at=now)
    following._see(before_the_report, there(now, 900, 60))
    flight = ErrandFlight.objects.get()
    assert (flight.launched_at, len(flight.points)) == (now, 1)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_flight_that_ends_during_a_look_leaves_nothing_behind(
    bridge: Simulator,
    drone: Drone,  # noqa: F811
    is_known: bool,
) -> None:
    mission, now = sent_home(), timezone.now()
    if is_known:
        following._see(read_in_a_look(), there(now, 0, 0))
    during = read_in_a_look()
    told(mission, ReportType.LANDED)
    following._see(during, there(now, 900, 60))
    assert not ErrandFlight.objects.exists()
    assert FlightRecord.objects.count() == 1


def test_it_has_one_record(bridge: Simulator, drone: Drone) -> None:  # noqa: F811
    mission = sent_home()
    told(mission, ReportType.LANDED)
    told(mission, ReportType.LANDED)
    record = FlightRecord.objects.get()
    record.pk, record._state.adding = None, True
    with pytest.raises(IntegrityError, match="one_record_without_an_order"), transaction.atomic():
        record.save(force_insert=True)


def test_following_takes_one_statement_without_a_flight(
    bridge: Simulator,
    drone: Drone,  # noqa: F811
) -> None:
    def statements(*samples: Telemetry) -> int:
        now = timezone.now()
        with CaptureQueriesContext(connection) as captured:
            progress.follow(picture(*samples, at=now), now)
        return sum("dispatch_errandflight" in query["sql"] for query in captured)

    assert statements() == 1
    sent_home()
    now = timezone.now()
    assert statements(there(now, 0, 0)) == 2  # where it stands
    assert statements(there(now, 0, 0)) == 1


# --- flights that are known afterwards -----------------------------------------------------------


def ended_unflown() -> Order:
    """Submitted, and requeued by a person although ground control has it."""
    order, mission = submitted()
    lifecycle.requeue(order.pk, by=SYSTEM, why="Ground control does not answer.")
    Mission.objects.filter(pk=mission.pk).update(recall_state="", live=True)
    MissionPart.objects.update(live=True)
    assert not FlightRecord.objects.exists()
    return stored(order)


def reported(order: Order, kind: reports.ReportType, at: datetime | None = None) -> None:
    job = order.jobs.get()
    event = reports.MissionEvent(kind, occurred_at=at, intent_id=job.mission_intent_id)
    reports.report(order.pk, event, by=GCS)


def test_a_flight_that_is_reported_after_the_end_of_its_job_has_a_record(bridge: Simulator) -> None:
    order = ended_unflown()
    at = timezone.now()
    reported(order, reports.ReportType.LAUNCHED, at)
    record = record_of(order)
    assert (record.took_off_at, record.outcome) == (at, JobStatus.FAILED)
    assert record.events[-1] == {"type": "LAUNCHED", "at": at.isoformat()}
    assert record.duration_s is None
    assert Missing.DURATION in record.missing
    assert Drone.objects.get(pk=record.drone_id).flights == 1
    reported(order, reports.ReportType.ENROUTE)
    assert FlightRecord.objects.count() == 1


def test_a_late_step_without_a_launch_leaves_the_take_off_unknown(bridge: Simulator) -> None:
    order = ended_unflown()
    reported(order, reports.ReportType.DELIVERED)
    assert record_of(order).took_off_at is None


@pytest.mark.parametrize("kind", [reports.ReportType.FAILED, reports.ReportType.ABORTED])
def test_a_late_failure_proves_no_flight(bridge: Simulator, kind: reports.ReportType) -> None:
    reported(ended_unflown(), kind)
    assert not FlightRecord.objects.exists()


def test_a_late_launch_that_telemetry_denies_is_no_flight(bridge: Simulator) -> None:
    order = ended_unflown()
    Mission.objects.update(stands_since=timezone.now())
    reported(order, reports.ReportType.LAUNCHED, timezone.now())
    assert not FlightRecord.objects.exists()


def test_telemetry_that_shows_it_in_the_air_after_the_end_is_a_flight(bridge: Simulator) -> None:
    order = ended_unflown()
    now = timezone.now() + timedelta(seconds=5)
    progress.follow(picture(there(now, 900, 60), at=now), now)
    progress.follow(picture(there(now, 900, 60), at=now), now)
    record = record_of(order)
    assert record.took_off_at is None
    assert record.outcome == JobStatus.FAILED


@pytest.mark.parametrize(("north_m", "alt_m"), [(0, 5), (900, 0)])
def test_a_drone_on_the_ground_or_armed_at_its_hub_has_not_flown(
    bridge: Simulator, north_m: float, alt_m: float
) -> None:
    ended_unflown()
    now = timezone.now() + timedelta(seconds=5)
    progress.follow(picture(there(now, north_m, alt_m), at=now), now)
    assert not FlightRecord.objects.exists()


def test_an_order_delivered_by_a_drone_without_a_pack_says_so() -> None:
    record = record_of(order_in(Status.DELIVERED))
    assert record.packs == []
    assert Missing.PACKS in record.missing


# --- what was found afterwards -------------------------------------------------------------------


def test_the_page_names_what_was_found_and_done_before_the_next_flight(client: Any) -> None:
    record = record_of(order_in(Status.DELIVERED))
    flown = record.drone
    rule = MaintenanceRule.objects.create(kind=flown.kind, name="Bearings", every_days=30)
    defect = airworthiness.report_defect(
        flown.pk, by=SYSTEM, description="Crack in arm 2.", grounds=True
    )
    airworthiness.release_defect(defect.pk, by=SYSTEM, done="New arm.")
    airworthiness.record_maintenance(flown.pk, rule.pk, by=SYSTEM, done="Greased.")
    Mission.objects.update(live=False)
    later = record_of(order_in(Status.DELIVERED, drone=flown))
    after_it = later.ended_at + timedelta(seconds=1)
    FlightRecord.objects.filter(pk=later.pk).update(took_off_at=timezone.now(), ended_at=after_it)
    client.force_login(UserFactory(role=Role.READONLY, is_staff=True))

    def page(pk: Any) -> str:
        return str(client.get(f"/admin/dispatch/flightrecord/{pk}/change/").content.decode())

    for text in ("Found after the flight", "Crack in arm 2.", ": New arm.", "Bearings: Greased."):
        assert text in page(record.pk)
        assert text not in page(later.pk)
