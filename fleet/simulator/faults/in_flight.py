"""Failures in flight: empty batteries, aborts by the operator, and requested faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.simulator.airframe import distance_m
from fleet.simulator.faults.board import Fault
from fleet.simulator.flight import LEAVING, Aircraft, Phase
from fleet.simulator.intents import cruise_alt_m, loads_at_pickup
from fleet.simulator.missions import Mission
from fleet.simulator.truth import Where

if TYPE_CHECKING:
    from fleet.simulator.world import World

RETURN_BELOW_PCT = 10.0
BEFORE_THE_DROP = ("land_short", "motor_failure", "carry_home")


def apply(world: World, aircraft: Aircraft, mission: Mission) -> None:
    """Applies a due failure to a flight, at most one per call."""
    if not aircraft.armed or aircraft.phase is Phase.FORCED_LANDING:
        return
    if aircraft.battery_pct <= 0:
        aircraft.land_here()
        give_up(world, mission, "Battery empty: landed where it was")
    elif mission.over_at or aircraft.phase in LEAVING:
        return
    elif aircraft.battery_pct < RETURN_BELOW_PCT:
        _turn_home(world, aircraft, mission, f"Battery at {aircraft.battery_pct:.0f} %")
    elif aircraft.abort_requested or world.strike("abort", aircraft):
        _turn_home(world, aircraft, mission, "Aborted by the operator", "ABORTED")
    elif len(mission.events) > 1 and world.strike("mission_fail", aircraft):
        _turn_home(world, aircraft, mission, "The vehicle reported a failure")
    elif aircraft.phase is Phase.TO_DROPOFF:
        _before_the_drop(world, aircraft, mission)


def _before_the_drop(world: World, aircraft: Aircraft, mission: Mission) -> None:
    for kind in BEFORE_THE_DROP:
        fault = world.fault_waiting(kind, aircraft)
        if fault and _is_near(aircraft, mission, fault):
            world.strike(kind, aircraft)
            return _come_down(world, aircraft, mission, fault)
    lie = world.strike("lie_failed", aircraft)
    if lie:
        mission.talks_on = bool(lie.report)
        world.report(mission, "FAILED", "The vehicle reported a failure")
    return None


def _is_near(aircraft: Aircraft, mission: Mission, fault: Fault) -> bool:
    """Within the fault's distance before the drop, or half way if the whole way is too short."""
    pickup, dropoff = mission.intent["pickup"], mission.intent["dropoff"]
    drop = (dropoff["lat"], dropoff["lng"])
    by_pickup = loads_at_pickup(mission.intent)
    start = (pickup["lat"], pickup["lng"]) if by_pickup else aircraft.launched_from
    way_m = distance_m(start[0], start[1], *drop)
    left_m = distance_m(aircraft.lat, aircraft.lng, *drop)
    return left_m <= min(fault.metres or 0.0, way_m / 2)


def _come_down(world: World, aircraft: Aircraft, mission: Mission, fault: Fault) -> None:
    if fault.kind == "carry_home":
        return _turn_home(
            world, aircraft, mission, "The vehicle turned back", report=bool(fault.report)
        )
    aircraft.land_here()
    if fault.drop:
        world.put_down(aircraft, mission, Where.ON_GROUND)
    motor = fault.kind == "motor_failure"
    message = "Motor 3 failed, emergency landing" if motor else "Landed short of the drop point"
    return give_up(world, mission, message, report=bool(fault.report))


def _turn_home(
    world: World,
    aircraft: Aircraft,
    mission: Mission,
    reason: str,
    event_type: str = "FAILED",
    report: bool = True,
) -> None:
    safety = mission.intent["safety"]
    waits = event_type == "FAILED" and not safety["abort_rtl_on_fail"]
    loiter_s = safety["loiter_timeout_s"] if waits else 0.0
    if not mission.order_id:
        aircraft.pad = aircraft.launched_from
    aircraft.turn_home(loiter_s, cruise_alt_m(mission.intent))
    message = f"{reason}: returning home with the parcel undelivered"
    give_up(world, mission, message, event_type, report)


def give_up(
    world: World, mission: Mission, message: str, event_type: str = "FAILED", report: bool = True
) -> None:
    """Ends a mission undelivered. The GCS reports that, stays silent, or reports DELIVERED."""
    if mission.over_at:
        return
    mission.finish("gave_up", world.now)
    if world.strike("lie_delivered", world.aircraft[mission.drone_id]):
        world.report(mission, "DELIVERED", "Parcel dropped, leaving")
    elif report and not mission.ended:
        world.report(mission, event_type, message)


def at_the_drop(world: World, aircraft: Aircraft, mission: Mission) -> None:
    """Ends the time at the door: drops the parcel, and leaves or stays, depending on faults."""
    stay = world.strike("stay_at_drop", aircraft)
    if stay and not stay.drop:
        message = "Landed at the drop point with the parcel"
        give_up(world, mission, message, report=bool(stay.report))
    elif world.strike("lie_delivered", aircraft):
        mission.finish("kept", world.now)
    else:
        world.put_down(aircraft, mission, Where.AT_DROP)
        mission.finish("dropped", world.now)
    if stay:
        mission.manner.silent |= not stay.report
        aircraft.stay_here(stay.seconds, mission.intent["dropoff"]["alt_m"])
