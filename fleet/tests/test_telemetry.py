"""Decoding of valid and invalid Fleet API answers."""

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

from fleet.live.telemetry import MalformedAnswer, Telemetry, decode_answer
from fleet.tests.answers import PLUGIN, REAL, body, entry

CONTRACT = Path(__file__).parents[2] / "docs" / "contracts" / "telemetry.schema.json"


POSITION = ("lat", "lng", "alt_m")


def only(drone: Any) -> Telemetry:
    """The telemetry of an answer with one good drone."""
    decoded = decode_answer(body(drone))
    assert decoded.skipped == []
    return decoded.telemetry[0]


def test_a_real_answer_is_decoded():
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


def test_a_null_section_gives_none_not_zero():
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
    "a version from the future": entry(telemetry__schema_version=2),
    "a number": 7,
    "null": None,
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_an_invalid_entry_is_skipped_and_the_others_are_used(bad):
    decoded = decode_answer(body(entry("WX-DRN-008"), bad, entry("WX-DRN-009")))

    assert [sample.drone_id for sample in decoded.telemetry] == ["WX-DRN-008", "WX-DRN-009"]
    [(name, reason)] = decoded.skipped
    assert name in ("WX-DRN-001", "drones[1]")
    assert reason


def test_a_skipped_drone_has_the_reason():
    decoded = decode_answer(body(entry(telemetry__drone_id="WX-DRN-002")))

    assert decoded.skipped == [
        (
            "WX-DRN-001",
            "telemetry.drone_id is WX-DRN-002; it must be WX-DRN-001, the entry's drone_id.",
        )
    ]


# Name to (path, invalid value, part of the message, fields that become None).
REFUSED = {
    "latitude 91": ("position__lat", 91, "91; it must be -90 to 90", ["lat", "lng"]),
    "longitude -180.1": ("position__lon", -180.1, "-180.1; it must be -180 to 180", ["lat", "lng"]),
    "a longitude in words": ("position__lon", "west", '"west"; it must be -180', ["lat", "lng"]),
    "a position that is a list": ("position", [5.6], "a list; it must be an object", [*POSITION]),
    "a position in words": ("position", "north", '"north"; it must be an object', [*POSITION]),
    "an altitude in the sky": ("position__alt_m", 1e9, "1000000000.0; it must", ["alt_m"]),
    "an altitude of -501 m": ("position__alt_m", -501, "-501; it must be -500", ["alt_m"]),
    "battery 140 %": ("battery__remaining_pct", 140, "140; it must be 0 to", ["battery_pct"]),
    "battery not known": ("battery__remaining_pct", -1, "-1; it must be 0 to", ["battery_pct"]),
    "battery below empty": ("battery__remaining_pct", -0.01, "-0.01; it must", ["battery_pct"]),
    "battery true": ("battery__remaining_pct", True, "true; it must be 0", ["battery_pct"]),
    "a battery in words": ("battery", "full", '"full"; it must', ["battery_pct", "voltage_v"]),
    "armed in words": ("state__armed", "yes", '"yes"; it must be true or false', ["armed"]),
    "flying backwards": ("velocity__groundspeed_mps", -0.01, "-0.01; it must", ["speed_mps"]),
    "faster than sound": ("velocity__groundspeed_mps", 1500, "1500; it must", ["speed_mps"]),
    "a heading in words": ("attitude__yaw_deg", "x", '"x"; it must be a number', ["heading_deg"]),
    "a mode like a novel": ("state__mode", "A" * 200, "… (200 characters); it must", ["mode"]),
    "half a character": ("state__mode", "\ud800", "it must be a text of up to 40", ["mode"]),
    "a link that is 7": ("link", 7, "7; it must be an object", ["rssi_dbm"]),
}


@pytest.mark.parametrize(("path", "value", "message", "lost"), REFUSED.values(), ids=REFUSED.keys())
def test_an_invalid_value_is_refused_alone_with_the_reason(path, value, message, lost):
    good, sample = only(entry()), only(entry(**{f"telemetry__{path}": value}))

    name = path.replace("__", ".")
    assert sample.refused.keys() == {name}
    assert sample.refused[name].startswith(f"{name} is ")
    assert message in sample.refused[name]
    assert len(sample.refused[name]) < 200
    changed = {f for f in Telemetry.__struct_fields__ if getattr(sample, f) != getattr(good, f)}
    assert changed == {*lost, "refused"}
    assert {getattr(sample, field) for field in lost} == {None}


def test_a_missing_section_gives_none():
    made = entry()
    for section in ("attitude", "velocity", "state", "battery", "link"):
        del made["telemetry"][section]
    sample = only(made)

    assert (sample.battery_pct, sample.armed, sample.speed_mps) == (None, None, None)
    assert sample.lat is not None
    assert sample.refused == {}


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 5000])
def test_a_number_that_is_too_large_is_refused_alone(number):
    answer = body(entry("WX-DRN-008"), entry("WX-DRN-009", telemetry__position__lat=12345))

    decoded = decode_answer(answer.replace(b"12345", number))

    good, bad = decoded.telemetry
    assert good.refused == {}
    assert bad.refused.keys() == {"position.lat"}
    assert (bad.lat, bad.battery_pct) == (None, 99)
    assert decoded.skipped == []


def test_invalid_utf8_in_a_value_refuses_the_value():
    answer = body(entry(telemetry__state__mode="AUTO"))

    (sample,) = decode_answer(answer.replace(b"AUTO", b"A\xffTO")).telemetry

    assert sample.refused.keys() == {"state.mode"}
    assert (sample.mode, sample.armed) == (None, True)


