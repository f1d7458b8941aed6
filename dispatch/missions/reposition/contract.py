"""The mission intent of a flight to the base: it has no order, no pickup and no drop point."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from dispatch.missions.identification import AircraftOrNone, OperatorId, aircraft
from dispatch.missions.intent import (
    AltitudeM,
    Constraints,
    DroneId,
    InvalidIntent,
    Landing,
    Name,
    Safety,
    landing,
)
from fleet.feasibility.rules import LostLinkBehavior, Rules
from fleet.models import Drone, Hub
from wingxtra.api.contracts import about, published

ACTIONS = ["TAKEOFF", "CRUISE", "LAND"]


@published("mission_intent.reposition")
class RepositionIntent(Struct, forbid_unknown_fields=True):
    intent_id: Annotated[
        UUID, about("One mission for ever: the same id posted twice is flown once.")
    ]
    schema_version: Literal[2]
    kind: Annotated[Literal["REPOSITION"], about("A flight without an order and without a parcel.")]
    drone_id: DroneId
    alt_datum: Annotated[
        Literal["AGL"], about("Every altitude is above the ground below the drone.")
    ]
    cruise_alt_m: AltitudeM
    actions: Annotated[list[str], about("Always these, in this order.", const=ACTIONS)]
    return_to: Annotated[Landing, about("The hub to fly to and to land at.")]
    alternate: Annotated[
        Landing, about("Where to land when return_to cannot be reached: where it took off.")
    ]
    constraints: Constraints
    safety: Safety
    airspace_version: Annotated[
        Name, about("Names the service areas and no-fly zones that it was planned with.")
    ]
    created_at: datetime
    operator_id: OperatorId = None
    aircraft: AircraftOrNone = None


def build(
    intent_id: UUID,
    drone: Drone,
    rules: Rules,
    airspace_version: str,
    created_at: datetime,
    operator_id: str,
) -> dict[str, Any]:
    """The body for a drone that flies from its hub to its base. operator_id: empty when it is not
    known. Raises InvalidIntent.
    """
    intent = RepositionIntent(
        intent_id=intent_id,
        schema_version=2,
        kind="REPOSITION",
        drone_id=drone.drone_id,
        alt_datum="AGL",
        cruise_alt_m=rules.cruise_alt_m,
        actions=ACTIONS,
        return_to=landing(drone.base),
        alternate=landing(drone.hub),
        constraints=Constraints(
            battery_min_pct=rules.battery_min_pct,
            service_area_id=str(drone.base.service_area_id),
            max_wind_mps=min(rules.max_wind_mps, drone.kind.max_wind_mps),
        ),
        safety=Safety(
            abort_rtl_on_fail=True,
            loiter_timeout_s=rules.loiter_timeout_s,
            lost_link_behavior=LostLinkBehavior(rules.lost_link_behavior),
        ),
        airspace_version=airspace_version,
        created_at=created_at.astimezone(UTC),
        operator_id=operator_id or None,
        aircraft=aircraft(drone),
    )
    body: dict[str, Any] = msgspec.to_builtins(intent)
    _check(body)
    return body


def landing_at(body: dict[str, Any], return_to: Hub, alternate: Hub) -> dict[str, Any]:
    """The body with these hubs. Raises InvalidIntent."""
    places = {"return_to": return_to, "alternate": alternate}
    changed = body | {name: msgspec.to_builtins(landing(hub)) for name, hub in places.items()}
    _check(changed)
    return changed


def _check(body: dict[str, Any]) -> None:
    try:
        msgspec.convert(body, RepositionIntent)
    except msgspec.ValidationError as problem:
        raise InvalidIntent(f"The mission intent breaks its contract: {problem}") from problem
