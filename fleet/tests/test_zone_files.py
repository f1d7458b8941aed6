"""Files of geographical zones: what is taken, what is refused, and why."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings

from fleet.airspace.files import reading
from fleet.airspace.files.feature import Contents, Unusable, circle
from fleet.feasibility.geometry import distance_m

RING = [[-0.2, 5.6], [-0.1, 5.6], [-0.1, 5.7], [-0.2, 5.7], [-0.2, 5.6]]
POLYGON = {"type": "Polygon", "coordinates": [RING]}
ED318: dict[str, Any] = {
    "identifier": "GHA001",
    "country": "GHA",
    "type": "REQ_AUTHORIZATION",
    "variant": "COMMON",
    "name": [{"text": "Aéroport", "lang": "fr-FR"}, {"text": "Airport", "lang": "en-GB"}],
    "zoneAuthority": [{"name": [{"text": "GCAA", "lang": "en-GB"}], "purpose": "AUTHORIZATION"}],
}
ED269: dict[str, Any] = {
    "identifier": "GHA002",
    "country": "GHA",
    "name": "Stadium",
    "type": "COMMON",
    "restriction": "PROHIBITED",
    "applicability": [{"permanent": "YES"}],
    "zoneAuthority": [{"name": "GCAA"}],
}
VOLUME = {
    "uomDimensions": "FT",
    "lowerLimit": "0",
    "lowerVerticalReference": "AGL",
    "upperLimit": 400,
    "upperVerticalReference": "AMSL",
    "horizontalProjection": POLYGON,
}
# Real files, where the folder of samples lies beside the project.
BESIDE = [folder / "shared" / "geozones" for folder in settings.BASE_DIR.parents]
SAMPLES = next((folder for folder in BESIDE if folder.is_dir()), BESIDE[0])
VALID = [
    ("interuss_ed269.json", 1),
    ("interuss_ed269_switzerland.json", 10),
    ("interuss_ed318.json", 3),
    ("examples/Example_Collection.json", 3),
    ("examples/Example_GeoZone_2_Layers.json", 2),
    ("examples/Example_GeoZone_Circle.json", 1),
    ("examples/Example_GeoZone_with_extension.json", 1),
    ("examples/PartialExample_featureGeoJSON.json", 2),
]


def read(data: Any) -> Contents:
    return reading.read(json.dumps(data).encode())


def ed318(geometry: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    about = {**ED318, **properties}
    feature = {"type": "Feature", "geometry": geometry or POLYGON, "properties": about}
    return {"type": "FeatureCollection", "features": [feature]}


def ed269(*volumes: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"features": [{**ED269, "geometry": list(volumes or [VOLUME]), **members}]}


def test_ed_318() -> None:
    layer = {"lower": 50, "lowerReference": "AGL", "upper": 400, "upperReference": "AMSL"}
    found = read(ed318({**POLYGON, "layer": {**layer, "uom": "m"}}))
    (zone,) = found.zones
    assert (found.format, zone.name, zone.kind) == ("ED-318", "Airport", "REQ_AUTHORISATION")
    assert (zone.lower_m, zone.upper_m, zone.upper_datum) == (50, 400, "AMSL")
    assert zone.authority == "GCAA"
    assert not found.refused


def test_ed_318_with_hours() -> None:
    daily = {"day": ["SAT"], "startTime": "10:00:00Z", "endEvent": "SS"}
    period = {"startDateTime": "2026-01-01T00:00:00Z", "schedule": [daily]}
    (zone,) = read(ed318(limitedApplicability=[period])).zones
    assert zone.schedule == (
        {
            "days": ["SAT"],
            "from": "10:00:00Z",
            "until": "SS",
            "starts_at": "2026-01-01T00:00:00Z",
            "ends_at": None,
        },
    )


def test_ed_269_in_feet_with_limits_as_text() -> None:
    (zone,) = read(ed269()).zones
    assert (zone.lower_m, zone.upper_m, zone.upper_datum) == (0, 121.92, "AMSL")


def test_a_feature_gives_a_zone_for_each_volume() -> None:
    around = {"type": "Circle", "center": [-0.15, 5.65], "radius": 800}
    found = read(ed269(VOLUME, {**VOLUME, "horizontalProjection": around}))
    assert [len(zone.polygon["coordinates"][0]) for zone in found.zones] == [5, 73]


def test_plain_geojson_is_prohibited_from_the_ground() -> None:
    feature = {"type": "Feature", "geometry": POLYGON, "properties": {"name": "School"}}
    (zone,) = read({"type": "FeatureCollection", "features": [feature]}).zones
    assert (zone.name, zone.kind, zone.lower_m, zone.upper_m) == (
        "School",
        "PROHIBITED",
        None,
        None,
    )


@pytest.mark.parametrize("lat", [0.0, 5.6, 60.0, -80.0])
def test_no_place_of_a_circle_is_outside_its_polygon(lat: float) -> None:
    """Its corners and the middles of its sides, with what the ellipsoid differs from the sphere."""
    lng, lats = np.array(circle(10.0, lat, 5000)["coordinates"][0]).T
    middles = (lng[1:] + lng[:-1]) / 2, (lats[1:] + lats[:-1]) / 2
    for lngs, there in ((lng, lats), middles):
        away_m = distance_m(lat, 10.0, there, lngs)
        assert away_m.min() > 5000 / 0.9945
        assert away_m.max() < 5000 * 1.01


BOW_TIE = {"type": "Polygon", "coordinates": [[[0, 5], [1, 6], [1, 5], [0, 6], [0, 5]]]}
NO_AREA = {"type": "LineString", "coordinates": RING}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (ed318(BOW_TIE), "crosses or touches itself"),
        (ed318(NO_AREA), "no area"),
        (ed318({"type": "GeometryCollection", "geometries": []}), "no area"),
        (ed318({**POLYGON, "layer": {"lower": 9, "lowerReference": "QNH"}}), "Invalid enum"),
        (ed318({**POLYGON, "layer": {"lower": 90, "upper": 30}}), "not above its lower"),
        (ed318(type="FORBIDDEN"), "Invalid enum"),
        (ed318(identifier=7), "Expected `str`"),
        (ed318(identifier="x" * 101), "1 to 100 characters"),
        (ed318(name=[{"lang": "en", "text": "a\0b"}]), "NUL"),
        (ed318(surprise=1), "unknown field"),
        (
            ed318(limitedApplicability=[{"startDateTime": "2026-01-01T00:00:00"}]),
            "has no time zone",
        ),
        (
            ed318(
                limitedApplicability=[
                    {"startDateTime": "2026-01-02T00:00:00Z", "endDateTime": "2026-01-01T00:00:00Z"}
                ]
            ),
            "before it starts",
        ),
        (ed318({"type": "Point", "coordinates": [0, 5]}), "no area"),
        (
            ed318(
                {
                    "type": "Point",
                    "coordinates": ["east", 5],
                    "extent": {"subType": "Circle", "radius": 9},
                }
            ),
            "in numbers",
        ),
        (ed269({**VOLUME, "lowerLimit": "low"}), "is no number"),
        (ed269({**VOLUME, "lowerVerticalReference": "FL"}), "Invalid enum"),
        (ed269(restriction="NONE"), "Invalid enum"),
        (ed269(geometry=[]), "no geometry"),
    ],
)
def test_a_feature_that_cannot_be_used_is_refused_by_name(data: Any, text: str) -> None:
    found = read(data)
    assert not found.zones
    (refusal,) = found.refused
    assert text in refusal.why


def test_one_bad_feature_does_not_stop_the_others() -> None:
    good, bad = ed318(), ed318(BOW_TIE, identifier="GHA009")
    found = read({**good, "features": [*good["features"], *bad["features"]]})
    assert [zone.identifier for zone in found.zones] == ["GHA001"]
    assert [refusal.identifier for refusal in found.refused] == ["GHA009"]


def test_a_feature_is_refused_with_all_its_volumes() -> None:
    found = read(ed269(VOLUME, {**VOLUME, "lowerLimit": "low"}))
    assert not found.zones
    assert len(found.refused) == 1


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"{}", "no list of"),
        (b"[1]", "no list of"),
        (b'{"features": []}', "no features"),
        (b'{"features": 7}', "no list of"),
        (b" " * (reading.MAX_BYTES + 1), "at most 20 MB"),
        (json.dumps({"features": [1] * 20_001}).encode(), "20,000 are allowed"),
        (json.dumps({**ed318(), "metadata": {"validFrom": {}}}).encode(), "metadata"),
    ],
)
def test_a_file_that_is_none_is_refused_as_a_whole(content: bytes, text: str) -> None:
    with pytest.raises(Unusable, match=text):
        reading.read(content)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="The samples are not part of the project.")
class TestSamples:
    """Files of authorities and of the standard, as they are published."""

    @pytest.mark.parametrize(("name", "zones"), VALID)
    def test_a_valid_file_is_taken_whole(self, name: str, zones: int) -> None:
        found = reading.read((SAMPLES / name).read_bytes())
        assert len(found.zones) == zones
        assert not found.refused

    def test_the_invalid_example_is_refused(self) -> None:
        content = (SAMPLES / "examples" / "InvalidExample_GeoZone_2_Layers.json").read_bytes()
        with pytest.raises(Unusable, match="validFrom"):
            reading.read(content)

    def test_no_other_sample_is_left_out(self) -> None:
        files = {str(path.relative_to(SAMPLES)) for path in SAMPLES.rglob("*.json")}
        zones = {name for name in files if not name.startswith("schema/")}
        parts = {name for name in zones if "PartialExample_" in Path(name).name}
        known = {name for name, _ in VALID} | {"examples/InvalidExample_GeoZone_2_Layers.json"}
        assert zones - parts - known == set()
