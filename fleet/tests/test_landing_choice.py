"""The hub that receives a drone: tables, and properties against a slow, simple implementation."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.feasibility import landing
from fleet.feasibility.charging import begins_s
from fleet.feasibility.landing import BALANCE_S, HOME, NONE, HubTable, Landings
from fleet.feasibility.tables import DroneTable, TripTable
from fleet.feasibility.winds import Winds
from fleet.tests.obvious import _ending, _flight, broken_rules
from fleet.tests.pairs import (
    DEG_PER_KM,
    NOON,
    NOWHERE,
    RULES,
    drone,
    no_fly,
    reading,
    trip,
    verdicts,
)
from fleet.tests.test_feasibility_properties import BOXES, KM, PLACES, zones_of


def hub(east_km: float, north_km: float, **changes: Any) -> dict[str, Any]:
    """A hub of the network with room for any number, with changes."""
    usual = {"key": 0, "name": "Osu", "area": 0, "network": True}
    return {**usual, "lat": north_km * DEG_PER_KM, "lng": east_km * DEG_PER_KM, **changes}


def at_hub(place: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A full drone that stands at this hub."""
    where = {"lat": place["lat"], "lng": place["lng"]}
    home = {"home_lat": place["lat"], "home_lng": place["lng"]}
    return {**drone(), **where, **home, "battery_pct": 100.0, **changes}


def toward(trips: list[dict[str, Any]], hubs: list[dict[str, Any]], **options: Any) -> list[Any]:
    """The index of the hub of each trip, None for home."""
    table = HubTable.from_rows(hubs)
    zones, rules = options.get("zones", NOWHERE), options.get("rules", RULES)
    found = landing.toward(TripTable.from_rows(trips), table, rules, zones, NOON)
    places = {(row["lat"], row["lng"]): index for index, row in enumerate(hubs)}
    pairs = zip(found.landing_lat.tolist(), found.landing_lng.tolist(), strict=True)
    return [places.get(pair) for pair in pairs]


def receive(
    pairs: list[tuple[dict[str, Any], dict[str, Any], int]],
    hubs: list[dict[str, Any]],
    **options: Any,
) -> Landings:
    """pairs: (drone, trip, index of the hub where it stands), the most valuable first."""
    drones = DroneTable.from_rows([this for this, _, _ in pairs])
    trips = TripTable.from_rows([that for _, that, _ in pairs])
    every = np.arange(len(pairs))
    stands = np.array([at for _, _, at in pairs])
    zones = options.pop("zones", NOWHERE)
    table = HubTable.from_rows(hubs)
    return landing.receive(
        drones, trips, every, every, stands, table, RULES, zones, NOON, **options
    )


TO_THE_NORTH = trip((0, 1), (0, 3))


# --- the hub of a trip ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hubs", "nearest"),
    [
        ([hub(0, 0), hub(0, 4)], 1),
        ([hub(0, 2.5), hub(0, 4)], 0),
        ([hub(0, 0), hub(0, 4, area=1)], 0),
        ([hub(0, 0), hub(0, 4, network=False)], 0),
        ([hub(0, 0, area=1), hub(0, 4, network=False)], None),
        ([], None),
    ],
)
def test_a_trip_ends_at_the_nearest_hub_of_its_area(hubs, nearest):
    assert toward([TO_THE_NORTH], hubs) == [nearest]


def test_only_hubs_with_a_free_pad_receive():
    hubs = [hub(0, 0), hub(0, 4, pads=2.0, taken=1), hub(0, 3, pads=2.0, taken=2)]
    receiving = HubTable.from_rows(hubs).receiving()
    assert receiving.lat.tolist() == [hubs[0]["lat"], hubs[1]["lat"]]
    assert HubTable.from_rows([hub(0, 0, pads=2.0, taken=5)]).free_pads.tolist() == [0]


