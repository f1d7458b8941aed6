"""Preselects the (drone, trip) pairs that `judge` has to check. Pure.

Drones of one group (one kind, one hub) differ only in position and charge. Each group is judged
once per trip, as if it stood at the pickup with the fullest battery of the group. The remaining
charge gives the maximum distance of each drone from the pickup.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from datetime import datetime

import numpy as np

from fleet.feasibility import energy, judge
from fleet.feasibility.geometry import EARTH_RADIUS_M, Floats, Ints, Zones, on_the_globe
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import FITNESS, DroneTable, TripTable
from fleet.feasibility.winds import Winds, at_drones

# Columns that differ between drones of one group.
PER_DRONE = {"drone_id", "lat", "lng", "battery_pct", "telemetry_age_s", "armed", *FITNESS}
BLOCK_CELLS = 2_000_000
BATCH_PAIRS = 50_000
ROUNDING_M = 1.0

# The drones of a group, and the trips of its area.
_Group = tuple[Ints, Ints]


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
    nowhere = np.empty(0, np.int64)
    groups = [(one, trips_of.get(drones.area[one[0]], nowhere)) for one in _groups(drones, fit)]
    for batch in _batches(groups):
        for (group, _), needed in zip(
            batch, _needed_at_pickup(drones, trips, batch, rules, at, winds), strict=True
        ):
            for d, t in _pairs_of_group(drones, group, trips, *needed, rules, winds):
                found_d.append(d)
                found_t.append(t)
    d, t = np.concatenate(found_d), np.concatenate(found_t)
    by_trip = np.argsort(t * len(drones) + d, kind="stable")
    return d[by_trip], t[by_trip]


def _batches(groups: Sequence[_Group]) -> Iterator[list[_Group]]:
    """Groups that are judged together: a call of `judge` costs as much as thousands of pairs."""
    batch: list[_Group] = []
    pairs = 0
    for group in groups:
        if batch and pairs + len(group[1]) > BATCH_PAIRS:
            yield batch
            batch, pairs = [], 0
        batch.append(group)
        pairs += len(group[1])
    if batch:
        yield batch


def _needed_at_pickup(
    drones: DroneTable,
    trips: TripTable,
    groups: Sequence[_Group],
    rules: Rules,
    at: datetime,
    winds: Winds | None,
) -> list[tuple[Ints, Floats]]:
    """Per group: the trips that its fullest drone could fly from the pickup, and the charge that
    each needs besides the reserve.
    """
    trip = np.concatenate([here for _, here in groups])
    fullest = [group[drones.battery_pct[group].argmax()] for group, _ in groups]
    waiting = replace(
        drones.take(np.repeat(fullest, [len(here) for _, here in groups])),
        lat=trips.pickup_lat[trip],
        lng=trips.pickup_lng[trip],
    )
    pairs = np.arange(len(trip))
    at_pickup = judge.judge(waiting, trips, pairs, trip, rules, Zones([]), at, winds)
    ends = np.cumsum([len(here) for _, here in groups])[:-1]
    return [
        (here[able], needed_pct[able])
        for (_, here), able, needed_pct in zip(
            groups,
            np.split(at_pickup.able, ends),
            np.split(at_pickup.needed_pct, ends),
            strict=True,
        )
    ]


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
    needed_pct: Floats,
    rules: Rules,
    winds: Winds | None,
) -> Iterator[tuple[Ints, Ints]]:
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
