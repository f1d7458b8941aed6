"""The wind at the places of a flight: the nearest fresh reading counts, the strongest decides."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.feasibility import judge, reach
from fleet.feasibility.tables import DroneTable, TripTable
from fleet.feasibility.winds import MAX_DISTANCE_M, Winds
from fleet.tests.obvious import broken_rules
from fleet.tests.pairs import (
    DEG_PER_KM,
    NOON,
    RULES,
    codes,
    drone,
    everywhere,
    reading,
    trip,
    verdicts,
)
from fleet.tests.test_feasibility_properties import DRONES, POLICIES, TRIPS

OSU, TEMA, AIRPORT = (0.0, 0.0), (25.0, 0.0), (0.0, 3.0)


def winds(*readings: dict) -> Winds:
    return Winds.from_rows(readings)


def at(where: Winds, east_km: float, north_km: float) -> float:
    """NaN if unknown."""
    blow = where.at(np.array([north_km * DEG_PER_KM]), np.array([east_km * DEG_PER_KM]))
    return math.nan if blow.unknown[0] else float(blow.mps[0])


OSU_AND_TEMA = winds(reading(4.0, OSU, "Osu"), reading(9.0, TEMA, "Tema"))


@pytest.mark.parametrize(
    ("east_km", "wind_mps"),
    [(-14.9, 4.0), (-15.1, None), (0, 4.0), (12.4, 4.0), (12.6, 9.0), (39.9, 9.0), (40.1, None)],
)
def test_the_nearest_reading_counts_up_to_its_greatest_distance(east_km, wind_mps):
    found = at(OSU_AND_TEMA, east_km, 0)
    assert found == wind_mps or (wind_mps is None and math.isnan(found))


def test_a_reading_without_a_place_counts_everywhere_and_none_nowhere():
    assert at(everywhere(7.0), 4000, 0) == 7.0
    assert math.isnan(at(winds(), 0, 0))


@pytest.mark.parametrize(
    ("windy_at", "flown"),
    [
        ((0, 0), {}),  # its hub
        ((0, 30), {}),  # the pickup
        ((0, 60), {}),  # the door
        ((30, 0), {"lands_km": (30, 0)}),
        ((60, 0), {"stands_km": (60, 0)}),
    ],
)
def test_the_wind_at_each_place_of_the_flight_counts(windy_at, flown):
    """Places 30 km apart, all calm but one."""
    calm = [(0, 0), (0, 30), (0, 60), (30, 0), (60, 0)]
    found = verdicts(
        [drone(*flown.get("stands_km", (0, 0)), battery_wh=9e4)],
        [far_trip(**flown)],
        winds=winds(*(reading(20.0 if p == windy_at else 1.0, p, f"{p}") for p in calm)),
    )
    assert codes(found) == {"too_windy"}
    assert f"at {windy_at} (Mast, 60 s ago)" in found.explain(0)[0].message


def far_trip(lands_km=None, **_) -> dict:
    landing = {}
    if lands_km:
        landing = {
            "landing_lng": lands_km[0] * DEG_PER_KM,
            "landing_lat": lands_km[1] * DEG_PER_KM,
        }
    return trip((0, 30), (0, 60), **landing)


def test_a_place_of_the_flight_without_a_reading_near_rules_it_out_by_name():
    found = verdicts([drone()], [trip((0, 1), (0, 20))], winds=OSU_AND_TEMA)
    (reason,) = [one for one in found.explain(0) if one.code == "weather_unknown"]
    assert reason.message == (
        "The wind at the drop point is unknown: the nearest fresh reading is that of Osu, "
        "20 km away; at most 15 km count."
    )


def test_a_reason_has_value_limit_place_source_and_age():
    found = verdicts([drone()], [trip()], winds=winds(reading(14.0, OSU, "Osu")))
    (reason,) = [one for one in found.explain(0) if one.code == "too_windy"]
    assert reason.message == "Wind 14 m/s at Osu (Mast, 60 s ago), limit 10 m/s for WX-DRN-001."
    assert (reason.needed, reason.has) == (10.0, 14.0)


@pytest.mark.parametrize(
    ("wind_mps", "said"), [(10.04, "10.1"), (16.1, "16.1"), (11, "11"), (150, "150")]
)
def test_no_message_reads_as_if_the_wind_were_within_its_limit(wind_mps, said):
    found = verdicts([drone()], [trip()], winds=everywhere(wind_mps))
    assert any(one.message.startswith(f"Wind {said} m/s (Mast") for one in found.explain(0))


def test_too_strong_here_and_unknown_there_are_both_named():
    found = verdicts([drone()], [trip((0, 1), (0, 20))], winds=winds(reading(14.0, OSU, "Osu")))
    assert {"too_windy", "weather_unknown"} <= codes(found)


# --- properties ----------------------------------------------------------------------------------

KM = st.floats(-30, 30)
READINGS = st.lists(st.tuples(st.tuples(KM, KM), st.floats(0, 12)), max_size=4)


def strongest_mps(readings, points_km) -> float:
    """Slow and obvious: NaN if any point has no reading within 15 km."""
    found = []
    for point in points_km:
        near = [(math.dist(point, place), mps) for place, mps in readings]
        near = [one for one in near if one[0] <= MAX_DISTANCE_M / 1000]
        if not near:
            return math.nan
        found.append(min(near)[1])
    return max(found)


def ends_km(row: dict) -> list[tuple[float, float]]:
    """The known places of a drone or trip."""
    kinds = [name.removesuffix("lat") for name in row if name.endswith("lat")]
    pairs = [(row[f"{kind}lng"], row[f"{kind}lat"]) for kind in kinds]
    return [(x / DEG_PER_KM, y / DEG_PER_KM) for x, y in pairs if None not in (x, y)]


@given(
    st.lists(DRONES, min_size=1, max_size=4),
    st.lists(TRIPS, min_size=1, max_size=3),
    READINGS,
    POLICIES,
)
def test_every_able_pair_is_able_in_the_strongest_wind_of_its_places(
    drones, trips, readings, rules
):
    blowing = winds(*(reading(mps, place, "A") for place, mps in readings))
    found = verdicts(drones, trips, rules=rules, winds=blowing)
    pairs = reach.likely_pairs(
        DroneTable.from_rows(drones), TripTable.from_rows(trips), rules, NOON, blowing
    )
    likely = set(zip(*(index.tolist() for index in pairs), strict=True))
    for i in np.flatnonzero(found.able):
        d, t = int(found.d[i]), int(found.t[i])
        wind_mps = strongest_mps(readings, ends_km(drones[d]) + ends_km(trips[t]))
        assert broken_rules(drones[d], trips[t], [], wind_mps, rules) == []
        assert (d, t) in likely


@given(st.lists(DRONES, min_size=1, max_size=6), st.lists(TRIPS, min_size=1, max_size=3), READINGS)
def test_one_wind_at_all_places_is_the_same_as_one_wind_everywhere(drones, trips, readings):
    places = [reading(3.0, place, "A") for place, _ in readings]
    same = verdicts(drones, trips, winds=winds(*places, reading(3.0)))
    single = verdicts(drones, trips, winds=everywhere(3.0))
    assert same.reasons.tolist() == single.reasons.tolist()
    np.testing.assert_array_equal(same.energy_pct, single.energy_pct)


def test_no_reading_and_no_measurement_are_not_the_same():
    assert codes(verdicts([drone()], [trip()], winds=winds())) == {"weather_unknown"}
    assert codes(verdicts([drone()], [trip()])) == set()
    bits = judge.against_drones(DroneTable.from_rows([drone()]), RULES, winds())
    assert bits.tolist() == [judge.Rule.WEATHER_UNKNOWN]
