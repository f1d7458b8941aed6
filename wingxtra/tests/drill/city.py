"""The place of a drill: the demo city, drones on each hub, and customers near the hubs."""

import math
import random
from typing import Any

from fleet.demo import city
from fleet.simulator.airframe import moved

PADS_IN_A_ROW, PAD_M = 7, 9.0  # and closer together in a fleet of many, which fills a square
SIDE_M = 78.0  # so that its corners are within 60 m of the hub, where a drone stands "at the hub"
HUBS = [(hub.name, hub.lat, hub.lng) for hub in city.HUBS]


def drones(count: int) -> list[dict[str, Any]]:
    """In the simulator's format, each on its own pad within 60 m of its hub."""
    described = city.simulated(count)
    in_a_row = max(PADS_IN_A_ROW, math.ceil(math.sqrt(count / len(city.HUBS))))
    pad_m, half = min(PAD_M, SIDE_M / in_a_row), in_a_row // 2
    for number, (drone, at) in enumerate(zip(described, city.drones(count), strict=True)):
        row, column = divmod(number // len(city.HUBS), in_a_row)
        pad = moved(at.hub.lat, at.hub.lng, (column - half) * pad_m, (row - half) * pad_m)
        drone["home_lat"], drone["home_lng"] = pad
    return described


def order(chance: random.Random) -> dict[str, Any]:
    """The body of a `POST /api/v1/orders`, from near a hub to about a kilometre away."""
    hub = chance.choice(city.HUBS)
    pickup = moved(hub.lat, hub.lng, *_away(chance, 250, 700))
    drop = moved(*pickup, *_away(chance, 500, 1300))
    return {
        "customer_name": "Ama Mensah",
        "customer_phone": f"+23324{chance.randrange(1_000_000, 9_999_999)}",
        "pickup_name": f"A shop near {hub.name}",
        "pickup_lat": round(pickup[0], 6),
        "pickup_lng": round(pickup[1], 6),
        "dropoff_lat": round(drop[0], 6),
        "dropoff_lng": round(drop[1], 6),
        "payload_weight_kg": round(chance.uniform(0.2, 1.2), 2),
        "payload_type": "MEDICINE",
        "priority": chance.choice(["NORMAL", "NORMAL", "URGENT", "MEDICAL"]),
        "pod_requirement": "NONE",
    }


def _away(chance: random.Random, least_m: float, most_m: float) -> tuple[float, float]:
    return tuple(chance.choice((-1, 1)) * chance.uniform(least_m, most_m) * 0.7 for _ in "xy")  # type: ignore[return-value]
