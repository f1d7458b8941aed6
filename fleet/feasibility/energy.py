"""Duration, distance and energy of flights. Pure."""

from typing import NamedTuple

import numpy as np

from fleet.feasibility.geometry import Floats, Ints
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import DroneTable, TripTable

GRAVITY_MPS2 = 9.81
CLIMB_EFFICIENCY = 0.7  # from battery energy to potential energy


class Figures(NamedTuple):
    distance_m: Floats
    to_pickup_s: Floats
    delivery_s: Floats
    busy_s: Floats
    energy_pct: Floats
    needed_pct: Floats


def figures_of(
    drones: DroneTable,
    trips: TripTable,
    d: Ints,
    t: Ints,
    lengths_m: Floats,
    rules: Rules,
    headwind_mps: float,
) -> Figures:
    """Distance, times and energy of each pair's flight over three legs of these lengths (3, P).

    Each leg climbs to cruise altitude, cruises, and descends: to the ground at the pickup and where
    the drone lands, to the delivery altitude at the door. The drone hovers while the parcel is
    loaded and lowered. Power at mass m is the power at empty mass m0 times (m / m0) ** 1.5
    (momentum theory of the hovering rotor). Climbing adds m * g * v / CLIMB_EFFICIENCY to the hover
    power; descending needs the hover power.

    The times and energy_pct are those of a delivery. needed_pct is the energy of a drop that fails:
    the drone then waits for the loiter timeout and flies back with the parcel. That always takes
    more than a delivery, because the parcel has a mass.
    """
    to_pickup_m, to_door_m, home_m = lengths_m * rules.detour_factor
    pace_spm = _pace_spm(drones, headwind_mps)
    lowering_m = max(0.0, rules.cruise_alt_m - rules.delivery_alt_m)
    up_s = rules.cruise_alt_m / drones.climb_speed_mps
    down_s = rules.cruise_alt_m / drones.descent_speed_mps
    lower_s, raise_s = lowering_m / drones.descent_speed_mps, lowering_m / drones.climb_speed_mps

    pace = pace_spm[d]
    carrying_s = rules.load_time_s + up_s + lower_s + rules.delivery_time_s
    to_pickup_s = (rules.launch_time_s + up_s + down_s)[d] + pace * to_pickup_m
    delivery_s = to_pickup_s + carrying_s[d] + pace * to_door_m
    busy_s = delivery_s + (raise_s + down_s)[d] + pace * home_m

    # All energies below are in percent of the full battery.
    pct_per_ws = 100 / (3600 * drones.battery_wh)
    hover_pct_per_s = drones.hover_power_w * pct_per_ws
    cruise_pct_per_m = cruising_pct_per_m(drones, headwind_mps)[d]
    lift_pct_per_kg_m = GRAVITY_MPS2 / CLIMB_EFFICIENCY * pct_per_ws
    lift_empty_kg_m = drones.empty_mass_kg * (2 * rules.cruise_alt_m + lowering_m)
    empty_pct = (up_s + down_s + raise_s + down_s) * hover_pct_per_s
    empty_pct += lift_empty_kg_m * lift_pct_per_kg_m
    payload_kg = trips.payload_weight_kg[t]
    mass_ratio = 1 + payload_kg / drones.empty_mass_kg[d]
    loaded = mass_ratio * np.sqrt(mass_ratio)
    home_pct = home_m * cruise_pct_per_m
    energy_pct = (
        empty_pct[d]
        + to_pickup_m * cruise_pct_per_m
        + home_pct
        + loaded * ((carrying_s * hover_pct_per_s)[d] + to_door_m * cruise_pct_per_m)
        + payload_kg * (rules.cruise_alt_m * lift_pct_per_kg_m)[d]
    )
    needed_pct = (
        energy_pct
        + loaded * (rules.loiter_timeout_s * hover_pct_per_s)[d]
        + (loaded - 1) * (((raise_s + down_s) * hover_pct_per_s)[d] + home_pct)
        + payload_kg * (lowering_m * lift_pct_per_kg_m)[d]
    )
    way_m = to_pickup_m + to_door_m + home_m
    return Figures(way_m, to_pickup_s, delivery_s, busy_s, energy_pct, needed_pct)


def cruising_pct_per_m(drones: DroneTable, headwind_mps: float) -> Floats:
    """Percent of each drone's (N,) full battery per metre of cruise without payload."""
    pct: Floats = drones.cruise_power_w * _pace_spm(drones, headwind_mps)
    return pct * 100 / (3600 * drones.battery_wh)


def headwind_of(wind_mps: float | None) -> float:
    """The headwind to plan with; 0 if the wind is unknown or not measured."""
    return wind_mps if wind_mps and np.isfinite(wind_mps) else 0.0


def _pace_spm(drones: DroneTable, headwind_mps: float) -> Floats:
    ahead_mps = drones.cruise_speed_mps - headwind_mps
    return 1 / np.where(ahead_mps > 0, ahead_mps, np.nan)
