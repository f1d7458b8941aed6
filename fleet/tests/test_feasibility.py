"""The rules of feasibility, one by one.

Places are in kilometres east and north of a hub on the equator (see `fleet.tests.pairs`).
"""

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from fleet.feasibility.best_case import at_their_best, refusals
from fleet.feasibility.geometry import Zones
from fleet.feasibility.judge import Verdicts
from fleet.feasibility.reasons import SOFT, Rule
from fleet.feasibility.rules import PayloadType
from fleet.feasibility.tables import PAYLOAD_TYPES, DroneTable, TripTable, payload_bits
from fleet.tests.pairs import (
    DEG_PER_KM,
    NOON,
    NOWHERE,
    QUAD,
    RULES,
    codes,
    drone,
    no_fly,
    trip,
    verdicts,
)

# --- figures -------------------------------------------------------------------------------------


def test_the_figures_of_a_flight_calculated_by_hand():
    """Legs of 1, 2 and 3 km times 8 / 7; cruise at 60 m, delivery at 8 m; payload 1 kg.

    Climbing 60 m takes 20 s, 52 m 17.3 s; descending 60 m 30 s, 52 m 26 s. Loaded power is
    (6 / 5) ** 1.5 = 1.3145 times the empty power: 788.7 W hovering, 657.3 W cruising. Climbing adds
    5 * 9.81 * 3 / 0.7 = 210.2 W empty, 252.3 W loaded.
    """
    found = verdicts([drone()], [trip()], rules=replace(RULES, detour_factor=8 / 7))
    way_s = [1000 * km * 8 / 7 / 15 for km in (1, 2, 3)]
    assert found.distance_m[0] == pytest.approx(6000 * 8 / 7)
    assert found.to_pickup_s[0] == pytest.approx(45 + 20 + way_s[0] + 30)
    assert found.delivery_s[0] - found.to_pickup_s[0] == pytest.approx(30 + 20 + way_s[1] + 26 + 30)
    assert found.busy_s[0] - found.delivery_s[0] == pytest.approx(17.333 + way_s[2] + 30, abs=0.01)
    to_pickup_ws = 20 * 810.2 + way_s[0] * 500 + 30 * 600
    to_door_ws = 30 * 788.7 + 20 * 1041.0 + way_s[1] * 657.3 + (26 + 30) * 788.7
    home_ws = 17.333 * 810.2 + way_s[2] * 500 + 30 * 600
    share = (to_pickup_ws + to_door_ws + home_ws) / 3600 / 500
    assert found.energy_pct[0] == pytest.approx(100 * share, rel=1e-4)
    assert found.energy_pct[0] == pytest.approx(22.63, abs=0.01)
    assert found.able[0]


def test_the_energy_of_a_drop_that_fails_calculated_by_hand():
    """The flight above, but the drone waits 180 s at the door and flies back with the parcel."""
    found = verdicts([drone()], [trip()], rules=replace(RULES, detour_factor=8 / 7))
    way_s = 3000 * 8 / 7 / 15
    wait_ws = 180 * 788.7
    back_ws = 17.333 * 1041.0 + way_s * 657.3 + 30 * 788.7
    empty_back_ws = 17.333 * 810.2 + way_s * 500 + 30 * 600
    more_pct = 100 * (wait_ws + back_ws - empty_back_ws) / 3600 / 500
    assert found.needed_pct[0] - found.energy_pct[0] == pytest.approx(more_pct, rel=1e-4)
    assert found.needed_pct[0] == pytest.approx(33.06, abs=0.01)


def test_a_drop_that_fails_far_from_home_takes_more_than_the_reserve():
    """2.5 kg, 5 km from home: why the reserve alone does not cover it."""
    found = verdicts([drone()], [trip((0.0, 1.0), (0.0, 5.0), payload_weight_kg=2.5)])
    more_pct = found.needed_pct[0] - found.energy_pct[0]
    assert more_pct == pytest.approx(21.4, abs=0.05)
    assert more_pct > RULES.reserve_pct


