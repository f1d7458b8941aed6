"""Whether a live mission may still go on: tables and properties of the pure judgement.

Kilometres east and north of a hub on the equator. The drone flies 15 m/s: from the hub north to the
pickup at 2 km, the drop at 6 km, and back to the hub.
"""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.missions.flight.outlook import Concern, LiveMission, Outlook, judge_missions
from fleet.airspace.rulebook import Rulebook
from fleet.feasibility import judge
from fleet.feasibility.geometry import Zones
from fleet.feasibility.landing import HubTable
from fleet.feasibility.tables import DroneTable, Flown, TripTable
from fleet.feasibility.winds import Winds
from fleet.tests.pairs import (
    DEG_PER_KM,
    NOON,
    NOWHERE,
    RULES,
    drone,
    everywhere,
    no_fly,
    reading,
    trip,
)

PICKUP, DROP, HOME = (0.0, 2.0), (0.0, 6.0), (0.0, 0.0)
PAYLOAD_KG = 1.0
AIRSPACE, WEATHER, BATTERY = Concern.AIRSPACE, Concern.WEATHER, Concern.BATTERY


def km(place: tuple[float, float]) -> tuple[float, float]:
    """Kilometres east and north as latitude and longitude."""
    return place[1] * DEG_PER_KM, place[0] * DEG_PER_KM


def mission(
    at: tuple[float, float] | None = HOME,
    flown: Flown = Flown.NOTHING,
    lands: tuple[float, float] = HOME,
    battery_pct: float | None = 95.0,
    battery_age_s: float | None = 1.0,
    start: tuple[float, float] | None = HOME,
    start_battery_pct: float | None = None,
) -> LiveMission:
    return LiveMission(
        at=at and km(at),
        pickup=km(PICKUP),
        drop=km(DROP),
        lands=km(lands),
        flown=flown,
        payload_kg=PAYLOAD_KG,
        battery_pct=battery_pct,
        battery_age_s=battery_age_s,
        start=start and km(start),
        start_battery_pct=start_battery_pct,
    )


def judged(
    *missions: LiveMission,
    zones: Zones = NOWHERE,
    wind_mps: float | None = None,
    winds: Winds | None = None,
    **rules: Any,
) -> list[Outlook]:
    book = Rulebook(
        rules=replace(RULES, **rules),
        areas=[],
        zones=[],
        zone_shapes=zones,
        winds=winds or everywhere(wind_mps),
        hubs=[],
        hub_table=HubTable.from_rows([]),
        kinds=[],
    )
    drones = DroneTable.from_rows([drone(None, None) for _ in missions])
    return judge_missions(drones, missions, book, NOON)


# --- zones ---------------------------------------------------------------------------------------

ACROSS_TO_PICKUP = no_fly(-1, 1, 1, 1.5)
OVER_PICKUP = no_fly(-1, 1.8, 1, 2.2)
ACROSS_TO_DROP = no_fly(-1, 3, 1, 4)
OVER_DROP = no_fly(-1, 5.5, 1, 6.5)
BESIDE = no_fly(1, 0, 2, 8)
IN_10_MIN, IN_2_H = NOON + timedelta(minutes=10), NOON + timedelta(hours=2)