def test_a_hub_behind_a_zone_comes_after_one_with_a_clear_way():
    between = no_fly(-2, 3.2, 2, 3.4)
    hubs = [hub(0, 0), hub(0, 4)]
    assert toward([TO_THE_NORTH], hubs, zones=between) == [0]
    assert toward([TO_THE_NORTH], [hubs[1]], zones=between) == [0], "the only one"
    around = replace(RULES, detours_allowed=True)
    assert toward([TO_THE_NORTH], hubs, zones=between, rules=around) == [0]
    short = no_fly(-0.1, 3.2, 0.1, 3.4)
    assert toward([TO_THE_NORTH], hubs, zones=short, rules=around) == [1], "a small detour"


def test_the_flight_ends_at_the_hub_of_the_trip():
    north = {"landing_lat": 4 * DEG_PER_KM, "landing_lng": 0.0}
    home, there = verdicts([drone()], [TO_THE_NORTH, TO_THE_NORTH | north]).distance_m
    assert home == pytest.approx(6000 * RULES.detour_factor, rel=1e-6)
    assert there == pytest.approx(4000 * RULES.detour_factor, rel=1e-6)


@pytest.mark.parametrize("landing_km", [4.0, 9.0])
@pytest.mark.parametrize("drones", [1, 5])
def test_a_drone_with_the_only_pad_for_itself_lands_where_it_is_nearer(landing_km, drones):
    there = TO_THE_NORTH | {"landing_lat": landing_km * DEG_PER_KM, "landing_lng": 0.0}
    fleet = [drone(pads_taken=taken) for taken in (False, True) * drones]
    free, full = (np.unique(v) for v in verdicts(fleet, [there]).distance_m.reshape(-1, 2).T)
    away_km = 3 + landing_km - 3
    assert free == pytest.approx(1000 * away_km * RULES.detour_factor, rel=1e-6)
    assert full == pytest.approx(1000 * min(away_km, 6) * RULES.detour_factor, rel=1e-6)


# --- the hub of a planned pair -------------------------------------------------------------------


def test_a_drone_lands_at_the_nearest_hub_and_has_an_alternate():
    hubs = [hub(0, 0), hub(0, 4), hub(0, 9)]
    found = receive([(at_hub(hubs[0]), TO_THE_NORTH, 0)], hubs)
    assert (found.hub[0], found.alternate[0]) == (1, 0)
    assert found.distance_m[0] == pytest.approx(4000 * RULES.detour_factor, rel=1e-6)


def test_the_most_valuable_pairs_get_the_last_pads():
    hubs = [hub(0, 0), hub(0, 4, pads=3.0, taken=1)]
    pairs = [(at_hub(hubs[0]), TO_THE_NORTH, 0)] * 4
    found = receive(pairs, hubs, balance_s=0.0)
    assert found.hub.tolist() == [1, 1, 0, 0]
    assert found.free_pads.tolist()[:2] == [2, 1]
    alone = receive(pairs, hubs, together=False, balance_s=0.0)
    assert alone.hub.tolist() == [1, 1, 1, 1]


def test_a_pair_without_a_pad_in_reach_has_no_hub():
    hubs = [hub(0, 0, pads=1.0, taken=1), hub(0, 4, pads=1.0, taken=1)]
    elsewhere = at_hub(hub(0, 2))
    found = receive([(elsewhere, TO_THE_NORTH, NONE)], hubs)
    assert (found.hub[0], found.alternate[0]) == (NONE, NONE)
    assert math.isnan(found.energy_pct[0])


def test_a_drone_always_has_its_own_pad():
    hubs = [hub(0, 0, pads=1.0, taken=1), hub(0, 4, pads=1.0, taken=1)]
    found = receive([(at_hub(hubs[0]), TO_THE_NORTH, 0)], hubs)
    assert (found.hub[0], found.alternate[0]) == (0, NONE)


@pytest.mark.parametrize(("wind_mps", "lands"), [(2.0, (1, 0)), (2.5, (0, NONE))])
def test_no_drone_lands_in_a_wind_that_it_must_not_fly_in(wind_mps, lands):
    """Else the last check before publishing takes the drone from its order, run after run."""
    hubs = [hub(0, 0), hub(0, 4)]
    winds = Winds.from_rows([reading(1.0, (0, 0)), reading(1.0, (0, 3)), reading(wind_mps, (0, 4))])
    found = receive([(at_hub(hubs[0], max_wind_mps=2.0), TO_THE_NORTH, 0)], hubs, winds=winds)
    assert (found.hub[0], found.alternate[0]) == lands


