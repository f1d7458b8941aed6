"""The mission intent for ground control, built from order, drone, policy and map. Pure.

The contract has two versions: every ground control knows the first, the second has more members.
docs/mission-intent.md compares them. Their members are the fields of Version1 and Version2.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
from jsonschema import Draft202012Validator
from msgspec import Meta, Struct, structs

from dispatch.missions.identification import AircraftOrNone, OperatorId, aircraft
from fleet.feasibility.geometry import distance_m
from fleet.feasibility.rules import LostLinkBehavior, Priority, Rules
from fleet.models import Drone, Hub
from orders.models import Order
from orders.states import Holder
from wingxtra.api.contracts import about, committed, published

SCHEMAS = {1: "mission_intent", 2: "mission_intent.v2"}
ACTIONS = ["TAKEOFF", "CRUISE", "DESCEND", "DROP_OR_WINCH", "ASCEND", "RTL"]
LOADING = ["TAKEOFF", "CRUISE", "DESCEND", "LOAD", "ASCEND", *ACTIONS[1:]]


# --- the contracts as types ----------------------------------------------------------------------
# docs/contracts/mission_intent*.schema.json are generated from them: `manage.py contracts`.

Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
AltitudeM = Annotated[float, Meta(gt=0, le=1000)]
AtLeastZero = Annotated[float, Meta(ge=0)]
Name = Annotated[str, Meta(min_length=1)]
# A pattern of JSON Schema ends with $; here $ would allow a line break after it.
DroneId = Annotated[
    str,
    Meta(pattern=r"\A[A-Z0-9_-]{3,64}\Z", extra_json_schema={"pattern": "^[A-Z0-9_-]{3,64}$"}),
]


class Pickup(Struct, forbid_unknown_fields=True):
    lat: Latitude
    lng: Longitude
    alt_m: Annotated[AltitudeM, about("Cruise altitude on the way to the pickup.")]


class Dropoff(Struct, forbid_unknown_fields=True):
    lat: Latitude
    lng: Longitude
    alt_m: Annotated[
        AltitudeM, about("Cruise altitude from the pickup to the drop point and home.")
    ]
    delivery_alt_m: Annotated[
        AltitudeM,
        about("Altitude from which the parcel is dropped or lowered; not above alt_m."),
    ]


class Landing(Struct, forbid_unknown_fields=True):
    hub_id: Name
    lat: Latitude
    lng: Longitude


class Constraints(Struct, forbid_unknown_fields=True):
    battery_min_pct: Annotated[
        float, Meta(ge=0, le=100, description="No take-off below this charge.")
    ]
    service_area_id: Annotated[
        Name | None,
        about("The service area; ground control may have the same polygon as its geofence."),
    ]
    max_wind_mps: Annotated[AtLeastZero, about("No take-off in more wind than this.")]


class Safety(Struct, forbid_unknown_fields=True):
    abort_rtl_on_fail: Annotated[
        bool,
        about(
            "true: return at once when the mission fails; false: loiter for loiter_timeout_s first."
        ),
    ]
    loiter_timeout_s: AtLeastZero
    lost_link_behavior: LostLinkBehavior


class Metadata(Struct, forbid_unknown_fields=True):
    payload_type: Name
    payload_weight_kg: Annotated[float, Meta(gt=0)]
    priority: Priority
    created_at: Annotated[datetime, Meta(tz=True)]


@published("mission_intent")
class Version1(Struct, forbid_unknown_fields=True):
    intent_id: Annotated[
        UUID, about("One mission for ever: the same id posted twice is flown once.")
    ]
    order_id: UUID
    drone_id: DroneId
    pickup: Pickup
    dropoff: Dropoff
    actions: Annotated[
        list[str], about("The same for every delivery, in this order.", const=ACTIONS)
    ]
    constraints: Constraints
    safety: Safety
    metadata: Metadata


@published("mission_intent.v2")
class Version2(Version1, forbid_unknown_fields=True):
    actions: Annotated[
        list[str],
        about(
            "LOAD: the parcel is put aboard at the pickup. Without it, the parcel is aboard "
            "already.",
            enum=[ACTIONS, LOADING],
        ),
    ]
    schema_version: Literal[2]
    alt_datum: Annotated[
        Literal["AGL"], about("Every altitude is above the ground below the drone.")
    ]
    return_to: Annotated[
        Landing, about("The hub where RTL ends: the drone's base, or another hub that receives it.")
    ]
    alternate: Annotated[
        Landing | None,
        about("The hub to land at when return_to cannot be reached. null: there is none."),
    ]
    airspace_version: Annotated[
        Name,
        about(
            "Names the service areas and no-fly zones that the mission was planned with; another "
            "text means that something in them differs."
        ),
    ]
    operator_id: OperatorId = None
    aircraft: AircraftOrNone = None


# --- building -------------------------------------------------------------------------------------


class InvalidIntent(ValueError):
    """The intent breaks the contract; correct the policy or the drone's data."""