def test_only_the_worse_ending_decides_and_the_reason_names_it():
    found = verdicts([drone()], [trip()])
    delivery_pct = float(found.energy_pct[0]) + RULES.reserve_pct
    enough_to_deliver = verdicts([drone(battery_pct=delivery_pct + 1)], [trip()])
    assert codes(enough_to_deliver) == {"not_enough_energy"}
    assert message(enough_to_deliver).startswith("Needs 54 % battery with the 20 % reserve for a ")
    assert "delivery" not in message(enough_to_deliver)
    neither = message(verdicts([drone(battery_pct=delivery_pct - 1)], [trip()]))
    assert neither.startswith("Needs 43 % battery with the 20 % reserve for a delivery and 54 % ")


def test_wind_slows_the_flight_and_costs_energy():
    calm, windy = (verdicts([drone()], [trip()], wind_mps=wind) for wind in (0.0, 7.5))
    cruising_s = 1.15 * 6000 / 15
    assert windy.busy_s[0] - calm.busy_s[0] == pytest.approx(cruising_s)
    assert windy.energy_pct[0] > calm.energy_pct[0]
    assert windy.able[0]


def test_the_figures_of_a_drone_without_position_are_nan():
    found = verdicts([drone(None, None)], [trip()])
    for figure in (found.distance_m, found.to_pickup_s, found.delivery_s, found.energy_pct):
        assert np.isnan(figure[0])


# --- every rule, one at a time -------------------------------------------------------------------

HEAVY = {"payload_weight_kg": 2.6}
BLOOD = {"payload_type": payload_bits(["BLOOD"])}


@pytest.mark.parametrize(
    ("this_drone", "this_trip", "expected"),
    [
        (drone(), trip(), set()),
        (drone(registered=False), trip(), {"unknown_drone"}),
        (drone(active=False), trip(), {"inactive"}),
        (drone(grounded=True), trip(), {"grounded"}),
        (drone(busy=True), trip(), {"busy"}),
        (drone(armed=True), trip(), {"already_flying"}),
        (drone(armed=True, busy=True), trip(), {"busy"}),
        (drone(armed=None), trip(), {"arming_unknown"}),
        (drone(telemetry_age_s=15.0), trip(), set()),
        (drone(telemetry_age_s=15.1), trip(), {"telemetry_aging"}),
        (drone(telemetry_age_s=60.0), trip(), {"telemetry_aging"}),
        (drone(telemetry_age_s=60.1), trip(), {"telemetry_old"}),
        (drone(telemetry_age_s=-10.0), trip(), set()),
        (drone(telemetry_age_s=-3600.0), trip(), {"telemetry_old"}),
        (drone(None, 0.0), trip(), {"no_position"}),
        (drone(battery_pct=None), trip(), {"no_battery_reading"}),
        (drone(battery_pct=30.0, battery_wh=5000.0), trip(), set()),
        (drone(battery_pct=29.9, battery_wh=5000.0), trip(), {"battery_below_minimum"}),
        (drone(battery_pct=40.0), trip(), {"not_enough_energy"}),
        (drone(), trip(payload_weight_kg=2.5), set()),
        (drone(), trip(payload_weight_kg=2.6), {"too_heavy"}),
        (drone(), trip(size_cm=(90, 90, 90)), set()),
        (drone(max_size_cm=(40, 30, 20)), trip(), set()),
        (drone(max_size_cm=(40, 30, 20)), trip(size_cm=(20, 40, 30)), set()),
        (drone(max_size_cm=(40, 30, 20)), trip(size_cm=(21, 21, 21)), {"too_large"}),
        (drone(), trip(**BLOOD), {"payload_type_unsupported"}),
        (drone(area=1), trip(), {"outside_area"}),
        (drone(0.0, 40.0), trip(), {"not_enough_energy"}),
        (drone(), trip((0.0, 40.0), (0.0, 41.0)), {"not_enough_energy"}),
        (
            drone(grounded=True, armed=True, area=1),
            trip(**HEAVY, **BLOOD),
            {
                "grounded",
                "already_flying",
                "outside_area",
                "too_heavy",
                "payload_type_unsupported",
            },
        ),
    ],
)
def test_each_rule_excludes_a_pair_with_its_code(this_drone, this_trip, expected):
    found = verdicts([this_drone], [this_trip])
    assert codes(found) == expected
    assert found.able[0] == (not expected)
    assert found.assignable[0] == (expected <= {"telemetry_aging", "outside_area"})


