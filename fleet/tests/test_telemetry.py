"""What is made of the Fleet API's answers, good and bad."""

import json
from datetime import UTC, datetime
from functools import cache
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from fleet.telemetry import MalformedAnswer, Telemetry, decode_answer
from fleet.tests.answers import REAL, body, entry

CONTRACT = Path(__file__).parents[2] / "docs" / "contracts" / "telemetry.schema.json"


def only(drone: Any) -> Telemetry:
    """The telemetry of an answer with one good drone."""
    decoded = decode_answer(body(drone))
    assert decoded.skipped == []
    return decoded.telemetry[0]


def test_an_answer_of_the_real_service_decodes():
    decoded = decode_answer(json.dumps(REAL).encode())

    assert decoded.server_time == datetime(2026, 11, 24, 2, 48, 40, 99989, tzinfo=UTC)
    assert decoded.skipped == []
    assert decoded.telemetry[0] == Telemetry(
        drone_id="WX-DRN-001",
        seen_at=datetime(2026, 11, 24, 2, 48, 36, 877743, tzinfo=UTC),
        measured_at=datetime(2026, 11, 24, 2, 48, 36, 875000, tzinfo=UTC),
        lat=5.603982821615486,
        lng=-0.1860408274744271,
        alt_m=124.55754484364941,
        heading_deg=86.02036714553833,
        speed_mps=14.95306644586677,
        armed=True,
        mode="AUTO",
        battery_pct=99,
        voltage_v=22.19681406047609,
        rssi_dbm=-69,
    )


def test_a_section_that_is_null_says_nothing_and_never_zero():
    partial = decode_answer(json.dumps(REAL).encode()).telemetry[2]

    assert partial == Telemetry(
        drone_id="WX_PARTIAL",
        seen_at=datetime(2026, 11, 24, 2, 48, 40, 91429, tzinfo=UTC),
        measured_at=datetime(2026, 11, 24, 2, tzinfo=UTC),
        lat=5.6,
        lng=-0.18,
    )