def test_without_a_network_drones_fly_home():
    hubs = [hub(0, 0, network=False), hub(0, 4, network=False)]
    assert receive([(at_hub(hubs[0]), TO_THE_NORTH, 0)], hubs).hub.tolist() == [HOME]
    foreign = at_hub(hubs[0], area=1)
    assert receive([(foreign, TO_THE_NORTH, 0)], [hub(0, 4)]).hub.tolist() == [HOME]


def test_a_long_queue_for_the_charger_is_avoided():
    here = [hub(0, 0), hub(0, 4, chargers=1.0, charging=6)]
    assert receive([(at_hub(here[0]), TO_THE_NORTH, 0)], here).hub.tolist() == [0]
    here[1]["charging"] = 0
    assert receive([(at_hub(here[0]), TO_THE_NORTH, 0)], here).hub.tolist() == [1]


def test_a_hub_that_fills_up_is_avoided_if_another_is_about_as_near():
    hubs = [hub(0.5, 3, pads=8.0, taken=7), hub(-0.6, 3, pads=8.0, taken=0)]
    pair = (at_hub(hubs[1]), TO_THE_NORTH, 1)
    assert receive([pair], hubs).hub.tolist() == [1]
    assert receive([pair], hubs, balance_s=0.0).hub.tolist() == [0]


# --- chargers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chargers", "begins"),
    [(math.inf, [0, 0, 100, 0]), (2, [0, 0, 100, 0]), (1, [90, 0, 540, 0])],
)
def test_a_charger_serves_one_drone_at_a_time(chargers, begins):
    """Two stand there with 50 and 90 %, one arrives in 100 s, one is full; 15 minutes in full."""
    battery_pct = np.array([50.0, 90.0, 80.0, 100.0])
    arrives_s = np.array([0.0, 0.0, 100.0, 0.0])
    found = begins_s(np.zeros(4, int), arrives_s, battery_pct, np.array([chargers]), 900.0)
    assert found.tolist() == begins


def test_an_unknown_drone_takes_no_charger():
    battery_pct, arrives_s = np.array([np.nan, 50.0, 50.0]), np.array([0.0, np.nan, 0.0])
    found = begins_s(np.zeros(3, int), arrives_s, battery_pct, np.array([1.0]), 900.0)
    np.testing.assert_array_equal(found, [np.nan, np.nan, 0.0])


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(-300, 900), st.integers(0, 100)), max_size=8),
    st.integers(1, 3),
)
def test_never_more_drones_charge_than_there_are_chargers(drones, chargers):
    hubs, arrives_s, battery_pct = np.array(drones, float).reshape(-1, 3).T
    limits = np.array([float(chargers), np.inf])
    begins = begins_s(hubs.astype(int), arrives_s, battery_pct, limits, 900.0)
    assert (begins >= np.maximum(arrives_s, 0)).all()
    here = np.flatnonzero((hubs == 0) & (battery_pct < 100))
    ends = begins + (100 - battery_pct) * 9
    for moment in begins[here]:
        charging = [i for i in here if begins[i] <= moment + 1e-6 and moment + 1e-6 < ends[i]]
        assert len(charging) <= chargers
    at_once = np.maximum(arrives_s, 0)[hubs == 1]
    np.testing.assert_array_equal(begins[hubs == 1], at_once)


# --- against a slow implementation ---------------------------------------------------------------

HUBS = st.builds(
    hub,
    KM,
    KM,
    area=st.sampled_from([0, 0, 0, 1]),
    pads=st.sampled_from([1.0, 2.0, 4.0, math.inf]),
    chargers=st.sampled_from([1.0, 3.0, math.inf]),
    taken=st.integers(0, 4),
    charging=st.integers(0, 4),
)
WORLDS = st.lists(HUBS, min_size=1, max_size=6, unique_by=lambda h: (h["lat"], h["lng"]))
FLIGHTS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.builds(trip, PLACES, PLACES, payload_weight_kg=st.floats(0.1, 2.5)),
        st.sampled_from([300.0, 500.0, 900.0]),
    ),
    min_size=1,
    max_size=6,
)


