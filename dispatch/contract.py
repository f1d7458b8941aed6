"""The mission intent as ground control takes it: built from order, drone and policy. Pure.

The contract is docs/contracts/mission_intent.schema.json.
"""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from jsonschema import Draft202012Validator
from msgspec import Meta, Struct

from fleet.models import Drone
from fleet.policy import Rules
from orders.models import Order

SCHEMA = Path(__file__).parent.parent / "docs" / "contracts" / "mission_intent.schema.json"
SCHEMA_VERSION = 1
ACTIONS = ["TAKEOFF", "CRUISE", "DESCEND", "DROP_OR_WINCH", "ASCEND", "RTL"]


class InvalidIntent(ValueError):
    """What was built breaks the contract; the policy or the drone's data must be put right."""


def build(
    intent_id: UUID, order: Order, drone: Drone, rules: Rules, created_at: datetime
) -> dict[str, Any]:
    """The intent's body, checked against the contract. `drone` has its kind loaded.

    Raises InvalidIntent with everything that is wrong.
    """
    pickup_lat, pickup_lng = order.flown_from
    body = {
        "schema_version": SCHEMA_VERSION,
        "intent_id": str(intent_id),
        "order_id": str(order.pk),
        "drone_id": drone.drone_id,
        "pickup": {"lat": pickup_lat, "lng": pickup_lng, "alt_m": rules.cruise_alt_m},
        "dropoff": {
            "lat": order.dropoff_lat,
            "lng": order.dropoff_lng,
            "alt_m": rules.cruise_alt_m,
            "delivery_alt_m": rules.delivery_alt_m,
        },
        "actions": ACTIONS,
        "constraints": {
            "battery_min_pct": rules.battery_min_pct,
            "service_area_id": str(order.service_area_id),
            # The service area is also the fence: ground control has the same polygon by this id.
            "geofence_id": str(order.service_area_id),
            "max_wind_mps": min(rules.max_wind_mps, drone.kind.max_wind_mps),
        },
        "safety": {
            # Waiting with the parcel first is asked for by a loiter timeout of its own.
            "abort_rtl_on_fail": True,
            "loiter_timeout_s": rules.loiter_timeout_s,
            "lost_link_behavior": rules.lost_link_behavior,
        },
        "metadata": {
            "payload_type": order.payload_type,
            "payload_weight_kg": order.payload_weight_kg,
            "priority": order.priority,
            "created_at": created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        },
    }
    check(body)
    return body


def check(body: dict[str, Any]) -> None:
    """Raises InvalidIntent unless the body keeps the contract."""
    if fits(body):
        return
    problems = [
        f"{error.json_path.removeprefix('$.')}: {error.message}"
        for error in sorted(_validator().iter_errors(body), key=lambda error: error.json_path)
    ]
    if not problems and body["dropoff"]["delivery_alt_m"] > body["dropoff"]["alt_m"]:
        low_m, high_m = body["dropoff"]["delivery_alt_m"], body["dropoff"]["alt_m"]
        words = f"{low_m:g} m is above the cruise altitude of {high_m:g} m"
        problems = [f"dropoff.delivery_alt_m: {words}"]
    if problems:
        raise InvalidIntent("The mission intent breaks its contract: " + "; ".join(problems))


# --- the same contract as types ------------------------------------------------------------------
# A run makes thousands of intents, and the JSON Schema takes a millisecond for each. These types
# accept nothing that it refuses; what they refuse, it judges, because it names every problem.

Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
AltitudeM = Annotated[float, Meta(gt=0, le=1000)]
AtLeastZero = Annotated[float, Meta(ge=0)]
Name = Annotated[str, Meta(min_length=1)]


class _Place(Struct, forbid_unknown_fields=True):
    lat: Latitude
    lng: Longitude
    alt_m: AltitudeM


class _Door(_Place, forbid_unknown_fields=True):
    delivery_alt_m: AltitudeM


class _Constraints(Struct, forbid_unknown_fields=True):
    battery_min_pct: Annotated[float, Meta(ge=0, le=100)]
    service_area_id: Name | None
    geofence_id: Name | None
    max_wind_mps: AtLeastZero


class _Safety(Struct, forbid_unknown_fields=True):
    abort_rtl_on_fail: bool
    loiter_timeout_s: AtLeastZero
    lost_link_behavior: Literal["RTL", "LOITER", "LAND"]


class _Metadata(Struct, forbid_unknown_fields=True):
    payload_type: Name
    payload_weight_kg: Annotated[float, Meta(gt=0)]
    priority: Literal["NORMAL", "URGENT", "MEDICAL"]
    created_at: Annotated[datetime, Meta(tz=True)]


class _Intent(Struct, forbid_unknown_fields=True):
    schema_version: Literal[1]
    intent_id: UUID
    order_id: UUID
    drone_id: Annotated[str, Meta(pattern=r"\A[A-Z0-9_-]{3,64}\Z")]
    pickup: _Place
    dropoff: _Door
    actions: list[str]
    constraints: _Constraints
    safety: _Safety
    metadata: _Metadata


def fits(body: Any) -> bool:
    """Whether the body keeps the contract beyond doubt."""
    try:
        intent = msgspec.convert(body, _Intent)
    except msgspec.ValidationError:
        return False
    low_enough = intent.dropoff.delivery_alt_m <= intent.dropoff.alt_m
    return intent.actions == ACTIONS and low_enough


@cache
def _validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
