"""The mission intent as ground control takes it: built from order, drone and policy. Pure.

The contract is docs/contracts/mission_intent.schema.json.
"""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from jsonschema import Draft202012Validator

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
    body = {
        "schema_version": SCHEMA_VERSION,
        "intent_id": str(intent_id),
        "order_id": str(order.pk),
        "drone_id": drone.drone_id,
        "pickup": {"lat": order.pickup_lat, "lng": order.pickup_lng, "alt_m": rules.cruise_alt_m},
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


@cache
def _validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
