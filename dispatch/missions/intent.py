"""The mission intent as ground control takes it: built from order, drone, policy and map. Pure.

Two versions of the contract: docs/contracts/mission_intent.schema.json is the first, which every
ground control knows; docs/contracts/mission_intent.v2.schema.json says more. docs/mission-intent.md
tells them apart.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import numpy as np
from jsonschema import Draft202012Validator
from msgspec import Meta, Struct

from fleet.feasibility.geometry import distance_m
from fleet.feasibility.rules import Rules
from fleet.models import Drone, Hub
from orders.models import Order
from orders.states import Holder

CONTRACTS = Path(__file__).parents[2] / "docs" / "contracts"
SCHEMAS = {
    1: CONTRACTS / "mission_intent.schema.json",
    2: CONTRACTS / "mission_intent.v2.schema.json",
}
ACTIONS = ["TAKEOFF", "CRUISE", "DESCEND", "DROP_OR_WINCH", "ASCEND", "RTL"]
LOADING = ["TAKEOFF", "CRUISE", "DESCEND", "LOAD", "ASCEND", *ACTIONS[1:]]


class InvalidIntent(ValueError):
    """What was built breaks the contract; the policy or the drone's data must be put right."""


class Surroundings:
    """What version 2 says of the map: where hubs are, and the version of areas and zones."""

    def __init__(self, hubs: Iterable[Hub], airspace_version: str) -> None:
        self.airspace_version = airspace_version
        self.hubs = {hub.pk: hub for hub in hubs}
        of_area = defaultdict(list)
        for hub in self.hubs.values():
            of_area[hub.service_area_id].append(hub)
        self._of_area = {
            area: (those, np.array([(hub.lat, hub.lng, hub.pk) for hub in those]).T)
            for area, those in of_area.items()
        }

    def alternate(self, drone: Drone, order: Order) -> Hub | None:
        """The hub of the order's area that is nearest to the drop point, the drone's own aside."""
        if order.service_area_id not in self._of_area:
            return None
        hubs, (lats, lngs, ids) = self._of_area[order.service_area_id]
        away_m = distance_m(order.dropoff_lat, order.dropoff_lng, lats, lngs)
        away_m[ids == drone.hub_id] = np.inf
        nearest = int(away_m.argmin())
        return hubs[nearest] if np.isfinite(away_m[nearest]) else None


def build(
    intent_id: UUID,
    order: Order,
    drone: Drone,
    rules: Rules,
    created_at: datetime,
    around: Surroundings | None = None,
) -> dict[str, Any]:
    """The intent's body, checked against the contract: version 2 with `around`, else version 1.
    `drone` has its kind loaded.

    Raises InvalidIntent with everything that is wrong.
    """
    pickup_lat, pickup_lng = order.flown_from
    body = {
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
    if around is not None:
        body |= _second_version(order, drone, around)
    check(body)
    return body


def _second_version(order: Order, drone: Drone, around: Surroundings) -> dict[str, Any]:
    alternate = around.alternate(drone, order)
    return {
        "schema_version": 2,
        "alt_datum": "AGL",
        "actions": ACTIONS if order.holder == Holder.DRONE else LOADING,
        "return_to": _landing(around.hubs[drone.hub_id]),
        "alternate": None if alternate is None else _landing(alternate),
        "airspace_version": around.airspace_version,
    }


def _landing(hub: Hub) -> dict[str, Any]:
    return {"hub_id": str(hub.pk), "lat": hub.lat, "lng": hub.lng}


def version_of(body: Any) -> int:
    """Which contract a body is to keep; one without a number is of the first."""
    return 2 if isinstance(body, dict) and body.get("schema_version") == 2 else 1


def check(body: dict[str, Any]) -> None:
    """Raises InvalidIntent unless the body keeps the contract of its version."""
    if fits(body):
        return
    errors = validator(version_of(body)).iter_errors(body)
    problems = [
        f"{error.json_path.removeprefix('$.')}: {error.message}"
        for error in sorted(errors, key=lambda error: error.json_path)
    ]
    if not problems and body["dropoff"]["delivery_alt_m"] > body["dropoff"]["alt_m"]:
        low_m, high_m = body["dropoff"]["delivery_alt_m"], body["dropoff"]["alt_m"]
        words = f"{low_m:g} m is above the cruise altitude of {high_m:g} m"
        problems = [f"dropoff.delivery_alt_m: {words}"]
    if problems:
        raise InvalidIntent("The mission intent breaks its contract: " + "; ".join(problems))


# --- the same contracts as types -----------------------------------------------------------------
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


class _Landing(Struct, forbid_unknown_fields=True):
    hub_id: Name
    lat: Latitude
    lng: Longitude


class _Constraints(Struct, forbid_unknown_fields=True):
    battery_min_pct: Annotated[float, Meta(ge=0, le=100)]
    service_area_id: Name | None
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


class _First(Struct, forbid_unknown_fields=True):
    intent_id: UUID
    order_id: UUID
    drone_id: Annotated[str, Meta(pattern=r"\A[A-Z0-9_-]{3,64}\Z")]
    pickup: _Place
    dropoff: _Door
    actions: list[str]
    constraints: _Constraints
    safety: _Safety
    metadata: _Metadata


class _Second(_First, forbid_unknown_fields=True):
    schema_version: Literal[2]
    alt_datum: Literal["AGL"]
    return_to: _Landing
    alternate: _Landing | None
    airspace_version: Name


_TYPES = {1: _First, 2: _Second}
_ACTIONS = {1: (ACTIONS,), 2: (ACTIONS, LOADING)}


def fits(body: Any) -> bool:
    """Whether the body keeps the contract of its version beyond doubt."""
    version = version_of(body)
    try:
        intent = msgspec.convert(body, _TYPES[version])
    except msgspec.ValidationError:
        return False
    low_enough = intent.dropoff.delivery_alt_m <= intent.dropoff.alt_m
    return intent.actions in _ACTIONS[version] and low_enough


@cache
def validator(version: int) -> Draft202012Validator:
    schema = json.loads(SCHEMAS[version].read_text(encoding="utf-8"))
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
