"""Everything that feasibility needs besides the drones and their telemetry, read together.

Who plans or publishes reads it from the database (`load`). Placing and quoting, which happen often,
take it from their thread's memory (`current`) as long as a stamp in Redis stays the same; every
change of what is in the book renews the stamp.
"""

import hashlib
import json
import threading
from dataclasses import dataclass, replace
from datetime import datetime

from fleet import policy, registry
from fleet.airspace import areas
from fleet.airspace.areas import NoFlyZone, ServiceArea
from fleet.feasibility import best_case
from fleet.feasibility.geometry import Zones
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import DroneTable
from fleet.live import weather
from fleet.models import Drone, DroneKind, Hub, Policy
from wingxtra.cache_version import Cached, CacheVersion

VERSION = CacheVersion("fleet:rulebook")
WRITTEN_IN_IT = (Policy, ServiceArea, NoFlyZone, Drone, DroneKind, Hub)


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules and the map as they were at one moment.

    areas: the active ones; an index of `area_shapes`, and an area in a table, is a place in it.
    zones: the no-fly zones that apply or will; an index of `zone_shapes` is a place in it.
    wind_mps: as `judge` takes it; None where nobody measures it, NaN where it is not known.
    best_drones: a drone of each kind in service at each hub, at its best (see `at_their_best`).
    """

    rules: Rules
    areas: list[ServiceArea]
    area_shapes: Zones
    zones: list[NoFlyZone]
    zone_shapes: Zones
    wind_mps: float | None
    best_drones: DroneTable


def load(at: datetime) -> Rulebook:
    """The rulebook as it is now; zones that are over at `at` are left out. Four statements."""
    served = list(ServiceArea.objects.filter(active=True))
    zones = list(NoFlyZone.objects.relevant(at))
    one_of_each = (
        Drone.objects.with_home()
        .filter(active=True)
        .order_by("hub_id", "kind_id", "drone_id")
        .distinct("hub_id", "kind_id")
    )
    at_home = registry.table_of(one_of_each, {area.pk: i for i, area in enumerate(served)})
    rules = policy.current()
    return Rulebook(
        rules=rules,
        areas=served,
        area_shapes=areas.areas_of(served),
        zones=zones,
        zone_shapes=areas.zones_of(zones),
        wind_mps=weather.wind_mps(rules, at),
        best_drones=best_case.at_their_best(at_home),
    )


def airspace_version() -> str:
    """Names the areas and zones as they are: the same text for the same map, another one for any
    change of what is served or closed, or when. Two statements; nothing of the policy counts.
    """
    served = ServiceArea.objects.filter(active=True).order_by("pk").values_list("pk", "polygon")
    zones = NoFlyZone.objects.filter(active=True).order_by("pk")
    closed = zones.values_list("pk", "polygon", "starts_at", "ends_at")
    told = json.dumps([list(served), list(closed)], default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


# --- kept in memory ------------------------------------------------------------------------------


class _Memory(threading.local):
    """Each thread's own: GEOS builds parts of its shapes when they are first asked, without a lock,
    and two threads that share one crash the process.
    """

    cached: Cached[Rulebook] | None = None


_memory = _Memory()


def current(at: datetime) -> Rulebook:
    """The rulebook as `load` gives it, by one look into Redis while nothing has changed; and one
    more for the wind, where somebody measures it.

    A zone that is over since it was read may still be in it, with its window.
    """
    version, cached = VERSION.current(), _memory.cached
    if cached and cached.is_fresh(version):
        wind_mps = weather.wind_mps(cached.value.rules, at)
        return cached.value if wind_mps is None else replace(cached.value, wind_mps=wind_mps)
    # The version is read before the rows: a change in between makes the next call read again.
    book = load(at)
    _memory.cached = Cached(book, version) if version else None
    return book