class Landings(NamedTuple):
    """The hub that receives the drone, and the hub for a drone that cannot reach that one."""

    return_to: Hub
    alternate: Hub | None


class Surroundings:
    """What version 2 adds to an order and its drone: the hubs, the version of areas and zones, and
    the operator's registration (empty: not known).
    """

    def __init__(self, hubs: Iterable[Hub], airspace_version: str, operator_id: str = "") -> None:
        self.airspace_version = airspace_version
        self.operator_id = operator_id
        self.hubs = {hub.pk: hub for hub in hubs}
        of_area = defaultdict(list)
        for hub in self.hubs.values():
            of_area[hub.service_area_id].append(hub)
        self._of_area = {
            area: (area_hubs, np.array([(hub.lat, hub.lng, hub.pk) for hub in area_hubs]).T)
            for area, area_hubs in of_area.items()
        }

    def home(self, drone: Drone, order: Order) -> Landings:
        """Its base, and the hub of the order's area that is the next nearest to the drop point."""
        base = self.hubs[drone.base_id]
        return Landings(base, self._nearest(order, base))

    def _nearest(self, order: Order, other_than: Hub) -> Hub | None:
        if order.service_area_id not in self._of_area:
            return None
        hubs, (lats, lngs, ids) = self._of_area[order.service_area_id]
        away_m = distance_m(order.dropoff_lat, order.dropoff_lng, lats, lngs)
        away_m[ids == other_than.pk] = np.inf
        nearest = int(away_m.argmin())
        return hubs[nearest] if np.isfinite(away_m[nearest]) else None


def build(
    intent_id: UUID,
    order: Order,
    drone: Drone,
    rules: Rules,
    created_at: datetime,
    surroundings: Surroundings | None = None,
) -> dict[str, Any]:
    """The intent's body, valid by the contract: version 2 with `surroundings`, else version 1. The
    drone flies home; `landing_at` names other hubs. `drone` has its kind loaded.

    Raises InvalidIntent with all problems.
    """
    first = _first_version(intent_id, order, drone, rules, created_at)
    intent = first if surroundings is None else _second_version(first, order, drone, surroundings)
    body: dict[str, Any] = msgspec.to_builtins(intent)
    check(body)
    return body


def landing_at(body: dict[str, Any], return_to: Hub, alternate: Hub | None) -> dict[str, Any]:
    """A body of version 2 with these hubs. Raises InvalidIntent."""
    places = (("return_to", return_to), ("alternate", alternate))
    changed = body | {
        name: msgspec.to_builtins(landing(hub)) if hub else None for name, hub in places
    }
    check(changed)
    return changed


def as_first_version(body: dict[str, Any]) -> dict[str, Any]:
    """A body of version 2 as one of version 1: the drone returns to where it took off."""
    changed = {name: body[name] for name in Version1.__struct_fields__} | {"actions": ACTIONS}
    check(changed)
    return changed


