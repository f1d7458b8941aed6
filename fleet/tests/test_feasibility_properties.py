"""Properties of feasibility for random drones, trips and zones, checked against `obvious`."""

import math
from dataclasses import replace
from datetime import timedelta
from functools import partial

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleet.feasibility.geometry import Zones
from fleet.feasibility.tables import DroneTable, payload_bits
from fleet.tests.obvious import broken_rules
from fleet.tests.pairs import DEG_PER_KM, NOON, RULES, drone, trip, verdicts

KM = st.floats(-6, 6).map(lambda km: round(km, 3))
PLACES = st.tuples(KM, KM)
# Few different sides, so that about every other parcel fits.
SIZES = st.tuples(*[st.sampled_from([10.0, 20.0, 30.0])] * 3)


def mostly(usual, *others):
    """The usual value nine times in ten, so that most pairs are able."""
    return st.sampled_from([usual] * 9 * len(others) + list(others))


DRONES = st.builds(
    drone,
    st.one_of(st.just(0.0), KM, KM, KM, st.none()),
    KM,
    battery_pct=st.one_of(st.integers(20, 100), st.integers(60, 100), st.none()),
    telemetry_age_s=mostly(1.0, 0.0, 15.0, 20.0, 60.0, 90.0, math.inf, -100.0),
    armed=mostly(False, True, None),
    registered=mostly(True, False),
    active=mostly(True, False),
    grounded=mostly(False, True),
    busy=mostly(False, True),
    hub_full=mostly(False, True),
    home_lat=KM.map(lambda km: km * DEG_PER_KM),
    home_lng=KM.map(lambda km: km * DEG_PER_KM),
    area=mostly(0, 1),
    max_payload_kg=mostly(2.5, 1.0),
    max_size_cm=st.one_of(st.none(), SIZES),
    battery_wh=st.sampled_from([300.0, 500.0, 900.0]),
    max_wind_mps=st.sampled_from([4.0, 10.0]),
)
TRIPS = st.builds(
    trip,
    PLACES,
    PLACES,
    payload_weight_kg=st.floats(0.1, 3),
    size_cm=st.one_of(st.none(), SIZES),
    landing_km=st.one_of(st.none(), PLACES),
    payload_type=mostly("PARCEL", "MEDICINE", "BLOOD").map(lambda name: payload_bits([name])),
    area=mostly(0, 1),
)
MINUTES = st.one_of(st.none(), st.integers(-30, 30))
BOXES = st.tuples(KM, KM, st.floats(0.2, 3), st.floats(0.2, 3), MINUTES, MINUTES)
WINDS = st.one_of(st.none(), st.floats(0, 12), st.floats(0, 5), st.just(math.nan))
POLICIES = st.builds(
    partial(replace, RULES),
    battery_min_pct=st.floats(0, 50),
    reserve_pct=st.floats(5, 30),
    telemetry_max_age_s=st.sampled_from([1.0, 15.0, 60.0]),
    detour_factor=st.floats(1, 1.5),
    launch_time_s=st.floats(0, 120),
    load_time_s=st.floats(0, 120),
    delivery_time_s=st.floats(0, 120),
    loiter_timeout_s=st.integers(0, 400),
    cruise_alt_m=st.floats(20, 120),
    delivery_alt_m=st.floats(1, 20),
    max_wind_mps=st.floats(3, 15),
    detours_allowed=st.booleans(),
    zone_margin_m=st.floats(5, 300),
)


def zones_of(boxes) -> Zones:
    """No-fly zones as (west_km, south_km, width_km, height_km, from_min, until_min)."""
    polygons, windows = [], []
    for west, south, width, height, start, end in boxes:
        w, s = west * DEG_PER_KM, south * DEG_PER_KM
        e, n = w + width * DEG_PER_KM, s + height * DEG_PER_KM
        polygons.append(
            {"type": "Polygon", "coordinates": [[[w, s], [e, s], [e, n], [w, n], [w, s]]]}
        )
        windows.append([None if m is None else NOON + timedelta(minutes=m) for m in (start, end)])
    return Zones(polygons, [[window] for window in windows])


