"""All inputs of feasibility except drones and telemetry: rules, map, wind, best drones.

Dispatch runs and the last look before a launch read it from the database (`load`). Placing and
quoting are frequent and use a cache per thread (`current`). The cache is valid as long as a stamp
in Redis is unchanged; every change of a model in CACHED_MODELS renews the stamp.
"""

import hashlib
import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Self
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
from wingxtra.database.joined import Joined
from wingxtra.database.statements import Statement

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

    areas: the active ones; the area columns of tables index this list.
    zones: the geographical zones that restrict flights at our height, now or later; `zone_shapes`
    indexes this list.
    winds: the fresh readings; None if the wind is not measured.
    hubs: all; the rows of `hub_table` have the same order, and all pads free. For the last look
    before a launch only the one that receives the drone.
    kinds: all.
    """

    rules: Rules
    areas: list[ServiceArea]
    zones: list[GeoZone]
    zone_shapes: Zones
    winds: Winds | None
    hubs: list[Hub]
    hub_table: HubTable
    kinds: list[DroneKind]

    @property
    def networks(self) -> set[UUID]:
        """The ids of the areas where any hub may receive a drone."""
        return {area.pk for area in self.areas if area.uses_network}

    def for_work_from(self, start: datetime, now: datetime) -> Self:
        """The same, with the hours of zones worked out from `start` on if that is days ahead."""
        if start < now + schedule.HORIZON - schedule.DAY:
            return self
        return replace(self, zone_shapes=zones_of(self.zones, start))

    def give_home(self, drones: Iterable[Drone]) -> None:
        """Set kind, hub and base of these drones (`Drone.HOME`), without a statement."""
        hubs = {hub.pk: hub for hub in self.hubs}
        kinds = {kind.pk: kind for kind in self.kinds}
        for drone in drones:
            # What is newer than this rulebook is read when it is used.
            drone.kind = kinds.get(drone.kind_id) or drone.kind
            drone.hub = hubs.get(drone.hub_id) or drone.hub
            drone.base = hubs.get(drone.base_id) or drone.base


@dataclass(frozen=True, slots=True)
class RulebookForOrders(Rulebook):
    """With what tells whether a new order can be delivered.

    area_shapes: indexes `areas`.
    best_drones: one drone per kind and hub in service, in ideal state (see `at_their_best`).
    best_in: those of each area. Each new order is judged with the same table, so that `judge`
    works out once what does not depend on the order.
    """

    area_shapes: Zones
    best_drones: DroneTable
    best_in: list[DroneTable]


# Others read them together with rows of their own.
AREAS = Statement(lambda: ServiceArea.objects.filter(active=True))
ZONES = Statement(lambda at: GeoZone.objects.relevant(at), at=datetime)
_ROWS = Joined(
    (
        AREAS,
        policy.ROWS,
        ZONES,
        Statement(lambda: Hub.objects.order_by("pk")),
        Statement(lambda: DroneKind.objects.order_by("pk")),
    )
)


def load(at: datetime) -> Rulebook:
    """The rulebook from the database, without zones that cannot be met. One statement."""
    return read_in(_ROWS.lists(at=at), at)


def read_in(rows: Sequence[list[Any]], at: datetime) -> Rulebook:
    """The same from rows: areas, policy, zones, hubs and kinds."""
    served, of_policy, relevant, hubs, kinds = rows
    rules = policy.rules_in(of_policy)
    zones = [zone for zone in relevant if zone.concerns(_highest_m(rules))]
    networks = {area.pk for area in served if area.uses_network}
    return Rulebook(
        rules=rules,
        areas=served,
        zones=zones,
        zone_shapes=zones_of(zones, at),
        winds=weather.winds(rules, at),
        hubs=hubs,
        hub_table=registry.hub_table(hubs, _places(served), networks),
        kinds=kinds,
    )


def load_for_orders(at: datetime) -> RulebookForOrders:
    """The same with the best drones. Two statements."""
    book = load(at)
    one_of_each = list(
        Drone.objects.filter(active=True)
        .order_by("hub_id", "kind_id", "drone_id")
        .distinct("hub_id", "kind_id")
    )
    book.give_home(one_of_each)
    places = _places(book.areas)
    table = registry.table_of(one_of_each, places, networks=book.networks)
    best = best_case.at_their_best(table)
    return RulebookForOrders(
        **{field.name: getattr(book, field.name) for field in fields(book)},
        area_shapes=areas.areas_of(book.areas),
        best_drones=best,
        best_in=[best.take(best.area == index) for index in places.values()],
    )


def _places(served: Iterable[ServiceArea]) -> dict[UUID, int]:
    return {area.pk: index for index, area in enumerate(served)}


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


# What `version_of` takes.
AIRSPACE = (
    Statement(
        lambda: ServiceArea.objects.filter(active=True).order_by("pk").values_list("pk", "polygon")
    ),
    Statement(lambda: GeoZone.objects.filter(active=True).order_by("pk").values_list(*ZONE_RULES)),
)
_AIRSPACE = Joined(AIRSPACE)


def airspace_version() -> str:
    """A digest of the active areas and zones, including times and heights. One statement.

    The policy is not part of it.
    """
    return version_of(*_AIRSPACE.lists())


def version_of(served: list[Any], closed: list[Any]) -> str:
    """The same from the rows of AIRSPACE."""
    as_json = json.dumps([served, closed], default=str)
    return hashlib.sha256(as_json.encode()).hexdigest()[:16]


# --- cache ---------------------------------------------------------------------------------------


class _Memory(threading.local):
    """One per thread: GEOS builds parts of its shapes on first use without a lock, and two threads
    that share a shape crash the process.
    """

    cached: Cached[RulebookForOrders] | None = None


_memory = _Memory()


def current(at: datetime) -> RulebookForOrders:
    """The rulebook from this thread's cache. One Redis read, and one more if the wind is measured.

    Loads it from the database after a change. May contain zones that have expired since then.
    """
    version, cached = VERSION.current(), _memory.cached
    if cached and cached.is_fresh(version):
        winds = weather.winds(cached.value.rules, at)
        return cached.value if winds is None else replace(cached.value, winds=winds)
    # The version is read before the rows: a change in between makes the next call load again.
    book = load_for_orders(at)
    _memory.cached = Cached(book, version) if version else None
    return book
