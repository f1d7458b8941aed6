"""The schemas of all forms of a mission intent, independent of the product's schemas.

Version 1 is the first contract and has no number. Version 2 adds the altitude datum, loading and
the place to return to.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from fleet.simulator.missions import Refused

LATITUDE = {"type": "number", "minimum": -90, "maximum": 90}
LONGITUDE = {"type": "number", "minimum": -180, "maximum": 180}
ALTITUDE = {"type": "number", "exclusiveMinimum": 0, "maximum": 1000}
PLACE = {"lat": LATITUDE, "lng": LONGITUDE}
NAME = {"type": ["string", "null"], "minLength": 1}
UUID = {"type": "string", "format": "uuid"}
ACTIONS = ["TAKEOFF", "CRUISE", "DESCEND", "DROP_OR_WINCH", "ASCEND", "RTL"]
# After LOAD, the sender may or may not name the climb and the second cruise.
LOADING = [
    [*ACTIONS[:3], "LOAD", *climb, *way, *ACTIONS[3:]]
    for climb in ([], ["ASCEND"])
    for way in ([], ["CRUISE", "DESCEND"])
]


def _object(properties: dict[str, Any], optional: Iterable[str] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name in properties if name not in optional],
        "properties": properties,
    }


CONSTRAINTS = {
    "battery_min_pct": {"type": "number", "minimum": 0, "maximum": 100},
    "service_area_id": NAME,
    "max_wind_mps": {"type": "number", "minimum": 0},
}
VERSION_1 = {
    "intent_id": UUID,
    "order_id": UUID,
    "drone_id": {"type": "string", "pattern": "^[A-Z0-9_-]{3,64}$"},
    "pickup": _object(PLACE | {"alt_m": ALTITUDE}),
    "dropoff": _object(PLACE | {"alt_m": ALTITUDE, "delivery_alt_m": ALTITUDE}),
    "actions": {"const": ACTIONS},
    "constraints": _object(CONSTRAINTS),
    "safety": _object(
        {
            "abort_rtl_on_fail": {"type": "boolean"},
            "loiter_timeout_s": {"type": "number", "minimum": 0},
            "lost_link_behavior": {"enum": ["RTL", "LOITER", "LAND"]},
        }
    ),
    "metadata": _object(
        {
            "payload_type": {"type": "string", "minLength": 1},
            "payload_weight_kg": {"type": "number", "exclusiveMinimum": 0},
            "priority": {"enum": ["NORMAL", "URGENT", "MEDICAL"]},
            "created_at": {"type": "string", "format": "date-time"},
        }
    ),
}
HUB = _object({"hub_id": {"type": ["string", "integer"]}, **PLACE})
AIRCRAFT = _object({"registration": NAME, "serial": NAME})
IDENTIFICATION = {"operator_id": NAME, "aircraft": {"anyOf": [AIRCRAFT, {"type": "null"}]}}
VERSION_2 = VERSION_1 | {
    "schema_version": {"const": 2},
    "alt_datum": {"const": "AGL"},
    "actions": {"enum": [ACTIONS, *LOADING]},
    "return_to": HUB,
    "alternate": {"anyOf": [HUB, {"type": "null"}]},
    "airspace_version": {"type": ["string", "integer", "null"]},
    **IDENTIFICATION,
}
OPTIONAL_IN_2 = ("return_to", "alternate", "airspace_version", *IDENTIFICATION)


REPOSITION = {
    "intent_id": UUID,
    "schema_version": {"const": 2},
    "kind": {"const": "REPOSITION"},
    "drone_id": VERSION_1["drone_id"],
    "alt_datum": {"const": "AGL"},
    "cruise_alt_m": ALTITUDE,
    "actions": {"const": ["TAKEOFF", "CRUISE", "LAND"]},
    "return_to": HUB,
    "alternate": HUB,
    "constraints": VERSION_1["constraints"],
    "safety": VERSION_1["safety"],
    "airspace_version": NAME,
    "created_at": {"type": "string", "format": "date-time"},
    **IDENTIFICATION,
}


def is_reposition(intent: object) -> bool:
    """Whether it is a flight without an order and without a parcel."""
    return isinstance(intent, dict) and intent.get("kind") == "REPOSITION"


def cruise_alt_m(intent: dict[str, Any]) -> float:
    """The altitude of the way home."""
    place = intent["dropoff"]["alt_m"] if "dropoff" in intent else intent["cruise_alt_m"]
    return float(place)


@cache
def _validator(form: int) -> Draft202012Validator:
    """form: version 1 or 2; 3 for a flight without an order."""
    schema = {
        1: _object(VERSION_1),
        2: _object(VERSION_2, OPTIONAL_IN_2),
        3: _object(REPOSITION, IDENTIFICATION),
    }[form]
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def check_intent(body: object) -> dict[str, Any]:
    """The validated intent. Raises Refused with all errors."""
    is_second = isinstance(body, dict) and body.get("schema_version") == 2
    form = 3 if is_reposition(body) else 2 if is_second else 1
    errors = _validator(form).iter_errors(body)
    problems = [
        f"{'.'.join(map(str, error.path)) or 'intent'}: {error.message}"
        for error in sorted(errors, key=lambda error: list(map(str, error.path)))
    ]
    if problems:
        raise Refused("malformed_intent", "; ".join(problems))
    assert isinstance(body, dict)  # noqa: S101 - the schema has checked it
    if is_reposition(body):
        return body
    dropoff = body["dropoff"]
    if dropoff["delivery_alt_m"] > dropoff["alt_m"]:
        raise Refused(
            "malformed_intent",
            f"dropoff.delivery_alt_m: {dropoff['delivery_alt_m']} m is above the cruise altitude "
            f"of {dropoff['alt_m']} m",
        )
    return body


def loads_at_pickup(intent: dict[str, Any]) -> bool:
    """Always in version 1; in version 2 only if the actions contain LOAD."""
    return intent.get("schema_version") != 2 or "LOAD" in intent["actions"]


def strange_members(body: object) -> list[list[str]]:
    """The paths of all members that version 1 does not have."""
    return list(_strange(body, _object(VERSION_1), []))


def _strange(body: object, schema: dict[str, Any], path: list[str]) -> Iterator[list[str]]:
    known = schema.get("properties")
    if known is None or not isinstance(body, dict):
        return
    for name, value in body.items():
        if name in known:
            yield from _strange(value, known[name], [*path, name])
        else:
            yield [*path, name]
