"""The thinned track is within 15 m of each sample at its time; conformance by tables."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.missions.records.conformance import conformance
from dispatch.missions.records.track import (
    GAP_S,
    WITHIN_M,
    Leg,
    Sample,
    legs_of,
    length_m,
    stored,
    thinned,
)
from fleet.simulator.airframe import moved

HUB = (5.6037, -0.1870)


# --- a slow checker that shares no code with the thinning ----------------------------------------


def position_at(line: Leg, at: float) -> Sample:
    """What a reader of the stored track concludes for a time."""
    if there := [point for point in line if point.at == at]:
        return there[0]
    for a, b in pairwise(line):
        if a.at <= at <= b.at:
            share = (at - a.at) / (b.at - a.at)
            lng = a.lng + share * ((b.lng - a.lng + 180) % 360 - 180)
            alt_m = None
            if a.alt_m is not None and b.alt_m is not None:
                alt_m = a.alt_m + share * (b.alt_m - a.alt_m)
            return Sample(at, a.lat + share * (b.lat - a.lat), lng, alt_m)
    raise AssertionError(f"{at} is not in the line")


def apart_m(a: Sample, b: Sample) -> float:
    """By the angle between two vectors from the centre of the Earth, and the heights."""
    u, v = (
        (
            math.cos(math.radians(s.lat)) * math.cos(math.radians(s.lng)),
            math.cos(math.radians(s.lat)) * math.sin(math.radians(s.lng)),
            math.sin(math.radians(s.lat)),
        )
        for s in (a, b)
    )
    level_m = 6_371_008.8 * 2 * math.asin(min(1.0, math.dist(u, v) / 2))
    return math.hypot(level_m, (a.alt_m or 0.0) - (b.alt_m or 0.0))


def check(leg: Leg) -> None:
    line = thinned(leg)
    assert (line[0], line[-1]) == (leg[0], leg[-1])
    assert set(line) <= set(leg)
    for sample in leg:
        found = position_at(line, sample.at)
        # No height is made up, none is lost.
        assert (found.alt_m is None) == (sample.alt_m is None)
        assert apart_m(found, sample) <= WITHIN_M


step = st.tuples(
    st.floats(0.1, 9.9),
    st.floats(-200, 200),
    st.floats(-200, 200),
    st.one_of(st.none(), st.floats(0, 120)),
)
starts = st.sampled_from([HUB, (69.6, 18.9), (-17.8, 179.999), (-54.8, -68.3)])


@settings(max_examples=200, deadline=None)
@given(start=starts, steps=st.lists(step, min_size=1, max_size=60), smooth=st.booleans())
def test_the_thinned_track_is_true_at_all_times(start, steps, smooth) -> None:
    at, east, north = 1_700_000_000.0, 0.0, 0.0
    leg = [Sample(at, *start, 0.0)]
    for seconds, right, ahead, alt_m in steps:
        at += seconds
        east += 12 * seconds if smooth else right  # on a line, or anywhere
        north += ahead / 20 if smooth else ahead
        lat, lng = moved(*start, east, north)
        leg.append(Sample(at, lat, (lng + 180) % 360 - 180, 60.0 if smooth else alt_m))
    check(leg)


def test_a_drone_that_hovers_on_a_straight_line_is_not_drawn_as_if_it_flew() -> None:
    """Thinning by shape alone would drop the hover: the line is the same."""
    leg = [Sample(3.0 * n, *moved(*HUB, 0, 36.0 * n), 60.0) for n in range(10)]
    leg += [Sample(27.0 + 3 * n, *moved(*HUB, 0, 324), 60.0) for n in range(1, 20)]
    leg += [Sample(84.0 + 3 * n, *moved(*HUB, 0, 324 + 36.0 * n), 60.0) for n in range(1, 10)]
    check(leg)
    assert 4 <= len(thinned(leg)) <= 6


def test_a_gap_stays_a_gap_and_late_samples_are_left_out() -> None:
    times = [0, 3, 6, 6, 5, 6 + GAP_S + 1, 20, 50]
    legs = legs_of(Sample(float(at), *HUB, None) for at in times)
    assert [[s.at for s in leg] for leg in legs] == [[0, 3, 6], [17, 20], [50]]
    written = stored(legs)
    assert written is not None
    assert written["at"] == [[0, 6], [17, 20], [50, 50]]
    assert all(len(line) >= 2 for line in written["coordinates"])
    assert written["alt_m"][0] == [None, None]
    assert stored([]) is None


def test_the_flown_distance_goes_straight_across_gaps() -> None:
    legs = legs_of(Sample(float(at), *moved(*HUB, 0, m), 60.0) for at, m in [(0, 0), (5, 50)])
    legs += legs_of([Sample(60.0, *moved(*HUB, 0, 500), 60.0)])
    assert length_m(legs) == pytest.approx(500, rel=1e-3)


# --- conformance ---------------------------------------------------------------------------------


def seen(*points: tuple[float, float, float]) -> list[Leg]:
    """Each (seconds, east, north) of the hub."""
    return legs_of(Sample(at, *moved(*HUB, east, north), 60.0) for at, east, north in points)


ROUTE = [HUB, moved(*HUB, 0, 1000), moved(*HUB, 1000, 1000)]


@pytest.mark.parametrize(
    ("flown", "inside", "excursions"),
    [
        ([(0, 0, 0), (5, 0, 100), (10, 49, 200)], 1.0, []),
        # 100 m east of the first leg for the last 5 s; it crosses 50 m half way there.
        ([(0, 0, 0), (5, 0, 100), (10, 100, 200)], 0.75, [(7.5, 10, 100)]),
        # Out and back.
        (
            [(0, 0, 200), (5, 100, 250), (10, 0, 300), (15, 0, 350)],
            10 / 15,
            [(2.5, 7.5, 100)],
        ),
        # Outside all the time, also before the first point.
        ([(0, 100, 0), (5, 200, 100)], 0.0, [(0, 5, 200)]),
        # On the second leg.
        ([(0, 500, 1000), (5, 600, 1049)], 1.0, []),
        # Past the end of the route.
        ([(0, 1000, 1000), (5, 1100, 1000)], 0.5, [(2.5, 5, 100)]),
        # A gap of 40 s between two legs is neither inside nor outside.
        ([(0, 0, 0), (5, 0, 0), (45, 100, 0), (50, 100, 0)], 0.5, [(45, 50, 100)]),
    ],
)
def test_conformance(flown, inside, excursions) -> None:
    found = conformance(seen(*flown), ROUTE, 50)
    assert found is not None
    assert found.inside == pytest.approx(inside, abs=0.01)
    got = [(one.began, one.ended, one.farthest_m) for one in found.excursions]
    assert got == [pytest.approx(one, abs=0.6) for one in excursions]


def test_without_any_duration_there_is_no_conformance() -> None:
    assert conformance([], ROUTE, 50) is None
    assert conformance(seen((0, 0, 0)), ROUTE, 50) is None
