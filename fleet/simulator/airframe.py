"""A simulated drone's figures and powers, and distances on the ground."""

import math
from dataclasses import dataclass, fields
from typing import Any, Self

GRAVITY_MPS2 = 9.81
CLIMB_EFFICIENCY = 0.7  # from battery energy to potential energy, as in the product
EARTH_RADIUS_M = 6_371_008.8


@dataclass(frozen=True, slots=True)
class SimDrone:
    """One drone. Powers are at empty mass; battery_pct is the charge at the start."""

    drone_id: str
    home_lat: float
    home_lng: float
    battery_wh: float
    empty_mass_kg: float
    hover_power_w: float
    cruise_power_w: float
    cruise_speed_mps: float
    climb_speed_mps: float
    descent_speed_mps: float
    max_payload_kg: float
    charge_w: float
    battery_pct: float = 100.0

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Raises ValueError that names the missing, unknown or non-numeric members."""
        known = {field.name for field in fields(cls)}
        missing = known - values.keys() - {"battery_pct"}
        if missing or values.keys() - known:
            raise ValueError(
                f"drone {values.get('drone_id', '?')}: missing {sorted(missing) or 'nothing'}, "
                f"unknown {sorted(values.keys() - known) or 'nothing'}"
            )
        for name, value in values.items():
            if name != "drone_id" and not (isinstance(value, int | float) and math.isfinite(value)):
                raise ValueError(f"drone {values['drone_id']}: {name} is {value!r}, not a number")
        return cls(**values)

    def hover_w(self, payload_kg: float) -> float:
        return self.hover_power_w * self._mass_factor(payload_kg)

    def cruise_w(self, payload_kg: float) -> float:
        return self.cruise_power_w * self._mass_factor(payload_kg)

    def climb_w(self, payload_kg: float) -> float:
        """The hover power plus the power to lift the mass."""
        mass_kg = self.empty_mass_kg + payload_kg
        lifting_w = mass_kg * GRAVITY_MPS2 * self.climb_speed_mps / CLIMB_EFFICIENCY
        return self.hover_w(payload_kg) + lifting_w

    def _mass_factor(self, payload_kg: float) -> float:
        """Power grows with mass to the power of 1.5 (momentum theory of the rotor)."""
        return math.pow((self.empty_mass_kg + payload_kg) / self.empty_mass_kg, 1.5)


def offset_m(lat: float, lng: float, to_lat: float, to_lng: float) -> tuple[float, float]:
    """Metres east and north from one point to another.

    Equirectangular projection at the middle latitude: within 0.1 % over tens of kilometres.
    """
    half_way = math.radians((lat + to_lat) / 2)
    dlng_deg = (to_lng - lng + 180) % 360 - 180
    east_m = math.radians(dlng_deg) * EARTH_RADIUS_M * math.cos(half_way)
    return east_m, math.radians(to_lat - lat) * EARTH_RADIUS_M


def distance_m(lat: float, lng: float, to_lat: float, to_lng: float) -> float:
    return math.hypot(*offset_m(lat, lng, to_lat, to_lng))


def moved(lat: float, lng: float, east_m: float, north_m: float) -> tuple[float, float]:
    """Latitude and longitude of the point east_m metres east and north_m metres north."""
    new_lat = lat + math.degrees(north_m / EARTH_RADIUS_M)
    half_way = math.radians((lat + new_lat) / 2)
    new_lng = lng + math.degrees(east_m / (EARTH_RADIUS_M * math.cos(half_way)))
    return new_lat, (new_lng + 180) % 360 - 180