@pytest.mark.parametrize(
    ("flight", "zones", "in_the_way"),
    [
        (mission(), ACROSS_TO_PICKUP, True),
        (mission(), OVER_PICKUP, True),
        (mission(), ACROSS_TO_DROP, True),
        (mission(), OVER_DROP, True),
        (mission(), BESIDE, False),
        # Unknown position: the legs from the pickup to the drop and home count.
        (mission(at=None), ACROSS_TO_DROP, True),
        (mission(at=None, flown=Flown.PICKUP), BESIDE, False),
        (mission(at=None, flown=Flown.PICKUP), ACROSS_TO_DROP, True),
        # Loaded and past the zone, but the leg home crosses it.
        (mission(at=(0, 4.5), flown=Flown.PICKUP), ACROSS_TO_DROP, True),
        # The zone was crossed on the leg to the pickup and lies behind.
        (mission(at=(3, 2)), no_fly(4, 1, 5, 3), False),
        (mission(at=(6, 2), flown=Flown.TAKE_OFF), no_fly(4, 1, 5, 3), True),
        (mission(at=(6, 6), flown=Flown.PICKUP), no_fly(4, 1, 5, 3), False),
        # It is inside the zone.
        (mission(at=(0, 3.5), flown=Flown.PICKUP), ACROSS_TO_DROP, True),
        # It lands at another hub, beyond the drop: the way back to its home does not count.
        (mission(at=(0, 4.5), flown=Flown.PICKUP, lands=(0, 8)), ACROSS_TO_DROP, False),
        (mission(at=(0, 4.5), flown=Flown.PICKUP, lands=(0, 8)), no_fly(-1, 7, 1, 7.5), True),
        # Abort requested: the leg to the drop does not count.
        (mission(at=(0, 3), flown=Flown.DROP), OVER_DROP, False),
        (mission(at=(0, 5), flown=Flown.DROP), ACROSS_TO_DROP, True),
        # Windows: in force until after it has landed, about 15 minutes from now.
        (mission(), no_fly(-1, 3, 1, 4, (None, NOON)), False),
        (mission(), no_fly(-1, 3, 1, 4, (IN_10_MIN, None)), True),
        (mission(), no_fly(-1, 3, 1, 4, (IN_2_H, None)), False),
    ],
)
def test_a_zone_that_touches_what_is_left_to_fly_is_reported(flight, zones, in_the_way):
    (found,) = judged(flight, zones=zones)
    assert (AIRSPACE in found.against) == in_the_way
    assert found.zone == (zones.names[0] if in_the_way else "")


def test_the_margin_to_zones_counts_until_take_off():
    """A zone 30 m beside the way; the policy keeps 50 m."""
    beside = no_fly(0.03, 3, 1, 4)
    on_the_ground, in_the_air = judged(
        mission(), mission(at=(0, 1), flown=Flown.TAKE_OFF), zones=beside, zone_margin_m=50.0
    )
    assert on_the_ground.against[AIRSPACE].message == (
        "The no-fly zone Airport is nearer than 50 m to what WX-DRN-001 has still to fly."
    )
    assert AIRSPACE not in in_the_air.against


def test_the_message_names_the_zone_and_its_start():
    (now, later) = (
        judged(mission(), zones=no_fly(-1, 3, 1, 4, window))[0].against[AIRSPACE].message
        for window in [(None, None), (IN_10_MIN, None)]
    )
    assert now == "The no-fly zone Airport lies across what WX-DRN-001 has still to fly."
    assert later.endswith("has still to fly from 12:10 UTC on.")


def test_with_detours_allowed_a_zone_that_can_be_flown_around_is_not_reported():
    (across, over_the_drop) = (
        AIRSPACE in judged(mission(), zones=zones, detours_allowed=True)[0].against
        for zones in [ACROSS_TO_DROP, OVER_DROP]
    )
    assert (across, over_the_drop) == (False, True)


# --- wind ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wind_mps", [None, 9.9, 11.25, 99.0])
@pytest.mark.parametrize("flown", list(Flown))
def test_the_wind_is_above_its_limit_or_within_it(wind_mps, flown):
    (found,) = judged(mission(at=(0, 2), flown=flown), wind_mps=wind_mps)
    assert (WEATHER in found.against) == ((wind_mps or 0) > 10)
    if WEATHER in found.against:
        reason = found.against[WEATHER]
        assert (reason.code, reason.needed, reason.has) == ("too_windy", 10.0, wind_mps)
        assert reason.message.endswith("limit 10 m/s for WX-DRN-001.")


@pytest.mark.parametrize("flown", list(Flown))
def test_an_unknown_wind_keeps_a_drone_on_the_ground_and_decides_nothing_in_the_air(flown):
    (found,) = judged(mission(at=(0, 2), flown=flown), wind_mps=np.nan)
    in_the_air = flown != Flown.NOTHING
    assert (WEATHER in found.against, WEATHER in found.unsure) == (not in_the_air, in_the_air)


def test_only_the_wind_of_places_ahead_counts():
    """A storm at the pickup, 40 km behind a loaded drone, and calm at drop and hub."""
    far_pickup = replace(mission(at=(0, 6), flown=Flown.PICKUP), pickup=km((40, 0)))
    storm = Winds.from_rows([reading(20.0, (40, 0), "Tema"), reading(1.0, (0, 3), "Osu")])
    loaded, before = judged(far_pickup, replace(far_pickup, flown=Flown.TAKE_OFF), winds=storm)
    assert (WEATHER in loaded.against, WEATHER in before.against) == (False, True)
    assert "at Tema (Mast" in before.against[WEATHER].message


