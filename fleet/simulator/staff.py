"""Ground staff, controlled by tests: they move parcels and drones, and read the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.simulator.flight import Aircraft
from fleet.simulator.missions import Refused
from fleet.simulator.truth import Parcel, Place, Where

if TYPE_CHECKING:
    from fleet.simulator.world import World


def truth(world: World) -> dict[str, Any]:
    """The real state of parcels, missions, drones and violations, independent of reports."""
    return {
        "now_s": round(world.elapsed_s, 1),
        "parcels": [parcel.summary() for parcel in world.ledger.parcels.values()],
        "missions": [mission.truth() for mission in world.missions.values()],
        "drones": [_drone(world, aircraft) for aircraft in world.aircraft.values()],
        "violations": [violation.summary() for violation in world.ledger.violations],
    }


def _drone(world: World, aircraft: Aircraft) -> dict[str, Any]:
    drone_id = aircraft.drone.drone_id
    return {
        "drone_id": drone_id,
        "airborne": aircraft.armed,
        "phase": aircraft.phase.value,
        "lat": aircraft.lat,
        "lng": aircraft.lng,
        "alt_m": aircraft.alt_m,
        "at_home": aircraft.at_home,
        "landed_at": aircraft.landed_at,
        "intent_id": aircraft.intent_id,
        "aboard": [parcel.order_id for parcel in world.ledger.aboard(drone_id)],
    }


def load(world: World, order_id: str, drone_id: str) -> None:
    """Loads a parcel by hand into a drone at the same place. Raises Refused."""
    aircraft, parcel = _standing(world, drone_id), _parcel(world, order_id)
    here = (aircraft.lat, aircraft.lng)
    if not parcel.lies_at(here):
        raise Refused("parcel_elsewhere", f"The parcel is {parcel.now.where}, not at {drone_id}.")
    world.ledger.move(order_id, Where.ABOARD, here, world.now, drone_id)
    world.weigh(aircraft)


def unload(world: World, drone_id: str, place: Place | None) -> None:
    """Unloads a drone on the ground into the hub at `place`, by default the drone's position.

    Raises Refused if it flies or carries nothing.
    """
    aircraft = _standing(world, drone_id)
    parcels = world.ledger.aboard(drone_id)
    if not parcels:
        raise Refused("nothing_aboard", f"{drone_id} carries no parcel.")
    for parcel in parcels:
        here = place or (aircraft.lat, aircraft.lng)
        world.ledger.move(parcel.order_id, Where.AT_HUB, here, world.now)
    world.weigh(aircraft)


def collect(world: World, order_id: str, place: Place) -> None:
    """Brings a parcel from the field, or from a drone on the ground, to a hub."""
    parcel = _parcel(world, order_id)
    carrier = parcel.now.drone_id
    aircraft = _standing(world, carrier) if carrier else None
    world.ledger.move(order_id, Where.AT_HUB, place, world.now)
    if aircraft:
        world.weigh(aircraft)


def bring_home(world: World, drone_id: str) -> None:
    """Carries a drone from the field to its pad, with its parcels."""
    aircraft = _standing(world, drone_id)
    aircraft.lat, aircraft.lng = aircraft.pad
    world.changes += 1


def _standing(world: World, drone_id: str) -> Aircraft:
    aircraft = world.aircraft.get(drone_id)
    if aircraft is None:
        raise Refused("unknown_drone", f"There is no drone {drone_id} here.")
    if aircraft.armed:
        raise Refused("drone_flies", f"{drone_id} is in the air ({aircraft.phase}).")
    return aircraft


def _parcel(world: World, order_id: str) -> Parcel:
    parcel = world.ledger.parcels.get(order_id)
    if parcel is None:
        raise Refused("unknown_order", f"No mission of order {order_id} was accepted.")
    return parcel
