"""Why an order has no drone, in numbers that add up and a sentence that helps.

Places are in kilometres east and north of a hub on the equator (see `fleet.tests.pairs`).
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dispatch.planning import explanations
from dispatch.planning.explanations import Against
from fleet.feasibility import judge, reach
from fleet.feasibility.geometry import Zones
from fleet.feasibility.tables import DroneTable, TripTable, payload_bits
from fleet.tests.pairs import NOON, NOWHERE, RULES, drone, no_fly, trip, verdicts
from fleet.tests.test_feasibility_properties import DRONES, TRIPS


def explained(drones: list[dict], trips: list[dict], zones: Zones = NOWHERE) -> list[Against]:
    table, wanted = DroneTable.from_rows(drones), TripTable.from_rows(trips)
    pairs = reach.likely_pairs(table, wanted, RULES, NOON)
    judged = judge.judge(table, wanted, *pairs, RULES, zones, NOON)
    return explanations.of_all(judged, NOON)


def counts(against: Against) -> dict[str, int]:
    return {entry["code"]: entry["drones"] for entry in against.counts}


def test_each_reason_counts_its_drones_and_the_closest_miss_says_what_it_lacks():
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
    assert found.words == (
        "2 of 5 with too little battery for the trip, 1 of 5 grounded, 1 of 5 of another area. "
        "The nearest to it is LOW: Needs 43 % battery with the 20 % reserve, has 36 %. "
        "It is 7 % of charge short, about 3 min of charging."
    )


def test_an_order_with_an_able_drone_needs_no_words_but_keeps_the_numbers():
    (found,) = explained([drone(), drone(busy=True)], [trip()])
    assert (counts(found), found.words) == ({"busy": 1}, "")


def test_a_no_fly_zone_is_named():
    (found,) = explained([drone()], [trip()], no_fly(-1, 1.5, 1, 2))
    assert counts(found) == {"crosses_no_fly_zone": 1}
    assert found.words.endswith("WX-DRN-001: The flight would cross Airport.")


def test_without_a_drone_in_the_area_the_nearest_is_one_of_another():
    (found,) = explained([drone(area=1)], [trip()])
    assert counts(found) == {"outside_area": 1}
    assert "outside the usual area of WX-DRN-001" in found.words


def test_the_wrong_type_and_too_much_weight_are_both_counted():
    (found,) = explained(
        [drone()], [trip(payload_type=payload_bits(["BLOOD"]), payload_weight_kg=9)]
    )
    assert counts(found) == {"payload_type_unsupported": 1, "too_heavy": 1}


def test_without_any_drone_that_is_said():
    assert explained([], [trip()])[0].words == "No drone lives in this service area."


@given(st.lists(DRONES, min_size=1, max_size=10), st.lists(TRIPS, min_size=1, max_size=4))
def test_the_numbers_are_those_of_judging_every_pair(drones, trips):
    """Of drones of the area; of the trip are asked those that nothing else speaks against."""
    every = verdicts(drones, trips)
    table = every.drones
    beforehand = judge.against_drones(table, RULES)
    for t, against in enumerate(explained(drones, trips)):
        expected: dict[str, int] = {}
        for i in np.flatnonzero(every.t == t):
            d = every.d[i]
            codes = (
                {"outside_area"}
                if table.area[d] != every.trips.area[t]
                else {reason.code for reason in every.explain(i)}
            )
            if "outside_area" not in codes and beforehand[d]:
                codes -= {"too_heavy", "payload_type_unsupported", "not_enough_energy"}
            if codes & {"too_heavy", "payload_type_unsupported"}:
                codes -= {"not_enough_energy"}
            for code in codes:
                expected[code] = expected.get(code, 0) + 1
        assert counts(against) == expected
