"""Simulated flights without a network: worlds, and functions that advance them."""

from datetime import UTC, datetime
from typing import Any

from fleet.simulator.faults.board import Fault
from fleet.simulator.flight import Aircraft
from fleet.simulator.world import World
from fleet.tests.simulated import DRONE_ID, INTENT_ID, mission_intent, sim_drone

SECOND_DRONE = "WX-DRN-002"
SECOND_ID = "22222222-2222-4222-8222-222222222222"
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def a_world(seed: int = 1, **drone: Any) -> World:
    return World([sim_drone(**drone)], seed, NOW)


def two_drones(**options: Any) -> World:
    """The second drone is at the same hub, 20 m from the first."""
    drones = [sim_drone(), sim_drone(drone_id=SECOND_DRONE, home_lat=5.60388)]
    return World(drones, 1, NOW, **options)


def flying(*faults: Fault, **options: Any) -> World:
    """A world whose first drone has a mission and these faults."""
    world = two_drones(**options)
    for fault in faults:
        world.faults.add(fault, world.elapsed_s)
    world.accept(mission_intent())
    return world


def fly_into(world: World, phase: str) -> None:
    for _ in range(8000):
        if the_aircraft(world).phase == phase:
            return
        world.step(0.5)
    raise AssertionError(f"{phase} was not reached; the phase is {the_aircraft(world).phase}")


def the_aircraft(world: World) -> Aircraft:
    return world.aircraft[DRONE_ID]


def event_types(world: World, intent_id: str = INTENT_ID) -> list[str]:
    return [event.event_type for event in world.missions[intent_id].events]


def fly_until(world: World, event_type: str) -> None:
    for _ in range(4000):
        if event_type in event_types(world):
            return
        world.step(0.5)
    raise AssertionError(f"{event_type} was not reported; the reports are {event_types(world)}")


def fly_home(world: World) -> None:
    for _ in range(8000):
        if not the_aircraft(world).legs:
            return
        world.step(0.5)
    raise AssertionError(f"the drone is not home; the phase is {the_aircraft(world).phase}")
