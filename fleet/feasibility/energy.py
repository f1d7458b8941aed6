"""Duration, distance and energy of flights. Pure."""

from typing import NamedTuple

import numpy as np

from fleet.feasibility.geometry import Floats, Ints
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import DroneTable, Flown, TripTable

GRAVITY_MPS2 = 9.81
CLIMB_EFFICIENCY = 0.7  # from battery energy to potential energy


class Figures(NamedTuple):
    distance_m: Floats
    to_pickup_s: Floats
    delivery_s: Floats
    busy_s: Floats
    energy_pct: Floats


def figures_of(
    drones: DroneTable,
    trips: TripTable,
    d: Ints,
    t: Ints,
    lengths_m: Floats,
    rules: Rules,
    headwind_mps: Floats,
) -> Figures:
    """Distance, times and energy of each pair's flight over three legs of these lengths (3, P).

    headwind_mps: (P,), against which each leg is flown.

    Each leg climbs to cruise altitude, cruises, and descends: to the ground at the pickup and at
    home, to the delivery altitude at the door. The drone hovers while the parcel is loaded and
    lowered. Power at mass m is the power at empty mass m0 times (m / m0) ** 1.5 (momentum theory of
    the hovering rotor). Climbing adds m * g * v / CLIMB_EFFICIENCY to the hover power; descending
    needs the hover power.
    """
    to_pickup_m, to_door_m, home_m = lengths_m * rules.detour_factor
    lowering_m = max(0.0, rules.cruise_alt_m - rules.delivery_alt_m)
    up_s = rules.cruise_alt_m / drones.climb_speed_mps
    down_s = rules.cruise_alt_m / drones.descent_speed_mps
    lower_s, raise_s = lowering_m / drones.descent_speed_mps, lowering_m / drones.climb_speed_mps

    pace = _pace_spm(drones.cruise_speed_mps[d], headwind_mps)
    carrying_s = rules.load_time_s + up_s + lower_s + rules.delivery_time_s
    to_pickup_s = (rules.launch_time_s + up_s + down_s)[d] + pace * to_pickup_m
    delivery_s = to_pickup_s + carrying_s[d] + pace * to_door_m
    busy_s = delivery_s + (raise_s + down_s)[d] + pace * home_m

    # All energies below are in percent of the full battery.
    pct_per_ws = 100 / (3600 * drones.battery_wh)
    hover_pct_per_s = drones.hover_power_w * pct_per_ws
    cruise_pct_per_m = (drones.cruise_power_w * pct_per_ws)[d] * pace
    lift_pct_per_kg_m = GRAVITY_MPS2 / CLIMB_EFFICIENCY * pct_per_ws
    lift_empty_kg_m = drones.empty_mass_kg * (2 * rules.cruise_alt_m + lowering_m)
    empty_pct = (up_s + down_s + raise_s + down_s) * hover_pct_per_s
    empty_pct += lift_empty_kg_m * lift_pct_per_kg_m
    payload_kg = trips.payload_weight_kg[t]
    mass_ratio = 1 + payload_kg / drones.empty_mass_kg[d]
    energy_pct = (
        empty_pct[d]
        + (to_pickup_m + home_m) * cruise_pct_per_m
        + mass_ratio
        * np.sqrt(mass_ratio)
        * ((carrying_s * hover_pct_per_s)[d] + to_door_m * cruise_pct_per_m)
        + payload_kg * (rules.cruise_alt_m * lift_pct_per_kg_m)[d]
    )
    if trips.flown.any():
        energy_pct = energy_pct - flown_pct(drones, trips, d, t, rules)
    return Figures(to_pickup_m + to_door_m + home_m, to_pickup_s, delivery_s, busy_s, energy_pct)


def flown_pct(drones: DroneTable, trips: TripTable, d: Ints, t: Ints, rules: Rules) -> Floats:
    """The part of each pair's energy that is behind it by `trips.flown`, cruising excepted: its
    legs start where the drone is.
    """
    low_m = max(0.0, rules.cruise_alt_m - rules.delivery_alt_m)
    pct_per_ws = 100 / (3600 * drones.battery_wh[d])
    hover, lift = drones.hover_power_w[d] * pct_per_ws, GRAVITY_MPS2 / CLIMB_EFFICIENCY * pct_per_ws
    climb_mps, descent_mps = drones.climb_speed_mps[d], drones.descent_speed_mps[d]
    empty_kg, payload_kg = drones.empty_mass_kg[d], trips.payload_weight_kg[t]
    loaded = (1 + payload_kg / empty_kg) ** 1.5 * hover
    up_s, down_s = rules.cruise_alt_m / climb_mps, rules.cruise_alt_m / descent_mps
    take_off = up_s * hover + empty_kg * rules.cruise_alt_m * lift
    pickup = down_s * hover + (rules.load_time_s + up_s) * loaded
    pickup += (empty_kg + payload_kg) * rules.cruise_alt_m * lift
    drop = (low_m / descent_mps + rules.delivery_time_s) * loaded + low_m / climb_mps * hover
    drop += empty_kg * low_m * lift
    flown = trips.flown[t]
    return (
        (flown >= Flown.TAKE_OFF) * take_off
        + (flown >= Flown.PICKUP) * pickup
        + (flown >= Flown.DROP) * drop
    )


def cruising_pct_per_m(drones: DroneTable, headwind_mps: Floats) -> Floats:
    """Percent of each drone's (N,) full battery per metre of cruise without payload."""
    pct: Floats = drones.cruise_power_w * _pace_spm(drones.cruise_speed_mps, headwind_mps)
    return pct * 100 / (3600 * drones.battery_wh)


def _pace_spm(cruise_speed_mps: Floats, headwind_mps: Floats) -> Floats:
    """Seconds per metre; NaN for a drone that makes no way against the wind."""
    ahead_mps = cruise_speed_mps - headwind_mps
    return 1 / np.where(ahead_mps > 0, ahead_mps, np.nan)
