"""Where the drones of a plan land: the pads of the hubs now, and the hub of each chosen pair.

A mission reserves a pad of its hub until its drone has landed (`Mission.objects.coming`). Choosing
and writing a hub needs the lock of its area (`area_locks`), so that no pad is given twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import numpy as np
import pgbulk
from django.db.models import Q

from dispatch.models import Mission, MissionPart
from fleet.airspace.rulebook import Rulebook
from fleet.feasibility import judge, landing
from fleet.feasibility.geometry import Ints
from fleet.feasibility.landing import HOME, NONE, HubTable, Landings
from fleet.feasibility.tables import DroneTable, TripTable
from fleet.live.picture import Picture
from fleet.models import Drone, Hub
from orders.models import Order

# A difference of less than this is not worth telling.
SAME_S = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Pads:
    """hubs: with the drones at each. of: the index of the hub of each drone, or where it will land
    if it has a mission; by drone id.
    """

    hubs: HubTable
    of: dict[str, int]

    def stands(self, drones: Iterable[Drone]) -> Ints:
        return np.array([self.of.get(drone.pk, NONE) for drone in drones], np.int64)


@dataclass(frozen=True, slots=True)
class Landing:
    """The hub that receives a drone, and the hub for a drone that cannot reach it.

    free_pads: before this landing; None for any number. sooner_s: how much sooner the drone is
    there than at its base. busy_s, energy_pct, distance_m: of the whole flight.
    """

    hub: Hub
    alternate: Hub | None
    base: Hub
    free_pads: int | None
    sooner_s: float
    busy_s: float
    energy_pct: float
    distance_m: float

    def __str__(self) -> str:
        """“lands at Osu: 3 of 8 pads free, 4 min nearer than its base”."""
        facts = [f"{self.free_pads} of {self.hub.pads} pads free"] if self.hub.pads else []
        if self.hub.pk == self.base.pk:
            facts.append("its base")
        elif abs(self.sooner_s) < SAME_S:
            facts.append("as near as its base")
        else:
            nearer = "nearer" if self.sooner_s > 0 else "farther"
            minutes = max(1, round(abs(self.sooner_s) / 60))
            facts.append(f"{minutes} min {nearer} than its base")
        if self.alternate is None:
            facts.append("no second hub with a free pad within its reach")
        return f"lands at {self.hub}: {', '.join(facts)}"


def pads(
    book: Rulebook, fleet: Picture | None, now: datetime, *, without: UUID | None = None
) -> Pads:
    """without: a job whose mission reserves no pad, as its order is about to get another drone. Two
    statements if an area has a network, none otherwise.
    """
    rows = {hub.pk: row for row, hub in enumerate(book.hubs)}
    of: dict[str, int] = {}
    at: set[tuple[str, int]] = set()
    full = _full(fleet)
    if book.networks:
        for drone_id, hub_id, stands_at_id in _everyone(book):
            of[drone_id] = rows.get(hub_id, NONE)
            at.add((drone_id, rows.get(stands_at_id or hub_id, NONE)))
        for drone_id, hub_id, stands_at_id, return_to_id in _coming(now, without):
            if stands_at_id is None:  # in the air: its pad at the hub is free
                at.discard((drone_id, rows.get(hub_id, NONE)))
            of[drone_id] = rows.get(return_to_id, NONE)
            at.add((drone_id, of[drone_id]))
            full.discard(drone_id)
    count = len(book.hubs)
    places = [(drone_id, row) for drone_id, row in at if row != NONE]
    lacking = [row for drone_id, row in places if drone_id not in full]
    hubs = replace(
        book.hub_table,
        taken=np.bincount([row for _, row in places], minlength=count),
        charging=np.bincount(lacking, minlength=count),
    )
    return Pads(hubs, of)


def _everyone(book: Rulebook) -> Iterable[tuple[str, int, int | None]]:
    """Id, hub and where it stands of each drone in service of a network, or at a hub of one."""
    ours = Q(hub__service_area__in=book.networks) | Q(stands_at__service_area__in=book.networks)
    return Drone.objects.filter(ours, active=True).values_list("pk", "hub_id", "stands_at_id")


def _coming(now: datetime, without: UUID | None) -> Iterable[tuple[str, int, int | None, int]]:
    """The drone of each mission with a pad: id, hub, where it stands, and the mission's hub. The
    mission that ends last is the last one of its drone.
    """
    coming = Mission.objects.coming(now).filter(return_to__isnull=False).order_by("created_at")
    if without is not None:
        coming = coming.exclude(pk__in=MissionPart.objects.filter(job=without).values("mission"))
    return coming.values_list("drone_id", "drone__hub", "drone__stands_at", "return_to")


def taken_at(hub: Hub, now: datetime) -> int:
    """How many pads of one hub are taken, counted as `pads` counts them. One statement."""
    coming = Mission.objects.coming(now).filter(return_to__isnull=False).order_by()
    bound_here = Q(pk__in=coming.filter(return_to=hub).values("drone"))
    in_the_air = Q(pk__in=coming.values("drone"))
    here = Q(stands_at=hub) | Q(stands_at__isnull=True, hub=hub) & ~in_the_air
    return Drone.objects.filter(bound_here | here & Q(active=True)).count()


def _full(fleet: Picture | None) -> set[str]:
    """The drones that need no charger."""
    samples = fleet.telemetry.items() if fleet else ()
    return {drone_id for drone_id, sample in samples if (sample.battery_pct or 0.0) >= 100}


def with_own_pads(table: DroneTable, hubs: HubTable, stands: Ints) -> DroneTable:
    """The drones; those at a hub without another free pad may land there again."""
    full = np.flatnonzero(hubs.network & (hubs.free_pads == 0))
    return replace(table, pads_taken=np.isin(stands, full))


def at_their_hubs(table: DroneTable, hubs: HubTable, stands: Ints) -> DroneTable:
    """The drones; in a network, home is where each stands or will land."""
    known = np.isin(stands, np.flatnonzero(hubs.network))
    home_lat, home_lng = table.home_lat.copy(), table.home_lng.copy()
    home_lat[known] = hubs.lat[stands[known]]
    home_lng[known] = hubs.lng[stands[known]]
    return replace(table, home_lat=home_lat, home_lng=home_lng)


def at_the_hub_of(mission: Mission, table: DroneTable, book: Rulebook) -> DroneTable:
    """The drone of this mission; home is the hub that its intent names, also if the network has
    been switched off since.
    """
    named = [hub for hub in book.hubs if hub.pk == mission.return_to_id]
    if not named:
        return table
    here = np.full(len(table), named[0].lat), np.full(len(table), named[0].lng)
    return replace(table, home_lat=here[0], home_lng=here[1])


def choose(
    table: DroneTable,
    trips: TripTable,
    d: Ints,
    t: Ints,
    drones: Sequence[Drone],
    here: Pads,
    book: Rulebook,
    now: datetime,
    *,
    together: bool = True,
) -> tuple[dict[int, Landing], dict[int, str]]:
    """The landing of each pair i of drone d[i] and trip t[i], and why a pair has none, both by i.

    Pairs of an area without network are in neither. together: as in `landing.receive`.
    """
    if not book.networks or not len(d):
        return {}, {}
    found = landing.receive(
        table,
        trips,
        d,
        t,
        here.stands(drones),
        here.hubs,
        book.rules,
        book.zone_shapes,
        now,
        book.winds,
        together=together,
    )
    base_s = _home_s(table, trips, d, t, drones, book, now)
    chosen, refused = {}, {}
    for i in np.flatnonzero(found.hub != HOME).tolist():
        drone = drones[d[i]]
        if found.hub[i] == NONE:
            refused[i] = f"No hub that {drone.pk} could reach after this delivery has a free pad."
            continue
        chosen[i] = _landing(found, i, drone.base, float(base_s[i]), book.hubs)
    return chosen, refused


def _landing(found: Landings, i: int, base: Hub, base_s: float, hubs: Sequence[Hub]) -> Landing:
    hub, alternate = hubs[found.hub[i]], int(found.alternate[i])
    return Landing(
        hub=hub,
        alternate=None if alternate == NONE else hubs[alternate],
        base=base,
        free_pads=None if hub.pads is None else int(found.free_pads[i]),
        sooner_s=base_s - float(found.busy_s[i]),
        busy_s=float(found.busy_s[i]),
        energy_pct=float(found.energy_pct[i]),
        distance_m=float(found.distance_m[i]),
    )


def _home_s(
    table: DroneTable,
    trips: TripTable,
    d: Ints,
    t: Ints,
    drones: Sequence[Drone],
    book: Rulebook,
    now: datetime,
) -> np.ndarray:
    """When each pair's drone would be at its base, in seconds from now."""
    bases = [drones[place].base for place in d]
    based = replace(
        table.take(d),
        home_lat=np.array([base.lat for base in bases]),
        home_lng=np.array([base.lng for base in bases]),
    )
    every = np.arange(len(d))
    homeward = landing.homeward(trips)
    judged = judge.judge(based, homeward, every, t, book.rules, book.zone_shapes, now, book.winds)
    return judged.busy_s


def write(orders: Iterable[Order], chosen: Mapping[str, Landing]) -> None:
    """Write the hubs of the missions of these orders, which have just got their drones. `chosen`:
    by the drone's id. One statement, none without a network.

    The mission is sent after the transaction, with these hubs in its intent.
    """
    missions = []
    for order in orders:
        job = order.current_job
        if job is not None and (place := chosen.get(job.drone_id or "")):
            alternate_id = place.alternate.pk if place.alternate else None
            missions.append(
                Mission(
                    pk=job.mission_intent_id, return_to_id=place.hub.pk, alternate_id=alternate_id
                )
            )
    if missions:
        pgbulk.update(Mission, missions, ["return_to", "alternate"])
