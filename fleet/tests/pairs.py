"""Drones and trips for tests of feasibility.

Places are in kilometres east and north of a hub on the equator, where a degree of latitude is as
long as one of longitude.
"""

import math
from datetime import UTC, datetime

from fleet.feasibility.geometry import EARTH_RADIUS_M, Zones
from fleet.feasibility.judge import Verdicts, every_pair, judge
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import DroneTable, TripTable, largest_sides, payload_bits, sides
from fleet.feasibility.winds import Winds
from fleet.policy import Policy

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = Policy().rules()
NOWHERE = Zones([])
DEG_PER_KM = math.degrees(1000 / EARTH_RADIUS_M)

QUAD = {
    "payload_types": payload_bits(["PARCEL", "MEDICINE"]),
    "max_payload_kg": 2.5,
    "battery_wh": 500.0,
    "empty_mass_kg": 5.0,
    "hover_power_w": 600.0,
    "cruise_power_w": 500.0,
    "cruise_speed_mps": 15.0,
    "climb_speed_mps": 3.0,
    "descent_speed_mps": 2.0,
    "max_wind_mps": 10.0,
}


def drone(
    east_km: float | None = 0.0, north_km: float | None = 0.0, max_size_cm=None, **changes
) -> dict:
    """A drone that may fly, with changes. max_size_cm: the largest parcel, sides in any order."""
    return {
        "drone_id": "WX-DRN-001",
        "lat": None if north_km is None else north_km * DEG_PER_KM,
        "lng": None if east_km is None else east_km * DEG_PER_KM,
        "battery_pct": 90.0,
        "telemetry_age_s": 1.0,
        "armed": False,
        "registered": True,
        "active": True,
        "grounded": False,
        "busy": False,
        "home_lat": 0.0,
        "home_lng": 0.0,
        "area": 0,
        "max_size_cm": max_size_cm,
        **largest_sides(max_size_cm),
        **QUAD,
        **changes,
    }


def trip(
    pickup_km=(0.0, 1.0), door_km=(0.0, 3.0), size_cm=None, landing_km=None, **changes
) -> dict:
    """size_cm: the sides of the parcel, in any order. landing_km: the hub that receives the drone;
    None: its home.
    """
    lands_lng, lands_lat = (None, None) if landing_km is None else landing_km
    return {
        "size_cm": size_cm,
        **sides(size_cm),
        "pickup_lng": pickup_km[0] * DEG_PER_KM,
        "pickup_lat": pickup_km[1] * DEG_PER_KM,
        "dropoff_lng": door_km[0] * DEG_PER_KM,
        "dropoff_lat": door_km[1] * DEG_PER_KM,
        "landing_lng": None if lands_lng is None else lands_lng * DEG_PER_KM,
        "landing_lat": None if lands_lat is None else lands_lat * DEG_PER_KM,
        "payload_weight_kg": 1.0,
        "payload_type": payload_bits(["PARCEL"]),
        "area": 0,
        **changes,
    }


def everywhere(wind_mps: float | None) -> Winds | None:
    """One reading that counts everywhere; NaN: no fresh reading; None: not measured."""
    if wind_mps is None:
        return None
    return Winds.from_rows([] if math.isnan(wind_mps) else [reading(wind_mps)])


def reading(wind_mps: float, at_km: tuple[float, float] | None = None, name: str = "") -> dict:
    east_km, north_km = at_km or (math.nan, math.nan)
    return {
        "name": name,
        "source": "Mast",
        "lat": north_km * DEG_PER_KM,
        "lng": east_km * DEG_PER_KM,
        "wind_mps": wind_mps,
        "age_s": 60.0,
    }


def verdicts(
    drones, trips, zones=NOWHERE, rules: Rules = RULES, wind_mps=None, winds=None
) -> Verdicts:
    """The verdicts of every drone with every trip, ordered by trip."""
    drones = drones if isinstance(drones, DroneTable) else DroneTable.from_rows(drones)
    trips = TripTable.from_rows(trips)
    pairs = every_pair(len(drones), len(trips))
    winds = everywhere(wind_mps) if winds is None else winds
    return judge(drones, trips, *pairs, rules, zones, NOON, winds)


def codes(found: Verdicts, i: int = 0) -> set[str]:
    return {reason.code for reason in found.explain(i)}


def no_fly(west_km, south_km, east_km, north_km, window=(None, None)) -> Zones:
    w, s, e, n = (km * DEG_PER_KM for km in (west_km, south_km, east_km, north_km))
    ring = [[w, s], [e, s], [e, n], [w, n], [w, s]]
    return Zones([{"type": "Polygon", "coordinates": [ring]}], [[window]], ["Airport"])
