import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from fleet.feasibility.geometry import EARTH_RADIUS_M, InvalidPolygon, Zones, distance_m, polygon

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)


def box(west: float, south: float, east: float, north: float) -> dict:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def blocking(zones: Zones, *legs: tuple[float, float, float, float], at: datetime = NOON):
    """Legs as (lat1, lng1, lat2, lng2)."""
    since_s, zone = zones.in_the_way(*np.array(legs, float).T, at)
    return since_s.tolist(), zone.tolist()


# --- distances -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leg", "on_the_ellipsoid_m"),
    [
        # By GeographicLib on WGS 84.
        ((5.6037, -0.1870, 5.6500, -0.1870), 5120.083),  # Accra, northwards
        ((5.6037, -0.1870, 5.6037, -0.1000), 9638.821),  # Accra, eastwards
        ((5.6037, -0.1870, 5.6052, -0.1668), 2244.115),  # Accra, to the airport
        ((0, 0, 0, 0.1), 11131.949),
        ((60, 10, 60.1, 10), 11141.314),
        ((60, 10, 60, 10.1), 5580.000),
        ((51.5, -0.1, 48.85, 2.35), 342761.941),
    ],
)
def test_distances_are_within_0_6_percent_of_the_ellipsoid(leg, on_the_ellipsoid_m):
    assert distance_m(*leg) == pytest.approx(on_the_ellipsoid_m, rel=0.006)


@pytest.mark.parametrize(
    ("leg", "on_the_sphere_m"),
    [
        ((0, 0, 1, 0), EARTH_RADIUS_M * math.pi / 180),
        ((0, 0, 0, 180), EARTH_RADIUS_M * math.pi),
        ((90, 17, -90, 42), EARTH_RADIUS_M * math.pi),
        (
            (5, 179.9995, 5, -179.9995),
            EARTH_RADIUS_M * math.radians(0.001 * math.cos(math.radians(5))),
        ),
        ((5.6, -0.18, 5.6, -0.18), 0.0),
        ((5.6, -0.18, 5.6 + 1e-8, -0.18), EARTH_RADIUS_M * math.radians(1e-8)),  # a millimetre
    ],
)
def test_distances_are_exact_on_the_sphere_from_millimetres_to_antipodes(leg, on_the_sphere_m):
    assert distance_m(*leg) == pytest.approx(on_the_sphere_m, rel=1e-6)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_a_distance_is_symmetric_and_at_most_half_the_circumference(a, b, c, d):
    there = float(distance_m(a, b, c, d))
    assert there == pytest.approx(float(distance_m(c, d, a, b)), abs=1e-6)
    assert 0 <= there <= EARTH_RADIUS_M * math.pi * (1 + 1e-12)


def test_distances_broadcast_and_propagate_nan():
    found = distance_m([5.6, np.nan, 5.6], -0.18, 5.6, [-0.18, -0.18, np.nan])
    assert found[0] == 0
    assert np.isnan(found[1:]).all()


# --- polygons ------------------------------------------------------------------------------------


def ring(*points: list) -> dict:
    return {"type": "Polygon", "coordinates": [list(points)]}


