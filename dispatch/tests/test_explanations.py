"""Why an order has no drone: the counts per reason, and the sentence about the closest drone.

Places are in kilometres east and north of a hub on the equator (see `fleet.tests.pairs`).
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dispatch.planning import explanations
from dispatch.planning.explanations import Obstacles
from fleet.feasibility import judge, reach
from fleet.feasibility.geometry import Zones
from fleet.feasibility.tables import DroneTable, TripTable, payload_bits
from fleet.tests.pairs import NOON, NOWHERE, RULES, drone, no_fly, trip, verdicts
from fleet.tests.test_feasibility_properties import DRONES, TRIPS


def explained(drones: list[dict], trips: list[dict], zones: Zones = NOWHERE) -> list[Obstacles]:
    table, wanted = DroneTable.from_rows(drones), TripTable.from_rows(trips)
    pairs = reach.likely_pairs(table, wanted, RULES, NOON)
    judged = judge.judge(table, wanted, *pairs, RULES, zones, NOON)
    return explanations.obstacles(judged, NOON)


def counts(obstacles: Obstacles) -> dict[str, int]:
    return {entry["code"]: entry["drones"] for entry in obstacles.counts}


def test_each_reason_counts_its_drones_and_the_closest_drone_is_described():
    drones = [
        drone(drone_id="LOW", battery_pct=36),
        drone(drone_id="LOWER", battery_pct=32),
        drone(drone_id="SMALL", max_payload_kg=0.5),
        drone(drone_id="DOWN", grounded=True),
        drone(drone_id="ELSEWHERE", area=1),
    ]
    (found,) = explained(drones, [trip()])
    assert counts(found) == {
        "not_enough_energy": 2,
        "too_heavy": 1,
        "grounded": 1,
        "outside_area": 1,
    }
    assert found.text == (
        "2 of 5 with too little battery for the trip, 1 of 5 grounded, 1 of 5 of another area. "
        "The nearest to it is LOW: Needs 43 % battery with the 20 % reserve for a delivery and "
        "54 % for a drop that fails (180 s of waiting and the flight back with the parcel), has "
        "36 %. It is 18 % of charge short, about 7 min of charging."
    )


def test_an_order_with_an_able_drone_has_counts_but_no_sentence():
    (found,) = explained([drone(), drone(busy=True)], [trip()])
    assert (counts(found), found.text) == ({"busy": 1}, "")


def test_a_no_fly_zone_is_named():
    (found,) = explained([drone()], [trip()], no_fly(-1, 1.5, 1, 2))
    assert counts(found) == {"crosses_no_fly_zone": 1}
    assert found.text.endswith("WX-DRN-001: The flight would cross Airport.")


def test_without_a_drone_in_the_area_the_nearest_is_one_of_another():
    (found,) = explained([drone(area=1)], [trip()])
    assert counts(found) == {"outside_area": 1}
    assert "outside the usual area of WX-DRN-001" in found.text


def test_the_wrong_type_and_too_much_weight_are_both_counted():
    (found,) = explained(
        [drone()], [trip(payload_type=payload_bits(["BLOOD"]), payload_weight_kg=9)]
    )
    assert counts(found) == {"payload_type_unsupported": 1, "too_heavy": 1}


def test_an_area_without_drones_is_reported():
    assert explained([], [trip()])[0].text == "This service area has no drones."


UNLIFTABLE = {"too_heavy", "too_large", "payload_type_unsupported"}


@given(st.lists(DRONES, min_size=1, max_size=10), st.lists(TRIPS, min_size=1, max_size=4))
def test_the_counts_match_judging_every_pair(drones, trips):
    """For drones of the area. The trip is judged only for drones without a reason of their own."""
    every = verdicts(drones, trips)
    table = every.drones
    beforehand = judge.against_drones(table, RULES)
    for t, obstacles in enumerate(explained(drones, trips)):
        expected: dict[str, int] = {}
        for i in np.flatnonzero(every.t == t):
            d = every.d[i]
            codes = (
                {"outside_area"}
                if table.area[d] != every.trips.area[t]
                else {reason.code for reason in every.explain(i)}
            )
            if "outside_area" not in codes and beforehand[d]:
                codes -= {*UNLIFTABLE, "not_enough_energy"}
            if codes & UNLIFTABLE:
                codes -= {"not_enough_energy"}
            for code in codes:
                expected[code] = expected.get(code, 0) + 1
        assert counts(obstacles) == expected
