"""An entry of the Fleet API that breaks its contract, value by value: what counts, what does not.

Slow next to `telemetry.py`'s decoder, which takes every entry that keeps the contract. The types
here are those of that decoder too, so that both refuse the same values. Pure.
"""

import json
import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

# The Fleet API's own limits. No drone of ours is faster than the last one: a larger number has
# another unit.
DroneId = Annotated[str, Meta(pattern=r"\A[A-Z0-9_-]{3,64}\Z")]
Time = Annotated[datetime, Meta(tz=True)]
SchemaVersion = Literal[1]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
AltitudeM = Annotated[float, Meta(ge=-500, le=20_000)]
Percent = Annotated[float, Meta(ge=0, le=100)]
SpeedMps = Annotated[float, Meta(ge=0, le=200)]
Mode = Annotated[str, Meta(max_length=40)]

_NUMBER = (float, "a number")
# Every value that a drone may send: its type and what it must be, in words.
VALUES: dict[str, dict[str, tuple[Any, str]]] = {
    "position": {
        "lat": (Latitude, "-90 to 90"),
        "lon": (Longitude, "-180 to 180"),
        "alt_m": (AltitudeM, "-500 to 20000"),
    },
    "attitude": {"yaw_deg": _NUMBER},
    "velocity": {"groundspeed_mps": (SpeedMps, "0 to 200")},
    "state": {"armed": (bool, "true or false"), "mode": (Mode, "a text of up to 40 characters")},
    "battery": {"voltage_v": _NUMBER, "remaining_pct": (Percent, "0 to 100")},
    "link": {"rssi_dbm": _NUMBER},
}
_ID = (DroneId, "3 to 64 of A-Z, 0-9, _ and -")
_TIME = (Time, "a time with its zone, like 2026-11-24T02:48:36Z")

SHOWN_CHARACTERS = 40


class Unusable(ValueError):
    """Nothing in the entry can be trusted; the message says why."""


def scrutinize(raw: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """The entry with only those values that count, and why each of the others does not.

    Raises Unusable.
    """
    try:
        entry = _object(lenient_json(raw), "The entry")
    except json.JSONDecodeError as error:
        raise Unusable(f"The entry is not JSON: {error}.") from error
    drone_id = _needed(entry, "drone_id", "", *_ID)
    _time(entry, "last_seen_ts", "")
    message = _object(entry.get("telemetry"), "telemetry")
    owner = _needed(message, "drone_id", "telemetry.", *_ID)
    if owner != drone_id:
        raise Unusable(f"telemetry.drone_id is {owner}; it must be {drone_id}, as beside it.")
    _time(message, "ts", "telemetry.")
    if "schema_version" in message:
        _needed(message, "schema_version", "telemetry.", SchemaVersion, "1")
    usable, refused = _values(message)
    kept = {name: message[name] for name in ("drone_id", "ts")} | usable
    usable_entry = {"drone_id": drone_id, "last_seen_ts": entry["last_seen_ts"], "telemetry": kept}
    return usable_entry, refused


def lenient_json(raw: bytes) -> Any:
    """NaN and infinity are None, bytes that are no text half characters. Raises JSONDecodeError."""
    text = raw.decode(errors="surrogateescape")
    return json.loads(text, parse_constant=lambda _: None, parse_int=_integer)


def _values(message: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    usable: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for section, values in VALUES.items():
        found = message.get(section)
        if found is None:
            continue
        if not isinstance(found, dict):
            refused[section] = _must(section, found, "an object")
            continue
        usable[section] = {}
        for name, (kind, words) in values.items():
            value = found.get(name)
            if value is None or _is(kind, value):
                usable[section][name] = value
            else:
                path = f"{section}.{name}"
                refused[path] = _must(path, value, words)
    return usable, refused


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unusable(f"{_must(name, value, 'an object')}.")
    return value


def _needed(of: dict[str, Any], name: str, before: str, kind: Any, words: str) -> Any:
    if name not in of:
        raise Unusable(f"{before}{name} is missing.")
    if not _is(kind, of[name]):
        raise Unusable(f"{_must(before + name, of[name], words)}.")
    return of[name]


def _time(of: dict[str, Any], name: str, before: str) -> None:
    kind, words = _TIME
    text = _needed(of, name, before, kind, words)
    try:
        msgspec.convert(text, kind).astimezone(UTC)
    except OverflowError as error:  # in the year 1 or 9999, and in UTC in no year at all
        raise Unusable(f"{_must(before + name, text, words)}.") from error


def _is(kind: Any, value: Any) -> bool:
    if isinstance(value, float) and not math.isfinite(value):  # 1e999
        return False
    try:
        if isinstance(value, str):
            value.encode()  # raises for half a character
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeError):
        return False
    return True


def _must(name: str, value: Any, words: str) -> str:
    return f"{name} is {_shown(value)}; it must be {words}"


def _shown(value: Any) -> str:
    """The value as JSON, or what kind of value it is; never long."""
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case float() if not math.isfinite(value):
            return "a number too large"
        case str() if len(value) > SHOWN_CHARACTERS:
            return f"{json.dumps(value[:SHOWN_CHARACTERS])}… ({len(value)} characters)"
    return json.dumps(value)


def _integer(digits: str) -> int | float:
    """Python makes no int of thousands of digits; as a float it is infinite, and refused."""
    return int(digits) if len(digits) < 20 else float(digits)
