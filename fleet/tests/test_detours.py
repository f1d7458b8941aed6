"""Ways around no-fly zones: clear, not shorter than they can be, and not much longer.

Places are in kilometres east and north of a hub on the equator (see `fleet.tests.pairs`).
"""

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from fleet.feasibility import detours
from fleet.feasibility.geometry import Zones, distance_m
from fleet.feasibility.legs import DETOUR_HORIZON_S
from fleet.tests.pairs import DEG_PER_KM, NOON, RULES, codes, drone, no_fly, trip, verdicts
from fleet.tests.test_feasibility_properties import BOXES, PLACES, zones_of

ALLOWED = replace(RULES, detours_allowed=True, zone_margin_m=20.0)
UNTIL_S = NOON.timestamp() + DETOUR_HORIZON_S


def around_km(zones: Zones, start: tuple, end: tuple, margin_m: float = 20.0) -> float:
    legs = tuple(np.array([km]) * DEG_PER_KM for km in (*start[::-1], *end[::-1]))
    return float(detours.around_m(zones, legs, NOON, UNTIL_S, margin_m)[0]) / 1000


def test_the_way_around_a_square_worked_by_hand():
    """From (0, 1) to (0, 3) past a zone from 1 km west to 1 km east and from 1.9 to 2.1 km north:
    at the least two sides of 1.345 km and 0.2 km along its edge; 20 m off it and over the corners
    of its twelve sides a little more.
    """
    zone = no_fly(-1, 1.9, 1, 2.1)
    at_least = 2 * math.hypot(1, 0.9) + 0.2
    assert at_least <= around_km(zone, (0, 1), (0, 3)) <= at_least * 1.06


def test_a_leg_that_is_clear_keeps_its_straight_length():
    assert around_km(no_fly(5, 5, 6, 6), (0, 1), (0, 3)) == pytest.approx(2.0)


def test_a_round_zone_costs_two_per_cent_more_than_the_tightest_way():
    lng, lat = zip(
        *[(math.cos(a) * DEG_PER_KM, math.sin(a) * DEG_PER_KM) for a in np.linspace(0, 6.2832, 60)],
        strict=True,
    )
    ring = [list(point) for point in zip(lng, lat, strict=True)]
    zone = Zones([{"type": "Polygon", "coordinates": [[*ring[:-1], ring[0]]]}])
    tangent = math.sqrt(3) * 2 + 2 * (math.pi / 2 - math.acos(1 / 2))
    assert tangent <= around_km(zone, (-2, 0), (2, 0), margin_m=5) <= tangent * 1.03


def test_two_zones_side_by_side_are_passed_together():
    boxes = [(-2, 1.9, 2.02, 0.2, None, None), (-0.02, 1.9, 2.02, 0.2, None, None)]
    at_least = 2 * math.hypot(2, 0.9) + 0.2
    assert at_least <= around_km(zones_of(boxes), (0, 1), (0, 3)) <= at_least * 1.06


def test_a_place_that_is_walled_in_has_no_way_out():
    walls = [
        (-1, -1, 2, 0.2, None, None),
        (-1, 0.8, 2, 0.2, None, None),
        (-1, -1, 0.2, 2, None, None),
        (0.8, -1, 0.2, 2, None, None),
    ]
    assert around_km(zones_of(walls), (0, 0), (0, 3)) == math.inf


# --- in feasibility ------------------------------------------------------------------------------

ACROSS = no_fly(-1, 1.9, 1, 2.1)


def test_detours_are_off_unless_the_policy_allows_them():
    assert codes(verdicts([drone()], [trip()], ACROSS)) == {"crosses_no_fly_zone"}
    assert not RULES.detours_allowed


def test_the_flight_around_takes_the_longer_way_in_distance_time_and_energy():
    """Two legs bend, the one to the door and the one home: 1.7 km, 0.9 km longer than straight."""
    straight = verdicts([drone()], [trip()], rules=ALLOWED)
    bent = verdicts([drone()], [trip()], ACROSS, rules=ALLOWED)
    assert bent.able[0]
    more_m = (
        1000
        * ALLOWED.detour_factor
        * sum(
            around_km(ACROSS, *leg) - math.dist(*leg)
            for leg in (((0, 1), (0, 3)), ((0, 3), (0, 0)))
        )
    )
    assert more_m > 1000
    assert bent.distance_m[0] - straight.distance_m[0] == pytest.approx(more_m, rel=1e-3)
    assert bent.busy_s[0] - straight.busy_s[0] == pytest.approx(more_m / 15, rel=1e-3)
    assert bent.to_pickup_s[0] == straight.to_pickup_s[0]
    assert bent.energy_pct[0] > straight.energy_pct[0] + 1


