"""All inputs of feasibility except drones and telemetry: rules, map, wind, best drones.

Dispatch runs read it from the database (`load`). Placing, quoting and publishing are frequent and
use a cache per thread (`current`). The cache is valid as long as a stamp in Redis is unchanged;
every change of a model in CACHED_MODELS renews the stamp.
"""

import hashlib
import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from uuid import UUID

from fleet import policy, registry
from fleet.airspace import areas, schedule
from fleet.airspace.areas import ServiceArea
from fleet.airspace.zones import GeoZone, zones_of
from fleet.feasibility import best_case
from fleet.feasibility.geometry import Zones
from fleet.feasibility.landing import HubTable
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import DroneTable
from fleet.feasibility.winds import Winds
from fleet.live import weather
from fleet.models import Drone, DroneKind, Hub, Policy
from wingxtra.cache_version import Cached, CacheVersion

VERSION = CacheVersion("fleet:rulebook")
CACHED_MODELS = (Policy, ServiceArea, GeoZone, Drone, DroneKind, Hub)

# What of a zone decides where we may fly.
ZONE_RULES = (
    "pk",
    "kind",
    "polygon",
    "lower_m",
    "lower_datum",
    "upper_m",
    "upper_datum",
    "starts_at",
    "ends_at",
    "schedule",
    "time_zone",
    "allowed_until",
)


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules and the map at one moment.

    areas: the active ones; `area_shapes` and the area columns of tables index this list.
    zones: the geographical zones that restrict flights at our height, now or later; `zone_shapes`
    indexes this list.
    winds: the fresh readings; None if the wind is not measured.
    best_drones: one drone per kind and hub in service, in ideal state (see `at_their_best`).
    best_in: those of each area. Each new order is judged with the same table, so that `judge`
    works out once what does not depend on the order.
    hubs: all; the rows of `hub_table` have the same order, and all pads free.
    """

    rules: Rules
    areas: list[ServiceArea]
    area_shapes: Zones
    zones: list[GeoZone]
    zone_shapes: Zones
    winds: Winds | None
    best_drones: DroneTable
    best_in: list[DroneTable]
    hubs: list[Hub]
    hub_table: HubTable

    @property
    def networks(self) -> set[UUID]:
        """The ids of the areas where any hub may receive a drone."""
        return {area.pk for area in self.areas if area.uses_network}

    def for_work_from(self, start: datetime, now: datetime) -> Self:
        """The same, with the hours of zones worked out from `start` on if that is days ahead."""
        if start < now + schedule.HORIZON - schedule.DAY:
            return self
        return replace(self, zone_shapes=zones_of(self.zones, start))

    def give_hubs(self, drones: Iterable[Drone]) -> None:
        """Set hub and base of these drones, without a statement."""
        hubs = {hub.pk: hub for hub in self.hubs}
        for drone in drones:
            # A hub that is newer than this rulebook is read when it is used.
            drone.hub = hubs.get(drone.hub_id) or drone.hub
            drone.base = hubs.get(drone.base_id) or drone.base


def load(at: datetime) -> Rulebook:
    """The rulebook from the database, without zones that cannot be met. Five statements."""
    served = list(ServiceArea.objects.filter(active=True))
    rules = policy.current()
    zones = [zone for zone in GeoZone.objects.relevant(at) if zone.concerns(_highest_m(rules))]
    one_of_each = (
        Drone.objects.with_home()
        .filter(active=True)
        .order_by("hub_id", "kind_id", "drone_id")
        .distinct("hub_id", "kind_id")
    )
    places = {area.pk: i for i, area in enumerate(served)}
    networks = {area.pk for area in served if area.uses_network}
    best = best_case.at_their_best(registry.table_of(one_of_each, places, networks=networks))
    hubs = list(Hub.objects.order_by("pk"))
    return Rulebook(
        rules=rules,
        areas=served,
        area_shapes=areas.areas_of(served),
        zones=zones,
        zone_shapes=zones_of(zones, at),
        winds=weather.winds(rules, at),
        best_drones=best,
        best_in=[best.take(best.area == index) for index in places.values()],
        hubs=hubs,
        hub_table=registry.hub_table(hubs, places, networks),
    )


def _highest_m(rules: Rules) -> float:
    return rules.cruise_alt_m + rules.zone_height_margin_m


def with_only(zone: GeoZone, book: Rulebook, at: datetime) -> Rulebook:
    """The rulebook with this zone, saved or not, and no other; without any if it stops no flight
    at our height from `at` on.
    """
    is_over = zone.ends_at is not None and zone.ends_at <= at
    applies = zone.active and not is_over and zone.concerns(_highest_m(book.rules))
    zones = [zone] if applies else []
    return replace(book, zones=zones, zone_shapes=zones_of(zones, at))


def airspace_version() -> str:
    """A digest of the active areas and zones, including times and heights. Two statements.

    The policy is not part of it.
    """
    served = ServiceArea.objects.filter(active=True).order_by("pk").values_list("pk", "polygon")
    zones = GeoZone.objects.filter(active=True).order_by("pk")
    closed = zones.values_list(*ZONE_RULES)
    as_json = json.dumps([list(served), list(closed)], default=str)
    return hashlib.sha256(as_json.encode()).hexdigest()[:16]


# --- cache ---------------------------------------------------------------------------------------


class _Memory(threading.local):
    """One per thread: GEOS builds parts of its shapes on first use without a lock, and two threads
    that share a shape crash the process.
    """

    cached: Cached[Rulebook] | None = None


_memory = _Memory()


def current(at: datetime) -> Rulebook:
    """The rulebook from this thread's cache. One Redis read, and one more if the wind is measured.

    Loads it from the database after a change. May contain zones that have expired since then.
    """
    version, cached = VERSION.current(), _memory.cached
    if cached and cached.is_fresh(version):
        winds = weather.winds(cached.value.rules, at)
        return cached.value if winds is None else replace(cached.value, winds=winds)
    # The version is read before the rows: a change in between makes the next call load again.
    book = load(at)
    _memory.cached = Cached(book, version) if version else None
    return book
