"""Estimates when drones are home again, and the look-ahead options that follow from them."""

from dataclasses import replace

import numpy as np
import pytest

from dispatch.planning import lookahead, releases
from dispatch.planning.releases import AT_HOME_M, Work
from fleet.feasibility.tables import DroneTable, TripTable
from fleet.policy import Policy
from fleet.tests.pairs import NOON, NOWHERE, drone, trip, verdicts

RULES = Policy().rules()
NO_WORK = Work(np.empty(0, np.int64), TripTable.from_rows([]), np.empty(0))
DEG_PER_M = 1 / 111_195


def expected(*rows: dict[str, object], work: Work = NO_WORK, coming_home: bool = False):
    drones = DroneTable.from_rows(rows)
    return releases.expected(drones, work, np.full(len(drones), coming_home), RULES, NOON)


def test_a_drone_at_home_is_free_now():
    drones, free_in_s = expected(drone(battery_pct=31.0))
    assert free_in_s.tolist() == [0.0]
    assert drones.battery_pct.tolist() == [31.0]


@pytest.mark.parametrize(
    "state",
    [
        {"armed": None},
        {"battery_pct": None},
        {"lat": None, "lng": None},
        {"telemetry_age_s": RULES.telemetry_max_age_s + 1},
        {"telemetry_age_s": np.inf},
        {"grounded": True},
        {"active": False},
        {"lat": 2 * AT_HOME_M * DEG_PER_M},  # landed away from its hub
    ],
)
def test_a_drone_without_reliable_data_has_no_estimate(state):
    _, free_in_s = expected(drone(**state))
    assert np.isnan(free_in_s).all()


def test_a_drone_on_a_foreign_flight_has_no_estimate():
    _, free_in_s = expected(drone(armed=1, lat=0.01))
    assert np.isnan(free_in_s).all()


def test_a_drone_on_its_way_home_from_our_delivery_has_an_estimate():
    """1,112 m times the detour factor 1.15 at cruise speed, then 60 m of descent."""
    drones, free_in_s = expected(drone(armed=1, lat=0.01, battery_pct=50.0), coming_home=True)
    speed_mps, descent_mps = drones.cruise_speed_mps[0], drones.descent_speed_mps[0]
    assert free_in_s[0] == pytest.approx(1112 * 1.15 / speed_mps + 60 / descent_mps, rel=0.001)
    hovering_pct = free_in_s[0] * drones.hover_power_w[0] * 100 / 3600 / drones.battery_wh[0]
    assert drones.battery_pct[0] == pytest.approx(50 - hovering_pct)
    assert (drones.lat[0], drones.lng[0]) == (drones.home_lat[0], drones.home_lng[0])


def test_a_busy_drone_is_home_after_its_delivery_and_the_way_back():
    trips = TripTable.from_rows([trip()])
    work = Work(np.array([0]), trips, np.array([120.0]))
    _, free_in_s = expected(drone(busy=True, armed=1), work=work)
    assert 120 < free_in_s[0] < 600
    unknown = Work(np.array([0]), trips, np.array([np.nan]))
    _, free_in_s = expected(drone(busy=True, armed=1), work=unknown)
    assert np.isnan(free_in_s).all()


def soon(*rows: dict[str, object], look_ahead_s: float = 600.0) -> lookahead.Options:
    drones, free_in_s = expected(*rows)
    rules = replace(RULES, look_ahead_s=look_ahead_s)
    trips = TripTable.from_rows([trip()])
    return lookahead.soon(drones, free_in_s, trips, rules, NOWHERE, NOON)


def test_a_drone_short_of_charge_is_able_after_charging():
    options = soon(drone(battery_pct=20.0), look_ahead_s=1200.0)
    needed_pct = verdicts([drone()], [trip()]).needed_pct[0] + RULES.reserve_pct
    assert needed_pct > max(RULES.battery_min_pct, options.energy_pct[0] + RULES.reserve_pct)
    assert options.wait_s[0] == pytest.approx((needed_pct - 20) / 100 * RULES.full_charge_s)
    assert options.battery_pct[0] == pytest.approx(needed_pct)
    assert options.delivery_s[0] > options.wait_s[0]
    assert options.home_s[0] > options.delivery_s[0]


def test_drones_able_too_late_or_able_now_are_no_later_options():
    assert len(soon(drone(battery_pct=5.0), look_ahead_s=60.0)) == 0
    assert len(soon(drone(battery_pct=95.0))) == 0


def options(*pairs: tuple[int, float, float], drone: int = 0) -> lookahead.Options:
    """(trip, wait_s, delivery_s), of drones that are numbered from `drone` on."""
    trips, waits, deliveries = (np.array(column) for column in zip(*pairs, strict=True))
    zeros = np.zeros(len(pairs))
    return lookahead.Options(
        drone=drone + np.arange(len(pairs)),
        trip=trips,
        wait_s=waits.astype(float),
        pickup_s=zeros,
        delivery_s=deliveries.astype(float),
        home_s=zeros,
        busy_s=zeros,
        energy_pct=zeros,
        battery_pct=zeros,
        distance_m=zeros,
    )


@pytest.mark.parametrize(
    ("due_s", "may_wait"),
    [
        (1000.0, True),  # both keep the promise
        (700.0, False),  # only the able drone keeps it
        (500.0, True),  # neither keeps it
    ],
)
def test_no_wait_breaks_a_promise_that_an_able_drone_can_keep(due_s, may_wait):
    together = lookahead.together(
        options((0, 0.0, 600.0)), options((0, 120.0, 800.0), drone=1), np.array([due_s])
    )
    assert together.wait_s.tolist() == ([0.0, 120.0] if may_wait else [0.0])


def test_no_pair_is_both_able_now_and_soon():
    """A second one would end the run: the planner refuses a pair that is given twice."""
    soon = options((0, 120.0, 600.0), (0, 60.0, 500.0))
    together = lookahead.together(options((0, 0.0, 600.0)), soon, np.array([1000.0]))
    assert (together.drone.tolist(), together.wait_s.tolist()) == ([0, 1], [0.0, 60.0])