def test_a_drone_that_has_the_charge_for_the_straight_way_only_may_not_fly_around():
    enough_pct = float(verdicts([drone()], [trip()], rules=ALLOWED).energy_pct[0]) + 20.5
    found = verdicts([drone(battery_pct=enough_pct)], [trip()], ACROSS, rules=ALLOWED)
    assert codes(found) == {"not_enough_energy"}


def test_no_way_leads_into_a_zone():
    around_the_door = no_fly(-1, 2.9, 1, 3.1)
    assert codes(verdicts([drone()], [trip()], around_the_door, rules=ALLOWED)) == {
        "in_no_fly_zone"
    }


def test_a_zone_that_begins_while_the_drone_flies_around_another_is_avoided_as_well():
    """The short way around, in the west, is closed from ten minutes on; the east is open."""
    wall = (-0.2, 1.9, 1.2, 0.2, None, None)
    west = (-3.0, 1.5, 2.9, 1.0, 10, None)
    lone, both = (
        verdicts([drone()], [trip()], zones_of(boxes), rules=ALLOWED)
        for boxes in ([wall], [wall, west])
    )
    assert 600 < lone.busy_s[0] < both.busy_s[0], "it is still out when the west closes"
    assert lone.able[0]
    assert both.able[0]
    # To the pickup; around the corners of the wall to the door; and around them home.
    east_km = 1 + 2 * math.hypot(1, 0.9) + 0.2 + math.hypot(1, 0.9) + 0.2 + math.hypot(1, 1.9)
    eastward_m = 1000 * ALLOWED.detour_factor * east_km
    assert eastward_m < both.distance_m[0] < eastward_m * 1.05
    assert lone.distance_m[0] < eastward_m * 0.85


def clear_of(boxes, path_km) -> bool:
    line = shapely.LineString(path_km)
    return not any(
        line.intersects(shapely.box(w, s, w + width, s + height))
        for w, s, width, height, *_ in boxes
    )


def shortest_on_a_grid_km(boxes, start, end, step_km=0.25) -> float:
    """The slow way: over all points of a grid that are no more than three apart each way."""
    grid = [(x * step_km, y * step_km) for x in range(-40, 41, 2) for y in range(-40, 41, 2)]
    nodes = np.array([start, end, *grid])
    best = np.full(len(nodes), np.inf)
    best[0], todo = 0.0, {0}
    while todo:
        here = min(todo, key=best.__getitem__)
        todo.remove(here)
        if here == 1:
            break
        away = np.hypot(*(nodes - nodes[here]).T)
        for there in np.flatnonzero((away < 3.2 * step_km) | (away == away[1])):
            if best[here] + away[there] < best[there] and clear_of(
                boxes, [nodes[here], nodes[there]]
            ):
                best[there] = best[here] + away[there]
                todo.add(there)
    return float(best[1])


@given(st.lists(BOXES, min_size=1, max_size=4), PLACES, PLACES)
def test_no_way_is_shorter_than_straight_and_a_clear_one_is_straight(boxes, start, end):
    boxes = [(*box[:4], None, None) for box in boxes]
    straight_km = float(distance_m(*(km * DEG_PER_KM for km in (*start[::-1], *end[::-1]))) / 1000)
    way_km = around_km(zones_of(boxes), start, end)
    if clear_of(boxes, [start, end]) and start != end:
        assert way_km == pytest.approx(straight_km, rel=1e-6)
    else:
        assert way_km >= straight_km * (1 - 1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_a_way_is_about_as_short_as_a_slow_search_finds_it(seed):
    random = np.random.default_rng(seed)
    boxes = [
        (*random.uniform(-5, 4, 2), *random.uniform(0.5, 2.5, 2), None, None) for _ in range(4)
    ]
    start, end = (-7.0, float(random.uniform(-6, 6))), (7.0, float(random.uniform(-6, 6)))
    ours, grid = around_km(zones_of(boxes), start, end), shortest_on_a_grid_km(boxes, start, end)
    assert ours <= grid * 1.03


def test_zones_with_windows_that_are_over_or_far_off_are_left_aside():
    over = no_fly(-1, 1.9, 1, 2.1, (None, NOON))
    later = no_fly(-1, 1.9, 1, 2.1, (NOON + timedelta(hours=5), None))
    assert around_km(over, (0, 1), (0, 3)) == pytest.approx(2.0)
    assert around_km(later, (0, 1), (0, 3)) == pytest.approx(2.0)
