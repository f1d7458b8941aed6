"""No plan breaks a hard rule, whatever fleet, orders, policy, zones and wind it is made for."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.planning import lookahead
from dispatch.planning.optimum import planner, scarcity
from fleet.feasibility import judge, reach
from fleet.feasibility.tables import DroneTable, TripTable, payload_bits
from fleet.tests.obvious import Box, broken_rules
from fleet.tests.pairs import DEG_PER_KM, NOON, drone, everywhere, trip
from fleet.tests.test_feasibility_properties import POLICIES, zones_of

SEEDS = st.integers(0, 2**32 - 1)


def drawn(random: np.random.Generator, usual: Any, *others: Any) -> Any:
    """The usual value two times in three, so that most drones have one thing against them or none:
    one that a rule forgets to look at is soon the best of all.
    """
    return others[random.integers(len(others))] if random.random() < 1 / 3 else usual


def a_drone(random: np.random.Generator) -> dict[str, Any]:
    trouble = drawn(
        random,
        {},
        {"telemetry_age_s": float(random.choice([20, 59, 90, np.inf, -100]))},
        {"armed": random.choice(np.array([True, None]))},
        {"registered": False},
        {"active": False},
        {"grounded": True},
        {"busy": True},
        {"hub_full": True},
        {"area": 1},
        {"battery_pct": None},
        {"battery_pct": float(random.uniform(5, 45))},
        {"lat": None},
        {"lng": None},
        {"max_payload_kg": 0.3},
        {"payload_types": payload_bits(["BLOOD"])},
        {"max_wind_mps": 1.0},
    )
    home = random.uniform(-2, 2, 2)
    stands = home if random.random() < 0.7 else random.uniform(-4, 4, 2)
    place = {"home_lng": home[0] * DEG_PER_KM, "home_lat": home[1] * DEG_PER_KM}
    battery = {
        "battery_pct": float(random.uniform(30, 100)),
        "battery_wh": float(random.choice([300, 500, 900])),
    }
    return drone(*stands, **{**place, **battery, **trouble})


def a_trip(random: np.random.Generator) -> dict[str, Any]:
    pickup, door = random.uniform(-3, 3, (2, 2)).tolist()
    kind = drawn(random, "PARCEL", "MEDICINE", "BLOOD")
    return trip(
        pickup,
        door,
        payload_weight_kg=float(random.uniform(0.1, 2.6)),
        payload_type=payload_bits([kind]),
        area=drawn(random, 0, 0, 1),
    )


def a_zone(random: np.random.Generator) -> Box:
    west, south = random.uniform(-3, 3, 2)
    width, height = random.uniform(0.1, 1.5, 2)
    window = drawn(random, (None, None), (None, -1), (-5, 5), (2, None), (8, 60), (30, None))
    return float(west), float(south), float(width), float(height), *window


@settings(max_examples=300)
@given(SEEDS, POLICIES)
def test_no_assigned_pair_breaks_a_rule_of_the_slow_and_obvious_check(seed, rules):
    """As a run does it: likely pairs, judged, planned; and each chosen pair checked anew."""
    random = np.random.default_rng(seed)
    drones = [a_drone(random) for _ in range(random.integers(1, 25))]
    orders = [a_trip(random) for _ in range(random.integers(1, 15))]
    boxes = [a_zone(random) for _ in range(random.integers(0, 4))]
    wind_mps = drawn(random, None, 0.0, 2.0, float(random.uniform(0, 14)), np.nan)
    table, trips = DroneTable.from_rows(drones), TripTable.from_rows(orders)
    pairs = reach.likely_pairs(table, trips, rules, NOON, everywhere(wind_mps))
    judged = judge.judge(table, trips, *pairs, rules, zones_of(boxes), NOON, everywhere(wind_mps))
    able = lookahead.now(judged)
    waited_s = random.uniform(0, 7200, len(orders))
    plan = planner.plan(
        planner.Problem(
            order_id=[f"{i:03}" for i in range(len(orders))],
            priority=random.choice(["NORMAL", "URGENT", "MEDICAL"], len(orders)).tolist(),
            waited_s=waited_s,
            due_s=1800 - waited_s,
            drone_id=[f"{i:03}" for i in range(len(drones))],
            order=able.trip,
            drone=able.drone,
            delivery_s=able.delivery_s,
            busy_s=able.busy_s,
            rules=rules,
            at_work=len(drones),
            holds=np.full(len(orders), planner.NONE_HELD),
            sizes=scarcity.of(table),
        )
    )
    chosen = [
        (int(able.drone[p]), int(able.trip[p]), float(able.distance_m[p])) for p in plan.pairs
    ]
    assert len({d for d, _, _ in chosen}) == len({t for _, t, _ in chosen}) == len(chosen)
    for d, t, planned_m in chosen:
        assert broken_rules(drones[d], orders[t], boxes, wind_mps, rules, planned_m) == []