BAD = {
    "an id in small letters": entry("wx-drn-001"),
    "an id of two characters": entry("WX"),
    "an id of 65 characters": entry("W" * 65),
    "an id with a line end": entry("WX-DRN-001\n"),
    "no id": {"last_seen_ts": REAL["server_time"]},
    "another drone's telemetry": entry(telemetry__drone_id="WX-DRN-002"),
    "no telemetry": entry(telemetry=None),
    "a time without a zone": entry(telemetry__ts="2026-11-24T02:48:36"),
    "no time": entry(telemetry__ts=None),
    "a time that is a number": entry(last_seen_ts=1795488516),
    "a time that is none": entry(last_seen_ts="yesterday"),
    "a time before all times": entry(telemetry__ts="0001-01-01T00:00:00+14:00"),
    "latitude 91": entry(telemetry__position__lat=91),
    "longitude -180.1": entry(telemetry__position__lon=-180.1),
    "an altitude of 20,001 m": entry(telemetry__position__alt_m=20_001),
    "an altitude of -501 m": entry(telemetry__position__alt_m=-501),
    "a position in words": entry(telemetry__position={"lat": "north", "lon": 999, "alt_m": []}),
    "a position that is a list": entry(telemetry__position=[5.6, -0.18]),
    "battery 140 %": entry(telemetry__battery__remaining_pct=140),
    "battery -1 %": entry(telemetry__battery__remaining_pct=-1),
    "battery true": entry(telemetry__battery__remaining_pct=True),
    "armed in words": entry(telemetry__state__armed="yes"),
    "flying backwards": entry(telemetry__velocity__groundspeed_mps=-3),
    "a mode as long as a novel": entry(telemetry__state__mode="A" * 41),
    "half a character in the mode": entry(telemetry__state__mode="\ud800"),
    "a version from the future": entry(telemetry__schema_version=2),
    "a number": 7,
    "null": None,
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_one_bad_drone_is_skipped_and_reported_and_the_others_count(bad):
    decoded = decode_answer(body(entry("WX-DRN-008"), bad, entry("WX-DRN-009")))

    assert [sample.drone_id for sample in decoded.telemetry] == ["WX-DRN-008", "WX-DRN-009"]
    [(name, reason)] = decoded.skipped
    assert name in ("WX-DRN-001", "drones[1]")
    assert reason


def test_a_skipped_drone_is_reported_with_what_was_wrong():
    decoded = decode_answer(body(entry(telemetry__battery__remaining_pct=140)))

    assert decoded.skipped == [
        ("WX-DRN-001", "Expected `float` <= 100.0 - at `$.telemetry.battery.remaining_pct`")
    ]


def test_a_number_too_large_for_any_computer_costs_one_drone():
    answer = body(entry("WX-DRN-008"), entry("WX-DRN-009", telemetry__position__lat=12345))

    decoded = decode_answer(answer.replace(b"12345", b"1e999"))

    assert [name for name, _ in decoded.skipped] == ["WX-DRN-009"]


@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_nan_and_infinity_are_a_sensor_that_says_nothing(number):
    decoded = decode_answer(
        body(
            entry("WX-DRN-008", telemetry__battery__remaining_pct=number),
            entry("WX-DRN-009", telemetry__position__lat=number),
        )
    )

    no_battery, no_position = decoded.telemetry
    assert no_battery.battery_pct is None
    assert no_battery.lat is not None
    assert (no_position.lat, no_position.lng) == (None, None)
    assert decoded.skipped == []


def test_bytes_that_are_no_text_cost_one_drone_at_most():
    answer = body(entry("WX-DRN-008"), entry("WX-DRN-009", telemetry__state__mode="AUTO"))

    decoded = decode_answer(answer.replace(b"WX-DRN-009", b"WX-\xff-009"))

    assert [sample.drone_id for sample in decoded.telemetry] == ["WX-DRN-008"]
    assert [name for name, _ in decoded.skipped] == ["drones[1]"]


@pytest.mark.parametrize(("lat", "lon"), [(0, 0), (5.6, None), (None, -0.18)])
def test_a_receiver_without_a_fix_has_no_position(lat, lon):
    sample = only(entry(telemetry__position={"lat": lat, "lon": lon, "alt_m": 3}))

    assert (sample.lat, sample.lng, sample.alt_m) == (None, None, 3)


def test_the_greenwich_meridian_and_the_equator_are_places_to_be():
    assert only(entry(telemetry__position__lon=0)).lng == 0
    assert only(entry(telemetry__position__lat=0)).lat == 0


@pytest.mark.parametrize(("yaw_deg", "heading_deg"), [(-90, 270), (360, 0), (359.5, 359.5)])
def test_a_heading_is_from_0_up_to_360(yaw_deg, heading_deg):
    assert only(entry(telemetry__attitude__yaw_deg=yaw_deg)).heading_deg == heading_deg


def test_times_are_told_in_utc():
    sample = only(entry(telemetry__ts="2026-11-24T03:48:36+01:00"))

    assert sample.measured_at == datetime(2026, 11, 24, 2, 48, 36, tzinfo=UTC)
    assert sample.measured_at.tzinfo is UTC


def test_members_that_we_do_not_know_are_ignored():
    assert only(entry(firmware="4.6", telemetry__payload={"open": False})).drone_id == "WX-DRN-001"


@pytest.mark.parametrize("newer_first", [True, False])
def test_a_drone_that_is_there_twice_counts_with_its_newer_measurement(newer_first):
    old = entry(telemetry__ts="2026-11-24T02:00:00Z", telemetry__battery__remaining_pct=80)
    new = entry(telemetry__ts="2026-11-24T02:48:00Z", telemetry__battery__remaining_pct=41)

    decoded = decode_answer(body(*((new, old) if newer_first else (old, new))))

    assert [sample.battery_pct for sample in decoded.telemetry] == [41]
    assert [name for name, _ in decoded.skipped] == ["WX-DRN-001"]


NO_ANSWERS = {
    "nothing": b"",
    "a page": b"<html><body>Welcome to nginx!</body></html>",
    "null": b"null",
    "a list": b"[]",
    "an error": b'{"detail": "Not authenticated"}',
    "no drones": json.dumps({"server_time": REAL["server_time"]}).encode(),
    "drones null": body(drones=None),
    "no time": json.dumps({"drones": []}).encode(),
    "a time without a zone": body(server_time="2026-11-24T02:48:40"),
    "more behind the end": body() + b"}",
    "a bottomless list": b'{"drones": ' + b"[" * 100_000,
    "nan for a time": body(server_time=nan),
}


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_what_is_no_answer_of_the_fleet_api_is_refused_as_a_whole(answer):
    with pytest.raises(MalformedAnswer, match=r"^The answer is not"):
        decode_answer(answer)


@given(st.integers(min_value=0, max_value=len(json.dumps(REAL)) - 1))
def test_an_answer_cut_anywhere_is_refused(length):
    with pytest.raises(MalformedAnswer):
        decode_answer(json.dumps(REAL).encode()[:length])


@given(st.integers(min_value=0, max_value=len(json.dumps(REAL)) - 1), st.binary(max_size=3))
def test_no_damage_to_an_answer_breaks_more_than_the_answer(place, damage):
    answer = json.dumps(REAL).encode()
    try:
        decoded = decode_answer(answer[:place] + damage + answer[place + len(damage) :])
    except MalformedAnswer:
        return
    assert all(-90 <= sample.lat <= 90 for sample in decoded.telemetry if sample.lat is not None)


@cache
def contract() -> Draft202012Validator:
    schema = json.loads(CONTRACT.read_text())
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


anything = (
    st.none()
    | st.booleans()
    | st.integers(-1000, 1000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=45)
)
sections = {
    "telemetry__position": st.fixed_dictionaries(
        {}, optional=dict.fromkeys(["lat", "lon", "alt_m"], anything)
    ),
    "telemetry__attitude": st.fixed_dictionaries({}, optional={"yaw_deg": anything}),
    "telemetry__velocity": st.fixed_dictionaries({}, optional={"groundspeed_mps": anything}),
    "telemetry__state": st.fixed_dictionaries({}, optional={"armed": anything, "mode": anything}),
    "telemetry__battery": st.fixed_dictionaries(
        {}, optional=dict.fromkeys(["voltage_v", "remaining_pct"], anything)
    ),
    "telemetry__link": st.fixed_dictionaries({}, optional={"rssi_dbm": anything}),
}


@given(st.fixed_dictionaries({}, optional={n: s | anything for n, s in sections.items()}))
@example({"telemetry__battery": {"remaining_pct": 100.5}})
def test_the_contract_says_exactly_what_is_understood(changes):
    answer = json.loads(body(entry(**changes)))

    assert contract().is_valid(answer) == (decode_answer(body(entry(**changes))).skipped == [])


def test_the_real_answer_keeps_the_contract():
    contract().validate(REAL)
