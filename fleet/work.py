"""Active jobs and parcels of drones. `orders` registers the queries: fleet must not import it."""

from collections.abc import Callable, Collection
from uuid import UUID

ActiveJobs = Callable[[Collection[str]], dict[str, UUID]]
Carrying = Callable[[Collection[str]], set[str]]

_registered: list[tuple[ActiveJobs, Carrying]] = []


def register(active_jobs: ActiveJobs, carrying: Carrying) -> None:
    _registered.append((active_jobs, carrying))


def active_jobs(drone_ids: Collection[str]) -> dict[str, UUID]:
    """Drone id to active job id; only drones that have one."""
    found: dict[str, UUID] = {}
    for jobs_of, _ in _registered:
        found |= jobs_of(drone_ids)
    return found


def carrying(drone_ids: Collection[str]) -> set[str]:
    """The drones among these that have a parcel aboard."""
    found: set[str] = set()
    for _, carrying_of in _registered:
        found |= carrying_of(drone_ids)
    return found
