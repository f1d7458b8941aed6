"""What holds for whatever drones, trips and zones: also by a second, slow and obvious check."""

import math
from datetime import timedelta
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleet.geometry import Zones
from fleet.tables import payload_bits
from fleet.tests.pairs import DEG_PER_KM, NOON, RULES, drone, trip, verdicts

KM = st.floats(-6, 6).map(lambda km: round(km, 3))
PLACES = st.tuples(KM, KM)


def mostly(usual, *others):
    """The usual value nine times in ten: pairs that may fly are the ones to look at."""
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
    home_lat=KM.map(lambda km: km * DEG_PER_KM),
    home_lng=KM.map(lambda km: km * DEG_PER_KM),
    area=mostly(0, 1),
    max_payload_kg=mostly(2.5, 1.0),
    battery_wh=st.sampled_from([300.0, 500.0, 900.0]),
    max_wind_mps=st.sampled_from([4.0, 10.0]),
)
TRIPS = st.builds(
    trip,
    PLACES,
    PLACES,
    payload_weight_kg=st.floats(0.1, 3),
    payload_type=mostly("PARCEL", "MEDICINE", "BLOOD").map(lambda name: payload_bits([name])),
    area=mostly(0, 1),
)
MINUTES = st.one_of(st.none(), st.integers(-30, 30))
BOXES = st.tuples(KM, KM, st.floats(0.2, 3), st.floats(0.2, 3), MINUTES, MINUTES)
WINDS = st.one_of(st.none(), st.floats(0, 12))


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
    return Zones(polygons, windows)


def flat_km(lat1: float, lng1: float, lat2: float, lng2: float) -> float:
    return math.hypot(lat2 - lat1, lng2 - lng1) / DEG_PER_KM


def obviously_may(d: dict, t: dict, boxes, wind_mps: float | None) -> bool:
    """The rules of dispatch, one after the other, for one pair on a flat Earth."""
    if not d["registered"] or not d["active"] or d["grounded"] or d["busy"]:
        return False
    if d["armed"] is None or d["armed"]:
        return False
    if not abs(d["telemetry_age_s"]) <= RULES.telemetry_max_age_s:
        return False
    if d["lat"] is None or d["lng"] is None or d["battery_pct"] is None:
        return False
    if t["payload_weight_kg"] > d["max_payload_kg"]:
        return False
    if not t["payload_type"] & d["payload_types"] or t["area"] != d["area"]:
        return False
    if d["battery_pct"] < RULES.battery_min_pct:
        return False
    if wind_mps is not None and wind_mps > min(d["max_wind_mps"], RULES.max_wind_mps):
        return False

    stops = [
        (d["lat"], d["lng"]),
        (t["pickup_lat"], t["pickup_lng"]),
        (t["dropoff_lat"], t["dropoff_lng"]),
        (d["home_lat"], d["home_lng"]),
    ]
    mass_kg = d["empty_mass_kg"]
    loaded = ((mass_kg + t["payload_weight_kg"]) / mass_kg) ** 1.5
    used_ws, flown_s = 0.0, RULES.launch_time_s
    for leg, (start, end) in enumerate(pairwise(stops)):
        aboard_kg, factor = (t["payload_weight_kg"], loaded) if leg == 1 else (0.0, 1.0)
        hover_w, cruise_w = d["hover_power_w"] * factor, d["cruise_power_w"] * factor
        up_m = RULES.cruise_alt_m - (RULES.delivery_alt_m if leg == 2 else 0)
        down_m = RULES.cruise_alt_m - (RULES.delivery_alt_m if leg == 1 else 0)
        way_m = flat_km(*start, *end) * 1000 * RULES.detour_factor
        cruise_s = way_m / (d["cruise_speed_mps"] - (wind_mps or 0))
        climb_s, descent_s = up_m / d["climb_speed_mps"], down_m / d["descent_speed_mps"]
        handling_s = RULES.load_time_s + RULES.delivery_time_s if leg == 1 else 0
        used_ws += hover_w * (climb_s + descent_s + handling_s) + cruise_w * cruise_s
        used_ws += (mass_kg + aboard_kg) * 9.81 * up_m / 0.7
        flown_s += climb_s + cruise_s + descent_s + handling_s
    left_pct = d["battery_pct"] - 100 * used_ws / 3600 / d["battery_wh"]
    # Flat and round Earth differ by less than a millionth here.
    if left_pct < RULES.reserve_pct - 1e-3:
        return False

    for west, south, width, height, start_min, end_min in boxes:
        if start_min is not None and 60 * start_min > flown_s + 0.1:
            continue
        if end_min is not None and 60 * end_min <= 0:
            continue
        for (lat1, lng1), (lat2, lng2) in pairwise(stops):
            for step in range(101):
                north_km = (lat1 + (lat2 - lat1) * step / 100) / DEG_PER_KM
                east_km = (lng1 + (lng2 - lng1) * step / 100) / DEG_PER_KM
                if west <= east_km <= west + width and south <= north_km <= south + height:
                    return False
    return True