def test_without_telemetry_that_is_the_only_reason():
    no_telemetry = {"telemetry_age_s": math.inf, "battery_pct": None, "armed": None}
    assert codes(verdicts([drone(None, None, **no_telemetry)], [trip()])) == {"no_telemetry"}


@pytest.mark.parametrize(
    ("wind_mps", "expected"),
    [(None, set()), (10.0, set()), (10.1, {"too_windy"}), (15.0, {"too_windy"})],
)
def test_the_wind_is_checked_if_it_is_measured(wind_mps, expected):
    short_trip = trip((0.0, 0.1), (0.0, 0.2))
    assert codes(verdicts([drone()], [short_trip], wind_mps=wind_mps)) == expected


def test_no_drone_flies_in_wind_as_fast_as_its_cruise_speed():
    slow = drone(cruise_speed_mps=8.0, max_wind_mps=20.0)
    assert codes(verdicts([slow], [trip()], wind_mps=8.0)) == {"too_windy"}


def test_the_policys_wind_limit_applies_to_all_drones():
    strict = replace(RULES, max_wind_mps=5.0)
    assert "too_windy" in codes(verdicts([drone()], [trip()], rules=strict, wind_mps=6.0))


def test_a_drone_may_return_with_exactly_the_reserve():
    needed_pct = float(verdicts([drone()], [trip()]).needed_pct[0]) + RULES.reserve_pct
    assert verdicts([drone(battery_pct=needed_pct + 1e-9)], [trip()]).able[0]
    assert not verdicts([drone(battery_pct=needed_pct - 1e-9)], [trip()]).able[0]


def test_only_telemetry_age_the_usual_area_and_a_full_hub_can_be_overridden():
    soft = {rule.code for rule in Rule if rule & SOFT}
    assert soft == {"telemetry_aging", "outside_area", "hub_full"}


def test_every_payload_type_has_a_bit():
    assert set(PAYLOAD_TYPES) == set(PayloadType.values)


# --- no-fly zones --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (no_fly(-1, 0.9, 1, 1.1), {"in_no_fly_zone"}),  # around the pickup
        (no_fly(-1, 2.9, 1, 3.1), {"in_no_fly_zone"}),  # around the door
        (no_fly(-1, 0.4, 1, 0.6), {"crosses_no_fly_zone"}),  # before the pickup
        (no_fly(-1, 1.9, 1, 2.1), {"crosses_no_fly_zone"}),  # before the door
        (no_fly(-0.1, -0.1, 0.1, 0.1), {"takeoff_or_landing_in_zone"}),  # around drone and hub
        (no_fly(0.1, -1, 1, 5), set()),  # beside all legs
    ],
)
def test_a_zone_on_any_leg_excludes_the_pair(zone, expected):
    assert codes(verdicts([drone()], [trip()], zone)) == expected


def test_a_zone_on_the_way_home_excludes_the_pair():
    away = drone(0.0, 3.0, home_lng=2 * DEG_PER_KM)
    assert codes(verdicts([away], [trip()], no_fly(0.9, 1.4, 1.1, 1.6))) == {"crosses_no_fly_zone"}


@pytest.mark.parametrize(
    ("from_s", "until_s", "blocks"),
    [
        (-600, -1, False),  # expired
        (-600, 1, True),
        (60, 120, True),  # starts during the flight
        (690, None, True),  # shortly before the drone is home
        (880, None, True),  # shortly before it is back from a drop that failed
        (900, None, False),  # after it
    ],
)
def test_a_zone_applies_if_it_is_active_before_the_drone_is_home(from_s, until_s, blocks):
    start = NOON + timedelta(seconds=from_s)
    end = None if until_s is None else NOON + timedelta(seconds=until_s)
    found = verdicts([drone()], [trip()], no_fly(-1, 1.9, 1, 2.1, (start, end)))
    assert found.busy_s[0] == pytest.approx(708.3, abs=0.1)
    assert found.able[0] != blocks


def test_a_zone_that_starts_later_blocks_only_long_trips():
    zone = no_fly(-1, 0.4, 1, 0.6, (NOON + timedelta(seconds=600), None))
    found = verdicts([drone()], [trip(), trip((0.0, 1.0), (0.0, 1.1))], zone)
    assert found.able.tolist() == [False, True]


# --- messages ------------------------------------------------------------------------------------


def message(found: Verdicts) -> str:
    return found.explain(0)[0].message


