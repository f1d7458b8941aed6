"""Maintenance, defects, packs and pre-flight checks in the console."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from fleet.airworthiness import counters, records
from fleet.console.airworthiness import worklist
from fleet.models import (
    Attestation,
    BatteryPack,
    Checklist,
    Defect,
    Drone,
    Maintenance,
    MaintenanceRule,
    ServiceArea,
)
from fleet.tests.factories import DroneFactory, DroneKindFactory, TelemetryFactory, show
from wingxtra.accounts.identity import SYSTEM, Role
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention

pytestmark = pytest.mark.django_db


def browser_of(role: Role, name: str = "ama") -> Client:
    browser = Client()
    browser.force_login(UserFactory(username=name, role=role))
    return browser


@pytest.fixture
def ama() -> Client:
    return browser_of(Role.OPS)


@pytest.fixture
def boss() -> Client:
    return browser_of(Role.ADMIN, "boss")


@pytest.fixture
def drone() -> Drone:
    show(TelemetryFactory(drone_id="WX-1"))
    return DroneFactory(drone_id="WX-1")


@pytest.fixture
def rule(drone: Drone) -> MaintenanceRule:
    return MaintenanceRule.objects.create(kind=drone.kind, name="50 h inspection", every_hours=50)


@pytest.fixture
def checklist(drone: Drone) -> Checklist:
    ServiceArea.objects.update(preflight_required=True)
    items = ["Propellers", "Lid"]
    return Checklist.objects.create(name="Morning checks", items=items, hub=drone.hub)


def act(model: str, name: str, pk: Any) -> str:
    return reverse("admin:act", args=[f"fleet.{model}", name]) + f"?id={pk}"


def page(browser: Client, instance: Any) -> str:
    model = type(instance)._meta.model_name
    url = reverse(f"admin:fleet_{model}_change", args=[instance.pk])
    return browser.get(url).content.decode()


def drones(browser: Client, **filters: str) -> list[str]:
    answer = browser.get(reverse("admin:fleet_drone_changelist"), filters)
    return [drone.pk for drone in answer.context["cl"].result_list]


def lines() -> list[Attention]:
    return list(worklist.not_fit(Look(timezone.now())))


# --- the aircraft --------------------------------------------------------------------------------


def test_a_drones_page_shows_the_aircraft(ama: Client, drone: Drone) -> None:
    Drone.objects.update(serial="1596F0123456789ABCDE", registration="9G-123")
    BatteryPack.objects.create(serial="B-7", drone=drone, cycles=41)
    counters.add("WX-1", flights=1234, seconds=5400, cycles=3)
    shown = page(ama, drone)
    for text in ("CTA-2063-A, manufacturer 1596", "9G-123", "1,234", "1.5", "B-7", "44 cycles"):
        assert text in shown
    Drone.objects.update(serial="1596F01")
    assert "the length F asks for 15, 2 follow" in page(ama, drone)


def form_of(drone: Drone, **changes: Any) -> dict[str, Any]:
    form = {"kind": drone.kind_id, "hub": drone.hub_id, "base": drone.base_id, "active": "on"}
    return {name: value for name, value in {**form, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"serial": "B-1"}, "Another drone has this serial."),
        ({"retired": "on"}, "A retired drone is not active."),
    ],
)
def test_a_form_that_cannot_be_is_refused(
    ama: Client, drone: Drone, changes: dict[str, str], text: str
) -> None:
    DroneFactory(serial="B-1")
    url = reverse("admin:fleet_drone_change", args=["WX-1"])
    assert text in ama.post(url, form_of(drone, **changes)).content.decode()


def test_a_retired_drone_is_out_of_service_for_good(ama: Client, drone: Drone) -> None:
    url = reverse("admin:fleet_drone_change", args=["WX-1"])
    ama.post(url, form_of(drone, active=None))
    assert Drone.objects.get().service_status == "IN_MAINTENANCE"
    ama.post(url, form_of(drone, active=None, retired="on"))
    assert Drone.objects.get().service_status == "RETIRED"
    assert "Retired" in page(ama, drone)


def test_only_an_administrator_corrects_counters(ama: Client, boss: Client, drone: Drone) -> None:
    url = act("drone", "correct_counters", "WX-1")
    numbers = {"flights": 120, "hours": 31.5, "cycles": 60, "reason": "Logbook."}
    assert ama.post(url, numbers).status_code == 403
    assert "flights 0 → 120" in boss.post(url, numbers, follow=True).content.decode()
    assert Drone.objects.get().flight_seconds == 113_400
    refused = boss.post(url, {**numbers, "hours": "-1"}).content.decode()
    assert "greater than or equal to 0" in refused


# --- maintenance ---------------------------------------------------------------------------------


def test_overdue_maintenance_is_on_the_dashboard_and_ends_by_its_record(
    ama: Client, drone: Drone, rule: MaintenanceRule
) -> None:
    counters.add("WX-1", seconds=46 * 3600)
    (soon,) = lines()
    assert (soon.cause, soon.detail) == (
        "due-soon",
        "Due soon: 50 h inspection in 4 h (46 of 50 h).",
    )
    assert drones(ama, fitness="due_soon") == ["WX-1"]
    assert "Due soon: 50 h inspection" in ama.get("/admin/fleet/drone/").content.decode()
    counters.add("WX-1", seconds=7 * 3600)
    (line,) = lines()
    assert (line.cause, line.about) == ("overdue", "drone:WX-1")
    assert "overdue: 50 h inspection since 3 h" in page(ama, drone)
    assert drones(ama, fitness="overdue") == ["WX-1"]
    form = ama.get(line.remedies[0].url).content.decode()
    assert "50 h inspection" in form
    ama.post(line.remedies[0].url, {"rule": rule.pk, "done": "New bearings."})
    assert lines() == []
    assert Maintenance.objects.get().recorded_by == "user:ama"
    shown = page(ama, drone)
    assert "New bearings." in shown
    assert "in 50 h" in shown
    listed = ama.get(reverse("admin:fleet_maintenance_changelist")).content.decode()
    assert "New bearings." in listed


def test_maintenance_of_drones_of_two_kinds_names_the_ones_without_the_rule(
    ama: Client, drone: Drone, rule: MaintenanceRule
) -> None:
    other = DroneFactory(kind=DroneKindFactory(name="Medic"))
    url = f"{act('drone', 'maintain', 'WX-1')}&id={other.pk}"
    answer = ama.post(url, {"rule": rule.pk, "done": "Checked."}, follow=True).content.decode()
    assert "There is no maintenance rule for a Medic." in answer
    assert [row.drone_id for row in Maintenance.objects.all()] == ["WX-1"]


RULE_FORM = {"name": "Rotor", "every_flights": 100, "due_soon_pct": 10, "active": "on"}


def test_only_an_administrator_sets_rules(ama: Client, boss: Client, drone: Drone) -> None:
    url = reverse("admin:fleet_maintenancerule_add")
    form = {**RULE_FORM, "kind": drone.kind_id}
    assert ama.post(url, form).status_code == 403
    boss.post(url, form)
    assert MaintenanceRule.objects.get().every_flights == 100
    assert "100 flights" in ama.get("/admin/fleet/maintenancerule/").content.decode()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "50 H INSPECTION"}, "This kind has a rule with this name"),
        ({"every_flights": ""}, "Give at least one interval"),
        ({"every_flights": 0}, "greater than or equal to 1"),
        ({"due_soon_pct": 95}, "less than or equal to 90"),
    ],
)
def test_rules_that_cannot_be_are_refused(
    boss: Client, drone: Drone, rule: MaintenanceRule, changes: dict[str, Any], text: str
) -> None:
    form = {**RULE_FORM, "kind": drone.kind_id, **changes}
    answer = boss.post(reverse("admin:fleet_maintenancerule_add"), form)
    assert text in answer.content.decode()
    assert MaintenanceRule.objects.count() == 1


# --- defects -------------------------------------------------------------------------------------


def test_a_defect_is_reported_and_released_on_the_drones_page(ama: Client, drone: Drone) -> None:
    url = act("drone", "report_defect", "WX-1")
    ama.post(url, {"description": "Cracked arm.", "grounds": "on"})
    defect = Defect.objects.get()
    assert (defect.grounds, defect.reported_by) == (True, "user:ama")
    assert drones(ama, fitness="defects") == ["WX-1"] == drones(ama, readiness="GROUNDED")
    release = act("defect", "release", defect.pk)
    assert release in page(ama, drone).replace("&amp;", "&")
    reader = browser_of(Role.READONLY, "kofi")
    assert "Cracked arm." in page(reader, drone)
    assert release not in page(reader, drone).replace("&amp;", "&")
    assert reader.post(release, {"done": "Nothing."}).status_code == 403
    ama.post(release, {"done": "New arm."})
    assert "New arm." in page(reader, drone)
    assert "It is released." in ama.post(release, {"done": "Again."}).content.decode()
    assert Defect.objects.get().done == "New arm."
    for url in ("", f"{defect.pk}/change/"):
        assert "New arm." in reader.get(f"/admin/fleet/defect/{url}").content.decode()


# --- pre-flight checks ---------------------------------------------------------------------------


def test_a_grounding_defect_is_on_the_dashboard_until_its_release(
    ama: Client, drone: Drone
) -> None:
    records.report_defect("WX-1", by=SYSTEM, description="Scratch.", grounds=False)
    assert lines() == []
    defect = records.report_defect("WX-1", by=SYSTEM, description="Crack in arm 2.", grounds=True)
    (line,) = lines()
    assert (line.key, line.text) == ("defect:WX-1", "WX-1 is grounded by a defect")
    assert "Crack in arm 2" in line.detail
    assert drones(ama, fitness="defects") == ["WX-1"]
    assert "WX-1 is grounded by a defect" in ama.get("/admin/").content.decode()
    records.release_defect(defect.pk, by=SYSTEM, done="New arm.")
    assert lines() == []


def test_unattested_checks_are_on_the_dashboard_until_a_person_attests_them(
    ama: Client, drone: Drone, checklist: Checklist
) -> None:
    (line,) = lines()
    assert (line.cause, line.text) == (
        "unattested",
        f"The pre-flight checks at {drone.hub} are not attested",
    )
    assert "1 drone gets no orders" in line.detail
    assert drones(ama, fitness="unattested") == ["WX-1"]
    url = line.remedies[0].url
    form = ama.get(url).content.decode()
    assert all(text in form for text in ("Morning checks", "Propellers", "Lid"))
    field = f"checklist-{checklist.pk}"
    assert "Not ticked: Lid." in ama.post(url, {field: ["0"]}).content.decode()
    assert not Attestation.objects.exists()
    ama.post(url, {field: ["0", "1"]})
    assert Attestation.objects.get().attested_by == "user:ama"
    assert lines() == []
    assert "attested" in page(ama, drone.hub)
    assert "No checklist of this hub is open today." in ama.get(url).content.decode()
    assert "Morning checks" in ama.get("/admin/fleet/attestation/").content.decode()


def test_only_an_administrator_asks_for_checks(
    ama: Client, boss: Client, drone: Drone, checklist: Checklist
) -> None:
    area = drone.hub.service_area
    url = reverse("admin:fleet_servicearea_change", args=[area.pk])
    form = {"name": area.name, "active": "on", "time_zone": "Africa/Accra"}
    form["polygon"] = ama.get(url).context["adminform"].form["polygon"].value()
    ama.post(url, form)
    assert ServiceArea.objects.get().preflight_required
    boss.post(url, form)
    assert not ServiceArea.objects.get().preflight_required
    assert ama.post(reverse("admin:fleet_checklist_add"), {"name": "Mine"}).status_code == 403


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"items": " \n "}, "This field is required"),
        ({"items": "\n".join(["Check"] * 41)}, "There are 41 checks; at most 40."),
        ({"items": "x" * 301}, "A check has 301 characters"),
        ({"hub": ""}, "Choose either a hub or a kind."),
        ({"name": "morning checks"}, "This hub has a checklist with this name."),
    ],
)
def test_checklists_that_cannot_be_are_refused(
    boss: Client, drone: Drone, checklist: Checklist, changes: dict[str, Any], text: str
) -> None:
    form = {"name": "Box", "hub": drone.hub_id, "kind": "", "items": "Lid\n", "active": "on"}
    answer = boss.post(reverse("admin:fleet_checklist_add"), {**form, **changes})
    assert text in answer.content.decode()
    assert Checklist.objects.count() == 1


def test_a_checklist_has_a_check_per_line(boss: Client, drone: Drone) -> None:
    form = {"name": "Box", "kind": drone.kind_id, "items": " Lid \n\nLock\n", "active": "on"}
    boss.post(reverse("admin:fleet_checklist_add"), form)
    assert Checklist.objects.get().items == ["Lid", "Lock"]
    assert "Lid" in page(browser_of(Role.READONLY, "kofi"), Checklist.objects.get())


# --- cost ----------------------------------------------------------------------------------------


def test_the_list_of_drones_asks_once(ama: Client, drone: Drone, rule: MaintenanceRule) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as asked:
            ama.get("/admin/fleet/drone/")
        return sum("fleet_defect" in one["sql"] for one in asked)

    assert statements() == 1
    for _ in range(4):
        records.report_defect(DroneFactory().pk, by=SYSTEM, description="Arm.", grounds=True)
    assert statements() == 1