@given(st.lists(DRONES, min_size=1, max_size=6), st.lists(TRIPS, min_size=1, max_size=3), st.data())
def test_whoever_is_judged_able_breaks_no_rule_of_a_slow_and_obvious_check(drones, trips, data):
    boxes = data.draw(st.lists(BOXES, max_size=2))
    wind_mps = data.draw(WINDS)
    found = verdicts(drones, trips, zones_of(boxes), wind_mps=wind_mps)
    for i, able in enumerate(found.able):
        if able:
            assert obviously_may(drones[found.d[i]], trips[found.t[i]], boxes, wind_mps)


@given(st.lists(DRONES, min_size=1, max_size=6), st.lists(TRIPS, min_size=1, max_size=3))
def test_without_zones_whoever_passes_the_obvious_check_is_judged_able(drones, trips):
    found = verdicts(drones, trips)
    for i, able in enumerate(found.able):
        if obviously_may(drones[found.d[i]], trips[found.t[i]], [], None):
            close = abs(found.energy_pct[i] + RULES.reserve_pct - drones[found.d[i]]["battery_pct"])
            assert able or close < 2e-3


@given(st.lists(DRONES, min_size=1, max_size=5), st.lists(TRIPS, min_size=1, max_size=5), st.data())
def test_a_pair_gets_the_same_verdict_alone_as_among_all_others(drones, trips, data):
    zones = zones_of(data.draw(st.lists(BOXES, max_size=2)))
    every = verdicts(drones, trips, zones)
    i = data.draw(st.integers(0, len(every.d) - 1))
    alone = verdicts([drones[every.d[i]]], [trips[every.t[i]]], zones)
    assert alone.explain(0) == every.explain(i)
    assert alone.zone[0] == every.zone[i]
    np.testing.assert_allclose(alone.energy_pct[0], every.energy_pct[i], rtol=1e-12)


@given(TRIPS, st.floats(0, 2))
def test_more_payload_never_takes_less_energy(this_trip, more_kg):
    heavier = {**this_trip, "payload_weight_kg": this_trip["payload_weight_kg"] + more_kg}
    light_pct, heavy_pct = verdicts([drone()], [this_trip, heavier]).energy_pct
    assert heavy_pct >= light_pct


@given(PLACES, PLACES, st.floats(1, 4))
def test_farther_never_takes_less_energy_or_time(pickup_km, door_km, factor):
    """Everything as many times as far from the hub, where the drone stands."""
    further = [tuple(km * factor for km in place) for place in (pickup_km, door_km)]
    found = verdicts([drone()], [trip(pickup_km, door_km), trip(*further)])
    for figure in (found.energy_pct, found.distance_m, found.to_pickup_s, found.busy_s):
        assert figure[1] >= figure[0] * (1 - 1e-9)
