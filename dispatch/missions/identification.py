"""Who flies with which aircraft, in a mission intent of version 2 or of a flight to the base. Pure.

Each member is null while it is not known, and optional: intents that were stored before have none.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from fleet.models import Drone
from wingxtra.api.contracts import about

Known = Annotated[str, Meta(min_length=1)]

OperatorId = Annotated[
    Known | None,
    about("The operator's registration with the aviation authority. null: not known."),
]


class Aircraft(Struct, forbid_unknown_fields=True):
    registration: Annotated[Known | None, about("As the authority has it. null: not known.")]
    serial: Annotated[
        Known | None,
        about("By ANSI/CTA-2063-A, or the manufacturer's own. null: not known."),
    ]


AircraftOrNone = Annotated[
    Aircraft | None, about("The airframe, as remote identification broadcasts it.")
]


def aircraft(drone: Drone) -> Aircraft:
    return Aircraft(registration=drone.registration or None, serial=drone.serial or None)


def unknown(body: dict[str, Any]) -> list[str]:
    """The members that a stored intent lacks or has as null; all of them in version 1."""
    airframe = body.get("aircraft") or {}
    members = {
        "operator_id": body.get("operator_id"),
        "aircraft.registration": airframe.get("registration"),
        "aircraft.serial": airframe.get("serial"),
    }
    return [name for name, value in members.items() if not value]
