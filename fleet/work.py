"""What drones do, and who supervises them. `orders` and `dispatch` register the queries, because
fleet must not import them.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

# Querysets by `values_list`, whose first column is the drone's id.
OfDrones = Callable[[Collection[str]], QuerySet[Any, Any]]
Landings = Callable[[datetime], QuerySet[Any, Any]]
FlownSince = Callable[[str, datetime], tuple[int, int]]
Supervised = Callable[[Collection[int], datetime], dict[int, set[str]]]

_orders: list[tuple[OfDrones, OfDrones]] = []
_missions: list[tuple[OfDrones, Landings, Supervised]] = []
_flights: list[FlownSince] = []


def register(active_jobs: OfDrones, parcels: OfDrones) -> None:
    _orders.append((active_jobs, parcels))


def jobs_of(drone_ids: Collection[str]) -> QuerySet[Any, Any]:
    """(drone id, job id) of the active jobs of these drones."""
    return _all(jobs(drone_ids) for jobs, _ in _orders)


def active_jobs(drone_ids: Collection[str]) -> dict[str, UUID]:
    """Drone id to active job id; only drones that have one."""
    return dict(jobs_of(drone_ids))


def parcels_of(drone_ids: Collection[str]) -> QuerySet[Any, Any]:
    """(drone id,) of those of these drones that have a parcel aboard."""
    return _all(parcels(drone_ids) for _, parcels in _orders)


def register_missions(errands: OfDrones, landings: Landings, supervised: Supervised) -> None:
    _missions.append((errands, landings, supervised))


def errands_of(drone_ids: Collection[str]) -> QuerySet[Any, Any]:
    """(drone id,) of those of these drones that fly, or will fly, without an order: to their
    base.
    """
    return _all(errands(drone_ids) for errands, *_ in _missions)


def on_errand(drone_ids: Collection[str]) -> set[str]:
    """The ids of `errands_of`."""
    return {drone_id for (drone_id,) in errands_of(drone_ids)}


def landings(now: datetime) -> QuerySet[Any, Any]:
    """(drone id, hub id) for each hub where a drone has still to land."""
    return _all(landings_of(now) for _, landings_of, _ in _missions)


def _all(querysets: Iterable[QuerySet[Any, Any]]) -> QuerySet[Any, Any]:
    first, *others = querysets
    return first.union(*others, all=True) if others else first


def supervised(pilot_ids: Collection[int], now: datetime) -> dict[int, set[str]]:
    """Pilot to the ids of the drones that the pilot supervises: from the assignment until they have
    landed. Only pilots that have one.
    """
    found: dict[int, set[str]] = {}
    for *_, supervised_of in _missions:
        found |= supervised_of(pilot_ids, now)
    return found


def register_flights(flown_since: FlownSince) -> None:
    _flights.append(flown_since)


def flown_since(drone_id: str, then: datetime) -> tuple[int, int]:
    """How many recorded flights of the drone began after `then`, and their seconds in the air."""
    found = [flown_since_of(drone_id, then) for flown_since_of in _flights]
    return sum(flights for flights, _ in found), sum(seconds for _, seconds in found)
