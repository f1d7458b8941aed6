"""Counters, maintenance, defects and pre-flight checks: what keeps a drone out of dispatch."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Model
from django.db.utils import InternalError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fleet import actors
from fleet.airworthiness import counters, fitness, records
from fleet.live import drone_status
from fleet.live.drone_status import LiveDrone, Readiness
from fleet.models import (
    Attestation,
    BatteryPack,
    Checklist,
    Defect,
    Drone,
    Maintenance,
    MaintenanceRule,
    ServiceArea,
    UncountedFlight,
)
from fleet.tests.factories import (
    DroneFactory,
    DroneKindFactory,
    HubFactory,
    ServiceAreaFactory,
    TelemetryFactory,
    show,
)
from wingxtra.accounts.identity import SYSTEM, Actor, ActorKind
from wingxtra.problems import Conflict, Invalid, NotFound

pytestmark = pytest.mark.django_db

AMA = Actor(ActorKind.USER, "ama")


@pytest.fixture
def drone() -> Drone:
    return DroneFactory(drone_id="WX-1")


def live(drone: Drone, now: datetime | None = None) -> LiveDrone:
    show(TelemetryFactory(drone_id=drone.pk))
    drones = list(Drone.objects.with_home().filter(pk=drone.pk))
    return drone_status.live_drones(drones, now or timezone.now())[0]


def reasons(drone: Drone, now: datetime | None = None) -> dict[str, str]:
    return {reason.code: reason.message for reason in live(drone, now).reasons}


def inspection(drone: Drone, **changes: Any) -> MaintenanceRule:
    limits = {"name": "50 h inspection", "every_hours": 50, **changes}
    return MaintenanceRule.objects.create(kind=drone.kind, **limits)


def preflight(drone: Drone, **owner: Any) -> Checklist:
    ServiceArea.objects.update(preflight_required=True)
    owner = owner or {"hub": drone.hub}
    return Checklist.objects.create(name="Morning checks", items=["Props", "Lid"], **owner)


# --- counters ------------------------------------------------------------------------------------


def test_a_flight_counts_on_its_drone_and_the_packs_that_it_has(drone: Drone) -> None:
    mine = BatteryPack.objects.create(serial="B-1", drone=drone, cycles=7)
    other = BatteryPack.objects.create(serial="B-2", drone=None, cycles=7)
    for _ in range(2):
        counters.add("WX-1", flights=1, seconds=600, cycles=1)
    found = Drone.objects.get()
    assert (found.flights, found.flight_seconds, found.cycles) == (2, 1200, 2)
    assert BatteryPack.objects.get(pk=mine.pk).cycles == 9
    assert BatteryPack.objects.get(pk=other.pk).cycles == 7


def test_counters_only_grow_by_flights(drone: Drone) -> None:
    with pytest.raises(ValueError, match="only grow"):
        counters.add("WX-1", flights=-1)


def test_a_flight_of_a_drone_that_is_locked_is_counted_afterwards(drone: Drone) -> None:
    BatteryPack.objects.create(serial="B-1", drone=drone)
    UncountedFlight.objects.create(drone=drone, flights=1, seconds=600, cycles=1)
    UncountedFlight.objects.create(drone=drone, flights=0, seconds=30, cycles=0)
    actors.count_flights.fn()
    assert counters.count_the_rest() == 0
    found = Drone.objects.get()
    assert (found.flights, found.flight_seconds, found.cycles) == (1, 630, 1)
    assert BatteryPack.objects.get().cycles == 1


def test_a_correction_counts_what_is_left_first(drone: Drone) -> None:
    UncountedFlight.objects.create(drone=drone, flights=1, seconds=600, cycles=0)
    said = counters.correct("WX-1", flights=9, seconds=60, cycles=0, by=AMA, reason="Logbook.")
    assert said == "flights 1 → 9, seconds 600 → 60"
    assert counters.count_the_rest() == 0
    assert Drone.objects.get().flights == 9


def test_counters_are_corrected_in_writing(drone: Drone) -> None:
    wanted = {"flights": 120, "seconds": 36_000, "cycles": 60}
    said = counters.correct("WX-1", **wanted, by=AMA, reason="Logbook of the former owner.")
    assert said == "flights 0 → 120, seconds 0 → 36,000, cycles 0 → 60"
    for changes in ({"reason": " "}, {"flights": -1}, {"seconds": 10**12}):
        with pytest.raises(Invalid):
            counters.correct("WX-1", **{**wanted, "by": AMA, "reason": "Why.", **changes})
    assert Drone.objects.get().flights == 120


# --- maintenance ---------------------------------------------------------------------------------


def test_due_soon_is_a_warning_and_overdue_rules_a_drone_out(drone: Drone) -> None:
    inspection(drone)
    counters.add("WX-1", flights=80, seconds=46 * 3600)
    found = live(drone)
    assert found.readiness == Readiness.READY
    assert found.fitness.due_soon == ("due soon: 50 h inspection in 4 h (46 of 50 h)",)
    counters.add("WX-1", flights=8, seconds=7 * 3600)
    assert live(drone).readiness == Readiness.NOT_READY
    assert reasons(drone) == {
        "maintenance_overdue": "WX-1 needs maintenance: overdue: 50 h inspection since 3 h "
        "(53 of 50 h). It is recorded on the drone's page."
    }


def test_recorded_maintenance_starts_the_rule_anew(drone: Drone) -> None:
    rule = inspection(drone, every_flights=100)
    counters.add("WX-1", flights=120, seconds=53 * 3600)
    records.record_maintenance("WX-1", rule.pk, by=AMA, done="New bearings.")
    counters.add("WX-1", flights=3, seconds=3600)
    assert reasons(drone) == {}
    (found,) = fitness.standings(drone, timezone.now())
    assert str(found) == "50 h inspection in 97 flights (3 of 100 flights)"
    row = Maintenance.objects.get()
    assert (row.flights, row.flight_seconds, row.recorded_by) == (120, 53 * 3600, "user:ama")


def test_other_kinds_switched_off_rules_and_drones_out_of_service_are_not_asked(
    drone: Drone,
) -> None:
    other = DroneFactory(kind=DroneKindFactory())
    inspection(other)
    inspection(drone, active=False)
    DroneFactory(kind=other.kind, active=False)
    Drone.objects.update(flight_seconds=60 * 3600)
    assert list(fitness.of(timezone.now())) == [other.pk]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"done": "  "}, "required"),
        ({"done": "x" * 301}, "too_long"),
        ({"at": datetime(2999, 1, 1, tzinfo=UTC)}, "in_the_future"),
        ({"at": datetime(2020, 1, 1, tzinfo=UTC)}, "before_the_last"),
    ],
)
def test_maintenance_that_cannot_be_is_refused(drone: Drone, changes: Any, code: str) -> None:
    rule = inspection(drone)
    records.record_maintenance("WX-1", rule.pk, by=AMA, done="Checked.")
    with pytest.raises(Invalid) as refusal:
        records.record_maintenance("WX-1", rule.pk, **{"by": AMA, "done": "Checked.", **changes})
    assert [error.code for error in refusal.value.errors] == [code]
    assert Maintenance.objects.count() == 1


def test_a_rule_of_another_kind_is_refused(drone: Drone) -> None:
    rule = MaintenanceRule.objects.create(kind=DroneKindFactory(), name="Rotor", every_days=3)
    with pytest.raises(Invalid) as refusal:
        records.record_maintenance("WX-1", rule.pk, by=AMA, done="Checked.")
    assert refusal.value.errors[0].code == "another_kind"
    with pytest.raises(NotFound):
        records.record_maintenance("WX-9", rule.pk, by=AMA, done="Checked.")


def test_rules_that_overlap_or_never_end_are_refused(drone: Drone) -> None:
    inspection(drone)
    for changes in (
        {"name": "50 H Inspection"},
        {"name": "No end", "every_hours": None},
        {"name": "Zero", "every_hours": 0},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            inspection(drone, **changes)


# --- defects -------------------------------------------------------------------------------------


def test_a_defect_that_grounds_keeps_a_drone_out_until_its_release(drone: Drone) -> None:
    records.report_defect("WX-1", by=AMA, description="Scratch on the lid.", grounds=False)
    assert reasons(drone) == {}
    row = records.report_defect("WX-1", by=AMA, description="Cracked arm.", grounds=True)
    assert live(drone).readiness == Readiness.GROUNDED
    (said,) = reasons(drone).values()
    assert said == (
        f"WX-1 is grounded: defect since {row.reported_at:%d %b %H:%M} UTC: Cracked arm."
    )
    records.release_defect(row.pk, by=AMA, done="New arm, torque checked.")
    assert reasons(drone) == {}
    with pytest.raises(Conflict, match=r"by ama: New arm") as refusal:
        records.release_defect(row.pk, by=SYSTEM, done="Again.")
    assert refusal.value.code == "already_released"


@pytest.mark.parametrize("done", ["", "x" * 301])
def test_a_release_is_in_writing(drone: Drone, done: str) -> None:
    row = records.report_defect("WX-1", by=AMA, description="Cracked arm.", grounds=True)
    with pytest.raises(Invalid):
        records.release_defect(row.pk, by=AMA, done=done)
    assert Defect.objects.standing().count() == 1


def test_what_was_recorded_stays(drone: Drone) -> None:
    done = records.record_maintenance("WX-1", inspection(drone).pk, by=AMA, done="Checked.")
    checklist = preflight(drone)
    records.attest(drone.hub_id, [checklist.pk], by=AMA, now=timezone.now())
    defect = records.report_defect("WX-1", by=AMA, description="Cracked arm.", grounds=True)
    tries: list[tuple[Model, dict[str, Any]]] = [
        (done, {"done": "Nothing."}),
        (Attestation.objects.get(), {"attested_by": "user:kofi"}),
        (defect, {"grounds": False}),
    ]
    for row, changes in tries:
        _refused(row, changes)
    records.release_defect(defect.pk, by=AMA, done="New arm.")
    _refused(defect, {"released_by": "user:kofi"})


def _refused(row: Any, changes: dict[str, Any]) -> None:
    rows = type(row).objects.filter(pk=row.pk)
    for change in (lambda: rows.update(**changes), lambda: rows._raw_delete(rows.db)):
        refused = pytest.raises((IntegrityError, InternalError), match="append-only")
        with refused, transaction.atomic():
            change()


# --- pre-flight checks ---------------------------------------------------------------------------


def test_a_drone_waits_for_the_attested_checks_of_its_hub(drone: Drone) -> None:
    checklist = preflight(drone)
    now = timezone.now()
    today = f"{now:%d %b}"  # Accra has UTC
    assert reasons(drone, now) == {
        "not_attested": "The pre-flight checks of WX-1 are not attested: Morning checks at "
        f"{drone.hub} for {today}. They are attested on the page of the hub."
    }
    records.attest(drone.hub_id, [checklist.pk], by=AMA, now=now)
    assert reasons(drone, now) == {}
    assert "not_attested" in reasons(drone, now + timedelta(days=1))
    row = Attestation.objects.get()
    assert (row.items, row.attested_by) == (["Props", "Lid"], "user:ama")


def test_the_switch_is_off_by_default(drone: Drone) -> None:
    preflight(drone)
    ServiceArea.objects.update(preflight_required=ServiceArea().preflight_required)
    assert reasons(drone) == {}


def test_the_checks_of_a_kind_are_attested_at_each_hub(drone: Drone) -> None:
    checklist = preflight(drone, kind=drone.kind)
    elsewhere = DroneFactory(hub=HubFactory(name="Osu"))
    other = DroneFactory(kind=DroneKindFactory())
    now = timezone.now()
    records.attest(drone.hub_id, [checklist.pk], by=AMA, now=now)
    found = fitness.of(now)
    assert list(found) == [elsewhere.pk]
    assert found[elsewhere.pk].unattested == (f"Morning checks at Osu for {now:%d %b}",)
    assert other.pk not in found


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), date(2026, 3, 29)),  # 01:30, before the change
        (datetime(2026, 3, 28, 22, 59, tzinfo=UTC), date(2026, 3, 28)),  # 23:59 in winter time
        (datetime(2026, 3, 29, 21, 59, tzinfo=UTC), date(2026, 3, 29)),  # 23:59 in summer time
        (datetime(2026, 3, 29, 22, 0, tzinfo=UTC), date(2026, 3, 30)),  # midnight
    ],
)
def test_the_day_is_that_of_the_area(at: datetime, day: date) -> None:
    drone = DroneFactory(hub=HubFactory(service_area=ServiceAreaFactory(time_zone="Europe/Berlin")))
    checklist = preflight(drone)
    assert records.attest(drone.hub_id, [checklist.pk], by=AMA, now=at) == day
    assert fitness.of(at) == {}


def test_checks_are_attested_once_and_only_those_that_are_asked_for(drone: Drone) -> None:
    checklist = preflight(drone)
    foreign = Checklist.objects.create(name="Other", items=["Box"], hub=HubFactory())
    now = timezone.now()
    for ids in ([], [foreign.pk], [checklist.pk, foreign.pk]):
        with pytest.raises(Conflict):
            records.attest(drone.hub_id, ids, by=AMA, now=now)
    records.attest(drone.hub_id, [checklist.pk], by=AMA, now=now)
    with pytest.raises(Conflict) as refusal:
        records.attest(drone.hub_id, [checklist.pk], by=SYSTEM, now=now)
    assert refusal.value.code == "nothing_to_attest"
    with pytest.raises(NotFound):
        records.attest(0, [checklist.pk], by=AMA, now=now)
    assert Attestation.objects.count() == 1


@pytest.mark.parametrize("owner", [{}, {"hub": True, "kind": True}])
def test_a_checklist_is_of_a_hub_or_of_a_kind(drone: Drone, owner: dict[str, Any]) -> None:
    parents = {name: getattr(drone, name) for name in owner}
    with pytest.raises(IntegrityError), transaction.atomic():
        Checklist.objects.create(name="Checks", items=["Props"], **parents)


# --- cost ----------------------------------------------------------------------------------------


def test_all_drones_are_asked_in_one_statement(drone: Drone) -> None:
    preflight(drone)
    inspection(drone)
    for _ in range(5):
        DroneFactory()
    with CaptureQueriesContext(connection) as asked:
        fitness.of(timezone.now())
    assert len(asked) == 1
