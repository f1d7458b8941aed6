"""The preselection of pairs excludes no pair that is able."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.feasibility import judge, reach
from fleet.feasibility.tables import DroneTable, TripTable
from fleet.tests.pairs import NOON, NOWHERE, RULES, drone, everywhere, trip, verdicts
from fleet.tests.test_feasibility_properties import DRONES, TRIPS, WINDS


def likely(drones: list[dict], trips: list[dict], wind_mps: float | None = None):
    d, t = reach.likely_pairs(
        DroneTable.from_rows(drones), TripTable.from_rows(trips), RULES, NOON, everywhere(wind_mps)
    )
    return list(zip(d.tolist(), t.tolist(), strict=True))


@given(st.lists(DRONES, max_size=12), st.lists(TRIPS, max_size=6), WINDS)
def test_every_able_pair_is_preselected(drones, trips, wind_mps):
    found = likely(drones, trips, wind_mps)
    every = verdicts(drones, trips, wind_mps=wind_mps)
    able = {(int(every.d[i]), int(every.t[i])) for i in np.flatnonzero(every.able)}
    assert able <= set(found)
    assert found == sorted(found, key=lambda pair: pair[::-1]), "trip by trip"


def test_a_drone_with_exactly_enough_charge_is_preselected():
    """One drone 3 km from the pickup with exactly the charge it needs, and one with less."""
    needed_pct = float(verdicts([drone(3.0)], [trip()]).needed_pct[0]) + RULES.reserve_pct
    just, less = (drone(3.0, battery_pct=needed_pct + more) for more in (1e-9, -1.0))
    assert likely([just, less], [trip()]) == [(0, 0)]


def test_only_drones_in_reach_and_area_are_preselected():
    """Drones 9 km away with a low battery, and drones of another area, are excluded."""
    near = [drone(0.1 * i) for i in range(20)]
    far = [drone(9.0, 0.1 * i, battery_pct=35.0) for i in range(20)]
    away = [drone(area=1) for _ in range(20)]
    trips = [trip() for _ in range(50)]
    d, t = zip(*likely(near + far + away, trips), strict=True)
    assert sorted(set(d)) == list(range(20))
    found = judge.judge(
        DroneTable.from_rows(near + far + away),
        TripTable.from_rows(trips),
        np.array(d),
        np.array(t),
        RULES,
        NOWHERE,
        NOON,
    )
    assert found.able.all()


@pytest.mark.parametrize("size", ["BLOCK_CELLS", "BATCH_PAIRS"])
def test_the_size_of_a_block_does_not_change_the_result(monkeypatch, size):
    drones = [drone(0.3 * i, battery_pct=40 + i, home_lat=0.01 * (i % 3)) for i in range(15)]
    trips = [trip((0, 0.2 * i), (0, 1 + 0.3 * i)) for i in range(30)]
    at_once = likely(drones, trips)
    assert at_once
    monkeypatch.setattr(reach, size, 7)
    assert likely(drones, trips) == at_once
