"""What drones do, and who supervises them. `orders` and `dispatch` register the queries, because
fleet must not import them.
"""

from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime
from uuid import UUID

ActiveJobs = Callable[[Collection[str]], dict[str, UUID]]
Carrying = Callable[[Collection[str]], set[str]]
OnErrand = Callable[[Collection[str]], set[str]]
Coming = Callable[[datetime], Counter[int]]
FlownSince = Callable[[str, datetime], tuple[int, int]]
Supervised = Callable[[Collection[int], datetime], dict[int, set[str]]]

_registered: list[tuple[ActiveJobs, Carrying]] = []
_missions: list[tuple[OnErrand, Coming, Supervised]] = []
_flights: list[FlownSince] = []


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


def register_missions(on_errand: OnErrand, coming: Coming, supervised: Supervised) -> None:
    _missions.append((on_errand, coming, supervised))


def on_errand(drone_ids: Collection[str]) -> set[str]:
    """The drones among these that fly, or will fly, without an order: to their base."""
    found: set[str] = set()
    for on_errand_of, *_ in _missions:
        found |= on_errand_of(drone_ids)
    return found


def coming(now: datetime) -> Counter[int]:
    """How many drones have still to land at each hub, by its primary key."""
    total: Counter[int] = Counter()
    for _, coming_of, _ in _missions:
        total += coming_of(now)
    return total


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
