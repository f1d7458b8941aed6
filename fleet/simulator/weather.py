"""A weather service with a mast at each place where drones are parked."""

import math
from datetime import datetime
from typing import Any

from fleet.simulator.airframe import SimDrone
from fleet.simulator.faults.board import Fault
from fleet.simulator.missions import as_utc_text
from fleet.simulator.world import World


def answer(world: World, lie: Fault | None, now: datetime) -> dict[str, Any]:
    """All masts measure the world's wind. lie: a `weather_lie`, which changes what they say.

    now: by a real clock, however fast the world is.
    """
    places = [
        {
            "name": f"Mast {number}",
            "lat": lat,
            "lng": lng,
            "wind_mps": round(math.hypot(*world.wind), 1),
            "at": as_utc_text(now),
        }
        for number, (lat, lng) in enumerate(_pads(world), start=1)
    ]
    if lie is not None:
        name, _, member = (lie.field or "").rpartition(".")
        value = math.nan if lie.value == "NaN" else lie.value
        for place in places:
            if name in ("", place["name"]):
                place[member] = value
    return {"source": "Simulator", "places": places}


def _pads(world: World) -> list[tuple[float, float]]:
    drones: list[SimDrone] = [aircraft.drone for aircraft in world.aircraft.values()]
    return sorted({(drone.home_lat, drone.home_lng) for drone in drones})
