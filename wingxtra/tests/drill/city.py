"""The place of a drill: the demo city, drones on each hub, and customers near the hubs."""

import random
from typing import Any

from fleet.demo import city
from fleet.simulator.airframe import moved

PADS_IN_A_ROW, PAD_M = 7, 9.0
HUBS = [(hub.name, hub.lat, hub.lng) for hub in city.HUBS]


def drones(count: int) -> list[dict[str, Any]]:
    """In the simulator's format, each on its own pad within 40 m of its hub."""
    described = city.simulated(count)
    for number, (drone, at) in enumerate(zip(described, city.drones(count), strict=True)):
        row, column = divmod(number // len(city.HUBS), PADS_IN_A_ROW)
        half = PADS_IN_A_ROW // 2
        pad = moved(at.hub.lat, at.hub.lng, (column - half) * PAD_M, (row - half) * PAD_M)
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