# --- battery -------------------------------------------------------------------------------------


def rest_pct(flight: LiveMission) -> float:
    """The charge that the rest needs with the reserve: the least that raises no doubt."""
    low, high = 0.0, 100.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        (found,) = judged(replace(flight, battery_pct=middle), battery_min_pct=0)
        short = BATTERY in found.against or BATTERY in found.unsure
        low, high = (middle, high) if short else (low, middle)
    return high


def test_before_launch_the_rest_is_the_trip_that_dispatch_judged():
    drones = DroneTable.from_rows([drone()])
    trips = TripTable.from_rows([trip(PICKUP, DROP, payload_weight_kg=PAYLOAD_KG)])
    one = np.array([0])
    for less_pct, able in [(-0.001, True), (0.001, False)]:
        charge_pct = rest_pct(mission()) - less_pct
        (found,) = judged(mission(battery_pct=charge_pct), battery_min_pct=0)
        assert (BATTERY in found.against) != able
        with_charge = replace(drones, battery_pct=np.array([charge_pct]))
        again = judge.judge(with_charge, trips, one, one, RULES, NOWHERE, NOON)
        assert again.has(judge.Rule.NOT_ENOUGH_ENERGY)[0] != able


def test_the_least_charge_for_take_off_holds_until_take_off():
    near = replace(mission(battery_pct=69), pickup=km((0, 0.1)), drop=km((0, 0.2)))
    flying = replace(near, flown=Flown.TAKE_OFF)
    waiting, flying = judged(near, flying, battery_min_pct=70)
    assert waiting.against[BATTERY].code == "battery_below_minimum"
    assert BATTERY not in flying.against


def test_what_is_behind_the_drone_is_not_needed_again():
    """Energy needed at each stage, from the same places: less and less."""
    stages = [
        mission(at=HOME),
        mission(at=HOME, flown=Flown.TAKE_OFF),
        mission(at=PICKUP, flown=Flown.TAKE_OFF),
        mission(at=PICKUP, flown=Flown.PICKUP),
        mission(at=DROP, flown=Flown.PICKUP),
        mission(at=DROP, flown=Flown.DROP),
        mission(at=(0, 3), flown=Flown.DROP),
        mission(at=HOME, flown=Flown.DROP),
    ]
    needed = [rest_pct(stage) for stage in stages]
    assert all(after < before for before, after in pairwise(needed))
    descent_s = RULES.cruise_alt_m / 2.0
    assert needed[-1] == pytest.approx(
        RULES.reserve_pct + 600 * descent_s / 3600 / 500 * 100, rel=0.3
    )


def test_a_shortage_in_the_air_has_its_numbers_and_small_ones_are_not_sure():
    loaded = mission(at=PICKUP, flown=Flown.PICKUP)
    needed_pct = rest_pct(loaded)
    enough, close, short = judged(
        *(replace(loaded, battery_pct=needed_pct - less) for less in (0.0, 0.9, 5.0))
    )
    assert (enough.against, enough.unsure) == ({}, frozenset())
    assert (close.against, close.unsure) == ({}, {BATTERY})
    reason = short.against[BATTERY]
    assert reason.code == "not_enough_energy"
    assert (reason.needed, reason.has) == pytest.approx((needed_pct, needed_pct - 5), abs=1e-3)
    assert reason.message == (
        f"WX-DRN-001 needs {np.ceil(needed_pct):.0f} % battery for what is left to fly, also if "
        f"the drop fails, with the 20 % reserve, and has {np.floor(needed_pct - 5):.0f} %."
    )


def test_a_battery_that_falls_faster_than_planned_is_reported_before_it_is_short():
    """As planned, the charge is enough for the rest; at the rate so far it is not."""
    loaded = mission(at=DROP, flown=Flown.PICKUP)
    has_pct = rest_pct(loaded) + 3
    planned_pct = rest_pct(mission()) - rest_pct(loaded)
    as_planned, twice = judged(
        *(
            replace(loaded, battery_pct=has_pct, start_battery_pct=has_pct + times * planned_pct)
            for times in (1.0, 2.0)
        )
    )
    assert BATTERY not in as_planned.against
    assert twice.against[BATTERY].message.endswith(
        "So far it has used 2.0 times the charge that was planned."
    )


