"""The only large drone stays free: a small NORMAL parcel takes a drone that carries less."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.planning.optimum import scarcity
from dispatch.planning.optimum.planner import Problem, plan
from dispatch.planning.optimum.scarcity import LATER_S
from dispatch.tests.test_planner import check_certificate, chosen, fresh, problem
from fleet.feasibility.tables import DroneTable, largest_sides, payload_bits
from fleet.tests.pairs import drone

LARGE, SMALL = {"max_payload_kg": 5.0}, {"max_payload_kg": 1.0}
NEAR = (300.0, 600.0)


def sized(of: Problem, *kinds: dict[str, object]) -> Problem:
    return replace(of, sizes=scarcity.of(DroneTable.from_rows([drone(**kind) for kind in kinds])))


def later(than: tuple[float, float], by_s: float) -> tuple[float, float]:
    return than[0] + by_s, than[1] + by_s


# --- what is larger than what --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("large", "small"),
    [
        ({"max_payload_kg": 5.0}, {"max_payload_kg": 4.9}),
        (largest_sides((40, 30, 20)), largest_sides((40, 30, 19))),
        (largest_sides(None), largest_sides((40, 30, 20))),
        (
            {"payload_types": payload_bits(["PARCEL", "BLOOD"])},
            {"payload_types": payload_bits(["PARCEL"])},
        ),
    ],
    ids=["weight", "size", "any size", "types"],
)
def test_a_drone_is_larger_if_it_carries_more_and_less_of_nothing(large, small):
    sizes = scarcity.of(DroneTable.from_rows([drone(**large), drone(**small)]))
    assert sizes.smaller[sizes.of[0], sizes.of[1]]
    assert not sizes.smaller[sizes.of[1], sizes.of[0]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {}),
        (
            {"max_payload_kg": 5.0},
            {"max_payload_kg": 1.0, "payload_types": payload_bits(["BLOOD"])},
        ),
        ({"max_payload_kg": 5.0}, {"max_payload_kg": 1.0, "area": 1}),
        ({"max_payload_kg": None}, {"max_payload_kg": None}),
    ],
    ids=["alike", "another type", "another area", "not registered"],
)
def test_other_drones_are_not_compared(one, other):
    assert not scarcity.of(DroneTable.from_rows([drone(**one), drone(**other)])).smaller.any()


# --- what the plan chooses -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("later_s", "drone_index"),
    [(-60, 1), (0, 1), (LATER_S, 1), (LATER_S + 1, 0)],
)
def test_a_small_parcel_waits_some_minutes_for_a_small_drone(later_s, drone_index):
    of = problem([fresh()], 2, {(0, 0): NEAR, (0, 1): later(NEAR, later_s)})
    assert chosen(sized(of, LARGE, SMALL)) == {0: drone_index}


def test_without_the_rule_it_would_take_the_nearer_large_one():
    of = problem([fresh()], 2, {(0, 0): NEAR, (0, 1): later(NEAR, 60)})
    assert chosen(of) == chosen(sized(of, LARGE, LARGE)) == {0: 0}


def test_it_takes_the_large_one_if_another_one_is_as_large():
    pairs = {(0, 0): NEAR, (0, 1): later(NEAR, 60), (0, 2): later(NEAR, 90)}
    of = problem([fresh()], 3, pairs)
    assert chosen(sized(of, LARGE, SMALL, LARGE)) == {0: 0}
    assert chosen(sized(of, LARGE, SMALL, {"max_payload_kg": 9.0})) == {0: 0}


def test_it_takes_the_large_one_rather_than_break_its_promise():
    """Due in 310 s: the large drone delivers after 300 s, the small one after 360 s."""
    pairs = {(0, 0): NEAR, (0, 1): later(NEAR, 60)}
    kept = problem([("NORMAL", 0.0, 310.0)], 2, pairs)
    assert chosen(sized(kept, LARGE, SMALL)) == {0: 0}
    broken = problem([("NORMAL", 0.0, 290.0)], 2, pairs)
    assert chosen(sized(broken, LARGE, SMALL)) == {0: 1}


@pytest.mark.parametrize("priority", ["URGENT", "MEDICAL"])
def test_an_urgent_order_takes_the_drone_that_is_best(priority):
    of = problem([fresh(priority)], 2, {(0, 0): NEAR, (0, 1): later(NEAR, 60)})
    assert chosen(sized(of, LARGE, SMALL)) == {0: 0}


def test_an_order_keeps_the_large_drone_that_it_holds():
    pairs = {(0, 0): NEAR, (0, 1): later(NEAR, 30)}
    of = problem([fresh()], 2, pairs, holds={0: 0})
    assert chosen(sized(of, LARGE, SMALL)) == {0: 0}


def test_both_are_flown_if_two_small_parcels_wait():
    of = problem([fresh(), fresh()], 2, {(i, j): NEAR for i in range(2) for j in range(2)})
    assert len(chosen(sized(of, LARGE, SMALL))) == 2


def test_the_large_drone_goes_to_the_parcel_that_needs_it():
    pairs = {(0, 0): NEAR, (0, 1): later(NEAR, 240), (1, 0): later(NEAR, 900)}
    assert chosen(sized(problem([fresh(), fresh()], 2, pairs), LARGE, SMALL)) == {0: 1, 1: 0}


def test_only_the_largest_drone_is_kept_free():
    """The middle one is not the only one that carries three kilograms."""
    middle = {"max_payload_kg": 3.0}
    pairs = {(0, 0): NEAR, (0, 1): later(NEAR, 30), (0, 2): later(NEAR, 60)}
    assert chosen(sized(problem([fresh()], 3, pairs), LARGE, middle, SMALL)) == {0: 1}


# --- any fleet -----------------------------------------------------------------------------------


@st.composite
def mixed(draw: st.DrawFn) -> Problem:
    """Up to 6 orders and 6 drones of three sizes, every pair that the weight allows."""
    drones = draw(st.lists(st.sampled_from([1.0, 3.0, 5.0]), min_size=1, max_size=6))
    orders = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["NORMAL", "NORMAL", "URGENT", "MEDICAL"]),
                st.sampled_from([0.0, 3000.0, 5000.0]),
                st.sampled_from([-600.0, 600.0, 900.0, 3600.0]),
            ),
            min_size=1,
            max_size=6,
        )
    )
    weights = [draw(st.sampled_from([0.5, 2.0, 4.0])) for _ in orders]
    times = st.integers(1, 15).map(lambda n: (90.0 * n, 150.0 * n))
    pairs = {
        (order, place): draw(times)
        for order, weight_kg in enumerate(weights)
        for place, most_kg in enumerate(drones)
        if weight_kg <= most_kg and draw(st.integers(0, 3))
    }
    of = problem(orders, len(drones), pairs)
    return sized(of, *({"max_payload_kg": most_kg} for most_kg in drones))


@given(mixed())
def test_no_normal_order_takes_the_only_large_drone_while_a_fitting_one_is_left_over(of):
    found = plan(of)
    check_certificate(of, found)
    used, usable = set(of.drone[found.pairs].tolist()), set(of.drone.tolist())
    lifts = of.sizes.of  # sizes are numbered by weight
    for pair in found.pairs:
        order, large = of.order[pair], of.drone[pair]
        others = [lifts[other] for other in usable - {large}]
        if of.priority[order] != "NORMAL" or any(size >= lifts[large] for size in others):
            continue
        kept = of.delivery_s[pair] <= of.due_s[order]
        for other in np.flatnonzero(of.order == order):
            fits = of.drone[other] not in used and lifts[of.drone[other]] < lifts[large]
            soon = of.delivery_s[other] <= of.delivery_s[pair] + LATER_S
            keeps = of.delivery_s[other] <= of.due_s[order] or not kept
            assert not (fits and soon and keeps)


@given(mixed())
def test_the_rule_changes_no_number_of_served_orders_and_nothing_where_drones_are_alike(of):
    alone = replace(of, sizes=scarcity.of(DroneTable.from_rows([drone() for _ in of.drone_id])))
    ranks = [sorted(of.priority[of.order[p]] for p in plan(each).pairs) for each in (of, alone)]
    assert ranks[0] == ranks[1]
    np.testing.assert_array_equal(plan(alone).cost, plan(replace(alone, sizes=one(of))).cost)


def one(of: Problem) -> scarcity.Sizes:
    return scarcity.Sizes(np.zeros(len(of.drone_id), np.int64), np.zeros((1, 1), bool))
