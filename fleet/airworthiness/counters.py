"""Flights, time in the air and cycles of drones."""

from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import F, QuerySet

from fleet import work
from fleet.airworthiness.texts import in_writing
from fleet.models import BatteryPack, Drone, UncountedFlight
from fleet.registry import locked
from wingxtra.accounts.identity import Actor
from wingxtra.database.statements import Update
from wingxtra.problems import FieldProblem, Invalid

log = structlog.get_logger(__name__)

MAX_FLIGHTS = 1_000_000
MAX_SECONDS = 1_000_000 * 3600


@transaction.atomic(savepoint=False)
def add(drone_id: str, *, flights: int = 0, seconds: int = 0, cycles: int = 0) -> None:
    """Adds a flight to the counters of its drone, and its cycles to the packs of the drone.

    Part of the caller's transaction, which has locked the order. Locks are taken drones first, so
    it never waits for the drone: while another transaction has it, `count_the_rest` adds the flight
    within seconds. Raises ValueError for a negative number: counters go back by `correct` only.
    """
    if min(flights, seconds, cycles) < 0:
        raise ValueError(f"counters only grow: {flights=}, {seconds=}, {cycles=}")
    if not _add(drone_id, flights, seconds, cycles):
        UncountedFlight.objects.create(
            drone_id=drone_id, flights=flights, seconds=seconds, cycles=cycles
        )


@transaction.atomic
def count_the_rest() -> int:
    """Adds the flights that `add` could not add at once; returns their number. One statement if
    there are none.
    """
    drone_ids = set(UncountedFlight.objects.order_by().values_list("drone_id", flat=True))
    return sum(count_the_rest_of(drone_id) for drone_id in sorted(drone_ids))


def count_the_rest_of(drone_id: str) -> int:
    """The same for one drone, in the caller's transaction. Locks the drone. Raises NotFound."""
    locked(drone_id)
    rest = list(UncountedFlight.objects.filter(drone=drone_id))
    for row in rest:
        _add(drone_id, row.flights, row.seconds, row.cycles)
    UncountedFlight.objects.filter(pk__in=[row.pk for row in rest]).delete()
    return len(rest)


def _add(drone_id: str, flights: int, seconds: int, cycles: int) -> int:
    """Returns whether the drone was counted: not while another transaction has it locked."""
    counted = _ADD_IF_FREE.run(drone_id=drone_id, flights=flights, seconds=seconds, cycles=cycles)
    if counted and cycles:
        BatteryPack.objects.filter(drone=drone_id).update(cycles=F("cycles") + cycles)
    return counted


def at(drone: Drone, then: datetime) -> tuple[int, int]:
    """Flights and seconds in the air that the drone had at `then`: those of now without the
    recorded flights since. `drone` is locked.
    """
    flights, seconds = work.flown_since(drone.pk, then)
    return max(0, drone.flights - flights), max(0, drone.flight_seconds - seconds)


def _free(drone_id: str) -> QuerySet[Drone]:
    return Drone.objects.select_for_update(no_key=True, skip_locked=True).filter(pk=drone_id)


# Compiled once: each receipt counts a flight.
_ADD_IF_FREE = Update(
    lambda drone_id, flights, seconds, cycles: (
        Drone.objects.filter(pk__in=_free(drone_id).values("pk")),
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
    count_the_rest_of(drone_id)
    drone = locked(drone_id)
    was = {"flights": drone.flights, "seconds": drone.flight_seconds, "cycles": drone.cycles}
    drone.flights, drone.flight_seconds, drone.cycles = flights, seconds, cycles
    drone.save(update_fields=["flights", "flight_seconds", "cycles"])
    log.info(
        "drone_counters_corrected", drone_id=drone_id, by=str(by), was=was, now=wanted, why=reason
    )
    changes = [f"{n} {was[n]:,} → {wanted[n]:,}" for n in wanted if was[n] != wanted[n]]
    return ", ".join(changes) or "no counter changes"