def test_reasons_contain_their_numbers():
    low = verdicts([drone(battery_pct=38.0)], [trip()])
    reason = low.explain(0)[0]
    assert reason.message == (
        "Needs 43 % battery with the 20 % reserve for a delivery and 54 % for a drop that fails "
        "(180 s of waiting and the flight back with the parcel), has 38 %."
    )
    assert reason.needed == pytest.approx(low.needed_pct[0] + 20)
    assert reason.has == 38.0
    assert message(verdicts([drone()], [trip(**HEAVY)])) == (
        "The payload weighs 2.6 kg, WX-DRN-001 carries at most 2.5 kg."
    )
    assert message(verdicts([drone(telemetry_age_s=75.2)], [trip()])) == (
        "The telemetry of WX-DRN-001 is 76 s old, at most 60 s is allowed."
    )
    assert "in the future" in message(verdicts([drone(telemetry_age_s=-75.0)], [trip()]))
    assert message(verdicts([drone()], [trip(**BLOOD)])) == "WX-DRN-001 does not carry blood."
    large = verdicts([drone(max_size_cm=(40, 30, 20))], [trip(size_cm=(25, 25, 25))])
    assert message(large) == (
        "The parcel measures 25 × 25 × 25 cm, WX-DRN-001 carries at most 40 × 30 × 20 cm."
    )
    assert (large.explain(0)[0].needed, large.explain(0)[0].has) == (25, 20)
    crossing = verdicts([drone()], [trip()], no_fly(-1, 1.9, 1, 2.1))
    assert message(crossing) == "The flight would cross Airport."


def test_rounding_does_not_hide_a_small_shortage():
    needed_pct = float(verdicts([drone()], [trip()]).needed_pct[0]) + RULES.reserve_pct
    found = verdicts([drone(battery_pct=needed_pct - 0.01)], [trip()])
    assert message(found) == (
        "Needs 54 % battery with the 20 % reserve for a drop that fails (180 s of waiting and the "
        "flight back with the parcel), has 53 %."
    )


def test_hard_reasons_come_first_and_every_rule_has_a_message():
    found = verdicts([drone()], [trip()], no_fly(-1, 1.9, 1, 2.1), wind_mps=2.0)
    reasons = replace(found, reasons=np.array([sum(Rule)])).explain(0)
    assert [reason.code for reason in reasons[-3:]] == [
        "telemetry_aging",
        "outside_area",
        "hub_full",
    ]
    assert [reason.overridable for reason in reasons] == [False] * (len(Rule) - 3) + [True] * 3
    assert all(reason.message.endswith(".") for reason in reasons)


def test_reasons_are_counted_per_trip():
    drones = [drone(), drone(grounded=True), drone(grounded=True, area=1)]
    found = verdicts(drones, [trip(), trip(**HEAVY)])
    counted = {code: count.tolist() for code, count in found.ruled_out().items()}
    assert counted == {"grounded": [2, 2], "outside_area": [1, 1], "too_heavy": [0, 3]}


# --- trips that no drone can fly -----------------------------------------------------------------

LIFTER = {
    **QUAD,
    "max_payload_kg": 8.0,
    "battery_wh": 1000.0,
    "payload_types": payload_bits(["FOOD"]),
}


def best(drones: list[dict], this_trip: dict, zones: Zones = NOWHERE) -> Verdicts:
    return verdicts(at_their_best(DroneTable.from_rows(drones)), [this_trip], zones)


def refused(drones: list[dict], this_trip: dict, zones: Zones = NOWHERE) -> list[str]:
    return [reason.code for reason in refusals(best(drones, this_trip, zones))]


def test_the_best_case_is_a_charged_drone_at_home():
    worst = drone(9.0, 9.0, battery_pct=3.0, telemetry_age_s=math.inf, armed=1, grounded=1, busy=1)
    found = best([worst, drone(None, None), drone(registered=False), drone(active=False)], trip())
    assert found.able.tolist() == [True]
    assert found.to_pickup_s[0] == verdicts([drone()], [trip()]).to_pickup_s[0]


def test_the_best_case_has_one_drone_per_kind_and_hub():
    drones = [drone(), drone(), drone(**LIFTER), drone(home_lat=0.1), drone(**LIFTER)]
    assert len(at_their_best(DroneTable.from_rows(drones))) == 3


