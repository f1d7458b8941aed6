"""Preselects the (drone, trip) pairs that `judge` has to check. Pure.

Drones of one group (one kind, one hub) differ only in position and charge. Each group is judged
once per trip, as if it stood at the pickup with the fullest battery of the group. The remaining
charge gives the maximum distance of each drone from the pickup.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime

import numpy as np

from fleet.feasibility import energy, judge
from fleet.feasibility.geometry import EARTH_RADIUS_M, Ints, Zones, on_the_globe
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import FITNESS, DroneTable, TripTable
from fleet.feasibility.winds import Winds, at_drones

# Columns that differ between drones of one group.
PER_DRONE = {"drone_id", "lat", "lng", "battery_pct", "telemetry_age_s", "armed", *FITNESS}
BLOCK_CELLS = 2_000_000
ROUNDING_M = 1.0


def likely_pairs(
    drones: DroneTable,
    trips: TripTable,
    rules: Rules,
    at: datetime,
    winds: Winds | None = None,
) -> tuple[Ints, Ints]:
    """Indices (d, t), ordered by trip, of every pair that could be able. Ignores no-fly zones.

    Every omitted pair is unable by `judge`; some of the returned pairs are, too. Memory grows with
    the number of returned pairs, not with drones times trips.
    """
    fit = np.flatnonzero(judge.against_drones(drones, rules, winds) == 0)
    found_d, found_t = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    trips_of = {area: np.flatnonzero(trips.area == area) for area in np.unique(trips.area)}
    for group in _groups(drones, fit):
        here = trips_of.get(drones.area[group[0]])
        if here is None:
            continue
        for d, t in _pairs_of_group(drones, group, trips, here, rules, at, winds):
            found_d.append(d)
            found_t.append(t)
    d, t = np.concatenate(found_d), np.concatenate(found_t)
    by_trip = np.argsort(t * len(drones) + d, kind="stable")
    return d[by_trip], t[by_trip]


def _groups(drones: DroneTable, fit: Ints) -> Iterator[Ints]:
    """The indices of the drones of each group."""
    names = [c.name for c in fields(DroneTable) if c.name not in PER_DRONE]
    rows = np.array([getattr(drones, name)[fit] for name in names], dtype=float)
    _, group, counts = np.unique(rows, axis=1, return_inverse=True, return_counts=True)
    if len(fit):
        yield from np.split(fit[np.argsort(group, kind="stable")], np.cumsum(counts)[:-1])


def _pairs_of_group(
    drones: DroneTable,
    group: Ints,
    trips: TripTable,
    here: Ints,
    rules: Rules,
    at: datetime,
    winds: Winds | None,
) -> Iterator[tuple[Ints, Ints]]:
    fullest = group[drones.battery_pct[group].argmax()]
    waiting = replace(
        drones.take(np.full(len(here), fullest)),
        lat=trips.pickup_lat[here],
        lng=trips.pickup_lng[here],
    )
    at_pickup = judge.judge(waiting, trips, np.arange(len(here)), here, rules, Zones([]), at, winds)
    here, needed_pct = here[at_pickup.able], at_pickup.needed_pct[at_pickup.able]
    # No drone of the group flies in less wind than this.
    least_mps = at_drones(winds, drones.take(group)).mps.min(keepdims=True)
    a_metre_pct = energy.cruising_pct_per_m(drones.take(group[:1]), least_mps)[0]
    metres_per_pct = 1 / (a_metre_pct * rules.detour_factor)
    spare_pct = drones.battery_pct[group] - rules.reserve_pct
    stands = on_the_globe(drones.lat[group], drones.lng[group])
    for block in np.array_split(here, 1 + len(here) * len(group) // BLOCK_CELLS):
        wanted_pct = needed_pct[np.searchsorted(here, block)]
        pickups = on_the_globe(trips.pickup_lat[block], trips.pickup_lng[block])
        # The chord is never longer than the ground distance: no drone in reach is excluded.
        chord_m2 = 2 * EARTH_RADIUS_M**2 * (1 - pickups @ stands.T)
        reach_m = (spare_pct - wanted_pct[:, None]) * metres_per_pct + ROUNDING_M
        t, d = np.nonzero((reach_m > 0) & (chord_m2 <= reach_m**2))
        yield group[d], block[t]