@pytest.mark.parametrize(
    ("geojson", "code"),
    [
        (None, "not_a_polygon"),
        ("POLYGON((0 0, 1 0, 1 1, 0 0))", "not_a_polygon"),
        ({"type": "Point", "coordinates": [0, 0]}, "not_a_polygon"),
        ({"type": "Feature", "geometry": box(0, 0, 1, 1)}, "not_a_polygon"),
        ({"type": "Polygon"}, "not_a_polygon"),
        ({"type": "Polygon", "coordinates": []}, "not_a_polygon"),
        ({"type": "Polygon", "coordinates": [None]}, "not_a_polygon"),
        (ring(), "too_few_points"),
        (ring([0, 0], [1, 0], [0, 0]), "too_few_points"),
        (ring([0, 0], [1, 0], [1, 1], [0, 1]), "not_closed"),
        (ring([0, 0], [1, 0], [1], [0, 0]), "not_a_number"),
        (ring([0, 0], [1, 0], ["1", 1], [0, 0]), "not_a_number"),
        (ring([0, 0], [1, 0], [True, 1], [0, 0]), "not_a_number"),
        (ring([0, 0], [1, 0], [math.nan, 1], [0, 0]), "not_a_number"),
        (ring([0, 0], [1, 0], [10**400, 1], [0, 0]), "off_the_globe"),
        (ring([5.6, -100], [5.7, -100], [5.7, -100.1], [5.6, -100]), "off_the_globe"),
        (ring([181, 0], [182, 0], [182, 1], [181, 0]), "off_the_globe"),
        (ring([0, 0], [1, 1], [1, 0], [0, 1], [0, 0]), "crosses_itself"),
        (ring([0, 0], [1, 0], [2, 0], [0, 0]), "crosses_itself"),
        (box(0, 0, 0.00001, 0.00001), "too_small"),
        (box(-179.9, 0, 179.9, 1), "crosses_antimeridian"),
        (ring([179, 0], [-179, 0], [-179, 1], [179, 1], [179, 0]), "crosses_antimeridian"),
        (box(0, 85.001, 0.1, 85.1), "near_a_pole"),
        (box(0, -85.1, 0.1, -84.9), "near_a_pole"),
        (box(0, 0, 1, 6), "too_large"),
        (ring(*([[0, 0]] * 10_001)), "too_many_points"),
    ],
)
def test_an_invalid_polygon_is_refused_with_a_code(geojson, code):
    with pytest.raises(InvalidPolygon) as refused:
        polygon(geojson)
    assert refused.value.code == code
    assert str(refused.value).endswith(".")


def test_swapped_coordinates_get_an_explanation():
    with pytest.raises(InvalidPolygon, match="longitude first"):
        polygon(ring([51, -100], [52, -100], [52, -101], [51, -100]))


def test_the_point_where_an_outline_crosses_itself_is_named():
    with pytest.raises(InvalidPolygon, match=r"0\.5 0\.5"):
        polygon(ring([0, 0], [1, 1], [1, 0], [0, 1], [0, 0]))


def test_winding_order_holes_and_altitudes_are_accepted():
    outline = [[0, 0, 12.5], [0, 1, 12.5], [1, 1, 12.5], [1, 0, 12.5], [0, 0, 12.5]]
    hole = [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6], [0.4, 0.4]]
    shape = polygon({"type": "Polygon", "coordinates": [outline, hole]})
    assert shape.area == pytest.approx(0.96)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=20,
)


@given(ANY_JSON)
def test_any_json_raises_only_invalid_polygon(coordinates):
    with suppress(InvalidPolygon):
        polygon({"type": "Polygon", "coordinates": coordinates})


# --- zones: points -------------------------------------------------------------------------------


def test_a_point_is_in_all_zones_that_contain_it_edges_included():
    zones = Zones([box(0, 0, 2, 2), box(1, 1, 3, 3)])
    point, zone = zones.contains([1.5, 0.5, 0.0, 9.0, np.nan], [1.5, 0.5, 0.0, 9.0, 1.0])
    assert list(zip(point.tolist(), zone.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0), (2, 0)]


def test_a_hole_is_outside():
    hole = [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6], [0.4, 0.4]]
    zones = Zones([{"type": "Polygon", "coordinates": [*box(0, 0, 1, 1)["coordinates"], hole]}])
    point, zone = zones.contains([0.5, 0.3], [0.5, 0.3])
    assert (point.tolist(), zone.tolist()) == ([1], [0])


def test_an_empty_set_of_zones_contains_nothing():
    zones = Zones([])
    assert len(zones) == 0
    assert [found.tolist() for found in zones.contains(5.6, -0.18)] == [[], []]
    assert blocking(zones, (5.6, -0.18, 5.7, -0.18)) == ([math.inf], [-1])


# --- zones: legs ---------------------------------------------------------------------------------

AIRPORT = (-0.18, 5.59, -0.16, 5.61)


