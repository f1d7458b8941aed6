"""No plan breaks a hard rule, whatever fleet, orders, policy, zones and wind it is made for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dispatch import lookahead, planner
from fleet import feasibility, reach
from fleet.tables import DroneTable, TripTable
from fleet.tests.obvious import broken_rules
from fleet.tests.pairs import NOON
from fleet.tests.test_feasibility_properties import (
    BOXES,
    DRONES,
    POLICIES,
    TRIPS,
    WINDS,
    zones_of,
)

PRIORITIES = st.sampled_from(["NORMAL", "URGENT", "MEDICAL"])
ORDERS = st.lists(st.tuples(TRIPS, PRIORITIES, st.floats(0, 7200)), min_size=1, max_size=8)


@given(
    st.lists(DRONES, min_size=1, max_size=12), ORDERS, st.lists(BOXES, max_size=3), WINDS, POLICIES
)
def test_no_assigned_pair_breaks_a_rule_of_the_slow_and_obvious_check(
    drones, orders, boxes, wind_mps, rules
):
    """As a run does it: likely pairs, judged, planned; and each chosen pair checked anew."""
    table = DroneTable.from_rows(drones)
    trips = TripTable.from_rows(trip for trip, _, _ in orders)
    pairs = reach.likely_pairs(table, trips, rules, NOON, wind_mps)
    judged = feasibility.judge(table, trips, *pairs, rules, zones_of(boxes), NOON, wind_mps)
    able = lookahead.now(judged)
    plan = planner.plan(
        planner.Problem(
            order_id=[f"{i:03}" for i in range(len(orders))],
            priority=[priority for _, priority, _ in orders],
            waited_s=np.array([waited_s for _, _, waited_s in orders]),
            due_s=np.array([1800 - waited_s for _, _, waited_s in orders]),
            drone_id=[f"{i:03}" for i in range(len(drones))],
            order=able.trip,
            drone=able.drone,
            delivery_s=able.delivery_s,
            busy_s=able.busy_s,
            rules=rules,
            at_work=len(drones),
            holds=np.full(len(orders), planner.NONE_HELD),
        )
    )
    chosen = [
        (int(able.drone[p]), int(able.trip[p]), float(able.distance_m[p])) for p in plan.pairs
    ]
    assert len({d for d, _, _ in chosen}) == len({t for _, t, _ in chosen}) == len(chosen)
    for d, t, planned_m in chosen:
        assert broken_rules(drones[d], orders[t][0], boxes, wind_mps, rules, planned_m) == []