@given(
    st.lists(DRONES, min_size=1, max_size=6),
    st.lists(TRIPS, min_size=1, max_size=3),
    st.lists(BOXES, max_size=3),
    WINDS,
    POLICIES,
)
def test_every_able_pair_passes_the_simple_implementation(drones, trips, boxes, wind_mps, rules):
    found = verdicts(drones, trips, zones_of(boxes), rules, wind_mps)
    for i, able in enumerate(found.able):
        if able:
            planned_m = float(found.distance_m[i])
            broken = broken_rules(
                drones[found.d[i]], trips[found.t[i]], boxes, wind_mps, rules, planned_m
            )
            assert broken == []


@given(st.lists(DRONES, min_size=1, max_size=6), st.lists(TRIPS, min_size=1, max_size=3), POLICIES)
def test_without_zones_every_pair_that_passes_is_able(drones, trips, rules):
    found = verdicts(drones, trips, rules=rules)
    for i, able in enumerate(found.able):
        d, t = drones[found.d[i]], trips[found.t[i]]
        if not broken_rules(d, t, [], None, rules):
            close = abs(found.needed_pct[i] + rules.reserve_pct - d["battery_pct"])
            assert able or close < 2e-3


@given(st.lists(DRONES, min_size=1, max_size=5), st.lists(TRIPS, min_size=1, max_size=5), st.data())
def test_a_verdict_does_not_depend_on_other_pairs(drones, trips, data):
    zones = zones_of(data.draw(st.lists(BOXES, max_size=2)))
    every = verdicts(drones, trips, zones)
    i = data.draw(st.integers(0, len(every.d) - 1))
    alone = verdicts([drones[every.d[i]]], [trips[every.t[i]]], zones)
    assert alone.explain(0) == every.explain(i)
    assert alone.zone[0] == every.zone[i]
    np.testing.assert_allclose(alone.needed_pct[0], every.needed_pct[i], rtol=1e-12)


@given(st.lists(DRONES, min_size=1, max_size=5), TRIPS, POLICIES, POLICIES)
def test_a_table_is_judged_by_the_rules_of_the_call(drones, this_trip, before, rules):
    """What is known of a table's drones is kept for the next call, but not for other rules."""
    table = DroneTable.from_rows(drones)
    verdicts(table, [this_trip], rules=before)
    again, first = (verdicts(one, [this_trip], rules=rules) for one in (table, drones))
    assert again.reasons.tolist() == first.reasons.tolist()
    np.testing.assert_array_equal(again.needed_pct, first.needed_pct)


@given(TRIPS, st.floats(0, 2))
def test_more_payload_never_takes_less_energy(this_trip, more_kg):
    heavier = {**this_trip, "payload_weight_kg": this_trip["payload_weight_kg"] + more_kg}
    found = verdicts([drone()], [this_trip, heavier])
    for light_pct, heavy_pct in (found.energy_pct, found.needed_pct):
        assert heavy_pct >= light_pct
    assert (found.needed_pct >= found.energy_pct).all(), "a drop that fails is the worse ending"


@given(PLACES, PLACES, st.floats(1, 4))
def test_a_longer_trip_never_takes_less_energy_or_time(pickup_km, door_km, factor):
    """Scales all distances from the hub, where the drone is."""
    further = [tuple(km * factor for km in place) for place in (pickup_km, door_km)]
    found = verdicts([drone()], [trip(pickup_km, door_km), trip(*further)])
    energies = (found.energy_pct, found.needed_pct)
    for figure in (*energies, found.distance_m, found.to_pickup_s, found.busy_s):
        assert figure[1] >= figure[0] * (1 - 1e-9)
