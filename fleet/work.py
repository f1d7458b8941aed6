"""What drones do: jobs, parcels, errands, landings. `orders` and `dispatch` register the queries,
because fleet must not import them.
"""

from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime
from uuid import UUID

ActiveJobs = Callable[[Collection[str]], dict[str, UUID]]
Carrying = Callable[[Collection[str]], set[str]]
OnErrand = Callable[[Collection[str]], set[str]]
Coming = Callable[[datetime], Counter[int]]

_registered: list[tuple[ActiveJobs, Carrying]] = []
_missions: list[tuple[OnErrand, Coming]] = []


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


def register_missions(on_errand: OnErrand, coming: Coming) -> None:
    _missions.append((on_errand, coming))


def on_errand(drone_ids: Collection[str]) -> set[str]:
    """The drones among these that fly, or will fly, without an order: to their base."""
    found: set[str] = set()
    for on_errand_of, _ in _missions:
        found |= on_errand_of(drone_ids)
    return found


def coming(now: datetime) -> Counter[int]:
    """How many drones have still to land at each hub, by its primary key."""
    total: Counter[int] = Counter()
    for _, coming_of in _missions:
        total += coming_of(now)
    return total
