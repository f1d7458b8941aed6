"""The real state of parcels, missions and drones after failures, staff actions and restarts."""

import json
from typing import Any

import pytest

from fleet.simulator import staff
from fleet.simulator.faults.board import Fault
from fleet.simulator.missions import Refused
from fleet.simulator.world import World
from fleet.tests.flown import (
    SECOND_DRONE,
    SECOND_ID,
    event_types,
    fly_home,
    fly_into,
    fly_until,
    flying,
    the_aircraft,
    two_drones,
)
from fleet.tests.simulated import DRONE_ID, INTENT_ID, ORDER_ID, mission_intent, second_intent

FIELD = (5.62, -0.19)


def parcel(world: World) -> dict[str, Any]:
    (one,) = staff.truth(world)["parcels"]
    return one


def violations(world: World) -> list[str]:
    return [violation["kind"] for violation in staff.truth(world)["violations"]]


def finish(world: World) -> None:
    while any(aircraft.legs for aircraft in world.aircraft.values()):
        world.step(0.5)


def second_mission(**place: float) -> dict[str, Any]:
    """A mission of the same order for the second drone. `lat`, `lng`: its pickup."""
    intent = mission_intent(intent_id=SECOND_ID, drone_id=SECOND_DRONE)
    intent["pickup"] |= place
    return intent


def test_a_delivery_moves_the_parcel_from_pickup_to_drop():
    world = flying()
    fly_home(world)
    stops = parcel(world)["stops"]
    assert [stop["where"] for stop in stops] == ["AT_PICKUP", "ABOARD", "AT_DROP"]
    assert [stop["drone_id"] for stop in stops] == [None, DRONE_ID, None]
    assert (stops[2]["lat"], stops[2]["lng"]) == (5.6170, -0.1820)
    assert [stop["at"] for stop in stops] == sorted(stop["at"] for stop in stops)
    (mission,) = staff.truth(world)["missions"]
    assert (mission["live"], mission["over_why"]) == (False, "dropped")
    assert mission["over_at"] == stops[2]["at"]
    assert violations(world) == []


def test_flying_without_the_parcel_is_a_violation():
    world = flying(Fault("carry_home", DRONE_ID, report=True))
    fly_home(world)
    world.accept(second_mission())
    finish(world)
    assert violations(world) == ["flew_without_parcel"]
    assert event_types(world, SECOND_ID)[-1] == "DELIVERED"
    assert parcel(world)["drone_id"] == DRONE_ID
    (violation,) = staff.truth(world)["violations"]
    assert (violation["order_id"], violation["drone_id"]) == (ORDER_ID, SECOND_DRONE)


def test_a_parcel_at_the_hub_can_be_delivered_from_there():
    world = flying(Fault("carry_home", DRONE_ID, report=True))
    fly_home(world)
    staff.unload(world, DRONE_ID, (5.6037, -0.1870))
    world.accept(second_mission(lat=5.6037, lng=-0.1870))
    finish(world)
    assert violations(world) == []
    assert parcel(world)["where"] == "AT_DROP"


@pytest.mark.parametrize("drop", [False, True])
def test_staff_collect_a_parcel_and_a_drone_from_the_field(drop):
    world = flying(Fault("land_short", DRONE_ID, drop=drop))
    fly_home(world)
    staff.collect(world, ORDER_ID, (5.6037, -0.1870))
    assert parcel(world)["where"] == "AT_HUB"
    assert the_aircraft(world).payload_kg == 0
    assert staff.truth(world)["drones"][0]["aboard"] == []
    assert not the_aircraft(world).at_home
    staff.bring_home(world, DRONE_ID)
    assert the_aircraft(world).at_home


def test_two_missions_of_one_order_are_violations():
    world = flying()
    fly_until(world, "ENROUTE")
    world.accept(second_mission())
    assert violations(world) == ["two_open_missions"]
    world.step(10)
    assert violations(world) == ["two_open_missions", "two_live_missions"]
    finish(world)
    assert violations(world)[2:] == ["flew_without_parcel"]


