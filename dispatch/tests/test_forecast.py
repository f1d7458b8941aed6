"""The forecast of a queue: places, times, and what a new order may expect."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.planning.forecast import Fleet, Forecast, Waiting, forecast
from dispatch.planning.limits import hub_launches
from dispatch.planning.optimum import objective
from fleet.policy import Policy
from orders.promises import calibration
from orders.promises.outlook import MAX_AGE, Flight, expect

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
# Without charging, so that the times are easy to follow.
RULES = replace(Policy().rules(), full_charge_s=0.0)
# (priority, drone time in seconds, kinds that can fly it)
Order = tuple[str, float, tuple[bool, ...]]
ONE_KIND = (True,)


def line(orders: Sequence[Order], kinds: int = 1) -> Waiting:
    """Orders whose parcel is at the door after half of their drone time. One group per kind."""
    busy_s = np.array([[busy_s] * kinds for _, busy_s, _ in orders], float).reshape(-1, kinds)
    return Waiting(
        order_id=[f"{index:04}" for index in range(len(orders))],
        priority=[priority for priority, _, _ in orders],
        rank=np.array([objective.RANKS[priority] for priority, _, _ in orders], np.int64),
        worth=np.ones(len(orders)),
        able=np.array([flies for _, _, flies in orders], bool).reshape(-1, kinds),
        delivery_s=busy_s / 2,
        busy_s=busy_s,
        energy_pct=np.zeros_like(busy_s),
    )


def fleet(free_s: Sequence[float], group: Sequence[int] = (), kinds: int = 1) -> Fleet:
    return Fleet(
        group=np.array(group or [0] * len(free_s), np.int64),
        free_s=np.array(free_s, float),
        battery_pct=np.full(len(free_s), 100.0),
        charge_in_s=np.array(free_s, float),
        names=[f"D{kind}" for kind in range(kinds)],
        kind=np.arange(kinds),
    )


def made(orders: Sequence[Order], drones: Fleet) -> Forecast:
    return forecast(line(orders, len(drones.names)), drones, RULES, {}, AT)


def new(found: Forecast, priority: str, busy_s: float, kinds: Sequence[str] = ("D0",)) -> float:
    """When a new order is expected at the door."""
    flights = [Flight(name, busy_s / 2, busy_s, 0.0) for name in kinds]
    expected = expect(found.outlook, priority, flights, RULES, AT)
    assert expected is not None
    return expected.start_s + expected.delivery_s


def test_one_drone_serves_one_order_after_the_other():
    found = made([("NORMAL", 600, ONE_KIND), ("NORMAL", 400, ONE_KIND)], fleet([100]))
    assert found.place.tolist() == [2, 1]
    assert found.door_s.tolist() == [100 + 400 + 300, 100 + 200]


def test_higher_priorities_are_served_first_and_short_trips_within_one():
    orders = [
        ("NORMAL", 300, ONE_KIND),
        ("URGENT", 900, ONE_KIND),
        ("MEDICAL", 900, ONE_KIND),
        ("URGENT", 600, ONE_KIND),
    ]
    assert made(orders, fleet([0])).place.tolist() == [4, 3, 1, 2]


def test_an_order_that_no_drone_can_fly_has_no_time_and_delays_nobody_else():
    alone = made([("NORMAL", 600, (True,))], fleet([0]))
    both = made([("MEDICAL", 100, (False,)), ("NORMAL", 600, (True,))], fleet([0]))
    assert np.isinf(both.door_s[0])
    assert both.door_s[1] == alone.door_s[0]


def test_a_kind_that_only_some_orders_need_is_not_blocked_by_the_others():
    """Ten small parcels wait; a large one needs the second kind, of which one drone is free."""
    small = [("NORMAL", 600.0, (True, False))] * 10
    found = made([*small, ("NORMAL", 900.0, (False, True))], fleet([0, 0], [0, 1], kinds=2))
    assert found.door_s[-1] == 450
    assert new(found, "NORMAL", 900, ["D1"]) == 900 + 450
    assert new(found, "NORMAL", 300, ["D0"]) == 150  # the shortest: next


def test_a_drone_charges_for_the_trip_before_it_starts():
    rules = replace(RULES, full_charge_s=1000.0, reserve_pct=20.0, battery_min_pct=30.0)
    waiting = replace(line([("NORMAL", 600, ONE_KIND)]), energy_pct=np.array([[40.0]]))
    empty = replace(fleet([0]), battery_pct=np.array([50.0]))
    found = forecast(waiting, empty, rules, {}, AT)
    assert found.door_s.tolist() == [100 + 300]  # 10 % are missing


def test_a_new_order_starts_at_its_place_in_line():
    found = made([("URGENT", 600, ONE_KIND), ("NORMAL", 800, ONE_KIND)], fleet([60]))
    assert new(found, "MEDICAL", 100) == 60 + 50
    assert new(found, "URGENT", 700) == 660 + 350
    assert new(found, "NORMAL", 900) == 660 + 800 + 450
    assert new(found, "NORMAL", 500) == 660 + 250


def test_an_idle_fleet_starts_at_once():
    found = made([], fleet([0, 0, 300]))
    assert new(found, "NORMAL", 600) == 300
    expected = expect(found.outlook, "NORMAL", [Flight("D0", 300, 600, 0)], RULES, AT)
    assert expected is not None
    assert not expected.busy


def test_without_a_drone_there_is_no_expectation():
    found = made([], fleet([]))
    assert expect(found.outlook, "NORMAL", [Flight("D0", 300, 600, 0)], RULES, AT) is None
    assert expect(found.outlook, "NORMAL", [Flight("other", 300, 600, 0)], RULES, AT) is None


def test_an_outlook_ages():
    """Its times pass, and it is not used when it is too old or from the future."""
    outlook = made([("NORMAL", 600, ONE_KIND)], fleet([0])).outlook
    flights = [Flight("D0", 400, 800, 0)]
    now, later = (
        expect(outlook, "NORMAL", flights, RULES, AT + timedelta(seconds=s)) for s in (0, 30)
    )
    assert now
    assert later
    assert (now.start_s, later.start_s) == (600, 570)
    for at in (AT + MAX_AGE + timedelta(seconds=1), AT - timedelta(seconds=1)):
        assert not outlook.is_fresh(at)


# --- properties ----------------------------------------------------------------------------------

kinds_of_order = st.sampled_from([(True, False), (False, True), (True, True)])
priorities = st.sampled_from(["NORMAL", "URGENT", "MEDICAL"])
orders_of_two_kinds = st.tuples(priorities, st.integers(60, 3600).map(float), kinds_of_order)
drones = st.lists(
    st.tuples(st.integers(0, 3600).map(float), st.integers(0, 1)), min_size=1, max_size=8
)


@given(st.lists(orders_of_two_kinds, max_size=30), drones)
def test_places_are_a_permutation_and_nobody_is_earlier_than_alone(orders, free):
    ours = fleet([s for s, _ in free], [kind for _, kind in free], kinds=2)
    found = made(orders, ours)
    flown = np.isfinite(found.door_s)
    assert sorted(found.place[flown].tolist()) == list(range(1, int(flown.sum()) + 1))
    assert not found.place[~flown].any()
    for index, order in enumerate(orders):
        assert found.door_s[index] >= made([order], ours).door_s[0] - 1e-6


@given(st.lists(orders_of_two_kinds, max_size=25), drones, orders_of_two_kinds)
def test_one_more_order_makes_no_other_one_earlier(orders, free, more):
    ours = fleet([s for s, _ in free], [kind for _, kind in free], kinds=2)
    before, after = made(orders, ours), made([*orders, more], ours)
    assert (after.door_s[:-1] >= before.door_s - 1e-6).all()
    assert (after.place[:-1] >= before.place).all()
    for priority in objective.RANKS:
        both = [
            expect(one.outlook, priority, [Flight("D0", 300, 600, 0.0)], RULES, AT)
            for one in (before, after)
        ]
        if both[0] and both[1]:
            assert both[1].start_s >= both[0].start_s - 0.2


@given(st.lists(orders_of_two_kinds, max_size=20), drones, orders_of_two_kinds)
def test_a_new_order_is_expected_where_it_will_stand_in_line(orders, free, order):
    ours = fleet([s for s, _ in free], [kind for _, kind in free], kinds=2)
    priority, busy_s, flies = order
    names = [name for name, able in zip(ours.names, flies, strict=True) if able]
    flights = [Flight(name, busy_s / 2, busy_s, 0.0) for name in names]
    expected = expect(made(orders, ours).outlook, priority, flights, RULES, AT)
    # The same order with the last id stands behind its equals.
    placed = made([*orders, order], ours).door_s[-1]
    if expected is None:
        assert np.isinf(placed)
    else:
        assert expected.start_s + expected.delivery_s == pytest.approx(placed, abs=0.2)


def test_the_ranges_grow_with_the_queue():
    low, high = calibration.range_of("NORMAL/5/3", {})
    narrow_low, narrow_high = calibration.range_of("NORMAL/0/0", {})
    assert high - low > narrow_high - narrow_low


# --- the limits of hubs --------------------------------------------------------------------------


def test_a_drone_that_waits_for_a_charger_is_ready_later() -> None:
    """The charger is free in ten minutes."""
    order: Order = ("NORMAL", 900.0, ONE_KIND)
    flat = replace(fleet([0.0]), battery_pct=np.array([RULES.battery_min_pct - 10.0]))
    waits = replace(flat, charge_in_s=np.array([600.0]))
    soon, late = (made([order], drones).door_s[0] for drones in (flat, waits))
    assert late == pytest.approx(soon + 600)
    charged = replace(fleet([0.0]), charge_in_s=np.array([600.0]))
    assert made([order], charged).door_s[0] == soon, "it needs no charger"


def test_a_hub_launches_no_more_drones_at_once_than_its_limit() -> None:
    """Hub 1 may launch two at once, one of them now; hub 2 has no limit."""
    hub = np.array([1, 1, 1, 1, 2, 2])
    free_in_s = np.array([0.0, 0.0, 0.0, 500.0, 0.0, np.nan])
    starts = hub_launches.may_start_s(hub, free_in_s, {1: 1}, {1: 2}, 60.0)
    assert starts[:5].tolist() == [0.0, 60.0, 60.0, 500.0, 0.0]
    assert np.isnan(starts[5])


@given(
    free=st.lists(st.floats(0, 1000), min_size=1, max_size=12),
    at_once=st.integers(1, 4),
    taken=st.integers(0, 4),
)
def test_launches_keep_the_limit_and_delay_no_drone_before_it_is_free(
    free: list[float], at_once: int, taken: int
) -> None:
    hub, free_in_s = np.ones(len(free), int), np.array(free)
    more = max(0, at_once - taken)
    starts = hub_launches.may_start_s(hub, free_in_s, {1: more}, {1: at_once}, 60.0)
    assert (starts >= free_in_s).all()
    busy = sorted([*starts.tolist(), *[0.0] * (at_once - more)])
    for at in busy:
        assert sum(start <= at < start + 60.0 for start in busy) <= at_once
