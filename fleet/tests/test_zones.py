"""Geographical zones in the database: heights, hours, authorisations, files, and the API."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fleet.airspace import imports, rulebook
from fleet.airspace.volumes import pairs_of
from fleet.airspace.zones import Datum, GeoZone, ZoneType
from fleet.console import map_pages
from fleet.models import ZoneImport
from fleet.tests.factories import GeoZoneFactory, ServiceAreaFactory
from wingxtra.accounts.identity import SYSTEM, Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client
from wingxtra.console.registry import Tone
from wingxtra.problems import Conflict, Invalid

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 6, 1, 12, tzinfo=UTC)
RING = [[-0.2, 5.6], [-0.1, 5.6], [-0.1, 5.7], [-0.2, 5.7], [-0.2, 5.6]]


def closing(at: datetime | None = None) -> list[str]:
    """The names of the zones that stop a flight at cruise height, now or later."""
    return [zone.name for zone in rulebook.load(at or timezone.now()).zones]


def feature(name: str, **properties: Any) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": [RING]}
    return {"type": "Feature", "geometry": geometry, "properties": {"name": name, **properties}}


def file_of(*features: dict[str, Any]) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": list(features)}).encode()


def checked(*features: dict[str, Any], source: str = "GCAA") -> ZoneImport:
    return imports.check(file_of(*features), file_name="gh.json", source=source, by=SYSTEM)


def used(*features: dict[str, Any], source: str = "GCAA") -> str:
    one = checked(*features, source=source)
    return str(imports.put_into_use(one.pk, by=SYSTEM))


# --- heights, types, hours -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lower_m", "datum", "is_closed"),
    [
        (None, Datum.AGL, True),
        (0, Datum.AGL, True),
        (69.9, Datum.AGL, True),
        (70, Datum.AGL, False),  # cruise height 60 m and 10 m of margin
        (120, Datum.AGL, False),
        (5000, Datum.AMSL, True),  # the ground may be as high: not known
        (5000, Datum.WGS84, True),
    ],
)
def test_a_zone_above_the_flight_does_not_stop_it(
    lower_m: float | None, datum: Datum, is_closed: bool
) -> None:
    GeoZoneFactory(name="Zone", lower_m=lower_m, lower_datum=datum)
    assert closing() == (["Zone"] if is_closed else [])


@pytest.mark.parametrize("kind", ZoneType)
def test_each_type_but_one_stops_flights(kind: ZoneType) -> None:
    GeoZoneFactory(name="Zone", kind=kind)
    assert closing() == ([] if kind == ZoneType.NO_RESTRICTION else ["Zone"])


def test_a_zone_is_closed_in_its_hours() -> None:
    school = GeoZoneFactory(
        schedule=[{"days": ["MON"], "from": "08:00", "until": "14:00"}], time_zone="Europe/Paris"
    )
    assert not school.is_closed(MONDAY + HOUR)
    assert school.is_closed(MONDAY - HOUR)
    shapes = rulebook.load(MONDAY).zone_shapes
    starts_s, _ = shapes.closures(MONDAY.timestamp())
    assert datetime.fromtimestamp(starts_s[0], UTC) == datetime(2026, 6, 8, 6, tzinfo=UTC)


def test_hours_that_are_not_worked_out_yet_count_as_closed() -> None:
    rare = GeoZoneFactory(schedule=[{"days": ["MON"], "from": "08:00", "until": "09:00"}])
    assert rare.windows(MONDAY)[-1] == (MONDAY + 8 * 24 * HOUR, None)


def test_hours_that_are_over_leave_nothing_closed() -> None:
    ended = {"starts_at": None, "ends_at": "2026-05-01T00:00:00Z"}
    festival = GeoZoneFactory(
        schedule=[{"days": ["ANY"], "from": "00:00", "until": "24:00", **ended}]
    )
    assert festival.windows(MONDAY) == []


def test_an_authorisation_opens_a_zone_until_it_ends() -> None:
    zone = GeoZoneFactory(
        kind=ZoneType.REQ_AUTHORISATION,
        allowed_until=MONDAY + HOUR,
        allowed_by="user:boss",
        allowed_because="GCAA 17/2026",
    )
    assert not zone.is_closed(MONDAY)
    assert zone.is_closed(MONDAY + HOUR)


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": ZoneType.PROHIBITED, "allowed_by": "user:boss", "allowed_because": "x"},
        {"kind": ZoneType.CONDITIONAL, "allowed_by": "", "allowed_because": "x"},
        {"kind": ZoneType.CONDITIONAL, "allowed_by": "user:boss", "allowed_because": ""},
    ],
)
def test_the_database_refuses_an_authorisation_without_a_word(broken: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        GeoZoneFactory(allowed_until=MONDAY, **broken)


# --- files ---------------------------------------------------------------------------------------


def test_a_check_changes_nothing() -> None:
    one = checked(feature("Airport"), feature("Prison", kind="?"))
    assert str(imports.changes_of(one)) == "1 new, 0 changed, 0 as before, 0 gone"
    assert [refusal["identifier"] for refusal in one.refused] == ["Prison"]
    assert not GeoZone.objects.exists()


def test_a_later_file_replaces_the_zones_of_its_source_only() -> None:
    GeoZoneFactory(name="Drawn")
    used(feature("Dam"), source="Energy")
    used(feature("Airport"), feature("Prison"), feature("School"))
    assert used(feature("Airport"), feature("School", lower_m=30.0), feature("Port")) == (
        "1 new, 1 changed, 1 as before, 1 gone"
    )
    assert sorted(closing()) == ["Airport", "Dam", "Drawn", "Port", "School"]


def test_the_same_file_again_changes_nothing() -> None:
    used(feature("Airport", starts_at="2026-01-01T00:00:00+02:00"))
    before = rulebook.airspace_version()
    assert used(feature("Airport", starts_at="2025-12-31T22:00:00Z")) == (
        "0 new, 0 changed, 1 as before, 0 gone"
    )
    assert rulebook.airspace_version() == before


def test_what_staff_decided_about_a_zone_stays() -> None:
    used(feature("Airport", kind="CONDITIONAL"), feature("Prison"))
    GeoZone.objects.filter(name="Prison").update(active=False)
    allowed = {"allowed_until": MONDAY, "allowed_by": "user:boss", "allowed_because": "GCAA 17"}
    GeoZone.objects.filter(name="Airport").update(**allowed)
    used(feature("Airport", kind="CONDITIONAL"), feature("Prison", lower_m=5.0))
    assert not GeoZone.objects.get(name="Prison").active
    assert GeoZone.objects.get(name="Airport").allowed_until == MONDAY
    used(feature("Airport", kind="CONDITIONAL", lower_m=9.0), feature("Prison"))
    assert GeoZone.objects.get(name="Airport").allowed_until is None


def volumes(*places: float, **changes: Any) -> dict[str, Any]:
    """A feature with a volume around each of these latitudes."""
    squares = [[[[lng, lat + place - 5.6] for lng, lat in RING]] for place in places]
    geometry = {"type": "MultiPolygon", "coordinates": squares}
    return {**feature("Airport", **changes), "geometry": geometry}


def off_at() -> list[float]:
    off = GeoZone.objects.filter(active=False)
    return sorted(round(zone.polygon["coordinates"][0][0][1], 2) for zone in off)


def test_a_volume_that_is_off_stays_off_when_the_file_is_in_another_order() -> None:
    used(volumes(5.0, 6.0, 7.0))
    GeoZone.objects.filter(part=1).update(active=False)
    (was,) = off_at()
    assert used(volumes(7.0, 6.0, 5.0)) == "0 new, 0 changed, 3 as before, 0 gone"
    assert off_at() == [was]
    # One before it is gone, and another one is new.
    assert used(volumes(8.0, 7.0, 6.0)) == "1 new, 0 changed, 2 as before, 1 gone"
    assert off_at() == [was]
    used(volumes(8.0, 6.0, 7.0, lower_m=30.0))
    assert off_at() == [was]


def test_a_volume_that_may_be_another_one_is_on() -> None:
    """Its geometry changed, and the feature has several."""
    used(volumes(5.0, 6.0))
    GeoZone.objects.filter(part=1).update(active=False)
    assert used(volumes(5.0, 6.5)) == "1 new, 0 changed, 1 as before, 1 gone"
    assert off_at() == []


def test_the_only_volume_of_a_feature_is_known_by_its_identifier() -> None:
    used(volumes(5.0))
    GeoZone.objects.update(active=False)
    assert used(volumes(6.0)) == "0 new, 1 changed, 0 as before, 0 gone"
    assert len(off_at()) == 1


def test_a_ring_that_begins_at_another_corner_is_the_same_place() -> None:
    used(volumes(5.0, 6.0))
    GeoZone.objects.filter(part=1).update(active=False)
    turned = [_turned(zone) for zone in GeoZone.objects.order_by("part")]
    paired, new, gone = pairs_of(turned, GeoZone.objects.all())
    assert [(one.part, row.part) for one, row in paired] == [(0, 0), (1, 1)]
    assert (new, gone) == ([], [])


def _turned(zone: GeoZone) -> GeoZone:
    (ring,) = zone.polygon["coordinates"]
    zone.polygon = {"type": "Polygon", "coordinates": [[*ring[1:], ring[1]]]}
    return zone


def test_a_file_is_used_as_it_was_seen_or_not_at_all() -> None:
    one = checked(feature("Airport"))
    GeoZoneFactory()
    with pytest.raises(Conflict, match="have changed since"):
        imports.put_into_use(one.pk, by=SYSTEM)
    again = checked(feature("Airport"))
    imports.put_into_use(again.pk, by=SYSTEM)
    with pytest.raises(Conflict, match="put into use at"):
        imports.put_into_use(again.pk, by=SYSTEM)
    assert GeoZone.objects.filter(source="GCAA").count() == 1


@pytest.mark.parametrize("source", ["", "   ", "x" * 61, "a\0b"])
def test_a_source_needs_a_name(source: str) -> None:
    with pytest.raises(Invalid):
        checked(feature("Airport"), source=source)
    assert not ZoneImport.objects.exists()


def test_the_command_says_what_it_would_change(tmp_path: Path) -> None:
    file = tmp_path / "gh.json"
    file.write_bytes(file_of(feature("Airport"), feature("Prison", kind="?")))
    said = StringIO()
    call_command("import_zones", str(file), source="GCAA", stdout=said)
    assert "1 new, 0 changed, 0 as before, 0 gone, 1 refused" in said.getvalue()
    assert "refused  Prison" in said.getvalue()
    assert not GeoZone.objects.exists()
    call_command("import_zones", str(file), source="GCAA", use=True, stdout=said)
    assert GeoZone.objects.get().name == "Airport"


def test_the_command_refuses_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_zones", str(tmp_path / "none.json"), source="GCAA")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(CommandError, match="not JSON"):
        call_command("import_zones", str(tmp_path / "photo.jpg"), source="GCAA")


# --- console -------------------------------------------------------------------------------------


def console(role: Role) -> Client:
    client = Client()
    client.force_login(UserFactory(role=role))
    return client


def uploaded(client: Client, *features: dict[str, Any]) -> Any:
    file = SimpleUploadedFile("gh.json", file_of(*features))
    url = reverse("admin:fleet_zoneimport_add")
    return client.post(url, {"source": "GCAA", "file": file}, follow=True)


def test_staff_see_what_a_file_changes_before_they_use_it() -> None:
    boss = console(Role.ADMIN)
    page = uploaded(boss, feature("Airport"), feature("Prison", kind="?")).content.decode()
    for text in ("1 new, 0 changed", "Airport", "1 feature cannot be taken", "Invalid enum"):
        assert text in page
    one = ZoneImport.objects.get()
    url = reverse("admin:act", args=["fleet.zoneimport", "put_into_use"])
    boss.post(f"{url}?id={one.pk}", {"confirm": "yes"})
    assert GeoZone.objects.get().name == "Airport"


def test_a_file_that_is_none_is_refused_on_the_form() -> None:
    client = console(Role.ADMIN)
    file = SimpleUploadedFile("photo.jpg", b"\xff\xd8")
    url = reverse("admin:fleet_zoneimport_add")
    page = client.post(url, {"source": "GCAA", "file": file}).content.decode()
    assert "not JSON" in page
    assert not ZoneImport.objects.exists()


@pytest.mark.parametrize("role", [Role.READONLY, Role.OPS])
def test_only_an_administrator_imports(role: Role) -> None:
    answer = uploaded(console(role), feature("Airport"))
    assert answer.status_code == 403
    assert not ZoneImport.objects.exists()


def test_an_imported_zones_hours_have_the_dates_of_each_rule() -> None:
    summer = {"starts_at": "2026-06-01T00:00:00+02:00", "ends_at": "2026-09-30T22:00:00Z"}
    rules = [
        {"days": ["MON", "TUE"], "from": "08:00", "until": "17:30", **summer},
        {"days": ["SAT"], "from": "SR", "until": "SS", "starts_at": None, "ends_at": None},
    ]
    zone = GeoZoneFactory(source="FOCA", schedule=rules, time_zone="Europe/Paris")
    browser = Client()
    browser.force_login(UserFactory(admin=True))
    page = browser.get(reverse("admin:fleet_geozone_change", args=[zone.pk])).content.decode()
    dates = "from 1 Jun 2026 00:00 CEST, until 1 Oct 2026 00:00 CEST"
    assert f"MON,TUE 08:00-17:30, {dates}" in page
    assert "SAT SR-SS" in page


def test_an_administrator_allows_a_zone_in_writing() -> None:
    boss = console(Role.ADMIN)
    zone = GeoZoneFactory(kind=ZoneType.CONDITIONAL)
    url = reverse("admin:fleet_geozone_change", args=[zone.pk])
    form = {
        "name": zone.name,
        "kind": "CONDITIONAL",
        "active": "on",
        "lower_datum": "AGL",
        "upper_datum": "AGL",
        "time_zone": "UTC",
        "polygon": json.dumps(zone.polygon),
        "allowed_until_0": "2035-01-01",
        "allowed_until_1": "12:00",
    }
    assert "Give both" in boss.post(url, form).content.decode()
    boss.post(url, {**form, "allowed_because": "GCAA 17/2026"})
    zone = GeoZone.objects.get()
    assert zone.allowed_until == datetime(2035, 1, 1, 12, tzinfo=UTC)
    assert zone.allowed_by.startswith("user:")
    assert (
        "cannot be allowed"
        in boss.post(url, {**form, "kind": "PROHIBITED", "allowed_because": "x"}).content.decode()
    )


def test_the_outline_of_an_imported_zone_cannot_be_changed() -> None:
    used(feature("Airport"))
    zone = GeoZone.objects.get()
    boss = console(Role.ADMIN)
    url = reverse("admin:fleet_geozone_change", args=[zone.pk])
    assert boss.get(url).status_code == 200
    boss.post(url, {"name": "Mine", "polygon": "{}", "active": ""})
    after = GeoZone.objects.get()
    assert (after.name, after.active) == ("Airport", False)


# --- API -----------------------------------------------------------------------------------------


def test_ground_control_reads_the_airspace(django_assert_max_num_queries: Any) -> None:
    as_ops = api_client(UserFactory(ops=True))
    ServiceAreaFactory(name="Accra")
    GeoZoneFactory(name="Airport", lower_m=30, lower_datum=Datum.AMSL)
    GeoZoneFactory(name="Off", active=False)
    answer = as_ops.get("/api/v1/airspace")
    assert [one["properties"]["name"] for one in answer.data["features"]] == ["Accra", "Airport"]
    assert answer.data["airspace_version"] == rulebook.airspace_version()
    with django_assert_max_num_queries(4):
        unchanged = as_ops.get("/api/v1/airspace", headers={"If-None-Match": answer["ETag"]})
    assert unchanged.status_code == 304
    GeoZoneFactory()
    changed = as_ops.get("/api/v1/airspace", headers={"If-None-Match": answer["ETag"]})
    assert changed.status_code == 200


def test_merchants_do_not_read_the_airspace() -> None:
    assert api_client().get("/api/v1/airspace").status_code == 401
    merchant = api_client(UserFactory(merchant=MerchantFactory()))
    assert merchant.get("/api/v1/airspace").status_code == 403


def test_a_zone_is_closed_on_the_map_only_when_it_is() -> None:
    night = {"days": ["ANY"], "from": "22:00", "until": "06:00"}
    by_hours = GeoZoneFactory(schedule=[night])
    allowed = GeoZoneFactory(
        kind="CONDITIONAL",
        allowed_until=datetime(2026, 3, 1, 18, tzinfo=UTC),
        allowed_by="user:ama",
        allowed_because="Permit 7",
    )
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    shown = {f"zone-{zone.pk}": zone for zone in (by_hours, allowed)}
    for hours, tones in ((0, {Tone.WARN}), (11, {Tone.BAD})):
        features = list(map_pages.zones(noon + timedelta(hours=hours), "", [by_hours, allowed]))
        assert {one.id for one in features} == set(shown)
        assert {one.tone for one in features} == tones
    facts = [dict(one.facts) for one in map_pages.zones(noon, "", [by_hours, allowed])]
    assert {one["Now"] for one in facts} == {"open to our flights"}
    assert {one["Hours"] for one in facts} == {"ANY 22:00-06:00", "at all times"}
    assert "01 Mar 18:00 UTC" in {one["Allowed until"] for one in facts}
