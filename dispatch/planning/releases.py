"""When and how charged the drones will stand at home again. Pure.

Estimates for planning only: a drone is assigned once it is able, by what telemetry then says. So an
estimate that is wrong costs time, never safety; and where nothing certain is known, nothing is
expected.
"""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from fleet.feasibility import judge
from fleet.feasibility.geometry import Floats, Zones, distance_m
from fleet.feasibility.judge import Rule
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import Bools, DroneTable, TripTable

# Who stands so near its hub stands at a charger.
AT_HOME_M = 100.0
# What may speak against a drone now and still let something be expected of it.
WILL_PASS = Rule.BUSY | Rule.ALREADY_FLYING | Rule.BATTERY_BELOW_MINIMUM


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What drones are busy with: `drone` (k,) by index, the trip of each, and in how many seconds
    each parcel is expected at its door; NaN where that is not known.
    """

    drone: np.ndarray
    trips: TripTable
    to_door_s: Floats


def expected(
    drones: DroneTable,
    work: Work,
    coming_home: Bools,
    rules: Rules,
    at: datetime,
    wind_mps: float | None = None,
) -> tuple[DroneTable, Floats]:
    """The drones (N,) as they will stand at home, and in how many seconds; NaN: not expected.

    coming_home: those that are in the air without an order, back from one of ours. Energy in the
    air is taken as that of hovering all the time, which errs on the side of a longer wait.
    """
    away_m = distance_m(drones.lat, drones.lng, drones.home_lat, drones.home_lng)
    free_in_s = np.full(len(drones), np.nan)
    on_ground = (drones.armed == 0) & ~drones.busy & (away_m <= AT_HOME_M)
    free_in_s[on_ground] = 0.0
    flying = (drones.armed == 1) & ~drones.busy & coming_home
    way_s = away_m * rules.detour_factor / drones.cruise_speed_mps
    free_in_s[flying] = (way_s + rules.cruise_alt_m / drones.descent_speed_mps)[flying]
    free_in_s[work.drone] = work.to_door_s + _door_to_home_s(drones, work, rules, at, wind_mps)
    against = judge.against_drones(drones, rules, wind_mps)
    free_in_s[(against & ~np.uint32(WILL_PASS)) != 0] = np.nan
    used_pct = free_in_s * drones.hover_power_w * 100 / (3600 * drones.battery_wh)
    return (
        replace(
            drones,
            lat=drones.home_lat,
            lng=drones.home_lng,
            battery_pct=np.maximum(0.0, drones.battery_pct - used_pct),
            armed=np.zeros(len(drones)),
            busy=np.zeros(len(drones), bool),
        ),
        free_in_s,
    )


def _door_to_home_s(
    drones: DroneTable, work: Work, rules: Rules, at: datetime, wind_mps: float | None
) -> Floats:
    every = np.arange(len(work.trips))
    flown = judge.judge(drones, work.trips, work.drone, every, rules, Zones([]), at, wind_mps)
    rest_s: Floats = flown.busy_s - flown.delivery_s
    return rest_s
