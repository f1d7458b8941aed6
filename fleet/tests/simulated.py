"""A simulated drone in Accra and a mission intent for it. Plain data, for tests of all apps."""

from typing import Any

from fleet.simulator.airframe import SimDrone

DRONE_ID = "WX-DRN-001"
INTENT_ID = "11111111-1111-4111-8111-111111111111"
ORDER_ID = "99999999-9999-4999-8999-999999999999"


def sim_drone(**values: Any) -> SimDrone:
    return SimDrone(
        **{
            "drone_id": DRONE_ID,
            "home_lat": 5.6037,
            "home_lng": -0.1870,
            "battery_wh": 600.0,
            "empty_mass_kg": 6.0,
            "hover_power_w": 700.0,
            "cruise_power_w": 600.0,
            "cruise_speed_mps": 16.0,
            "climb_speed_mps": 4.0,
            "descent_speed_mps": 3.0,
            "max_payload_kg": 2.5,
            "charge_w": 900.0,
        }
        | values
    )


def mission_intent(**values: Any) -> dict[str, Any]:
    """A valid intent of version 1. Each value replaces the member of that name at any level."""
    intent: dict[str, Any] = {
        "intent_id": INTENT_ID,
        "order_id": ORDER_ID,
        "drone_id": DRONE_ID,
        "pickup": {"lat": 5.6090, "lng": -0.1900, "alt_m": 60},
        "dropoff": {"lat": 5.6170, "lng": -0.1820, "alt_m": 60, "delivery_alt_m": 8},
        "actions": ["TAKEOFF", "CRUISE", "DESCEND", "DROP_OR_WINCH", "ASCEND", "RTL"],
        "constraints": {
            "battery_min_pct": 30,
            "service_area_id": None,
            "max_wind_mps": 12,
        },
        "safety": {
            "abort_rtl_on_fail": True,
            "loiter_timeout_s": 120,
            "lost_link_behavior": "RTL",
        },
        "metadata": {
            "payload_type": "PARCEL",
            "payload_weight_kg": 1.2,
            "priority": "NORMAL",
            "created_at": "2026-11-24T08:00:00Z",
        },
    }
    for part in (intent, intent["constraints"], intent["metadata"]):
        part |= {name: value for name, value in values.items() if name in part}
    return intent


def second_intent(*, load: bool = True, **values: Any) -> dict[str, Any]:
    """The same in version 2: it loads at the pickup and returns to the drone's home."""
    loading = ["LOAD", "ASCEND", "CRUISE", "DESCEND"] if load else []
    intent = mission_intent(**values)
    return intent | {
        "schema_version": 2,
        "alt_datum": "AGL",
        "actions": [*intent["actions"][:3], *loading, *intent["actions"][3:]],
        "return_to": {"hub_id": "1", "lat": 5.6037, "lng": -0.1870},
        "alternate": None,
        "airspace_version": "7",
    }
