"""Checks an invalid Fleet API entry value by value: keeps the valid values, reports the others.

This is the slow path. Valid entries go through the decoder of `telemetry.py`, which uses the same
types, so that both refuse the same values. Pure.
"""

import json
import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

# The Fleet API's own limits. SpeedMps: no drone of ours is faster, a larger number has another
# unit.
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
# Section to value name to (type, expected text for error messages).
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
    """The whole entry is untrusted; the message says why."""


def scrutinize(raw: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """The entry with its valid values only, and the refused paths with the reason for each.

    Raises Unusable.
    """
    try:
        entry = _object(lenient_json(raw), "The entry")
    except json.JSONDecodeError as error:
        raise Unusable(f"The entry is not JSON: {error}.") from error
    drone_id = _required(entry, "drone_id", "", *_ID)
    _time(entry, "last_seen_ts", "")
    message = _object(entry.get("telemetry"), "telemetry")
    owner = _required(message, "drone_id", "telemetry.", *_ID)
    if owner != drone_id:
        raise Unusable(
            f"telemetry.drone_id is {owner}; it must be {drone_id}, the entry's drone_id."
        )
    _time(message, "ts", "telemetry.")
    if "schema_version" in message:
        _required(message, "schema_version", "telemetry.", SchemaVersion, "1")
    usable, refused = _values(message)
    kept = {name: message[name] for name in ("drone_id", "ts")} | usable
    usable_entry = {"drone_id": drone_id, "last_seen_ts": entry["last_seen_ts"], "telemetry": kept}
    return usable_entry, refused


def lenient_json(raw: bytes) -> Any:
    """Parses JSON with NaN and infinity as None and invalid UTF-8 as lone surrogates.

    Raises JSONDecodeError.
    """
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
            refused[section] = _mismatch(section, found, "an object")
            continue
        usable[section] = {}
        for name, (kind, expected) in values.items():
            value = found.get(name)
            if value is None or _is(kind, value):
                usable[section][name] = value
            else:
                path = f"{section}.{name}"
                refused[path] = _mismatch(path, value, expected)
    return usable, refused


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unusable(f"{_mismatch(name, value, 'an object')}.")
    return value


def _required(parent: dict[str, Any], name: str, prefix: str, kind: Any, expected: str) -> Any:
    if name not in parent:
        raise Unusable(f"{prefix}{name} is missing.")
    if not _is(kind, parent[name]):
        raise Unusable(f"{_mismatch(prefix + name, parent[name], expected)}.")
    return parent[name]


def _time(parent: dict[str, Any], name: str, prefix: str) -> None:
    kind, expected = _TIME
    text = _required(parent, name, prefix, kind, expected)
    try:
        msgspec.convert(text, kind).astimezone(UTC)
    except OverflowError as error:  # year 1 or 9999: the conversion to UTC leaves the range
        raise Unusable(f"{_mismatch(prefix + name, text, expected)}.") from error


def _is(kind: Any, value: Any) -> bool:
    if isinstance(value, float) and not math.isfinite(value):  # 1e999
        return False
    try:
        if isinstance(value, str):
            value.encode()  # raises for a lone surrogate
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeError):
        return False
    return True


def _mismatch(name: str, value: Any, expected: str) -> str:
    return f"{name} is {_shown(value)}; it must be {expected}"


def _shown(value: Any) -> str:
    """The value as JSON, or a description of it; always short."""
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
    """Long numbers become floats: Python's int() refuses thousands of digits."""
    return int(digits) if len(digits) < 20 else float(digits)
