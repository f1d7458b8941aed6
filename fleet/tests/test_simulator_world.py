"""The simulated world: physics, missions, events. No network, no real time."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.simulator.airframe import distance_m
from fleet.simulator.course import ARRIVAL_RADIUS_M
from fleet.simulator.faults.board import Fault, parse
from fleet.simulator.intents import check_intent
from fleet.simulator.missions import COURSE, Refused
from fleet.simulator.telemetry import latest
from fleet.simulator.world import World
from fleet.tests.flown import a_world, event_types, fly_home, fly_until, the_aircraft
from fleet.tests.simulated import DRONE_ID, INTENT_ID, mission_intent, sim_drone


def answer_of(world: World) -> str:
    return json.dumps(latest(world.readings.values(), world.now, broken=set()))


def test_a_mission_is_reported_in_order_and_ends_at_home():
    world = a_world()
    assert world.accept(mission_intent()) is True
    fly_home(world)
    aircraft = the_aircraft(world)
    assert tuple(event_types(world)) == COURSE
    assert aircraft.at_home
    assert not aircraft.armed
    assert aircraft.payload_kg == 0
    stamps = [event.occurred_at for event in world.missions[INTENT_ID].events]
    assert stamps == sorted(stamps)
    assert len({event.event_id for event in world.missions[INTENT_ID].events}) == len(COURSE)


def test_loading_at_the_pickup_sends_no_report():
    world = a_world()
    world.accept(mission_intent())
    low_at_pickup = False
    while the_aircraft(world).payload_kg == 0:
        world.step(0.5)
        low_at_pickup |= the_aircraft(world).phase == "LOADING"
    assert low_at_pickup
    assert event_types(world) == ["LAUNCHED", "ENROUTE"]


def test_each_event_is_reported_at_its_place():
    world = a_world()
    intent = mission_intent()
    world.accept(intent)
    drop = (intent["dropoff"]["lat"], intent["dropoff"]["lng"])
    aircraft = the_aircraft(world)
    fly_until(world, "LAUNCHED")
    assert aircraft.armed
    assert aircraft.alt_m < intent["pickup"]["alt_m"]
    fly_until(world, "ARRIVED")
    assert distance_m(aircraft.lat, aircraft.lng, *drop) <= ARRIVAL_RADIUS_M
    fly_until(world, "DELIVERING")
    assert aircraft.alt_m == intent["dropoff"]["delivery_alt_m"]
    fly_until(world, "DELIVERED")
    world.step(2)
    assert aircraft.alt_m > intent["dropoff"]["delivery_alt_m"]


def test_passing_the_drop_without_the_parcel_is_not_arrived():
    world = a_world()
    intent = mission_intent()
    drone = the_aircraft(world).drone
    halfway = (drone.home_lat + intent["pickup"]["lat"]) / 2
    intent["dropoff"] |= {"lat": halfway, "lng": drone.home_lng}
    intent["pickup"] |= {"lng": drone.home_lng}
    world.accept(intent)
    while the_aircraft(world).payload_kg == 0:
        world.step(0.5)
    assert "ARRIVED" not in event_types(world)
    fly_home(world)
    assert tuple(event_types(world)) == COURSE


def test_the_same_seed_and_steps_give_the_same_telemetry():
    def run(seed: int) -> list[str]:
        world = a_world(seed)
        world.accept(mission_intent())
        answers = []
        for _ in range(200):
            world.step(2)
            answers.append(answer_of(world))
        return answers

    assert run(7) == run(7)
    assert run(7) != run(8)


OFFSETS = st.floats(-0.03, 0.03)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    pickup=st.tuples(OFFSETS, OFFSETS),
    drop=st.tuples(OFFSETS, OFFSETS),
    payload_kg=st.floats(0.1, 2.5),
    step_s=st.sampled_from([0.2, 1, 3.7]),
)
def test_every_flight_is_physically_possible_and_returns(seed, pickup, drop, payload_kg, step_s):
    world = a_world(seed)
    aircraft = the_aircraft(world)
    drone = aircraft.drone
    intent = mission_intent(payload_weight_kg=payload_kg)
    intent["constraints"]["max_wind_mps"] = 40
    for place, (lat, lng) in (("pickup", pickup), ("dropoff", drop)):
        intent[place] |= {"lat": drone.home_lat + lat, "lng": drone.home_lng + lng}
    world.accept(intent)
    while aircraft.legs:
        lat, lng, alt_m, charge_wh = aircraft.lat, aircraft.lng, aircraft.alt_m, aircraft.energy_wh
        was_armed = aircraft.armed
        world.step(step_s)
        way_m = distance_m(lat, lng, aircraft.lat, aircraft.lng)
        assert way_m <= (drone.cruise_speed_mps + 10) * step_s
        fastest_mps = max(drone.climb_speed_mps, drone.descent_speed_mps)
        assert abs(aircraft.alt_m - alt_m) <= fastest_mps * step_s + 1e-9
        if was_armed and aircraft.armed:
            assert aircraft.energy_wh < charge_wh
        assert 0 < aircraft.energy_wh <= drone.battery_wh
        assert world.elapsed_s < 10_000
    assert tuple(event_types(world)) == COURSE
    assert aircraft.at_home


def test_a_heavier_parcel_needs_more_energy():
    def charge_left(payload_kg: float) -> float:
        world = a_world(charge_w=1e-9)
        world.accept(mission_intent(payload_weight_kg=payload_kg))
        fly_home(world)
        return the_aircraft(world).battery_pct

    assert charge_left(0.1) > charge_left(1.0) > charge_left(2.5)


def test_power_follows_momentum_theory():
    drone = sim_drone(empty_mass_kg=4, hover_power_w=400, cruise_power_w=320, climb_speed_mps=3.5)
    assert drone.hover_w(0) == 400
    assert drone.hover_w(5) == pytest.approx(400 * 2.25**1.5)
    assert drone.cruise_w(5) == pytest.approx(320 * 2.25**1.5)
    assert drone.climb_w(0) == pytest.approx(400 + 4 * 9.81 * 3.5 / 0.7)


def test_a_drone_at_home_charges_until_it_is_full():
    world = a_world(battery_pct=50, battery_wh=400, charge_w=400)
    world.step(360)
    assert the_aircraft(world).battery_pct == pytest.approx(60)
    world.step(7200)
    assert the_aircraft(world).battery_pct == 100


def test_an_intent_posted_again_is_the_same_mission():
    world = a_world()
    assert [world.accept(mission_intent()) for _ in range(3)] == [True, False, False]
    assert len(world.missions) == 1
    assert world.missions[INTENT_ID].posts == 3
    fly_home(world)
    assert world.accept(mission_intent()) is False
    assert not the_aircraft(world).legs


@pytest.mark.parametrize(
    ("drone", "change", "code", "number"),
    [
        ({}, {"drone_id": "WX-DRN-404"}, "unknown_drone", "WX-DRN-404"),
        ({"battery_pct": 41.5}, {"battery_min_pct": 45}, "battery_too_low", "41.5 %"),
        ({"battery_pct": 2}, {"battery_min_pct": 0}, "battery_too_low", "2.0 %"),
        ({}, {"payload_weight_kg": 3}, "payload_too_heavy", "3 kg"),
        ({}, {"max_wind_mps": 0}, "wind_too_strong", "0 m/s"),
    ],
)
def test_an_infeasible_mission_is_refused_with_the_numbers(drone, change, code, number):
    world = a_world(**drone)
    with pytest.raises(Refused) as refusal:
        world.accept(mission_intent(**change))
    assert refusal.value.code == code
    assert number in refusal.value.detail
    assert not world.missions
    assert not the_aircraft(world).legs


def test_a_flying_drone_refuses_a_second_mission():
    world = a_world()
    world.accept(mission_intent())
    with pytest.raises(Refused) as refusal:
        world.accept(mission_intent(intent_id="22222222-2222-4222-8222-222222222222"))
    assert refusal.value.code == "drone_busy"


@pytest.mark.parametrize(
    ("place", "name", "value", "message"),
    [
        ("dropoff", "lat", 91, "dropoff.lat: 91"),
        ("dropoff", "delivery_alt_m", 90, "above the cruise altitude"),
        ("pickup", "lng", "here", "pickup.lng: 'here'"),
        ("pickup", "speed", 3, "'speed' was unexpected"),
        ("metadata", "created_at", "yesterday", "metadata.created_at: 'yesterday'"),
        ("metadata", "priority", "SOON", "metadata.priority: 'SOON'"),
        ("constraints", "geofence_id", "x", "'geofence_id' was unexpected"),
    ],
)
def test_an_invalid_intent_is_refused_with_the_members_name(place, name, value, message):
    intent = mission_intent()
    intent[place][name] = value
    with pytest.raises(Refused, match=message) as refusal:
        check_intent(intent)
    assert refusal.value.code == "malformed_intent"


def test_a_valid_intent_is_returned_unchanged():
    assert check_intent(mission_intent()) == mission_intent()


def test_a_withdrawn_mission_is_never_flown():
    world = a_world()
    world.accept(mission_intent())
    assert world.cancel(INTENT_ID, "withdraw") == "withdrawn"
    assert world.cancel(INTENT_ID, "withdraw") == "withdrawn"
    assert world.accept(mission_intent()) is False
    world.step(60)
    assert not the_aircraft(world).armed
    assert event_types(world) == []


def test_after_launch_a_mission_can_only_be_aborted():
    world = a_world()
    world.accept(mission_intent())
    fly_until(world, "ENROUTE")
    assert world.cancel(INTENT_ID, "withdraw") == "launched"
    assert world.cancel(INTENT_ID, "abort") == "abort_requested"
    fly_home(world)
    assert event_types(world) == ["LAUNCHED", "ENROUTE", "ABORTED"]
    assert world.cancel(INTENT_ID, "abort") == "abort_requested"
    assert the_aircraft(world).at_home


def test_a_delivered_mission_cannot_be_aborted():
    world = a_world()
    world.accept(mission_intent())
    fly_until(world, "DELIVERED")
    assert world.cancel(INTENT_ID, "abort") == "delivered"
    fly_home(world)
    assert tuple(event_types(world)) == COURSE


def test_an_unknown_mission_cannot_be_cancelled():
    with pytest.raises(KeyError):
        a_world().cancel(INTENT_ID, "withdraw")


@pytest.mark.parametrize(("kind", "last"), [("mission_fail", "FAILED"), ("abort", "ABORTED")])
def test_a_failed_flight_is_reported_once_and_the_next_one_succeeds(kind, last):
    world = a_world()
    world.faults.add(Fault(kind, DRONE_ID), world.elapsed_s)
    world.accept(mission_intent())
    fly_home(world)
    assert event_types(world)[-1] == last
    assert "DELIVERED" not in event_types(world)
    world.step(3600)
    again = mission_intent(intent_id="22222222-2222-4222-8222-222222222222")
    world.accept(again)
    fly_home(world)
    assert world.missions[again["intent_id"]].status == "DELIVERED"


def test_a_failed_drone_loiters_if_the_intent_says_so():
    world = a_world()
    world.faults.add(Fault("mission_fail", DRONE_ID), world.elapsed_s)
    intent = mission_intent()
    intent["safety"] |= {"abort_rtl_on_fail": False, "loiter_timeout_s": 90}
    world.accept(intent)
    fly_until(world, "FAILED")
    assert the_aircraft(world).mode == "LOITER"
    world.step(91)
    assert the_aircraft(world).mode == "RTL"


def test_a_low_battery_returns_home_and_an_empty_one_lands_at_once():
    for pct, mode, at_home in ((8, "RTL", True), (0, "LAND", False)):
        world = a_world()
        world.accept(mission_intent())
        fly_until(world, "ENROUTE")
        world.step(20)
        world.faults.add(Fault("drain_battery", DRONE_ID, pct=pct), world.elapsed_s)
        world.step(1)
        assert event_types(world)[-1] == "FAILED"
        assert the_aircraft(world).mode == mode
        fly_home(world)
        assert the_aircraft(world).at_home is at_home
        assert event_types(world).count("FAILED") == 1


def test_a_lost_link_stops_telemetry_but_not_the_flight():
    world = a_world()
    world.accept(mission_intent())
    world.faults.add(Fault("lose_link", DRONE_ID, in_s=10, for_s=20), world.elapsed_s)
    world.step(9)
    before = world.readings[DRONE_ID]
    world.step(10)
    assert world.readings[DRONE_ID] == before
    assert the_aircraft(world).alt_m > before.alt_m + 5
    world.step(15)
    assert world.readings[DRONE_ID].received_at == world.now


def test_a_frozen_drone_repeats_its_last_measurement():
    world = a_world()
    world.accept(mission_intent())
    world.step(10)
    before = world.readings[DRONE_ID]
    world.faults.add(Fault("freeze", DRONE_ID), world.elapsed_s)
    world.step(10)
    frozen = world.readings[DRONE_ID]
    assert frozen.received_at == world.now
    assert (frozen.measured_at, frozen.lat, frozen.alt_m) == (
        before.measured_at,
        before.lat,
        before.alt_m,
    )


def test_a_world_saved_in_flight_can_be_restored():
    world = a_world()
    world.accept(mission_intent())
    fly_until(world, "ARRIVED")
    again = a_world()
    again.restore(json.loads(world.to_json()))
    assert the_aircraft(again) == the_aircraft(world)
    assert again.missions == world.missions
    fly_home(again)
    assert tuple(event_types(again)) == COURSE


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("lose-link:WX-DRN-003@30", Fault("lose_link", "WX-DRN-003", in_s=30)),
        ("lose-link:WX-DRN-003@30+60", Fault("lose_link", "WX-DRN-003", in_s=30, for_s=60)),
        ("bridge-500,times=3,after=true", Fault("bridge_500", times=3, after=True)),
        ("garbage@5,how=truncated", Fault("garbage", in_s=5, how="truncated")),
    ],
)
def test_faults_are_parsed_from_the_command_line(text, fault):
    assert parse(text) == fault


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zap", "unknown fault 'zap'"),
        ("lose-link", "lose_link needs a drone_id"),
        ("bridge-down:WX-DRN-003", "bridge_down takes no drone_id"),
        ("garbage,how=purple", "unknown garbage 'purple'"),
        ("garbage,colour=red", "unknown fields"),
        ("lose-link:WX-DRN-003@soon", "is not KIND"),
    ],
)
def test_an_invalid_fault_is_refused_with_the_reason(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)
