"""The demo city as plain data: Accra with three hubs, a dozen drones and two merchants.

Both the database seed and the simulator use it.
"""

import json
import random
import sys
from dataclasses import asdict, dataclass
from typing import Any

from fleet.simulator.airframe import moved

AREA_NAME = "Accra"
AREA_TIME_ZONE = "Africa/Accra"
PILOT_NAME = "Efua Sarpong"
REMOTE_PILOT_ID = "GHA-RP-000123"
AREA_POLYGON = {
    "type": "Polygon",
    "coordinates": [
        [
            [-0.285, 5.535],
            [-0.230, 5.522],
            [-0.160, 5.530],
            [-0.105, 5.565],
            [-0.105, 5.655],
            [-0.170, 5.672],
            [-0.260, 5.665],
            [-0.285, 5.600],
            [-0.285, 5.535],
        ]
    ],
}
AIRPORT_NAME = "Kotoka International Airport"
AIRPORT_POLYGON = {
    "type": "Polygon",
    "coordinates": [
        [
            [-0.1790, 5.5880],
            [-0.1600, 5.5880],
            [-0.1560, 5.6240],
            [-0.1740, 5.6240],
            [-0.1790, 5.5880],
        ]
    ],
}


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    max_payload_kg: float
    payload_types: tuple[str, ...]
    empty_mass_kg: float
    battery_wh: float
    hover_power_w: float
    cruise_power_w: float
    cruise_speed_mps: float
    climb_speed_mps: float
    descent_speed_mps: float
    max_wind_mps: float
    charge_w: float


@dataclass(frozen=True, slots=True)
class Place:
    name: str
    lat: float
    lng: float


@dataclass(frozen=True, slots=True)
class Shop:
    """A merchant: where its parcels are picked up and what it sends."""

    name: str
    support_contact: str
    pickup: Place
    payload_type: str
    priorities: tuple[str, ...]
    pod_requirement: str
    max_weight_kg: float


KINDS = (
    Kind("Courier", 2.5, ("PARCEL", "FOOD", "MEDICINE"), 6.0, 620, 820, 700, 16, 4, 3, 12, 900),
    Kind("Medic", 1.5, ("MEDICINE", "BLOOD", "COLD_CHAIN"), 4.0, 430, 520, 440, 21, 5, 4, 13, 700),
    Kind("Lifter", 5.0, ("PARCEL", "FOOD", "MEDICINE"), 11.0, 1200, 1650, 1450, 14, 3, 3, 11, 1400),
)
HUBS = (
    Place("Ridge hub", 5.5655, -0.1985),
    Place("Achimota hub", 5.6145, -0.2275),
    Place("East Legon hub", 5.6370, -0.1560),
)
SHOPS = (
    Shop(
        "Akoma Pharmacy",
        "+233 30 255 0101",
        Place("Akoma Pharmacy, Ridge", 5.5680, -0.2010),
        "MEDICINE",
        ("MEDICAL", "MEDICAL", "URGENT"),
        "OTP",
        1.2,
    ),
    Shop(
        "Sika Market",
        "help@sika-market.example",
        Place("Sika Market, Achimota", 5.6120, -0.2250),
        "PARCEL",
        ("NORMAL", "NORMAL", "URGENT"),
        "OPERATOR_CONFIRM",
        2.4,
    ),
)


@dataclass(frozen=True, slots=True)
class CityDrone:
    drone_id: str
    kind: Kind
    hub: Place


def drones(count: int) -> list[CityDrone]:
    """`count` drones, spread over hubs and kinds so that every hub has several kinds."""
    return [
        CityDrone(f"WX-DRN-{n + 1:03d}", KINDS[(n // len(HUBS)) % len(KINDS)], HUBS[n % len(HUBS)])
        for n in range(count)
    ]


def simulated(count: int) -> list[dict[str, Any]]:
    """The same drones in the format of the simulator's `--drones` file, each with its own pad."""
    entries = []
    for n, drone in enumerate(drones(count)):
        lat, lng = moved(drone.hub.lat, drone.hub.lng, north_m=12.0 * (n // 3), east_m=0.0)
        airframe = {
            name: value
            for name, value in asdict(drone.kind).items()
            if name not in ("name", "payload_types", "max_wind_mps")
        }
        entries.append({"drone_id": drone.drone_id, "home_lat": lat, "home_lng": lng, **airframe})
    return entries


def store_of(shop: Shop) -> dict[str, Any]:
    """The body of a `POST /api/v1/stores` for the shop."""
    return {"name": shop.pickup.name, "lat": shop.pickup.lat, "lng": shop.pickup.lng}


def order_of(shop: Shop, store_id: str, rng: random.Random) -> dict[str, Any]:
    """The body of a `POST /api/v1/orders` for a random customer near the shop."""
    lat, lng = moved(
        shop.pickup.lat,
        shop.pickup.lng,
        north_m=rng.choice((-1, 1)) * rng.uniform(400, 1100),
        east_m=rng.uniform(-1000, 300),
    )
    return {
        "customer_name": rng.choice(("Ama Mensah", "Kofi Boateng", "Esi Owusu", "Yaw Asante")),
        "customer_phone": f"+23324{rng.randrange(1_000_000, 9_999_999)}",
        "store_id": store_id,
        "dropoff_lat": round(lat, 6),
        "dropoff_lng": round(lng, 6),
        "payload_weight_kg": round(rng.uniform(0.2, shop.max_weight_kg), 2),
        "payload_type": shop.payload_type,
        "priority": rng.choice(shop.priorities),
        "pod_requirement": shop.pod_requirement,
    }


if __name__ == "__main__":  # compose.yaml writes the simulator's --drones file with this
    sys.stdout.write(json.dumps(simulated(int(sys.argv[1])), indent=1))
