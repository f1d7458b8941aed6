"""Drones, areas, zones and the policy in the console."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from fleet import policy, registry
from fleet.airspace.areas import validate_time_zone
from fleet.airworthiness.models import Defect
from fleet.console.policy_form import LABELS
from fleet.live import picture
from fleet.live.telemetry import Decoded
from fleet.models import Drone, DroneHold, GeoZone, Policy, PolicyVersion, ServiceArea
from fleet.tests.factories import (
    ACCRA,
    DroneFactory,
    DroneKindFactory,
    GeoZoneFactory,
    HubFactory,
    ServiceAreaFactory,
    TelemetryFactory,
    seconds_ago,
    show,
    square,
)
from wingxtra.accounts.identity import SYSTEM, Role
from wingxtra.accounts.tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def ama() -> Client:
    browser = Client()
    browser.force_login(UserFactory(username="ama", role=Role.OPS))
    return browser


@pytest.fixture
def boss() -> Client:
    browser = Client()
    browser.force_login(UserFactory(username="boss", role=Role.ADMIN))
    return browser


def changed(app_model: str, pk: Any) -> str:
    return reverse(f"admin:fleet_{app_model}_change", args=[pk])


def test_every_form_of_the_fleet_opens(boss: Client) -> None:
    pages = [
        changed("drone", DroneFactory().pk),
        changed("dronekind", DroneKindFactory().pk),
        changed("hub", HubFactory().pk),
        changed("geozone", GeoZoneFactory().pk),
        changed("servicearea", ServiceAreaFactory().pk),
        changed("policy", 1),
        changed("policyversion", 1),
        *(
            reverse(f"admin:fleet_{model}_add")
            for model in ("drone", "dronekind", "hub", "geozone", "servicearea")
        ),
    ]
    for page in pages:
        assert boss.get(page).status_code == 200, page


def test_the_list_shows_readiness_and_reasons(ama: Client) -> None:
    ready, empty, silent = DroneFactory(), DroneFactory(), DroneFactory()
    show(
        TelemetryFactory(drone_id=ready.pk),
        TelemetryFactory(drone_id=empty.pk, battery_pct=11),
        TelemetryFactory(drone_id=silent.pk, measured_at=seconds_ago(4000)),
    )
    page = ama.get(reverse("admin:fleet_drone_changelist")).content.decode()
    for text in ("Ready", "Not ready", "Offline", "has 11 %", "67 min ago"):
        assert text in page
    only = ama.get(reverse("admin:fleet_drone_changelist"), {"readiness": "READY"})
    assert [drone.pk for drone in only.context["cl"].result_list] == [ready.pk]


def test_grounding_needs_a_reason_and_can_be_released(ama: Client) -> None:
    drone = DroneFactory()
    ground = reverse("admin:act", args=["fleet.drone", "ground"]) + f"?id={drone.pk}"
    assert "This field is required" in ama.post(ground, {}).content.decode()
    ama.post(ground, {"reason": "Bent propeller."})
    grounded = Drone.objects.get(pk=drone.pk)
    assert (grounded.grounded_reason, grounded.grounded_by) == ("Bent propeller.", "user:ama")
    again = ama.post(ground, {"reason": "Me too."}).content.decode()
    assert "Grounded already: Bent propeller." in again
    release = reverse("admin:act", args=["fleet.drone", "unground"]) + f"?id={drone.pk}"
    ama.post(release, {"reason": "New propeller."})
    assert not Drone.objects.get(pk=drone.pk).is_grounded


def test_a_drone_id_is_fixed_and_drones_are_not_deleted(boss: Client) -> None:
    drone = DroneFactory()
    boss.post(
        changed("drone", drone.pk),
        {"drone_id": "OTHER-1", "kind": drone.kind_id, "hub": drone.hub_id, "active": "on"},
    )
    assert not Drone.objects.filter(pk="OTHER-1").exists()
    delete = reverse("admin:fleet_drone_delete", args=[drone.pk])
    assert boss.post(delete, {"post": "yes"}).status_code == 403


def zone_form(**fields: Any) -> dict[str, Any]:
    drawn = json.dumps(square(*ACCRA, side_m=900))
    form = {"name": "Stadium", "active": "on", "kind": "PROHIBITED", "time_zone": "Africa/Accra"}
    datums = {"lower_datum": "AGL", "upper_datum": "AGL"}
    return {**form, **datums, "polygon": drawn, **fields}


def test_a_drawn_zone_is_stored_as_geojson(ama: Client) -> None:
    ama.post(reverse("admin:fleet_geozone_add"), zone_form())
    assert GeoZone.objects.get().polygon == square(*ACCRA, side_m=900)


BOW_TIE = {"type": "Polygon", "coordinates": [[[0, 5], [1, 6], [1, 5], [0, 6], [0, 5]]]}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"polygon": json.dumps(BOW_TIE)}, "crosses or touches itself"),
        ({"polygon": ""}, "This field is required"),
        ({"polygon": "{"}, "Enter a valid JSON"),
        ({"polygon": '{"type": "Point"}'}, "not a GeoJSON Polygon"),
        (
            {
                "starts_at_0": "2035-01-02",
                "starts_at_1": "10:00",
                "ends_at_0": "2035-01-01",
                "ends_at_1": "10:00",
            },
            "The end must come after the start.",
        ),
    ],
)
def test_an_invalid_zone_is_refused_with_the_reason(
    ama: Client, fields: dict[str, str], text: str
) -> None:
    answer = ama.post(reverse("admin:fleet_geozone_add"), zone_form(**fields))
    assert text in answer.content.decode()
    assert not GeoZone.objects.exists()


def test_areas_have_the_same_checks(ama: Client) -> None:
    url = reverse("admin:fleet_servicearea_add")
    ama.post(url, area_form(polygon=json.dumps(BOW_TIE)))
    assert not ServiceArea.objects.exists()


def area_form(**changes: str) -> dict[str, str]:
    shape = json.dumps(square(*ACCRA, side_m=1000))
    form = {"name": "Tema", "active": "on", "time_zone": "Africa/Accra", "polygon": shape}
    return {**form, **changes}


def test_an_area_has_a_time_zone(ama: Client, settings: Settings) -> None:
    settings.AREA_TIME_ZONE = "Africa/Lagos"
    url = reverse("admin:fleet_servicearea_add")
    assert '<option value="Africa/Lagos" selected>' in ama.get(url).content.decode()
    ama.post(url, area_form(time_zone="Mars/Olympus"))
    assert not ServiceArea.objects.exists()
    ama.post(url, area_form())
    assert ServiceArea.objects.get().zone.key == "Africa/Accra"


def test_an_area_has_operating_hours_by_its_own_clock(ama: Client) -> None:
    url = reverse("admin:fleet_servicearea_add")
    lines = {"weekly": "Mon-Fri 08:00-18:00", "exceptions": "2026-12-25 closed"}
    for bad in ({"weekly": "Mon 8"}, {"weekly": "Mon 08:00-08:00"}, {"exceptions": "25.12."}):
        assert ama.post(url, area_form(**{**lines, **bad})).status_code == 200
        assert not ServiceArea.objects.exists()
    ama.post(url, area_form(time_zone="Europe/London", **lines))
    area = ServiceArea.objects.get()
    hours = area.opening_hours
    assert hours is not None
    assert hours.is_open(datetime(2026, 7, 1, 16, 59, tzinfo=UTC))  # 17:59 there
    assert not hours.is_open(datetime(2026, 7, 1, 17, tzinfo=UTC))
    page = ama.get(changed("servicearea", area.pk)).content.decode()
    assert "Monday-Friday 08:00-18:00" in page
    assert "2026-12-25 closed" in page
    reader = Client()
    reader.force_login(UserFactory(role=Role.READONLY))
    shown = reader.get(changed("servicearea", area.pk)).content.decode()
    assert "Monday-Friday 08:00-18:00" in shown
    assert "<textarea" not in shown
    ama.post(changed("servicearea", area.pk), area_form())
    assert ServiceArea.objects.get().opening_hours is None


def test_only_known_time_zones_are_valid() -> None:
    validate_time_zone("Europe/Paris")
    for unknown in ("", "Accra", "Mars/Olympus", "../etc/passwd"):
        with pytest.raises(ValidationError):
            validate_time_zone(unknown)


# --- policy --------------------------------------------------------------------------------------


def policy_form(**changes: Any) -> dict[str, Any]:
    now = Policy.objects.get()
    values = {name: getattr(now, name) for name in LABELS}
    return {**values, "seen_version": now.version, **changes}


def test_a_policy_change_adds_a_version_to_the_history(boss: Client) -> None:
    boss.post(changed("policy", 1), policy_form(battery_min_pct=35, max_attempts=2))
    assert policy.current().battery_min_pct == 35
    newest = PolicyVersion.objects.first()
    assert newest is not None
    assert (newest.version, newest.changed_by) == (2, "user:boss")
    assert newest.changes == {"battery_min_pct": [30, 35], "max_attempts": [3, 2]}
    history = boss.get(reverse("admin:fleet_policyversion_changelist")).content.decode()
    assert "Minimum battery at take-off (%): 30 → 35" in history


def test_the_choice_for_late_normal_orders_is_explained_and_named_in_words(boss: Client) -> None:
    page = boss.get(changed("policy", 1)).content.decode()
    for words in ("Kept promises first: ", "No order waits for ever: ", "Balanced: "):
        assert words in page
    boss.post(changed("policy", 1), policy_form(late_normal="KEPT_FIRST"))
    assert policy.current().late_normal == "KEPT_FIRST"
    history = boss.get(reverse("admin:fleet_policyversion_changelist")).content.decode()
    assert "Late normal orders: Balanced → Kept promises first" in history


def test_saving_an_unchanged_policy_adds_no_version(boss: Client) -> None:
    boss.post(changed("policy", 1), policy_form())
    assert Policy.objects.get().version == 1


@pytest.mark.parametrize("value", ["101", "-1", "nan", "lots", ""])
def test_a_rule_out_of_its_range_is_refused(boss: Client, value: str) -> None:
    answer = boss.post(changed("policy", 1), policy_form(battery_min_pct=value))
    assert answer.status_code == 200
    assert policy.current().battery_min_pct == 30


def test_a_stale_policy_form_is_refused(boss: Client) -> None:
    form = policy_form(battery_min_pct=40)
    policy.change(by=SYSTEM, reserve_pct=25)
    answer = boss.post(changed("policy", 1), form).content.decode()
    assert "The policy has changed since you opened it" in answer
    assert policy.current().battery_min_pct == 30


def test_the_form_has_every_rule_except_the_pause() -> None:
    assert set(LABELS) == set(Policy.objects.get().columns()) - {"dispatch_paused"}


def test_the_history_shows_a_pause(boss: Client) -> None:
    pause = reverse("admin:act", args=["fleet.policy", "pause"]) + "?id=1"
    boss.post(pause, {"reason": "Storm."})
    history = boss.get(reverse("admin:fleet_policyversion_changelist")).content.decode()
    assert "Dispatch paused: off → on" in history


def test_the_policy_form_shows_integers_without_decimals(boss: Client) -> None:
    form = boss.get(changed("policy", 1)).content.decode()
    assert 'value="30"' in form
    assert 'value="30.0"' not in form
    assert "MEDICAL" not in form.split("<main")[-1]


def test_the_list_shows_which_zones_apply_now(ama: Client) -> None:
    GeoZoneFactory(name="Parade", starts_at=seconds_ago(-3600))
    GeoZoneFactory(name="Fireworks", ends_at=seconds_ago(3600))
    GeoZoneFactory(name="Prison")
    GeoZoneFactory(name="Former palace", active=False)
    page = ama.get(reverse("admin:fleet_geozone_changelist")).content.decode()
    for text in ("Upcoming", "Expired", "Closed", "Off"):
        assert f">{text}</span>" in page


def test_ops_can_register_an_unknown_drone(ama: Client) -> None:
    hub, kind = HubFactory(), DroneKindFactory()
    form = {"drone_id": "WX-NEW-1", "kind": kind.pk, "hub": hub.pk, "active": "on"}
    ama.post(reverse("admin:fleet_drone_add"), form)
    assert Drone.objects.get(pk="WX-NEW-1").hub == hub


def test_a_readonly_user_cannot_move_a_hub(boss: Client) -> None:
    hub = HubFactory()
    assert "data-point" in boss.get(changed("hub", hub.pk)).content.decode()
    reader = Client()
    reader.force_login(UserFactory(role=Role.READONLY))
    assert "data-point" not in reader.get(changed("hub", hub.pk)).content.decode()


def test_a_drones_page_shows_each_refused_value(ama: Client) -> None:
    drone = DroneFactory(drone_id="WX-1")
    wrong = {
        "battery.remaining_pct": "battery.remaining_pct is -1; it must be 0 to 100",
        "velocity.groundspeed_mps": "velocity.groundspeed_mps is -0.01; it must be 0 to 200",
    }
    show(TelemetryFactory(drone_id="WX-1", battery_pct=None, speed_mps=None, refused=wrong))

    page = ama.get(changed("drone", drone.pk)).content.decode()

    assert "no battery reading of WX-1: battery.remaining_pct is -1; it must be 0 to 100." in page
    assert "<dt>Telemetry</dt><dd>velocity.groundspeed_mps is -0.01; it must be 0 to 200." in page
    assert "<dd>battery.remaining_pct is -1" not in page  # the reason contains it already


def test_a_drones_page_says_why_its_entry_is_unusable(ama: Client) -> None:
    drone = DroneFactory(drone_id="WX-1")
    now = seconds_ago(0)
    assert picture.write(Decoded(now, [], [("WX-1", "telemetry.ts is missing.")]), now)

    page = ama.get(changed("drone", drone.pk)).content.decode()

    assert "sends an unusable entry for WX-1: telemetry.ts is missing." in page
    assert "There is no telemetry" not in page
    assert "<dt>Last telemetry</dt><dd>unusable</dd>" in page


def test_the_list_takes_at_most_12_statements_for_any_number_of_drones(ama: Client) -> None:
    def statements() -> list[str]:
        ama.get(drones)
        with CaptureQueriesContext(connection) as taken:
            assert ama.get(drones).status_code == 200
        return [query["sql"][:200] for query in taken]

    def one_more(n: int) -> str:
        drone = DroneFactory(drone_id=f"WX-{n}")
        about = {"description": "Loud.", "reported_by": "user:ama"}
        Defect.objects.create(drone=drone, grounds=bool(n % 2), **about)
        registry.hold(drone.pk, DroneHold.Code.FLIGHT_FAILED, "It came down.", by=SYSTEM)
        return str(drone.pk)

    drones = reverse("admin:fleet_drone_changelist")
    ids = [one_more(1)]
    show(TelemetryFactory(drone_id=ids[0]))
    before = statements()
    ids += [one_more(n) for n in range(2, 60)]
    show(*(TelemetryFactory(drone_id=one) for one in ids))
    after = statements()
    assert len(after) <= 12, "\n".join(after)
    assert len(after) <= len(before) + 1  # counts the rows of “select all”


def test_the_list_counts_and_filters_drones_with_missing_values(ama: Client) -> None:
    for n in (1, 2, 3):
        DroneFactory(drone_id=f"WX-{n}")
    drones = reverse("admin:fleet_drone_changelist")
    show(*(TelemetryFactory(drone_id=f"WX-{n}") for n in (1, 2, 3)))
    assert "Telemetry lacks" not in ama.get(drones).content.decode()

    show(
        TelemetryFactory(drone_id="WX-1"),
        TelemetryFactory(drone_id="WX-2", armed=None, speed_mps=None),
        TelemetryFactory(drone_id="WX-3", armed=None),
    )

    page = ama.get(drones).content.decode()
    assert "2 of 3 drones lack state.armed" in page
    assert "1 of 3 drones lacks velocity.groundspeed_mps" in page
    found = ama.get(drones, {"lacks": "speed"}).context["cl"].queryset
    assert [drone.pk for drone in found] == ["WX-2"]
