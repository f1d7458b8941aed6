"""Decodes and validates an answer of the Fleet API. Pure.

An invalid value does not affect other values, and an invalid entry does not affect other drones:

- A value of the wrong type or out of range (latitude 91, battery -1 %) becomes None, and
  `Telemetry.refused` says why. Latitude and longitude are both valid or both None.
- An entry is skipped if a time is missing or has no zone, if its two ids differ, or if it has
  another schema_version (other units). `Decoded.skipped` says why.
- NaN and infinity are not JSON, but some senders write them. They count as null: the sensor has no
  reading. So does the position 0, 0, which GPS receivers send until they have a fix.
- null is allowed for every value but ids and times. A rule that needs the value then fails.

A valid entry is decoded in one step; only an invalid one is checked value by value
(`fleet/live/scrutiny.py`).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from fleet.live.scrutiny import (
    AltitudeM,
    DroneId,
    Latitude,
    Longitude,
    Mode,
    Percent,
    SchemaVersion,
    SpeedMps,
    Time,
    Unusable,
    lenient_json,
    scrutinize,
)


class Telemetry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest telemetry of one drone. Times are aware and UTC; missing values are None.

    measured_at is by the drone's clock, seen_at (arrival) by the Fleet API's clock; both may be
    wrong (see `Picture.age_s_of`). lat and lng are both given or both None. alt_m is as the drone
    sends it, heading_deg is in [0, 360). refused: the Fleet API's name of an invalid value
    ("battery.remaining_pct") to the reason, a sentence without full stop.
    """

    drone_id: str
    seen_at: datetime
    measured_at: datetime
    lat: float | None = None
    lng: float | None = None
    alt_m: float | None = None
    heading_deg: float | None = None
    speed_mps: float | None = None
    armed: bool | None = None
    mode: str | None = None
    battery_pct: float | None = None
    voltage_v: float | None = None
    rssi_dbm: float | None = None
    refused: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Decoded:
    """One answer. `server_time` is the Fleet API's clock when it answered.

    telemetry: each drone once. skipped: (drone id, reason) for each unusable or duplicate entry;
    without an id, its index in the answer ("drones[3]").
    """

    server_time: datetime
    telemetry: list[Telemetry]
    skipped: list[tuple[str, str]]


class MalformedAnswer(ValueError):
    """The body is not a Fleet API answer; the message says why."""


def decode_answer(body: bytes) -> Decoded:
    """Decodes the body of `GET /api/v1/telemetry/latest`. Raises MalformedAnswer.

    If a drone occurs twice, the newer measurement counts and `skipped` reports it.
    """
    server_time, entries = _entries(body)
    newest: dict[str, Telemetry] = {}
    skipped = []
    for place, raw in enumerate(entries):
        try:
            sample = _decoded(raw)
        except (Unusable, RecursionError) as error:
            skipped.append((_label(raw, place), str(error)))
            continue
        other = newest.get(sample.drone_id)
        if other is not None:
            skipped.append((sample.drone_id, "It is in the answer twice; the newer one counts."))
        if other is None or sample.measured_at > other.measured_at:
            newest[sample.drone_id] = sample
    return Decoded(server_time, list(newest.values()), skipped)


# --- the Fleet API's shape -----------------------------------------------------------------------


class _Position(Struct):
    lat: Latitude | None = None
    lon: Longitude | None = None
    alt_m: AltitudeM | None = None


class _Attitude(Struct):
    yaw_deg: float | None = None


class _Velocity(Struct):
    groundspeed_mps: SpeedMps | None = None


class _State(Struct):
    armed: bool | None = None
    mode: Mode | None = None


class _Battery(Struct):
    voltage_v: float | None = None
    remaining_pct: Percent | None = None


class _Link(Struct):
    rssi_dbm: float | None = None


class _Message(Struct):
    """The drone's own message. Another schema_version may mean other units and is refused."""

    drone_id: DroneId
    ts: Time
    schema_version: SchemaVersion = 1
    position: _Position | None = None
    attitude: _Attitude | None = None
    velocity: _Velocity | None = None
    state: _State | None = None
    battery: _Battery | None = None
    link: _Link | None = None


class _Entry(Struct):
    drone_id: DroneId
    last_seen_ts: Time
    telemetry: _Message


class _Answer(Struct):
    server_time: Time
    drones: list[msgspec.Raw]


class _Named(Struct):
    drone_id: DroneId


_answer = msgspec.json.Decoder(_Answer)
_entry = msgspec.json.Decoder(_Entry)
_named = msgspec.json.Decoder(_Named)


def _entries(body: bytes) -> tuple[datetime, Iterable[bytes | msgspec.Raw]]:
    """The answer's time and the raw JSON of each drone."""
    try:
        answer = _answer.decode(body)
    except msgspec.ValidationError as error:
        raise MalformedAnswer(f"The answer is not the Fleet API's: {error}.") from error
    except (msgspec.DecodeError, RecursionError):
        return _lenient_entries(body)
    return answer.server_time.astimezone(UTC), answer.drones


def _lenient_entries(body: bytes) -> tuple[datetime, Iterable[bytes]]:
    """The same for an answer with NaN, infinity or invalid UTF-8."""
    try:
        answer = msgspec.convert(lenient_json(body), _LenientAnswer)
        return answer.server_time.astimezone(UTC), [json.dumps(e).encode() for e in answer.drones]
    except msgspec.ValidationError as error:
        raise MalformedAnswer(f"The answer is not the Fleet API's: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer(f"The answer is not JSON: {error}.") from error


class _LenientAnswer(Struct):
    server_time: Time
    drones: list[Any]


def _decoded(raw: bytes | msgspec.Raw) -> Telemetry:
    """Raises Unusable."""
    try:
        entry = _entry.decode(raw)
        if entry.telemetry.drone_id == entry.drone_id:
            return _telemetry(entry)
    except (msgspec.DecodeError, OverflowError, UnicodeError):
        pass  # scrutinize finds the invalid values
    usable, refused = scrutinize(bytes(raw))
    return msgspec.structs.replace(_telemetry(msgspec.convert(usable, _Entry)), refused=refused)


def _telemetry(entry: _Entry) -> Telemetry:
    message = entry.telemetry
    position = message.position or _NO_POSITION
    lat, lng = position.lat, position.lon
    if lat is None or lng is None or (lat == 0 and lng == 0):
        lat = lng = None
    yaw_deg = message.attitude.yaw_deg if message.attitude else None
    state = message.state or _NO_STATE
    battery = message.battery or _NO_BATTERY
    return Telemetry(
        drone_id=entry.drone_id,
        seen_at=_utc(entry.last_seen_ts),
        measured_at=_utc(message.ts),
        lat=lat,
        lng=lng,
        alt_m=position.alt_m,
        heading_deg=None if yaw_deg is None else yaw_deg % 360,
        speed_mps=message.velocity.groundspeed_mps if message.velocity else None,
        armed=state.armed,
        mode=state.mode,
        battery_pct=battery.remaining_pct,
        voltage_v=battery.voltage_v,
        rssi_dbm=message.link.rssi_dbm if message.link else None,
    )


_NO_POSITION = _Position()
_NO_STATE = _State()
_NO_BATTERY = _Battery()


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def _label(raw: bytes | msgspec.Raw, place: int) -> str:
    """The drone id of an unreadable entry, or its index in the answer."""
    try:
        return _named.decode(raw).drone_id
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return f"drones[{place}]"
