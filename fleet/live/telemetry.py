"""What the Fleet API says of the drones, decoded and judged. Pure.

An answer is judged drone by drone, and a drone value by value, so that a bad one costs no other:

- A value of the wrong type or that cannot be (latitude 91, battery -1 %) is None alone, and
  `Telemetry.refused` says why. Latitude and longitude count together or not at all.
- A time that is missing or without a zone, ids that contradict each other, another schema_version
  (other units): nothing in such an entry can be trusted. It is skipped, and `Decoded.skipped` says
  why.
- NaN and infinity, which JSON does not have but senders write, are taken as null: a sensor that
  says nothing. So is the position 0, 0, which receivers send until they have a fix.
- null is allowed everywhere but in ids and times. A rule that needs the value counts it as a no.

An entry without a fault is decoded at once by its type; only the others go value by value
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
    """The newest that is known of one drone. Times are aware and UTC; None where nothing is said.

    measured_at is by the drone's own clock, seen_at by the Fleet API's when it arrived there; both
    may be wrong (see `Picture.age_s_of`). lat and lng are both given or both None. alt_m is as the
    drone sends it, heading_deg from 0 up to 360. refused: the Fleet API's name of a value that was
    not used ("battery.remaining_pct") and why, as a sentence without its full stop.
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
    """One answer. `server_time` is the Fleet API's clock as it answered.

    telemetry: each drone once. skipped: the drone's id, or its place in the answer ("drones[3]")
    where it has none, and why it was left out.
    """

    server_time: datetime
    telemetry: list[Telemetry]
    skipped: list[tuple[str, str]]


class MalformedAnswer(ValueError):
    """Not an answer of the Fleet API at all; the message says what it is instead."""


def decode_answer(body: bytes) -> Decoded:
    """The body of `GET /api/v1/telemetry/latest`. Raises MalformedAnswer.

    A drone that is in it twice counts with its newer measurement, and is reported.
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
    """What the drone itself sent. Another schema_version may mean other units: not trusted."""

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
    """The answer's time and each drone's own piece of JSON."""
    try:
        answer = _answer.decode(body)
    except msgspec.ValidationError as error:
        raise MalformedAnswer(f"The answer is not the Fleet API's: {error}.") from error
    except (msgspec.DecodeError, RecursionError):
        return _lenient_entries(body)
    return answer.server_time.astimezone(UTC), answer.drones


def _lenient_entries(body: bytes) -> tuple[datetime, Iterable[bytes]]:
    """The same for an answer in which somebody wrote NaN, or half a character."""
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
        pass  # what is wrong with it, and only that, is found out below
    usable, refused = scrutinize(bytes(raw))
    return msgspec.structs.replace(_telemetry(msgspec.convert(usable, _Entry)), refused=refused)


def _telemetry(entry: _Entry) -> Telemetry:
    said = entry.telemetry
    position = said.position or _NO_POSITION
    lat, lng = position.lat, position.lon
    if lat is None or lng is None or (lat == 0 and lng == 0):
        lat = lng = None
    yaw_deg = said.attitude.yaw_deg if said.attitude else None
    state = said.state or _NO_STATE
    battery = said.battery or _NO_BATTERY
    return Telemetry(
        drone_id=entry.drone_id,
        seen_at=_utc(entry.last_seen_ts),
        measured_at=_utc(said.ts),
        lat=lat,
        lng=lng,
        alt_m=position.alt_m,
        heading_deg=None if yaw_deg is None else yaw_deg % 360,
        speed_mps=said.velocity.groundspeed_mps if said.velocity else None,
        armed=state.armed,
        mode=state.mode,
        battery_pct=battery.remaining_pct,
        voltage_v=battery.voltage_v,
        rssi_dbm=said.link.rssi_dbm if said.link else None,
    )


_NO_POSITION = _Position()
_NO_STATE = _State()
_NO_BATTERY = _Battery()


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def _label(raw: bytes | msgspec.Raw, place: int) -> str:
    """What to call a drone whose entry cannot be read."""
    try:
        return _named.decode(raw).drone_id
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return f"drones[{place}]"
