"""Estimates when drones will be home again, and with what charge. Pure.

They are for planning only: a drone is assigned when its telemetry shows that it is able. So a wrong
estimate costs time, not safety. Without reliable data there is no estimate.
"""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from fleet.feasibility import judge
from fleet.feasibility.geometry import Floats, Zones, distance_m
from fleet.feasibility.judge import Rule
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import Bools, DroneTable, TripTable
from fleet.feasibility.winds import Winds

# A drone on the ground within this distance of its hub is assumed to be charging.
AT_HOME_M = 100.0
# Reasons that end by themselves. A drone with any other reason gets no estimate.
TEMPORARY = Rule.BUSY | Rule.ALREADY_FLYING | Rule.BATTERY_BELOW_MINIMUM


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """The jobs of busy drones (k,): the drone's index, its trip, and the seconds until the parcel
    is at the door; NaN if not known.
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
    winds: Winds | None = None,
) -> tuple[DroneTable, Floats]:
    """The drones (N,) as expected at home, and the seconds until then; NaN without an estimate.

    coming_home: drones in the air without an order, on the way back from a delivery. Energy in the
    air is estimated as that of hovering, which makes the wait rather too long.
    """
    away_m = distance_m(drones.lat, drones.lng, drones.home_lat, drones.home_lng)
    free_in_s = np.full(len(drones), np.nan)
    on_ground = (drones.armed == 0) & ~drones.busy & (away_m <= AT_HOME_M)
    free_in_s[on_ground] = 0.0
    flying = (drones.armed == 1) & ~drones.busy & coming_home
    way_s = away_m * rules.detour_factor / drones.cruise_speed_mps
    free_in_s[flying] = (way_s + rules.cruise_alt_m / drones.descent_speed_mps)[flying]
    free_in_s[work.drone] = work.to_door_s + _door_to_home_s(drones, work, rules, at, winds)
    against = judge.against_drones(drones, rules, winds)
    free_in_s[(against & ~np.uint32(TEMPORARY)) != 0] = np.nan
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
    drones: DroneTable, work: Work, rules: Rules, at: datetime, winds: Winds | None
) -> Floats:
    every = np.arange(len(work.trips))
    flown = judge.judge(drones, work.trips, work.drone, every, rules, Zones([]), at, winds)
    rest_s: Floats = flown.busy_s - flown.delivery_s
    return rest_s