@pytest.mark.parametrize(
    ("this_trip", "expected"),
    [
        (trip(), []),
        (trip(payload_weight_kg=7.0, payload_type=payload_bits(["FOOD"])), []),
        (trip(payload_weight_kg=9.0), ["payload_too_heavy"]),
        (trip(payload_weight_kg=3.0), ["payload_too_heavy"]),  # the lifter does not carry parcels
        (trip(**BLOOD), ["payload_type_unsupported"]),
        (trip(payload_weight_kg=9.0, **BLOOD), ["payload_type_unsupported", "payload_too_heavy"]),
        (trip((0.0, 1.0), (0.0, 30.0)), ["out_of_range"]),
        (trip(area=5), ["out_of_range"]),
    ],
)
def test_a_trip_that_no_drone_can_ever_fly_is_refused(this_trip, expected):
    assert refused([drone(), drone(**LIFTER)], this_trip) == expected


def test_a_trip_that_is_too_long_names_the_ending_that_is():
    one, both = (
        refusals(best([drone()], trip((0.0, 1.0), (0.0, km), payload_weight_kg=2.5)))[0].message
        for km in (8, 12)
    )
    assert one == (
        "The trip is too long: even the best drone here would need 104 % battery with the 20 % "
        "reserve for a drop that fails (180 s of waiting and the flight back with the parcel)."
    )
    assert " need 102 % battery with the 20 % reserve for a delivery and 136 % for a drop " in both


def test_a_parcel_that_fits_into_no_drone_is_refused_with_the_limits_of_each_kind():
    kinds = [drone(max_size_cm=(40, 30, 20)), drone(max_size_cm=(15, 60, 15))]
    assert refused(kinds, trip(size_cm=(15, 15, 60))) == []
    (reason,) = refusals(best(kinds, trip(size_cm=(61, 10, 10))))
    assert reason.code == "payload_too_large"
    assert reason.message == (
        "The parcel measures 61 × 10 × 10 cm; at most 60 × 15 × 15 cm or 40 × 30 × 20 cm can be "
        "carried here."
    )


def test_a_parcel_that_is_too_heavy_for_one_kind_and_too_large_for_the_other_is_refused():
    small = drone(max_size_cm=(40, 30, 20))
    strong = drone(max_size_cm=(20, 20, 20), max_payload_kg=8.0)
    large = {"size_cm": (40, 30, 20)}
    assert refused([small, strong], trip(payload_weight_kg=3.0, **large)) == ["payload_too_large"]
    far_too_large = {"size_cm": (90, 90, 90), "payload_weight_kg": 9.0}
    both = ["payload_too_heavy", "payload_too_large"]
    assert refused([small, strong], trip(**far_too_large)) == both


def test_a_trip_blocked_for_every_hub_is_refused():
    assert refused([drone()], trip(), no_fly(-1, 2.9, 1, 3.1)) == ["in_no_fly_zone"]
    assert refused([drone()], trip(), no_fly(-1, 1.9, 1, 2.1)) == ["in_no_fly_zone"]
    beyond = no_fly(-1, 0.4, 1, 0.6)
    other_hub = {"home_lat": 4 * DEG_PER_KM}
    assert refused([drone()], trip(), beyond) == ["in_no_fly_zone"]
    assert refused([drone(), drone(**other_hub)], trip(), beyond) == []


def test_without_any_drone_every_trip_is_out_of_range():
    assert refused([], trip()) == ["out_of_range"]


# --- tables --------------------------------------------------------------------------------------


def test_columns_of_different_lengths_are_refused():
    table = TripTable.from_rows([trip(), trip()])
    with pytest.raises(ValueError, match="different lengths"):
        replace(table, area=[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"pickup_lat": None},
        {"dropoff_lng": math.nan},
        {"payload_weight_kg": 0.0},
        {"payload_weight_kg": -1.0},
        {"payload_weight_kg": None},
        {"payload_type": 0},
    ],
)
def test_a_trip_without_coordinates_or_payload_is_refused(changes):
    with pytest.raises(ValueError, match="a trip has no"):
        TripTable.from_rows([trip(**changes)])


def test_an_unknown_payload_type_is_an_error():
    with pytest.raises(ValueError, match="GOLD"):
        payload_bits(["PARCEL", "GOLD"])
