"""A flight record: one for each job that left the ground, written with its end."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dispatch import actors, forgetting
from dispatch.missions import before_launch
from dispatch.missions.following import progress
from dispatch.missions.records import writing
from dispatch.models import FlightRecord, Missing, Mission, TrackPiece
from dispatch.tests.support import mission_of, stored
from dispatch.tests.test_occurrences import written
from dispatch.tests.test_progress import fleet_answer, picture
from dispatch.tests.test_tracks import flown
from fleet import policy
from fleet.live.telemetry import decode_answer
from fleet.models import Attestation, Checklist, Defect
from fleet.simulator.run import Simulator
from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import Order
from orders.personal_data import retention
from orders.states import CancelReason, JobStatus, ReasonCode, Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import GCS, SYSTEM, TELEMETRY

pytestmark = pytest.mark.django_db


def record_of(order: Order) -> FlightRecord:
    return FlightRecord.objects.get(order=order)


def ended(order: Order, job_ended: JobStatus, **values: Any) -> Order:
    return lifecycle.mission_over(
        order.pk, ended=job_ended, by=GCS, why="It turned back.", **{"max_attempts": 1, **values}
    )


def until_landed(bridge: Simulator, order: Order) -> FlightRecord:
    now = timezone.now() + timedelta(seconds=900)
    for _ in range(900):
        bridge.advance(1)
        now += timedelta(seconds=1)
        answer = decode_answer(fleet_answer(bridge, now))
        progress.follow(picture(*answer.telemetry, at=now), now)
        if (record := record_of(order)).landed_at:
            return record
    raise AssertionError("It never landed.")


# --- what it says --------------------------------------------------------------------------------


def test_a_delivery_has_its_record_and_the_landing_completes_it(
    bridge: Simulator, settings: Any
) -> None:
    settings.OPERATOR_ID = "GBR-OP-123"
    order = flown(bridge)
    record = record_of(order)
    events = dict(order.events.values_list("type", "occurred_at"))
    assert (record.outcome, record.reason_code) == (JobStatus.COMPLETED, "")
    assert record.operator_id == "GBR-OP-123"
    assert record.took_off_at == events["LAUNCHED"]
    assert record.mission == mission_of(order)
    assert record.ended_at == order.current_job.ended_at
    assert [one["type"] for one in record.events][-1] == "DELIVERED"
    assert record.planned_m is not None
    assert record.distance_m == pytest.approx(record.planned_m, rel=0.25)
    assert record.battery_before_pct > record.battery_after_pct
    kind = record.drone.kind
    used_pct = record.battery_before_pct - record.battery_after_pct
    assert record.energy_wh == pytest.approx(kind.battery_wh * used_pct / 100)
    assert record.conformance["inside"] > 0.95
    assert record.conformance["width_m"] == policy.current().zone_margin_m
    assert record.track is not None
    assert sum(map(len, record.track["at"])) < TrackPiece.objects.count() * 20
    assert (record.flights_total, record.seconds_total) == (1, record.duration_s)
    assert {Missing.LANDING, Missing.DURATION, Missing.PILOT} <= set(record.missing)
    assert Missing.OPERATOR_ID not in record.missing
    until_end_s = record.duration_s
    drone = record.drone
    assert (drone.flights, drone.flight_seconds, drone.cycles) == (1, round(until_end_s), 0)

    record = until_landed(bridge, order)
    assert record.landed_place == record.hub == record.drone.hub.name
    assert record.landed_lat == pytest.approx(record.took_off_lat, abs=1e-3)
    assert record.duration_s > until_end_s
    assert record.seconds_total == record.duration_s
    assert record.duration_s == (record.landed_at - record.took_off_at).total_seconds()
    assert not {Missing.LANDING, Missing.DURATION} & set(record.missing)
    drone = record.drone
    assert (drone.flights, drone.flight_seconds, drone.cycles) == (1, round(record.duration_s), 1)


def test_what_the_drone_the_mission_and_the_hub_know_is_copied() -> None:
    drone = DroneFactory(serial="MFR1DRONE7", registration="9G-UA1")
    order = order_in(Status.ENROUTE, drone=drone)
    Mission.objects.update(pilot_name="Ama Mensah")
    checklist = Checklist.objects.create(name="Props", hub=drone.hub, items=["No crack"])
    now = timezone.now()
    today = now.astimezone(ZoneInfo(drone.hub.service_area.time_zone)).date()
    for day in (today, today - timedelta(days=1)):
        Attestation.objects.create(
            checklist=checklist,
            hub=drone.hub,
            day=day,
            items=["No crack"],
            attested_by="ops",
            attested_at=now - timedelta(hours=1),
        )
    Defect.objects.create(drone=drone, description="Scratch", grounds=False, reported_by="ops")
    record = record_of(ended(order, JobStatus.FAILED))
    assert (record.serial, record.registration) == ("MFR1DRONE7", "9G-UA1")
    assert record.pilot == "Ama Mensah"
    assert [one["checklist"] for one in record.preflight] == ["Props"]
    assert [(one["what"], one["grounds"]) for one in record.defects] == [("Scratch", False)]
    known = {Missing.SERIAL, Missing.REGISTRATION, Missing.PILOT, Missing.PREFLIGHT}
    assert not known & set(record.missing)


def test_each_item_that_is_not_known_is_named() -> None:
    """Reported by ground control alone: no telemetry, no operator."""
    order = ended(order_in(Status.ENROUTE), JobStatus.ABORTED)
    record = record_of(order)
    assert (record.outcome, record.reason_code) == (JobStatus.ABORTED, ReasonCode.DRONE_PROBLEM)
    assert (record.track, record.conformance, record.energy_wh) == (None, None, None)
    assert Missing.AIRSPACE_VERSION in record.missing  # version 1 of the intent has none
    assert set(record.missing) == set(Missing.values)


def test_the_totals_of_a_drone_go_on() -> None:
    drone = DroneFactory(flights=41, flight_seconds=36_000)
    for count in (42, 43):
        order = order_in(Status.ENROUTE, drone=drone)
        ended(order, JobStatus.FAILED)
        Mission.objects.update(live=False)
        record = record_of(order)
        assert record.flights_total == count
        assert record.seconds_total >= 36_000


def test_without_the_planned_way_nothing_is_said_of_conformance(bridge: Simulator) -> None:
    """Ground control flies around zones as it decides."""
    policy.change(by=SYSTEM, detours_allowed=True)
    record = record_of(flown(bridge))
    assert record.track is not None
    assert record.conformance is None
    assert Missing.CONFORMANCE in record.missing


# --- one for each flight -------------------------------------------------------------------------


def test_each_attempt_of_an_order_has_its_own() -> None:
    order = order_in(Status.ENROUTE)
    first = order.current_job
    ended(order, JobStatus.FAILED, max_attempts=3)
    assert FlightRecord.objects.get(job=first).outcome == JobStatus.FAILED
    assert record_of(order).reason_code == ""


@pytest.mark.parametrize("status", [Status.ASSIGNED, Status.MISSION_SUBMITTED])
def test_a_job_that_never_left_the_ground_has_none(status: Status) -> None:
    order = order_in(status)
    lifecycle.requeue(order.pk, by=SYSTEM, why="Another drone is nearer.")
    assert not FlightRecord.objects.exists()


def test_a_canceled_order_and_a_test_order_have_none() -> None:
    before_launch.cancel(
        order_in(Status.ASSIGNED).pk, by=SYSTEM, reason=CancelReason.OTHER, note=""
    )
    assert not FlightRecord.objects.exists()


def test_a_launch_that_telemetry_denies_is_no_flight() -> None:
    order = order_in(Status.LAUNCHED)
    Mission.objects.update(stands_since=timezone.now())
    ended(stored(order), JobStatus.FAILED)
    assert not FlightRecord.objects.exists()


def test_a_corrected_outcome_is_corrected_in_its_record() -> None:
    order = order_in(Status.DELIVERED)
    lifecycle.correct(
        order.pk, outcome=Status.FAILED, by=SYSTEM, why="Wrong door.", reason=ReasonCode.OTHER
    )
    record = record_of(order)
    assert (record.outcome, record.reason_code) == (JobStatus.FAILED, ReasonCode.OTHER)


def test_a_repeated_end_writes_none_twice() -> None:
    order = order_in(Status.DELIVERED)
    first = record_of(order)
    (delivered,) = order.events.filter(type="DELIVERED").select_related("job", "order")
    writing.write([delivered])
    assert record_of(order).pk == first.pk
    first.pk = None
    first._state.adding = True
    with pytest.raises(IntegrityError, match="job_id"), transaction.atomic():
        FlightRecord(job=first.job, **_without_keys(first)).save(force_insert=True)


def _without_keys(record: FlightRecord) -> dict[str, Any]:
    names = {field.attname for field in FlightRecord._meta.concrete_fields} - {"id", "job_id"}
    return {name: getattr(record, name) for name in names}


def test_the_record_is_undone_with_its_transaction() -> None:
    order = order_in(Status.DELIVERING)
    with transaction.atomic():
        lifecycle.advance(order.pk, Status.DELIVERED, by=TELEMETRY)
        assert FlightRecord.objects.exists()
        transaction.set_rollback(True)
    assert not FlightRecord.objects.exists()


def test_it_costs_a_delivery_three_statements() -> None:
    order = order_in(Status.DELIVERING)
    with CaptureQueriesContext(connection) as captured:
        lifecycle.advance(order.pk, Status.DELIVERED, by=TELEMETRY)
    statements = [query["sql"] for query in captured]
    ours = ("dispatch_trackpiece", 'INSERT INTO "dispatch_flightrecord"', '"flight_seconds" =')
    assert [sum(part in sql for sql in statements) for part in ours] == [1, 1, 1]
    assert sum("flightrecord" in sql or "flight_seconds" in sql for sql in statements) <= 3


# --- retention -----------------------------------------------------------------------------------


def test_no_personal_data_is_in_a_record_and_it_outlives_the_customers(bridge: Simulator) -> None:
    order = flown(bridge)
    order = stored(order)
    personal = {
        name: str(getattr(order, name))
        for name in (
            "customer_name",
            "customer_phone",
            "customer_email",
            "dropoff_address",
            "dropoff_instructions",
            "public_tracking_id",
            "external_id",
            "dropoff_lat",
            "dropoff_lng",
        )
        if getattr(order, name)
    }
    assert len(personal) >= 4
    record = record_of(order)
    before = _without_keys(record)
    for name, value in before.items():
        for member, secret in personal.items():
            # The track shows where the drone was, and so the door (decision 58).
            if not (name == "track" and member in ("dropoff_lat", "dropoff_lng")):
                assert secret not in str(value), f"{name} has {secret}"
    retention.forget(order.pk)
    assert not TrackPiece.objects.exists()
    assert _without_keys(record_of(order)) == before


def test_records_are_deleted_after_their_own_time_unless_held() -> None:
    now = timezone.now()
    old, held, young = (record_of(order_in(Status.DELIVERED)) for _ in range(3))
    for record, days in ((old, 1096), (held, 1096), (young, 1094)):
        ended_at = now - timedelta(days=days)
        FlightRecord.objects.filter(pk=record.pk).update(ended_at=ended_at)
    written(held.order)
    policy.change(by=SYSTEM, decision_days=1, personal_data_days=1)
    actors.forget_decisions.fn()
    assert set(FlightRecord.objects.all()) == {held, young}
    policy.change(by=SYSTEM, flight_record_days=1000)
    assert forgetting.forget_records(now) == 1
    assert list(FlightRecord.objects.all()) == [held]