def test_a_failed_mission_on_its_way_home_is_not_live():
    world = flying(Fault("abort", DRONE_ID))
    fly_until(world, "ABORTED")
    assert staff.truth(world)["drones"][0]["airborne"]
    world.accept(second_mission())
    finish(world)
    assert violations(world) == []


def test_a_withdrawn_mission_is_over():
    world = flying()
    world.cancel(INTENT_ID, "withdraw")
    world.accept(second_mission())
    finish(world)
    assert violations(world) == []
    assert [mission["over_why"] for mission in staff.truth(world)["missions"]] == [
        "withdrawn",
        "dropped",
    ]


def test_sending_a_loaded_drone_to_its_first_pickup_is_a_violation():
    world = flying(Fault("land_short", DRONE_ID))
    fly_home(world)
    world.accept(mission_intent(intent_id=SECOND_ID))
    fly_home(world)
    assert violations(world) == ["sent_to_wrong_pickup"]


def test_version_2_without_load_flies_straight_to_the_drop_and_to_return_to():
    world = two_drones()
    world.accept(second_intent())
    finish(world)
    assert violations(world) == []
    world = flying(Fault("carry_home", DRONE_ID))
    fly_home(world)
    other_hub = {"hub_id": "2", "lat": 5.6150, "lng": -0.1850}
    world.accept(second_intent(load=False, intent_id=SECOND_ID) | {"return_to": other_hub})
    fly_into(world, "TAKEOFF")
    assert [leg.phase for leg in the_aircraft(world).legs[:2]] == ["TAKEOFF", "TO_DROPOFF"]
    fly_home(world)
    assert violations(world) == []
    assert parcel(world)["where"] == "AT_DROP"
    aircraft = the_aircraft(world)
    assert (aircraft.lat, aircraft.lng) == (5.6150, -0.1850)
    assert aircraft.at_home
    charge_pct = aircraft.battery_pct
    world.step(60)
    assert aircraft.battery_pct > charge_pct


def test_version_2_without_load_needs_loading_by_hand():
    world = two_drones()
    at_hub = second_intent(load=False)
    at_hub["pickup"] |= {"lat": 5.6037, "lng": -0.1870}
    world.accept(at_hub)
    fly_into(world, "TAKEOFF")
    assert parcel(world)["drone_id"] == DRONE_ID
    world = two_drones()
    world.accept(second_intent(load=False))
    fly_home(world)
    assert violations(world) == ["flew_without_parcel"]


def test_staff_load_a_parcel_that_is_next_to_the_drone():
    world = flying()
    world.cancel(INTENT_ID, "withdraw")
    with pytest.raises(Refused, match="not at WX-DRN-001"):
        staff.load(world, ORDER_ID, DRONE_ID)
    staff.collect(world, ORDER_ID, (5.6037, -0.1870))
    staff.load(world, ORDER_ID, DRONE_ID)
    assert parcel(world)["drone_id"] == DRONE_ID


def test_impossible_staff_actions_are_refused():
    world = flying()
    with pytest.raises(Refused, match="carries no parcel"):
        staff.unload(world, DRONE_ID, None)
    with pytest.raises(Refused, match="There is no drone"):
        staff.bring_home(world, "WX-DRN-404")
    with pytest.raises(Refused, match="No mission of order"):
        staff.collect(world, "nothing", FIELD)
    fly_into(world, "TO_DROPOFF")
    with pytest.raises(Refused, match="in the air"):
        staff.collect(world, ORDER_ID, FIELD)


def test_the_truth_survives_a_restart():
    world = flying(Fault("carry_home", DRONE_ID), Fault("late_report", DRONE_ID))
    fly_until(world, "ENROUTE")
    world.accept(second_mission())
    fly_into(world, "RETURN")
    again = two_drones()
    again.restore(json.loads(world.to_json()))
    assert staff.truth(again) == staff.truth(world)
    assert again.missions == world.missions
    finish(again)
    assert parcel(again)["drone_id"] == DRONE_ID