def _first_version(
    intent_id: UUID, order: Order, drone: Drone, rules: Rules, created_at: datetime
) -> Version1:
    pickup_lat, pickup_lng = order.flown_from
    return Version1(
        intent_id=intent_id,
        order_id=order.pk,
        drone_id=drone.drone_id,
        pickup=Pickup(lat=pickup_lat, lng=pickup_lng, alt_m=rules.cruise_alt_m),
        dropoff=Dropoff(
            lat=order.dropoff_lat,
            lng=order.dropoff_lng,
            alt_m=rules.cruise_alt_m,
            delivery_alt_m=rules.delivery_alt_m,
        ),
        actions=ACTIONS,
        constraints=Constraints(
            battery_min_pct=rules.battery_min_pct,
            service_area_id=str(order.service_area_id),
            max_wind_mps=min(rules.max_wind_mps, drone.kind.max_wind_mps),
        ),
        safety=Safety(
            # Loitering before the return is set by loiter_timeout_s.
            abort_rtl_on_fail=True,
            loiter_timeout_s=rules.loiter_timeout_s,
            lost_link_behavior=LostLinkBehavior(rules.lost_link_behavior),
        ),
        metadata=Metadata(
            payload_type=order.payload_type,
            payload_weight_kg=order.payload_weight_kg,
            priority=Priority(order.priority),
            created_at=created_at.astimezone(UTC),
        ),
    )


def _second_version(
    first: Version1, order: Order, drone: Drone, surroundings: Surroundings
) -> Version2:
    home = surroundings.home(drone, order)
    return Version2(
        **{
            **structs.asdict(first),
            "actions": ACTIONS if order.holder == Holder.DRONE else LOADING,
        },
        schema_version=2,
        alt_datum="AGL",
        return_to=landing(home.return_to),
        alternate=None if home.alternate is None else landing(home.alternate),
        airspace_version=surroundings.airspace_version,
        operator_id=surroundings.operator_id or None,
        aircraft=aircraft(drone),
    )


def landing(hub: Hub) -> Landing:
    return Landing(hub_id=str(hub.pk), lat=hub.lat, lng=hub.lng)


def lands_at(body: dict[str, Any]) -> tuple[float, float] | None:
    """Where a body of version 2 makes its drone land; None for version 1."""
    place = body.get("return_to")
    return (place["lat"], place["lng"]) if place else None


# --- checking -------------------------------------------------------------------------------------


def version_of(body: Any) -> int:
    """The contract version of a body; 1 without a number."""
    return 2 if isinstance(body, dict) and body.get("schema_version") == 2 else 1


def check(body: dict[str, Any]) -> None:
    """Raises InvalidIntent unless the body is valid by the contract of its version."""
    if fits(body):
        return
    errors = validator(version_of(body)).iter_errors(body)
    problems = [
        f"{error.json_path.removeprefix('$.')}: {error.message}"
        for error in sorted(errors, key=lambda error: error.json_path)
    ]
    if not problems and body["dropoff"]["delivery_alt_m"] > body["dropoff"]["alt_m"]:
        low_m, high_m = body["dropoff"]["delivery_alt_m"], body["dropoff"]["alt_m"]
        problem = f"{low_m:g} m is above the cruise altitude of {high_m:g} m"
        problems = [f"dropoff.delivery_alt_m: {problem}"]
    if problems:
        raise InvalidIntent("The mission intent breaks its contract: " + "; ".join(problems))


_TYPES = {1: Version1, 2: Version2}
_ACTIONS = {1: (ACTIONS,), 2: (ACTIONS, LOADING)}


def fits(body: Any) -> bool:
    """Whether the msgspec types accept the body: a fast path before the JSON Schema.

    A run makes thousands of intents, and the JSON Schema takes a millisecond for each. The types
    accept nothing that the schema refuses; for the rest the schema lists every problem.
    """
    version = version_of(body)
    try:
        intent = msgspec.convert(body, _TYPES[version])
    except msgspec.ValidationError:
        return False
    low_enough = intent.dropoff.delivery_alt_m <= intent.dropoff.alt_m
    return intent.actions in _ACTIONS[version] and low_enough


@cache
def validator(version: int) -> Draft202012Validator:
    return Draft202012Validator(
        committed(SCHEMAS[version]), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