def test_a_rate_is_not_taken_from_a_start_that_was_not_seen_or_a_flight_just_begun():
    loaded = mission(at=DROP, flown=Flown.PICKUP)
    has_pct = rest_pct(loaded) + 3
    unseen = replace(loaded, battery_pct=has_pct, start=None, start_battery_pct=100.0)
    begun = mission(at=(0, 0.1), flown=Flown.TAKE_OFF, battery_pct=95, start_battery_pct=99)
    assert [found.against for found in judged(unseen, begun)] == [{}, {}]


@pytest.mark.parametrize("flown", list(Flown))
@pytest.mark.parametrize(
    ("age_s", "pct", "against", "unsure"),
    [
        (1.0, 95.0, False, False),
        (60.0, 95.0, False, False),
        (61.0, 95.0, True, False),
        (61.0, None, True, False),
        (10.0, None, False, True),
        (None, 95.0, False, True),  # silent as a whole: the lost link is told of
    ],
)
def test_no_battery_reading_for_long_is_a_doubt_of_its_own(flown, age_s, pct, against, unsure):
    flight = mission(at=(0, 2), flown=flown, battery_age_s=age_s, battery_pct=pct)
    (found,) = judged(flight, telemetry_hard_age_s=60)
    assert (BATTERY in found.against, BATTERY in found.unsure) == (against, unsure)
    if against:
        assert found.against[BATTERY].message == (
            "WX-DRN-001 is heard, and has sent no battery reading for 61 s."
        )


# --- many at once, and properties ----------------------------------------------------------------


def test_many_missions_are_judged_at_once_each_by_its_own_rest():
    flights = [mission(at=(0, 1)), mission(at=(0, 2), flown=Flown.DROP), mission()]
    found = judged(*flights, zones=OVER_DROP)
    assert [AIRSPACE in one.against for one in found] == [True, False, True]
    assert judged() == []


PLACES = st.tuples(st.floats(-6, 6), st.floats(-6, 6))
MISSIONS = st.builds(
    mission,
    at=st.one_of(st.none(), PLACES),
    flown=st.sampled_from(list(Flown)),
    lands=PLACES,
    battery_pct=st.one_of(st.none(), st.floats(0, 100)),
    battery_age_s=st.one_of(st.none(), st.floats(0, 120)),
    start=st.one_of(st.none(), PLACES),
    start_battery_pct=st.one_of(st.none(), st.floats(0, 100)),
)
WINDS = st.one_of(st.none(), st.floats(0, 20), st.just(np.nan))


@given(st.lists(MISSIONS, min_size=1, max_size=6), WINDS)
def test_a_judgement_does_not_depend_on_other_missions(flights, wind_mps):
    together = judged(*flights, zones=ACROSS_TO_DROP, wind_mps=wind_mps)
    alone = [judged(one, zones=ACROSS_TO_DROP, wind_mps=wind_mps)[0] for one in flights]
    for one, other in zip(together, alone, strict=True):
        assert (one.unsure, one.zone, one.against.keys()) == (
            other.unsure,
            other.zone,
            other.against.keys(),
        )


@given(MISSIONS, WINDS)
def test_a_concern_is_never_both_certain_and_unsure_and_its_numbers_are_numbers(flight, wind_mps):
    (found,) = judged(flight, zones=OVER_DROP, wind_mps=wind_mps)
    assert not found.against.keys() & found.unsure
    for reason in found.against.values():
        assert "nan" not in reason.message


@given(MISSIONS, st.floats(0, 50))
def test_more_charge_never_speaks_against_a_mission(flight, more_pct):
    if flight.battery_pct is None:
        return
    more = replace(
        flight,
        battery_pct=flight.battery_pct + more_pct,
        start_battery_pct=flight.start_battery_pct and flight.start_battery_pct + more_pct,
    )
    before, after = judged(flight, more)
    assert BATTERY in before.against or BATTERY not in after.against


@given(PLACES, st.floats(0, 9))
def test_the_rest_never_needs_more_than_the_whole_from_the_same_place(at, wind_mps):
    waiting = mission(at=at, battery_pct=50.0)
    flying = replace(waiting, flown=Flown.TAKE_OFF)
    whole, rest = judged(waiting, flying, wind_mps=wind_mps, battery_min_pct=0)
    assert BATTERY in whole.against or BATTERY not in rest.against
