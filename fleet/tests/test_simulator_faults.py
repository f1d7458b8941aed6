"""Faults in simulated flights, telemetry and reports, and the truth they lead to."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.simulator import staff
from fleet.simulator.airframe import distance_m
from fleet.simulator.faults.board import DEFAULTS, KINDS, Fault, parse
from fleet.simulator.missions import COURSE, PICKED_UP
from fleet.simulator.world import World
from fleet.tests.flown import (
    NOW,
    a_world,
    event_types,
    fly_home,
    fly_into,
    fly_until,
    flying,
    the_aircraft,
)
from fleet.tests.simulated import DRONE_ID, INTENT_ID, ORDER_ID, mission_intent

DROP = (5.6170, -0.1820)


def parcel(world: World) -> dict[str, Any]:
    return world.ledger.parcels[ORDER_ID].summary()


def places(world: World) -> list[str]:
    return [stop["where"] for stop in parcel(world)["stops"]]


def sample(world: World) -> dict[str, Any]:
    """The telemetry message that a poll gets for the first drone now."""
    entry = world.samples()[0].as_entry()
    assert entry["drone_id"] == DRONE_ID
    return entry["telemetry"]


def to_drop_m(world: World) -> float:
    return distance_m(the_aircraft(world).lat, the_aircraft(world).lng, *DROP)


# --- in flight -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("report", "reported"), [(False, ()), (True, ("FAILED",))])
def test_a_drone_can_land_short_of_the_drop_with_its_parcel(report, reported):
    world = flying(Fault("land_short", DRONE_ID, report=report))
    fly_home(world)
    aircraft = the_aircraft(world)
    assert not aircraft.armed
    assert aircraft.alt_m == 0
    assert 350 < to_drop_m(world) < 410
    assert tuple(event_types(world)) == ("LAUNCHED", "ENROUTE", *reported)
    assert (parcel(world)["where"], parcel(world)["drone_id"]) == ("ABOARD", DRONE_ID)
    assert aircraft.payload_kg == 1.2
    world.step(60)
    assert not aircraft.legs


def test_on_a_short_way_the_drone_lands_half_way():
    world = flying(Fault("land_short", DRONE_ID, metres=50_000))
    fly_home(world)
    way_m = distance_m(5.6090, -0.1900, *DROP)
    assert to_drop_m(world) == pytest.approx(way_m / 2, abs=20)


def test_a_parcel_can_be_dropped_in_the_field():
    world = flying(Fault("land_short", DRONE_ID, drop=True))
    fly_home(world)
    assert parcel(world)["where"] == "ON_GROUND"
    assert distance_m(parcel(world)["lat"], parcel(world)["lng"], *DROP) > 350
    assert the_aircraft(world).payload_kg == 0


def test_a_motor_failure_is_reported():
    world = flying(Fault("motor_failure", DRONE_ID))
    fly_home(world)
    (*_, last) = world.missions[INTENT_ID].events
    assert (last.event_type, last.message) == ("FAILED", "Motor 3 failed, emergency landing")
    assert not the_aircraft(world).at_home
    assert parcel(world)["drone_id"] == DRONE_ID


def test_a_parcel_carried_home_stays_aboard_until_it_is_unloaded():
    world = flying(Fault("carry_home", DRONE_ID))
    fly_home(world)
    assert the_aircraft(world).at_home
    assert event_types(world) == ["LAUNCHED", "ENROUTE"]
    world.step(600)
    assert parcel(world)["where"] == "ABOARD"
    staff.unload(world, DRONE_ID, None)
    assert places(world) == ["AT_PICKUP", "ABOARD", "AT_HUB"]
    assert the_aircraft(world).payload_kg == 0


def test_an_abort_reveals_a_failure_that_was_not_reported():
    world = flying(Fault("carry_home", DRONE_ID))
    fly_into(world, "RETURN")
    assert world.cancel(INTENT_ID, "abort") == "abort_requested"
    assert event_types(world)[-1] == "ABORTED"
    world = flying(Fault("carry_home", DRONE_ID))
    fly_home(world)
    assert world.cancel(INTENT_ID, "abort") == "failed"


@pytest.mark.parametrize(
    ("drop", "report", "reported", "where"),
    [
        (True, True, COURSE, "AT_DROP"),
        (True, False, COURSE[:-1], "AT_DROP"),
        (False, True, (*COURSE[:-1], "FAILED"), "ABOARD"),
        (False, False, COURSE[:-1], "ABOARD"),
    ],
)
def test_a_drone_can_stay_at_the_drop_without_limit(drop, report, reported, where):
    world = flying(Fault("stay_at_drop", DRONE_ID, drop=drop, report=report))
    fly_home(world)
    world.step(3600)
    assert to_drop_m(world) < 1
    assert not the_aircraft(world).armed
    sent = [e.event_type for e in world.missions[INTENT_ID].events if e.copies]
    assert tuple(sent) == reported
    assert parcel(world)["where"] == where


def test_a_drone_can_stay_at_the_drop_and_return():
    world = flying(Fault("stay_at_drop", DRONE_ID, seconds=120))
    fly_into(world, "STAYING")
    started_s = world.elapsed_s
    assert not the_aircraft(world).armed
    fly_into(world, "RETURN_CLIMB")
    assert world.elapsed_s - started_s == pytest.approx(120, abs=1)
    fly_home(world)
    assert the_aircraft(world).at_home
    assert tuple(event_types(world)) == COURSE


# --- in telemetry --------------------------------------------------------------------------------


def test_a_number_of_samples_can_have_armed_inverted():
    world = flying(Fault("glitch_armed", DRONE_ID, times=2, phase="TO_DROPOFF"))
    fly_into(world, "TO_PICKUP")
    assert sample(world)["state"]["armed"] is True
    fly_into(world, "TO_DROPOFF")
    world.step(5)
    samples = [sample(world) for _ in range(3)]
    assert [one["state"]["armed"] for one in samples] == [False, False, True]
    assert all(one["position"]["alt_m"] > 50 for one in samples)


def test_altitude_faults_change_one_sample_or_the_datum():
    world = a_world()
    world.faults.add(Fault("glitch_altitude", DRONE_ID, metres=-80, times=1), 0)
    assert sample(world)["position"]["alt_m"] == pytest.approx(-80, abs=3)
    assert sample(world)["position"]["alt_m"] == pytest.approx(0, abs=3)
    world.faults.add(Fault("datum_change", DRONE_ID, for_s=60), 0)
    for _ in range(2):
        world.step(20)
        assert sample(world)["position"]["alt_m"] == pytest.approx(61, abs=3)
    world.step(30)
    assert sample(world)["position"]["alt_m"] == pytest.approx(0, abs=3)


def test_the_position_can_be_missing_near_the_drop():
    world = flying(Fault("null_position", DRONE_ID, metres=60))
    positions = []
    while the_aircraft(world).legs:
        world.step(0.5)
        position = sample(world)["position"]
        positions.append(
            (to_drop_m(world) <= 60, position["lat"] is None, position["alt_m"] is None)
        )
    assert all(near == lat == alt for near, lat, alt in positions)
    assert any(near for near, _, _ in positions)
    assert tuple(event_types(world)) == COURSE
    assert parcel(world)["where"] == "AT_DROP"


@pytest.mark.parametrize(
    ("text", "block", "name", "value"),
    [
        ("battery.remaining_pct,value=-1", "battery", "remaining_pct", -1),
        ("velocity.groundspeed_mps,value=-0.01", "velocity", "groundspeed_mps", -0.01),
        ("state.mode,value=null", "state", "mode", None),
        ("position.lat,value=north", "position", "lat", "north"),
    ],
)
def test_any_field_can_have_any_value(text, block, name, value):
    world = a_world()
    world.faults.add(parse(f"bad-value:{DRONE_ID},field={text}"), 0)
    message = sample(world)
    assert message[block][name] == value
    assert message["drone_id"] == DRONE_ID


def test_the_fleet_apis_own_members_can_be_invalid():
    world = a_world()
    world.faults.add(Fault("bad_value", DRONE_ID, field="last_seen_ts", value=7), 0)
    assert world.samples()[0].as_entry()["last_seen_ts"] == 7


def test_the_production_plugin_sends_only_position_and_yaw():
    world = flying(Fault("production_plugin", DRONE_ID))
    fly_until(world, "ENROUTE")
    message = sample(world)
    assert {name for name, value in message.items() if value is None} == {
        *("velocity", "state", "battery", "link")
    }
    assert message["position"]["lat"] == pytest.approx(the_aircraft(world).lat, abs=1e-4)
    assert 800 <= message["position"]["alt_m"] < 1700
    assert message["attitude"]["yaw_deg"] is not None


def test_a_sample_fault_does_not_change_the_reading():
    world = a_world()
    world.faults.add(Fault("glitch_armed", DRONE_ID), 0)
    assert world.samples()[0].armed is True
    assert world.readings[DRONE_ID].armed is False


# --- in reports ----------------------------------------------------------------------------------


def sent_at(world: World) -> list[tuple[str, str]]:
    """The reports due now, in the order in which the reporter sends them; marks them as sent."""
    mission, sent = world.missions[INTENT_ID], []
    while event := mission.next_report(world.elapsed_s):
        event.copies -= 1
        sent.append((event.event_type, event.occurred_at))
    return sent


def all_sent(world: World) -> list[str]:
    sent = []
    while the_aircraft(world).legs:
        world.step(0.5)
        sent += sent_at(world)
    return [event_type for event_type, _ in sent]


def test_delivered_can_be_reported_with_the_parcel_aboard():
    world = flying(Fault("lie_delivered", DRONE_ID))
    assert tuple(all_sent(world)) == COURSE
    assert the_aircraft(world).at_home
    assert (parcel(world)["where"], parcel(world)["drone_id"]) == ("ABOARD", DRONE_ID)


@pytest.mark.parametrize("kind", ["carry_home", "land_short", "motor_failure", "mission_fail"])
def test_delivered_can_be_reported_for_a_failed_flight(kind):
    world = flying(Fault(kind, DRONE_ID), Fault("lie_delivered", DRONE_ID))
    assert all_sent(world) == ["LAUNCHED", "ENROUTE", "DELIVERED"]
    assert parcel(world)["where"] != "AT_DROP"


def test_failed_can_be_reported_for_a_flight_that_delivers():
    world = flying(Fault("lie_failed", DRONE_ID))
    assert all_sent(world) == ["LAUNCHED", "ENROUTE", "FAILED"]
    assert places(world) == ["AT_PICKUP", "ABOARD", "AT_DROP"]
    assert world.cancel(INTENT_ID, "abort") == "failed"


def test_reports_can_continue_after_a_false_failure():
    world = flying(Fault("lie_failed", DRONE_ID, report=True))
    assert all_sent(world) == ["LAUNCHED", "ENROUTE", "FAILED", *COURSE[2:]]


def test_silent_reports_affect_one_mission_only():
    world = flying(Fault("silent_reports", DRONE_ID))
    assert all_sent(world) == []
    assert world.missions[INTENT_ID].status == "DELIVERED"
    world.step(3600)
    world.accept(mission_intent(intent_id="22222222-2222-4222-8222-222222222222"))
    fly_home(world)
    second = world.missions["22222222-2222-4222-8222-222222222222"]
    assert second.next_report(world.elapsed_s) is not None


def test_late_reports_are_delayed_by_the_worlds_clock():
    world = flying(Fault("late_report", DRONE_ID, seconds=90))
    fly_until(world, "ENROUTE")
    world.cancel(INTENT_ID, "abort")
    world.step(1)
    assert event_types(world) == ["LAUNCHED", "ENROUTE", "ABORTED"]
    assert sent_at(world) == []
    world.step(91)
    assert [event_type for event_type, _ in sent_at(world)] == event_types(world)


def test_reports_can_have_wrong_timestamps():
    world = flying(Fault("clock", DRONE_ID, at="1970-01-01T00:00:00Z"))
    fly_until(world, "ENROUTE")
    assert {at for _, at in sent_at(world)} == {"1970-01-01T00:00:00Z"}
    world = flying(Fault("clock", DRONE_ID, seconds=360))
    fly_until(world, "LAUNCHED")
    ((_, at),) = sent_at(world)
    assert datetime.fromisoformat(at) == world.now + timedelta(seconds=360)


def test_reports_can_be_duplicated_and_swapped():
    world = flying(Fault("duplicate_reports", DRONE_ID))
    assert all_sent(world) == [event for event in COURSE for _ in range(2)]
    world = flying(Fault("swapped_reports", DRONE_ID))
    assert all_sent(world) == ["ENROUTE", "LAUNCHED", "DELIVERING", "ARRIVED", "DELIVERED"]


def test_picked_up_is_reported_only_if_a_parcel_was_loaded():
    world = flying(report_pickup=True)
    assert all_sent(world) == ["LAUNCHED", "ENROUTE", PICKED_UP, *COURSE[2:]]
    world.accept(mission_intent(intent_id="22222222-2222-4222-8222-222222222222"))
    fly_home(world)
    assert PICKED_UP not in event_types(world, "22222222-2222-4222-8222-222222222222")


# --- the board -----------------------------------------------------------------------------------


def test_a_restored_board_keeps_its_number_of_strikes():
    world = flying(Fault("glitch_armed", DRONE_ID, times=2), Fault("clock", DRONE_ID, for_s=5))
    sample(world)
    again = a_world()
    again.restore(json.loads(world.to_json()))
    assert again.faults.listed(0) == world.faults.listed(0)
    assert [sample(again)["state"]["armed"] for _ in range(2)] == [True, False]
    assert again.elapsed_s == world.elapsed_s
    assert again.now == NOW


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bad-value:WX-DRN-001", "needs a field"),
        ("clock:WX-DRN-001,at=soon", "Invalid isoformat"),
        ("land-short:WX-DRN-001,metres=-3", "metres is -3.0"),
        ("cancel-word:WX-DRN-001", "takes no drone_id"),
    ],
)
def test_an_invalid_setting_of_a_fault_is_refused_with_the_reason(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_every_default_belongs_to_a_fault():
    assert DEFAULTS.keys() <= KINDS.keys()
    assert Fault("late_report", DRONE_ID).seconds == 30


def test_each_fault_and_each_violation_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) >= KINDS.keys()
    sources = Path(staff.__file__).parent.glob("*.py")
    kinds = {
        kind
        for source in sources
        for kind in re.findall(r'(?:violate|_siblings)\(\s*"(\w+)"', source.read_text())
    }
    assert len(kinds) == 4
    assert all(f"| `{kind}` |" in page for kind in kinds)