@pytest.mark.parametrize(
    ("leg", "met"),
    [
        ((5.60, -0.20, 5.60, -0.10), True),  # right through
        ((5.60, -0.20, 5.60, -0.17), True),  # into it
        ((5.60, -0.175, 5.60, -0.165), True),  # inside
        ((5.60, -0.17, 5.60, -0.17), True),  # a point in it
        ((5.61, -0.20, 5.61, -0.10), True),  # along its edge
        ((5.62, -0.19, 5.60, -0.17), True),  # across a corner
        ((5.62, -0.20, 5.62, -0.10), False),  # north of it
        ((5.60, -0.20, 5.60, -0.19), False),  # ends before it
        ((5.62, -0.19, 5.605, -0.1905), False),  # west of it
        ((5.625, -0.175, 5.605, -0.150), False),  # past a corner; the bounding boxes overlap
        ((np.nan, np.nan, 5.60, -0.17), False),  # from an unknown position
    ],
)
def test_a_leg_is_blocked_if_any_part_touches_the_zone(leg, met):
    since_s, zone = blocking(Zones([box(*AIRPORT)]), leg)
    assert (since_s, zone) == (([NOON.timestamp()], [0]) if met else ([math.inf], [-1]))


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("window", "since"),
    [
        ((None, None), NOON),
        ((NOON - HOUR, NOON + HOUR), NOON),
        ((NOON - HOUR, None), NOON),
        ((NOON + HOUR, NOON + 2 * HOUR), NOON + HOUR),
        ((NOON + HOUR, None), NOON + HOUR),
        ((NOON - HOUR, NOON), None),
        ((None, NOON - HOUR), None),
    ],
)
def test_a_zone_blocks_legs_from_the_start_of_its_window(window, since):
    zones = Zones([box(*AIRPORT)], windows=[[window]])
    since_s, zone = blocking(zones, (5.60, -0.20, 5.60, -0.10))
    assert since_s == [since.timestamp() if since else math.inf]
    assert zone == [0 if since else -1]


def test_the_zone_that_blocks_first_is_returned():
    zones = Zones(
        [box(*AIRPORT)] * 3, windows=[[(NOON + HOUR, None)], [(NOON, None)], [(None, None)]]
    )
    assert blocking(zones, (5.60, -0.20, 5.60, -0.10))[1] == [1]


def test_zones_refuse_naive_times_and_unequal_lists():
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(ValueError, match="time zone"):
        Zones([box(*AIRPORT)], windows=[[(naive, None)]])
    with pytest.raises(ValueError, match="time zone"):
        blocking(Zones([box(*AIRPORT)]), (5.6, -0.2, 5.6, -0.1), at=naive)
    with pytest.raises(ValueError, match="1 polygons, 0 windows"):
        Zones([box(*AIRPORT)], windows=[])


NEAR = st.integers(0, 12).map(lambda n: n / 2)


@given(
    zones=st.lists(st.tuples(NEAR, NEAR, NEAR, NEAR), max_size=4),
    legs=st.lists(st.tuples(NEAR, NEAR, NEAR, NEAR), min_size=1, max_size=30),
)
def test_every_leg_gets_the_same_answer_as_from_shapely(zones, legs):
    """On a grid, so that legs often touch corners and edges, where rounding matters. It has
    0.06° at the equator, where legs are straight.
    """
    diamonds = [
        ring([x - 0.7, y], [x, y - w / 9 - 0.1], [x + h / 9 + 0.1, y], [x, y + 0.7], [x - 0.7, y])
        for x, y, w, h in zones
    ]
    for diamond in diamonds:
        diamond["coordinates"] = (np.array(diamond["coordinates"]) / 100).tolist()
    legs = [tuple(end / 100 for end in leg) for leg in legs]
    _, found = blocking(Zones(diamonds), *legs)
    for (lat1, lng1, lat2, lng2), zone in zip(legs, found, strict=True):
        line = shapely.LineString([(lng1, lat1), (lng2, lat2)])
        met = [i for i, shape in enumerate(diamonds) if line.intersects(polygon(shape))]
        assert zone == (met[0] if met else -1)
