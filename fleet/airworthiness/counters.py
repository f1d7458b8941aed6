"""Flights, time in the air and cycles of drones."""

import structlog
from django.db import transaction
from django.db.models import F

from fleet.airworthiness.records import in_writing
from fleet.models import BatteryPack, Drone
from fleet.registry import locked
from wingxtra.accounts.identity import Actor
from wingxtra.database.statements import Update
from wingxtra.problems import FieldProblem, Invalid

log = structlog.get_logger(__name__)

MAX_FLIGHTS = 1_000_000
MAX_SECONDS = 1_000_000 * 3600


def add(drone_id: str, *, flights: int = 0, seconds: int = 0, cycles: int = 0) -> None:
    """Adds a flight to the counters of its drone, and its cycles to the packs of the drone.

    Part of the caller's transaction; it loads nothing, so that two at once both count. Raises
    ValueError for a negative number: counters go back by `correct` only.
    """
    if min(flights, seconds, cycles) < 0:
        raise ValueError(f"counters only grow: {flights=}, {seconds=}, {cycles=}")
    _ADD.run(drone_id=drone_id, flights=flights, seconds=seconds, cycles=cycles)
    if cycles:
        BatteryPack.objects.filter(drone=drone_id).update(cycles=F("cycles") + cycles)


# Compiled once: each receipt counts a flight.
_ADD = Update(
    lambda drone_id, flights, seconds, cycles: (
        Drone.objects.filter(pk=drone_id),
        {
            "flights": F("flights") + flights,
            "flight_seconds": F("flight_seconds") + seconds,
            "cycles": F("cycles") + cycles,
        },
    ),
    drone_id=str,
    flights=int,
    seconds=int,
    cycles=int,
)


@transaction.atomic
def correct(
    drone_id: str, *, flights: int, seconds: int, cycles: int, by: Actor, reason: str
) -> str:
    """Sets the counters, for example of a drone that flew before it came here. Returns what
    changed. Raises NotFound, and Invalid for an impossible number or without a reason.
    """
    reason = in_writing("reason", reason, "why the counters are wrong")
    most = {"flights": MAX_FLIGHTS, "seconds": MAX_SECONDS, "cycles": MAX_FLIGHTS}
    wanted = {"flights": flights, "seconds": seconds, "cycles": cycles}
    errors = [
        FieldProblem(name, "out_of_bounds", f"{name} must be from 0 to {most[name]:,}.")
        for name, value in wanted.items()
        if not 0 <= value <= most[name]
    ]
    if errors:
        raise Invalid(errors)
    drone = locked(drone_id)
    was = {"flights": drone.flights, "seconds": drone.flight_seconds, "cycles": drone.cycles}
    drone.flights, drone.flight_seconds, drone.cycles = flights, seconds, cycles
    drone.save(update_fields=["flights", "flight_seconds", "cycles"])
    log.info(
        "drone_counters_corrected", drone_id=drone_id, by=str(by), was=was, now=wanted, why=reason
    )
    changes = [f"{n} {was[n]:,} → {wanted[n]:,}" for n in wanted if was[n] != wanted[n]]
    return ", ".join(changes) or "no counter changes"