@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_nan_and_infinity_count_as_null(number):
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


def test_invalid_utf8_in_an_id_skips_one_drone():
    answer = body(entry("WX-DRN-008"), entry("WX-DRN-009", telemetry__state__mode="AUTO"))

    decoded = decode_answer(answer.replace(b"WX-DRN-009", b"WX-\xff-009"))

    assert [sample.drone_id for sample in decoded.telemetry] == ["WX-DRN-008"]
    assert [name for name, _ in decoded.skipped] == ["drones[1]"]


@pytest.mark.parametrize(("lat", "lon"), [(0, 0), (5.6, None), (None, -0.18)])
def test_a_gps_receiver_without_a_fix_has_no_position(lat, lon):
    sample = only(entry(telemetry__position={"lat": lat, "lon": lon, "alt_m": 3}))

    assert (sample.lat, sample.lng, sample.alt_m) == (None, None, 3)


def test_zero_longitude_or_latitude_alone_is_valid():
    assert only(entry(telemetry__position__lon=0)).lng == 0
    assert only(entry(telemetry__position__lat=0)).lat == 0


@pytest.mark.parametrize(("yaw_deg", "heading_deg"), [(-90, 270), (360, 0), (359.5, 359.5)])
def test_a_heading_is_normalized_to_0_to_360(yaw_deg, heading_deg):
    assert only(entry(telemetry__attitude__yaw_deg=yaw_deg)).heading_deg == heading_deg


def test_times_are_converted_to_utc():
    sample = only(entry(telemetry__ts="2026-11-24T03:48:36+01:00"))

    assert sample.measured_at == datetime(2026, 11, 24, 2, 48, 36, tzinfo=UTC)
    assert sample.measured_at.tzinfo is UTC


def test_unknown_members_are_ignored():
    assert only(entry(firmware="4.6", telemetry__payload={"open": False})).drone_id == "WX-DRN-001"


@pytest.mark.parametrize("newer_first", [True, False])
def test_a_duplicate_drone_keeps_its_newer_measurement(newer_first):
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
def test_a_malformed_answer_is_refused(answer):
    with pytest.raises(MalformedAnswer, match=r"^The answer is not"):
        decode_answer(answer)


@given(st.integers(min_value=0, max_value=len(json.dumps(REAL)) - 1))
def test_a_truncated_answer_is_refused(length):
    with pytest.raises(MalformedAnswer):
        decode_answer(json.dumps(REAL).encode()[:length])


@given(st.integers(min_value=0, max_value=len(json.dumps(REAL)) - 1), st.binary(max_size=3))
def test_a_damaged_answer_is_refused_or_valid(place, damage):
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


entries = st.fixed_dictionaries({}, optional={n: s | anything for n, s in sections.items()})
# Path in the Fleet API's message to our field name.
OURS = {
    "position.lat": "lat",
    "position.lon": "lng",
    "position.alt_m": "alt_m",
    "attitude.yaw_deg": "heading_deg",
    "velocity.groundspeed_mps": "speed_mps",
    "state.armed": "armed",
    "state.mode": "mode",
    "battery.voltage_v": "voltage_v",
    "battery.remaining_pct": "battery_pct",
    "link.rssi_dbm": "rssi_dbm",
}
TOGETHER = {"lat": {"lat", "lng"}, "lng": {"lat", "lng"}}


@given(
    st.sampled_from(sorted(OURS)),
    anything | st.lists(anything) | st.dictionaries(st.text(), anything),
)
def test_a_value_does_not_affect_others(path, value):
    section, name = path.split(".")
    good, sample = only(entry()), only(entry(**{f"telemetry__{section}__{name}": value}))

    ours = OURS[path]
    changed = {f for f in Telemetry.__struct_fields__ if getattr(sample, f) != getattr(good, f)}
    assert changed <= {*TOGETHER.get(ours, {ours}), "refused"}
    assert sample.refused.keys() <= {path}
    if sample.refused:
        assert getattr(sample, ours) is None


@given(entries, entries)
def test_each_section_is_checked_independently(one, other):
    """A section of the first entry is read the same with and without the second's sections."""
    alone, beside = only(entry(**one)), only(entry(**other | one))

    mine = {name.removeprefix("telemetry__") for name in one}
    for path, ours in OURS.items():
        if path.split(".")[0] in mine:
            assert getattr(alone, ours) == getattr(beside, ours), path
    assert alone.refused.items() <= beside.refused.items()


@given(entries)
@example({"telemetry__battery": {"remaining_pct": 100.5}})
@example({"telemetry__velocity": {"groundspeed_mps": 200.5}})
def test_the_schema_and_the_decoder_agree(changes):
    answer = body(entry(**changes))
    decoded = decode_answer(answer)

    assert decoded.skipped == []
    assert contract().is_valid(json.loads(answer)) == (decoded.telemetry[0].refused == {})


def test_the_production_plugins_answer_has_only_positions():
    first, second = decode_answer(json.dumps(PLUGIN).encode()).telemetry

    assert (first.lat, first.heading_deg) == (second.lat, second.heading_deg)
    assert first.lat is not None
    for sample in (first, second):
        assert (sample.armed, sample.battery_pct, sample.speed_mps, sample.mode) == (None,) * 4
    assert second.refused == {
        "position.alt_m": "position.alt_m is 48000.0; it must be -500 to 20000"
    }


def test_the_real_answer_matches_the_schema():
    contract().validate(REAL)