def world(hubs, flights):
    """Each drone stands at one of the hubs and counts there."""
    pairs = []
    for place, this_trip, battery_wh in flights:
        at = place % len(hubs)
        hubs[at]["taken"] = max(hubs[at]["taken"], 1)
        pairs.append((at_hub(hubs[at], battery_wh=battery_wh, area=0), this_trip, at))
    return pairs


@given(WORLDS, FLIGHTS, st.lists(BOXES, max_size=2))
def test_no_hub_gets_more_drones_than_pads_and_each_can_reach_its_hub(hubs, flights, boxes):
    pairs = world(hubs, flights)
    found = receive(pairs, hubs, zones=zones_of(boxes))
    taken = [place["taken"] for place in hubs]
    for i, (this, that, at) in enumerate(pairs):
        for chosen in (int(found.hub[i]), int(found.alternate[i])):
            if chosen in (HOME, NONE):
                continue
            end = hubs[chosen]
            assert end["area"] == 0
            homed = this | {"home_lat": end["lat"], "home_lng": end["lng"]}
            assert broken_rules(homed, that, boxes, None, RULES) == []
        assert found.alternate[i] == NONE or found.alternate[i] != found.hub[i]
        if found.hub[i] >= 0 and found.hub[i] != at:
            taken[found.hub[i]] += 1
            assert taken[found.hub[i]] <= hubs[found.hub[i]]["pads"]


@given(WORLDS, FLIGHTS)
def test_the_hub_is_the_cheapest_that_a_slow_implementation_finds(hubs, flights):
    pairs = world(hubs, flights)
    found = receive(pairs, hubs)
    if not any(place["area"] == 0 for place in hubs):
        assert (found.hub == HOME).all()
        return
    now = [dict(place) for place in hubs]
    for i, (this, that, at) in enumerate(pairs):
        costs = {}
        for index, place in enumerate(now):
            more = 0 if index == at else 1
            if place["area"] != 0 or (more and place["taken"] + 1 > place["pads"]):
                continue
            homed = this | {"home_lat": place["lat"], "home_lng": place["lng"]}
            if not broken_rules(homed, that, [], None, RULES):
                costs[index] = _cost_s(homed, that, place, more)
        chosen = int(found.hub[i])
        if chosen == NONE:
            # At the limit of the charge the flat Earth may differ.
            assert all(_is_close(this, that, now[index]) for index in costs)
            continue
        assert chosen in costs
        assert costs[chosen] <= min(costs.values()) + 0.1 or any(
            _is_close(this, that, now[index]) for index in costs
        )
        if chosen != at:
            now[chosen]["taken"] += 1
            now[chosen]["charging"] += 1


def _legs_km(homed: dict[str, Any], that: dict[str, Any]) -> list[float]:
    stops = [(homed[f"{axis}lat"], homed[f"{axis}lng"]) for axis in ("", "home_")]
    ends = [(that[f"{end}_lat"], that[f"{end}_lng"]) for end in ("pickup", "dropoff")]
    route = [stops[0], *ends, stops[1]]
    return [math.dist(a, b) / DEG_PER_KM for a, b in pairwise(route)]


def _cost_s(homed: dict[str, Any], that: dict[str, Any], place: dict[str, Any], more: int) -> float:
    flown_s, used_pct = _ending(homed, that, _legs_km(homed, that), None, RULES, fails=False)
    in_front = max(0.0, place["charging"] + more - place["chargers"]) / place["chargers"]
    full = (place["taken"] + more) / place["pads"]
    return flown_s + BALANCE_S * full**4 + in_front * used_pct * RULES.full_charge_s / 100


def _is_close(this: dict[str, Any], that: dict[str, Any], place: dict[str, Any]) -> bool:
    homed = this | {"home_lat": place["lat"], "home_lng": place["lng"]}
    _, used_pct = _flight(homed, that, _legs_km(homed, that), None, RULES)
    left_pct = this["battery_pct"] - used_pct - RULES.reserve_pct
    return abs(left_pct) < 2e-3
