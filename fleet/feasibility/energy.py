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
    needed_pct: Floats


class Physics(NamedTuple):
    """What each drone (N,) needs on any trip, cruising excepted; energies in percent of its full
    battery.

    up_s, down_s: between the ground and cruise altitude. lower_s, raise_s: between cruise and
    delivery altitude. start_s, carrying_s, back_s: the time until the pickup, from there to the
    parcel's delivery, and after it. empty_pct: for the altitudes of the empty drone. carrying_pct,
    back_pct, loiter_pct: hovering in carrying_s, in back_s, and for the loiter timeout.
    lift_pct_per_kg, raise_pct_per_kg: lifting a kilogram to cruise altitude, and back to it.
    """

    cruise_speed_mps: Floats
    empty_kg: Floats
    up_s: Floats
    down_s: Floats
    lower_s: Floats
    raise_s: Floats
    hover_pct_per_s: Floats
    cruise_pct_per_s: Floats
    lift_pct_per_kg_m: Floats
    start_s: Floats
    carrying_s: Floats
    back_s: Floats
    empty_pct: Floats
    carrying_pct: Floats
    loiter_pct: Floats
    back_pct: Floats
    lift_pct_per_kg: Floats
    raise_pct_per_kg: Floats


def physics_of(drones: DroneTable, rules: Rules) -> Physics:
    lowering_m = _lowering_m(rules)
    up_s = rules.cruise_alt_m / drones.climb_speed_mps
    down_s = rules.cruise_alt_m / drones.descent_speed_mps
    lower_s, raise_s = lowering_m / drones.descent_speed_mps, lowering_m / drones.climb_speed_mps
    pct_per_ws = 100 / (3600 * drones.battery_wh)
    hover_pct_per_s = drones.hover_power_w * pct_per_ws
    lift_pct_per_kg_m = GRAVITY_MPS2 / CLIMB_EFFICIENCY * pct_per_ws
    lift_empty_kg_m = drones.empty_mass_kg * (2 * rules.cruise_alt_m + lowering_m)
    empty_pct = (up_s + down_s + raise_s + down_s) * hover_pct_per_s
    carrying_s = rules.load_time_s + up_s + lower_s + rules.delivery_time_s
    return Physics(
        cruise_speed_mps=drones.cruise_speed_mps,
        empty_kg=drones.empty_mass_kg,
        up_s=up_s,
        down_s=down_s,
        lower_s=lower_s,
        raise_s=raise_s,
        hover_pct_per_s=hover_pct_per_s,
        cruise_pct_per_s=drones.cruise_power_w * pct_per_ws,
        lift_pct_per_kg_m=lift_pct_per_kg_m,
        start_s=rules.launch_time_s + up_s + down_s,
        carrying_s=carrying_s,
        back_s=raise_s + down_s,
        empty_pct=empty_pct + lift_empty_kg_m * lift_pct_per_kg_m,
        carrying_pct=carrying_s * hover_pct_per_s,
        loiter_pct=rules.loiter_timeout_s * hover_pct_per_s,
        back_pct=(raise_s + down_s) * hover_pct_per_s,
        lift_pct_per_kg=rules.cruise_alt_m * lift_pct_per_kg_m,
        raise_pct_per_kg=lowering_m * lift_pct_per_kg_m,
    )


def figures_of(
    physics: Physics,
    trips: TripTable,
    d: Ints,
    t: Ints,
    lengths_m: Floats,
    rules: Rules,
    headwind_mps: Floats,
) -> Figures:
    """Distance, times and energy of each pair's flight over three legs of these lengths (3, P).

    physics: of the drones under these rules. headwind_mps: (P,), against which each leg is flown.

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
    pace = _pace_spm(physics.cruise_speed_mps[d], headwind_mps)
    to_pickup_s = physics.start_s[d] + pace * to_pickup_m
    delivery_s = to_pickup_s + physics.carrying_s[d] + pace * to_door_m
    busy_s = delivery_s + physics.back_s[d] + pace * home_m

    cruise_pct_per_m = physics.cruise_pct_per_s[d] * pace
    payload_kg = trips.payload_weight_kg[t]
    mass_ratio = 1 + payload_kg / physics.empty_kg[d]
    loaded = mass_ratio * np.sqrt(mass_ratio)
    home_pct = home_m * cruise_pct_per_m
    energy_pct = (
        physics.empty_pct[d]
        + to_pickup_m * cruise_pct_per_m
        + home_pct
        + loaded * (physics.carrying_pct[d] + to_door_m * cruise_pct_per_m)
        + payload_kg * physics.lift_pct_per_kg[d]
    )
    needed_pct = (
        energy_pct
        + loaded * physics.loiter_pct[d]
        + (loaded - 1) * (physics.back_pct[d] + home_pct)
        + payload_kg * physics.raise_pct_per_kg[d]
    )
    if trips.flown.any():
        flown_pct, flown_failing_pct = _flown_pct(physics, trips, d, t, rules)
        energy_pct, needed_pct = energy_pct - flown_pct, needed_pct - flown_failing_pct
    way_m = to_pickup_m + to_door_m + home_m
    return Figures(way_m, to_pickup_s, delivery_s, busy_s, energy_pct, needed_pct)


def _lowering_m(rules: Rules) -> float:
    return max(0.0, rules.cruise_alt_m - rules.delivery_alt_m)


def _flown_pct(
    physics: Physics, trips: TripTable, d: Ints, t: Ints, rules: Rules
) -> tuple[Floats, Floats]:
    """The parts of energy_pct and needed_pct that are behind each pair by `trips.flown`, cruising
    excepted: its legs start where the drone is.
    """
    low_m = _lowering_m(rules)
    hover, lift = physics.hover_pct_per_s[d], physics.lift_pct_per_kg_m[d]
    empty_kg, payload_kg = physics.empty_kg[d], trips.payload_weight_kg[t]
    loaded = (1 + payload_kg / empty_kg) ** 1.5 * hover
    up_s, down_s = physics.up_s[d], physics.down_s[d]
    lower_s, raise_s = physics.lower_s[d], physics.raise_s[d]
    flown = trips.flown[t]
    before_drop = (flown >= Flown.TAKE_OFF) * (up_s * hover + empty_kg * rules.cruise_alt_m * lift)
    before_drop += (flown >= Flown.PICKUP) * (
        down_s * hover
        + (rules.load_time_s + up_s) * loaded
        + (empty_kg + payload_kg) * rules.cruise_alt_m * lift
    )
    at_drop = (lower_s + rules.delivery_time_s) * loaded
    delivering = at_drop + raise_s * hover + empty_kg * low_m * lift
    failing = at_drop + (rules.loiter_timeout_s + raise_s) * loaded
    failing += (empty_kg + payload_kg) * low_m * lift
    is_past_drop = flown >= Flown.DROP
    return before_drop + is_past_drop * delivering, before_drop + is_past_drop * failing


def cruising_pct_per_m(drones: DroneTable, headwind_mps: Floats) -> Floats:
    """Percent of each drone's (N,) full battery per metre of cruise without payload."""
    pct: Floats = drones.cruise_power_w * _pace_spm(drones.cruise_speed_mps, headwind_mps)
    return pct * 100 / (3600 * drones.battery_wh)


def _pace_spm(cruise_speed_mps: Floats, headwind_mps: Floats) -> Floats:
    """Seconds per metre; NaN for a drone that makes no way against the wind."""
    ahead_mps = cruise_speed_mps - headwind_mps
    return 1 / np.where(ahead_mps > 0, ahead_mps, np.nan)
