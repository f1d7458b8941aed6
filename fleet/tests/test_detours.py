"""Paths around no-fly zones: clear, never too short, and not much longer than the shortest.

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


def test_the_detour_around_a_square_calculated_by_hand():
    """From (0, 1) to (0, 3) around a zone from 1 km west to 1 km east and from 1.9 to 2.1 km north.

    At least two sides of 1.345 km and 0.2 km along the zone's edge; with a margin of 20 m and a
    polygon of twelve sides a little more.
    """
    zone = no_fly(-1, 1.9, 1, 2.1)
    minimum_km = 2 * math.hypot(1, 0.9) + 0.2
    assert minimum_km <= around_km(zone, (0, 1), (0, 3)) <= minimum_km * 1.06


def test_an_unblocked_leg_keeps_its_straight_length():
    assert around_km(no_fly(5, 5, 6, 6), (0, 1), (0, 3)) == pytest.approx(2.0)


def test_a_round_zone_costs_about_two_percent_more_than_the_shortest_path():
    lng, lat = zip(
        *[(math.cos(a) * DEG_PER_KM, math.sin(a) * DEG_PER_KM) for a in np.linspace(0, 6.2832, 60)],
        strict=True,
    )
    ring = [list(point) for point in zip(lng, lat, strict=True)]
    zone = Zones([{"type": "Polygon", "coordinates": [[*ring[:-1], ring[0]]]}])
    shortest_km = math.sqrt(3) * 2 + 2 * (math.pi / 2 - math.acos(1 / 2))
    assert shortest_km <= around_km(zone, (-2, 0), (2, 0), margin_m=5) <= shortest_km * 1.03


def test_two_adjacent_zones_are_passed_as_one():
    boxes = [(-2, 1.9, 2.02, 0.2, None, None), (-0.02, 1.9, 2.02, 0.2, None, None)]
    minimum_km = 2 * math.hypot(2, 0.9) + 0.2
    assert minimum_km <= around_km(zones_of(boxes), (0, 1), (0, 3)) <= minimum_km * 1.06


def test_an_enclosed_point_has_no_path():
    walls = [
        (-1, -1, 2, 0.2, None, None),
        (-1, 0.8, 2, 0.2, None, None),
        (-1, -1, 0.2, 2, None, None),
        (0.8, -1, 0.2, 2, None, None),
    ]
    assert around_km(zones_of(walls), (0, 0), (0, 3)) == math.inf


# --- in feasibility ------------------------------------------------------------------------------

ACROSS = no_fly(-1, 1.9, 1, 2.1)


def test_detours_are_off_by_default():
    assert codes(verdicts([drone()], [trip()], ACROSS)) == {"crosses_no_fly_zone"}
    assert not RULES.detours_allowed


def test_a_detour_counts_in_distance_time_and_energy():
    """Two legs are detoured: to the door (1.7 km longer) and home (0.9 km longer)."""
    straight = verdicts([drone()], [trip()], rules=ALLOWED)
    detoured = verdicts([drone()], [trip()], ACROSS, rules=ALLOWED)
    assert detoured.able[0]
    more_m = (
        1000
        * ALLOWED.detour_factor
        * sum(
            around_km(ACROSS, *leg) - math.dist(*leg)
            for leg in (((0, 1), (0, 3)), ((0, 3), (0, 0)))
        )
    )
    assert more_m > 1000
    assert detoured.distance_m[0] - straight.distance_m[0] == pytest.approx(more_m, rel=1e-3)
    assert detoured.busy_s[0] - straight.busy_s[0] == pytest.approx(more_m / 15, rel=1e-3)
    assert detoured.to_pickup_s[0] == straight.to_pickup_s[0]
    assert detoured.energy_pct[0] > straight.energy_pct[0] + 1


def test_a_detour_needs_enough_charge():
    enough_pct = float(verdicts([drone()], [trip()], rules=ALLOWED).needed_pct[0]) + 20.5
    found = verdicts([drone(battery_pct=enough_pct)], [trip()], ACROSS, rules=ALLOWED)
    assert codes(found) == {"not_enough_energy"}


def test_a_drop_point_in_a_zone_has_no_detour():
    around_the_door = no_fly(-1, 2.9, 1, 3.1)
    assert codes(verdicts([drone()], [trip()], around_the_door, rules=ALLOWED)) == {
        "in_no_fly_zone"
    }


def test_a_zone_that_starts_during_a_detour_is_avoided():
    """The short path in the west is blocked after ten minutes; the path in the east is free."""
    wall = (-0.2, 1.9, 1.2, 0.2, None, None)
    west = (-3.0, 1.5, 2.9, 1.0, 10, None)
    lone, both = (
        verdicts([drone()], [trip()], zones_of(boxes), rules=ALLOWED)
        for boxes in ([wall], [wall, west])
    )
    assert 600 < lone.busy_s[0] < both.busy_s[0], "the drone still flies when the west is blocked"
    assert lone.able[0]
    assert both.able[0]
    # To the pickup, around the wall's corners to the door, and around them home.
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


def keeps_the_margin(boxes, path_km) -> bool:
    """With a little more than the 20 m of `around_km`."""
    wider = [(w - 0.03, s - 0.03, width + 0.06, height + 0.06) for w, s, width, height, *_ in boxes]
    return clear_of(wider, path_km)


def shortest_on_a_grid_km(boxes, start, end, step_km=0.25) -> float:
    """Dijkstra on a grid; nodes up to three steps apart are connected."""
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
def test_a_path_is_never_shorter_than_straight(boxes, start, end):
    boxes = [(*box[:4], None, None) for box in boxes]
    straight_km = float(distance_m(*(km * DEG_PER_KM for km in (*start[::-1], *end[::-1]))) / 1000)
    path_km = around_km(zones_of(boxes), start, end)
    if keeps_the_margin(boxes, [start, end]) and start != end:
        assert path_km == pytest.approx(straight_km, rel=1e-6)
    else:
        assert path_km >= straight_km * (1 - 1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_a_path_is_close_to_that_of_a_grid_search(seed):
    random = np.random.default_rng(seed)
    boxes = [
        (*random.uniform(-5, 4, 2), *random.uniform(0.5, 2.5, 2), None, None) for _ in range(4)
    ]
    start, end = (-7.0, float(random.uniform(-6, 6))), (7.0, float(random.uniform(-6, 6)))
    ours, grid = around_km(zones_of(boxes), start, end), shortest_on_a_grid_km(boxes, start, end)
    assert ours <= grid * 1.03


def test_expired_and_distant_windows_need_no_detour():
    over = no_fly(-1, 1.9, 1, 2.1, (None, NOON))
    later = no_fly(-1, 1.9, 1, 2.1, (NOON + timedelta(hours=5), None))
    assert around_km(over, (0, 1), (0, 3)) == pytest.approx(2.0)
    assert around_km(later, (0, 1), (0, 3)) == pytest.approx(2.0)
