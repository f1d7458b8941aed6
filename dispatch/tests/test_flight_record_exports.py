"""Flight records leave as CSV, JSON lines and GeoJSON: by API, by command, for any filter."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dispatch.missions.records import exports
from dispatch.models import FlightRecord
from dispatch.tests.test_flight_records import record_of
from dispatch.tests.test_tracks import flown
from fleet.simulator.run import Simulator
from orders.states import Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, key_client

pytestmark = pytest.mark.django_db

URL = "/api/v1/flight-records"


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content).decode()


def records(count: int) -> list[FlightRecord]:
    """Of different drones, a day apart, the oldest first."""
    made = [record_of(order_in(Status.DELIVERED)) for _ in range(count)]
    for days, record in enumerate(reversed(made)):
        record.ended_at -= timedelta(days=days)
        record.save(update_fields=["ended_at"])
    return made


def test_each_format_has_every_record_with_all_it_says(bridge: Simulator) -> None:
    record = record_of(flown(bridge))
    staff = key_client(role=Role.OPS)

    (row,) = csv.DictReader(io.StringIO(text_of(staff.get(URL)).removeprefix("\ufeff")))
    assert row["drone_id"] == record.drone_id
    assert row["took_off_at"] == f"{record.took_off_at:%Y-%m-%dT%H:%M:%SZ}"
    assert float(row["distance_m"]) == record.distance_m
    assert row["missing"].split() == record.missing
    assert float(row["conformance_inside"]) == record.conformance["inside"]
    assert row["landed_at"] == ""

    (line,) = text_of(staff.get(URL, {"format": "jsonl"})).splitlines()
    body = json.loads(line)
    assert set(body) == {*exports.COLUMNS, *exports.LISTS, "track"}
    assert body["id"] == str(record.pk)
    assert body["ended_at"] == f"{record.ended_at:%Y-%m-%dT%H:%M:%SZ}"
    for name in ("track", "events", "missing", "conformance", "duration_s", "landed_at"):
        assert body[name] == getattr(record, name)

    collection = json.loads(text_of(staff.get(URL, {"format": "geojson"})))
    (feature,) = collection["features"]
    assert feature["geometry"]["coordinates"] == record.track["coordinates"]
    assert feature["properties"]["track_at"] == record.track["at"]
    assert feature["properties"]["drone_id"] == record.drone_id


def test_a_record_without_a_track_has_no_geometry() -> None:
    records(1)
    found = json.loads(text_of(key_client(role=Role.OPS).get(URL, {"format": "geojson"})))
    assert found["features"][0]["geometry"] is None
    FlightRecord.objects.all().delete()
    found = json.loads(text_of(key_client(role=Role.OPS).get(URL, {"format": "geojson"})))
    assert found == {"type": "FeatureCollection", "features": []}


def test_filters_narrow_what_is_exported() -> None:
    old, middle, new = records(3)
    FlightRecord.objects.filter(pk=old.pk).update(outcome="ABORTED")
    staff = key_client(role=Role.OPS)
    at = middle.ended_at

    def found(**query: Any) -> list[str]:
        text = text_of(staff.get(URL, {"format": "jsonl", **query}))
        return [json.loads(line)["id"] for line in text.splitlines()]

    assert found() == [str(one.pk) for one in (old, middle, new)]
    assert found(drone=middle.drone_id) == [str(middle.pk)]
    assert found(area=str(old.service_area_id)) == found()
    assert found(outcome="ABORTED") == [str(old.pk)]
    assert found(outcome=["ABORTED", "COMPLETED"]) == found()
    assert found(**{"from": at.isoformat()}) == [str(middle.pk), str(new.pk)]
    assert found(to=f"{at:%Y-%m-%d}") == [str(old.pk), str(middle.pk)]


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"format": "pdf"}, "format", "invalid_choice"),
        ({"from": "yesterday"}, "from", "invalid"),
        ({"to": "2026-01-01T00:00:00"}, "to", "naive"),
        ({"outcome": "LOST"}, "outcome", "invalid_choice"),
        ({"area": "Accra"}, "area", "invalid"),
        ({"drones": "WX"}, "drones", "unknown_parameter"),
    ],
)
def test_bad_input_is_named(query: dict[str, str], field: str, code: str) -> None:
    answer = key_client(role=Role.OPS).get(URL, query)
    assert answer.status_code == 400
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [(field, code)]


def test_the_api_is_for_staff_and_readonly() -> None:
    records(1)
    assert key_client(merchant=MerchantFactory()).get(URL).status_code == 403
    assert text_of(key_client(role=Role.READONLY).get(URL)).count("\n") == 2


@pytest.mark.parametrize("fmt", exports.FORMATS)
def test_records_are_read_in_pages_and_none_is_lost(
    fmt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = records(3)
    same = timezone.now()
    FlightRecord.objects.update(ended_at=same)  # the order of equal times is that of the ids
    monkeypatch.setattr(exports, "ROWS_AT_ONCE", 1)
    with CaptureQueriesContext(connection) as captured:
        text = "".join(exports.FORMATS[fmt][1](FlightRecord.objects.all()))
    assert len(captured) == len(made) + 1
    ids = sorted(str(record.pk) for record in made)
    assert sorted(ids, key=text.index) == ids
    times = 2 if fmt == "geojson" else 1  # of a feature and in its properties
    assert {text.count(pk) for pk in ids} == {times}


def test_no_cell_of_the_csv_is_a_formula() -> None:
    (record,) = records(1)
    FlightRecord.objects.filter(pk=record.pk).update(hub="=1+1")
    assert "'=1+1" in "".join(exports.csv_lines(FlightRecord.objects.all()))


def test_the_command_writes_a_new_file(tmp_path: Any) -> None:
    _, new = records(2)
    path = tmp_path / "log.jsonl"
    day = f"{new.ended_at:%Y-%m-%d}"
    options = {"format": "jsonl", "from": day, "output": path}
    call_command("export_flight_records", **options)
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["id"] == str(new.pk)
    with pytest.raises(CommandError, match="exists already"):
        call_command("export_flight_records", **options)
    with pytest.raises(CommandError, match="--to: "):
        call_command("export_flight_records", to="soon")
