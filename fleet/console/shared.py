"""What several pieces of the dashboard ask about the fleet; each is read once for a look."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from fleet import policy, work
from fleet.airworthiness import fitness
from fleet.airworthiness.fitness import Fitness
from fleet.feasibility.rules import Rules
from fleet.live import drone_status, picture
from fleet.live.drone_status import Known, LiveDrone
from fleet.live.picture import Picture
from fleet.models import Drone, DroneHold
from wingxtra.console.look import Look, Rows
from wingxtra.database import together


def rules(look: Look) -> Rules:
    return policy.current()


def latest_picture(look: Look) -> Picture | None:
    """Raises RedisError."""
    return picture.read()


def drones(now: datetime) -> QuerySet[Drone]:
    """All, also those out of service."""
    return Drone.objects.with_home().order_by("pk")


def holds(now: datetime) -> QuerySet[DroneHold]:
    """Of drones in service, the oldest first."""
    held = DroneHold.objects.standing().filter(drone__active=True)
    return held.select_related("drone").order_by("held_at", "id")


def in_service(look: Look) -> list[Drone]:
    return [drone for drone in look.rows(drones) if drone.active]


def held(look: Look) -> dict[str, list[DroneHold]]:
    """Drone id to its holds; only drones in service that have one."""
    found: dict[str, list[DroneHold]] = {}
    for hold in look.rows(holds):
        found.setdefault(hold.drone_id, []).append(hold)
    return found


def active_jobs(look: Look) -> dict[str, UUID]:
    """Drone id to active job id; only drones in service that have one."""
    return work.active_jobs([drone.pk for drone in look.once(in_service)])


def unfit(look: Look) -> dict[str, Fitness]:
    return fitness.of(look.at)


# What `in_service` and `live` ask the look for.
DRONES: tuple[Rows[Any], ...] = (drones,)
LIVE_READS: tuple[Rows[Any], ...] = (drones, holds)


def live(look: Look) -> list[LiveDrone]:
    """The drones in service. Raises RedisError."""
    found = look.once(in_service)
    ids = [drone.pk for drone in found]
    errands, parcels = together.read(work.errands_of(ids), work.parcels_of(ids))
    known = Known(
        latest=look.once(latest_picture),
        rules=look.once(rules),
        jobs=look.once(active_jobs),
        held=look.once(held),
        on_errand={drone_id for (drone_id,) in errands},
        carrying={drone_id for (drone_id,) in parcels},
        fitness=look.once(unfit),
    )
    return drone_status.judged(found, known, look.at)
