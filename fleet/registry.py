"""Registered drones: columns for feasibility, grounding, and holds."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from fleet.airworthiness.fitness import FIT, Fitness
from fleet.feasibility.landing import HubTable
from fleet.feasibility.tables import FITNESS, DroneTable, largest_sides, payload_bits
from fleet.live.picture import Picture
from fleet.models import Drone, DroneHold, DroneKind, Hub
from wingxtra.accounts.identity import Actor, said_by
from wingxtra.problems import Conflict, FieldProblem, Invalid, NotFound

if TYPE_CHECKING:
    from fleet.airspace.rulebook import Rulebook

log = structlog.get_logger(__name__)

MAX_REASON_CHARACTERS = 300
# Area index of a drone whose hub's area is inactive; matches no trip.
NO_AREA = -1
PHYSICS = (
    "max_payload_kg",
    "battery_wh",
    "empty_mass_kg",
    "hover_power_w",
    "cruise_power_w",
    "cruise_speed_mps",
    "climb_speed_mps",
    "descent_speed_mps",
    "max_wind_mps",
)


@dataclass(frozen=True, slots=True)
class Engaged:
    """Ids of drones that cannot get a trip: on a job, on hold, with a parcel aboard. fitness: what
    else stands against drones, as `fleet.airworthiness.fitness` finds it.
    """

    busy: Collection[str | None] = ()
    held: Collection[str | None] = ()
    carrying: Collection[str | None] = ()
    fitness: Mapping[str, Fitness] = field(default_factory=dict)


FREE = Engaged()


def drone_table(
    drones: Iterable[Drone],
    picture: Picture | None,
    engaged: Engaged,
    book: "Rulebook",
    now: datetime,
    full_hubs: Collection[int] = (),
) -> DroneTable:
    """Registered drones (`with_home`) with their telemetry, in the same order.

    Without a picture there is no telemetry, and no drone is able. full_hubs: the primary keys of
    hubs that launch no more drones now.
    """
    areas = {area.pk: index for index, area in enumerate(book.areas)}
    return table_of(drones, areas, picture, engaged, now, full_hubs, book.networks)


def table_of(
    drones: Iterable[Drone],
    areas: Mapping[UUID, int],
    picture: Picture | None = None,
    engaged: Engaged = FREE,
    now: datetime | None = None,
    full_hubs: Collection[int] = (),
    networks: Collection[UUID] = (),
) -> DroneTable:
    """The same with the index of each area. `now` is needed only with a picture. networks: the
    areas whose drones may stay at the hub where they stand.
    """
    kinds: dict[int, dict[str, Any]] = {}

    def row(drone: Drone) -> dict[str, Any]:
        if drone.kind_id not in kinds:
            kinds[drone.kind_id] = _physics(drone.kind)
        fit = engaged.fitness.get(drone.drone_id, FIT)
        home = drone.hub if drone.hub.service_area_id in networks else drone.home
        return {
            "drone_id": drone.drone_id,
            "registered": True,
            "active": drone.active,
            "grounded": drone.is_grounded,
            "busy": drone.drone_id in engaged.busy,
            "held": drone.drone_id in engaged.held,
            "carrying": drone.drone_id in engaged.carrying,
            "home_lat": home.lat,
            "home_lng": home.lng,
            "area": areas.get(drone.hub.service_area_id, NO_AREA),
            **kinds[drone.kind_id],
            **_live(drone.drone_id, picture, now),
            "hub_full": drone.hub_id in full_hubs,
            **{name: "; ".join(getattr(fit, name)) for name in FITNESS},
        }

    return DroneTable.from_rows(row(drone) for drone in drones)


def _physics(kind: DroneKind) -> dict[str, Any]:
    figures = {name: getattr(kind, name) for name in PHYSICS}
    figures |= largest_sides(kind.max_size_cm)
    return figures | {"payload_types": payload_bits(kind.payload_types)}


def hub_table(
    hubs: Iterable[Hub], areas: Mapping[UUID, int], networks: Collection[UUID]
) -> HubTable:
    """Hubs in the same order, with all pads free."""
    return HubTable.from_rows(
        {
            "key": hub.pk,
            "name": hub.name,
            "lat": hub.lat,
            "lng": hub.lng,
            "area": areas.get(hub.service_area_id, NO_AREA),
            "network": hub.service_area_id in networks,
            "pads": hub.pads or np.inf,
            "chargers": hub.chargers or np.inf,
        }
        for hub in hubs
    )


_NO_TELEMETRY = {
    "lat": None,
    "lng": None,
    "battery_pct": None,
    "armed": None,
    "telemetry_age_s": float("inf"),
}


def _live(drone_id: str, picture: Picture | None, now: datetime | None) -> dict[str, Any]:
    sample = picture.telemetry.get(drone_id) if picture else None
    if picture is None or sample is None or now is None:
        return _NO_TELEMETRY
    return {
        "lat": sample.lat,
        "lng": sample.lng,
        "battery_pct": sample.battery_pct,
        "armed": sample.armed,
        "telemetry_age_s": picture.age_s_of(drone_id, now),
    }


def held(drone_ids: Iterable[str]) -> dict[str, list[DroneHold]]:
    """Drone id to its unreleased holds, the oldest first; only drones that have one."""
    return by_drone(holds_of(drone_ids))


def holds_of(drone_ids: Iterable[str]) -> QuerySet[DroneHold]:
    standing = DroneHold.objects.standing().order_by("id")
    return standing.filter(drone__drone_id__among=list(drone_ids))


def by_drone(holds: Iterable[DroneHold]) -> dict[str, list[DroneHold]]:
    found: dict[str, list[DroneHold]] = {}
    for hold in holds:
        found.setdefault(hold.drone_id, []).append(hold)
    return found


# --- grounding -----------------------------------------------------------------------------------


@transaction.atomic
def ground(drone_id: str, *, by: Actor, reason: str) -> Drone:
    """Takes a drone out of dispatch at once. A flight under way continues.

    Raises NotFound, Invalid without a reason, and Conflict if it is grounded already: the first
    reason stays until the drone is ungrounded.
    """
    reason = reason.strip()
    if not 0 < len(reason) <= MAX_REASON_CHARACTERS:
        message = f"Say in 1 to {MAX_REASON_CHARACTERS} characters why the drone must not fly."
        raise Invalid([FieldProblem("reason", "required" if not reason else "too_long", message)])
    drone = locked(drone_id)
    if drone.is_grounded:
        raise Conflict(
            "already_grounded",
            f"{drone_id} is grounded already, by {said_by(drone.grounded_by)} since "
            f"{drone.grounded_at:%Y-%m-%d %H:%M} UTC: {drone.grounded_reason}",
        )
    drone.grounded_at, drone.grounded_by, drone.grounded_reason = timezone.now(), str(by), reason
    drone.save(update_fields=["grounded_at", "grounded_by", "grounded_reason"])
    log.info("drone_grounded", drone_id=drone_id, by=str(by), reason=reason)
    return drone


@transaction.atomic
def unground(drone_id: str, *, by: Actor) -> Drone:
    """Returns a grounded drone to dispatch. Raises NotFound, and Conflict if it is not grounded."""
    drone = locked(drone_id)
    if not drone.is_grounded:
        raise Conflict("not_grounded", f"{drone_id} is not grounded.")
    log.info("drone_ungrounded", drone_id=drone_id, by=str(by), was=drone.grounded_reason)
    drone.grounded_at, drone.grounded_by, drone.grounded_reason = None, "", ""
    drone.save(update_fields=["grounded_at", "grounded_by", "grounded_reason"])
    return drone


def locked(drone_id: str) -> Drone:
    """The drone, locked until the end of the transaction. Raises NotFound."""
    # Not its key: a transaction that has locked an order may insert rows that refer to the drone.
    drone = Drone.objects.select_for_update(no_key=True).filter(pk=drone_id).first()
    if drone is None:
        raise NotFound("drone")
    return drone


# --- holds ---------------------------------------------------------------------------------------


def hold(drone_id: str, code: DroneHold.Code, message: str, *, by: Actor) -> None:
    """Keeps a drone out of dispatch until staff release it. One hold per code is kept."""
    row = DroneHold(drone_id=drone_id, code=code, message=message[:300], held_by=str(by)[:180])
    DroneHold.objects.bulk_create([row], ignore_conflicts=True)
    log.warning("drone_held", drone_id=drone_id, code=code, why=message, by=str(by))


@transaction.atomic
def release(drone_id: str, *, by: Actor, note: str) -> None:
    """Releases all holds of a drone that staff have checked.

    Raises Invalid without a note, NotFound, and Conflict if it is not on hold.
    """
    note = note.strip()
    if not 0 < len(note) <= MAX_REASON_CHARACTERS:
        message = f"Say in 1 to {MAX_REASON_CHARACTERS} characters what was checked."
        raise Invalid([FieldProblem("note", "required" if not note else "too_long", message)])
    locked(drone_id)
    standing = DroneHold.objects.standing().filter(drone=drone_id)
    released = standing.update(
        released_at=timezone.now(), released_by=str(by)[:180], release_note=note
    )
    if not released:
        raise Conflict("not_on_hold", f"{drone_id} is not on hold.")
    log.info("drone_released", drone_id=drone_id, by=str(by), note=note)
