"""One aircraft: the legs of its flight, its motion along them, and its energy use."""

import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from fleet.simulator.airframe import SimDrone, distance_m, moved, offset_m
from fleet.simulator.intents import cruise_alt_m, is_reposition, loads_at_pickup

ACCELERATION_MPS2 = 2.5
LOADING_ALT_M = 2.0
HOME_RADIUS_M = 5.0
MIN_GROUND_SPEED_FACTOR = 0.3  # of the cruise speed, in the worst headwind


class Phase(StrEnum):
    PARKED = "PARKED"
    PREFLIGHT = "PREFLIGHT"
    TAKEOFF = "TAKEOFF"
    TO_PICKUP = "TO_PICKUP"
    PICKUP_DESCENT = "PICKUP_DESCENT"
    LOADING = "LOADING"
    PICKUP_CLIMB = "PICKUP_CLIMB"
    TO_DROPOFF = "TO_DROPOFF"
    TO_BASE = "TO_BASE"
    DROP_DESCENT = "DROP_DESCENT"
    DROPPING = "DROPPING"
    DROP_LANDING = "DROP_LANDING"
    STAYING = "STAYING"
    HOLDING = "HOLDING"
    RETURN_CLIMB = "RETURN_CLIMB"
    RETURN = "RETURN"
    LANDING = "LANDING"
    FORCED_LANDING = "FORCED_LANDING"


class Motion(StrEnum):
    WAIT_ON_GROUND = "WAIT_ON_GROUND"
    HOVER = "HOVER"
    CLIMB = "CLIMB"
    DESCEND = "DESCEND"
    CRUISE = "CRUISE"


# The motion and ArduPilot's flight mode in each phase.
PHASES: dict[Phase, tuple[Motion, str]] = {
    Phase.PARKED: (Motion.WAIT_ON_GROUND, "STABILIZE"),
    Phase.PREFLIGHT: (Motion.WAIT_ON_GROUND, "STABILIZE"),
    Phase.TAKEOFF: (Motion.CLIMB, "AUTO"),
    Phase.TO_PICKUP: (Motion.CRUISE, "AUTO"),
    Phase.PICKUP_DESCENT: (Motion.DESCEND, "AUTO"),
    Phase.LOADING: (Motion.HOVER, "AUTO"),
    Phase.PICKUP_CLIMB: (Motion.CLIMB, "AUTO"),
    Phase.TO_DROPOFF: (Motion.CRUISE, "AUTO"),
    Phase.TO_BASE: (Motion.CRUISE, "AUTO"),
    Phase.DROP_DESCENT: (Motion.DESCEND, "AUTO"),
    Phase.DROPPING: (Motion.HOVER, "AUTO"),
    Phase.DROP_LANDING: (Motion.DESCEND, "LAND"),
    Phase.STAYING: (Motion.WAIT_ON_GROUND, "LAND"),
    Phase.HOLDING: (Motion.HOVER, "LOITER"),
    Phase.RETURN_CLIMB: (Motion.CLIMB, "RTL"),
    Phase.RETURN: (Motion.CRUISE, "RTL"),
    Phase.LANDING: (Motion.DESCEND, "RTL"),
    Phase.FORCED_LANDING: (Motion.DESCEND, "LAND"),
}
# Phases after the delivery has ended, successful or not.
LEAVING = {
    Phase.DROP_LANDING,
    Phase.STAYING,
    Phase.HOLDING,
    Phase.RETURN_CLIMB,
    Phase.RETURN,
    Phase.LANDING,
    Phase.FORCED_LANDING,
}


@dataclass(frozen=True, slots=True)
class Leg:
    """One phase of a flight and its end point. `hold_s`: for phases in which the aircraft waits."""

    phase: Phase
    lat: float
    lng: float
    alt_m: float
    hold_s: float = 0.0

    @property
    def motion(self) -> Motion:
        return PHASES[self.phase][0]


@dataclass(frozen=True, slots=True)
class Handling:
    """Seconds on the ground before take-off, at the pickup and at the door."""

    preflight_s: float = 5.0
    load_s: float = 15.0
    drop_s: float = 20.0


def mission_legs(
    start: tuple[float, float], home: tuple[float, float], intent: dict[str, Any], crew: Handling
) -> list[Leg]:
    """From the drone's position via pickup and drop point to the pad that it returns to; straight
    there without an order.
    """
    if is_reposition(intent):
        alt_m = cruise_alt_m(intent)
        return [
            Leg(Phase.PREFLIGHT, *start, 0.0, crew.preflight_s),
            Leg(Phase.TAKEOFF, *start, alt_m),
            Leg(Phase.TO_BASE, *home, alt_m),
            Leg(Phase.LANDING, *home, 0.0),
        ]
    pickup, dropoff = intent["pickup"], intent["dropoff"]
    at_pickup = (pickup["lat"], pickup["lng"])
    at_door = (dropoff["lat"], dropoff["lng"])
    by_pickup = [
        Leg(Phase.TAKEOFF, *start, pickup["alt_m"]),
        Leg(Phase.TO_PICKUP, *at_pickup, pickup["alt_m"]),
        Leg(Phase.PICKUP_DESCENT, *at_pickup, LOADING_ALT_M),
        Leg(Phase.LOADING, *at_pickup, LOADING_ALT_M, crew.load_s),
        Leg(Phase.PICKUP_CLIMB, *at_pickup, dropoff["alt_m"]),
    ]
    straight = [Leg(Phase.TAKEOFF, *start, dropoff["alt_m"])]
    return [
        Leg(Phase.PREFLIGHT, *start, 0.0, crew.preflight_s),
        *(by_pickup if loads_at_pickup(intent) else straight),
        Leg(Phase.TO_DROPOFF, *at_door, dropoff["alt_m"]),
        Leg(Phase.DROP_DESCENT, *at_door, dropoff["delivery_alt_m"]),
        Leg(Phase.DROPPING, *at_door, dropoff["delivery_alt_m"], crew.drop_s),
        *legs_home(home, at_door, dropoff["alt_m"]),
    ]


def legs_home(home: tuple[float, float], start: tuple[float, float], alt_m: float) -> list[Leg]:
    return [
        Leg(Phase.RETURN_CLIMB, *start, alt_m),
        Leg(Phase.RETURN, *home, alt_m),
        Leg(Phase.LANDING, *home, 0.0),
    ]


def energy_wh(drone: SimDrone, legs: list[Leg], payload_kg: float) -> float:
    """The energy of the legs without wind; the parcel is aboard from LOADING to DROPPING."""
    total_ws, here, aboard_kg = 0.0, legs[0], 0.0
    for leg in legs:
        match leg.motion:
            case Motion.CLIMB:
                duration_s = abs(leg.alt_m - here.alt_m) / drone.climb_speed_mps
            case Motion.DESCEND:
                duration_s = abs(leg.alt_m - here.alt_m) / drone.descent_speed_mps
            case Motion.CRUISE:
                way_m = distance_m(here.lat, here.lng, leg.lat, leg.lng)
                duration_s = way_m / drone.cruise_speed_mps
            case _:
                duration_s = leg.hold_s
        total_ws += duration_s * power_w(drone, leg.motion, aboard_kg)
        if leg.phase is Phase.LOADING:
            aboard_kg = payload_kg
        elif leg.phase is Phase.DROPPING:
            aboard_kg = 0.0
        here = leg
    return total_ws / 3600


def power_w(drone: SimDrone, motion: Motion, payload_kg: float) -> float:
    match motion:
        case Motion.WAIT_ON_GROUND:
            return 0.0
        case Motion.CLIMB:
            return drone.climb_w(payload_kg)
        case Motion.CRUISE:
            return drone.cruise_w(payload_kg)
        case _:
            return drone.hover_w(payload_kg)


@dataclass(slots=True)
class Aircraft:
    """The state of a drone. `legs[0]` is the current leg; no legs: parked.

    pad: where it lands and is charged.
    """

    drone: SimDrone
    lat: float
    lng: float
    energy_wh: float
    alt_m: float = 0.0
    heading_deg: float = 0.0
    speed_mps: float = 0.0
    waited_s: float = 0.0
    payload_kg: float = 0.0
    legs: list[Leg] = field(default_factory=list)
    intent_id: str | None = None
    launched_from: tuple[float, float] = (0.0, 0.0)
    pad: tuple[float, float] = (0.0, 0.0)
    landed_at: str | None = None
    abort_requested: bool = False

    @classmethod
    def parked_at_home(cls, drone: SimDrone) -> "Aircraft":
        charge_wh = drone.battery_wh * drone.battery_pct / 100
        home = (drone.home_lat, drone.home_lng)
        return cls(drone, *home, charge_wh, pad=home)

    @property
    def phase(self) -> Phase:
        return self.legs[0].phase if self.legs else Phase.PARKED

    @property
    def mode(self) -> str:
        return PHASES[self.phase][1]

    @property
    def armed(self) -> bool:
        return PHASES[self.phase][0] is not Motion.WAIT_ON_GROUND

    @property
    def battery_pct(self) -> float:
        return 100 * self.energy_wh / self.drone.battery_wh

    @property
    def at_home(self) -> bool:
        return self.alt_m == 0 and distance_m(self.lat, self.lng, *self.pad) <= HOME_RADIUS_M

    def charge(self, dt_s: float) -> None:
        full_wh = self.drone.battery_wh
        self.energy_wh = min(full_wh, self.energy_wh + self.drone.charge_w * dt_s / 3600)

    def fly(self, dt_s: float, wind: tuple[float, float]) -> None:
        """Advances along the current leg by a short time. The next leg starts with the next call.

        wind: metres per second towards east and north.
        """
        leg = self.legs[0]
        used_wh = power_w(self.drone, leg.motion, self.payload_kg) * dt_s / 3600
        self.energy_wh = max(0.0, self.energy_wh - used_wh)
        match leg.motion:
            case Motion.CRUISE:
                done = self._cruise(leg, dt_s, wind)
            case Motion.CLIMB:
                done = self._change_altitude(leg, self.drone.climb_speed_mps * dt_s)
            case Motion.DESCEND:
                done = self._change_altitude(leg, self.drone.descent_speed_mps * dt_s)
            case _:
                self.speed_mps = 0.0
                self.waited_s += dt_s
                done = self.waited_s >= leg.hold_s
        if done:
            self.legs.pop(0)
            self.waited_s = 0.0

    def turn_home(self, loiter_s: float, alt_m: float) -> None:
        """Stops the mission: holds for a time, climbs to a safe altitude and returns home."""
        here = (self.lat, self.lng)
        holding = [Leg(Phase.HOLDING, *here, self.alt_m, loiter_s)] if loiter_s else []
        self._replace_legs(holding + legs_home(self.pad, here, max(alt_m, self.alt_m)))

    def land_here(self) -> None:
        self._replace_legs([Leg(Phase.FORCED_LANDING, self.lat, self.lng, 0.0)])

    def stay_here(self, stay_s: float | None, alt_m: float) -> None:
        """Lands and disarms, then returns home at this altitude after stay_s; None: stays."""
        here = (self.lat, self.lng)
        landing = [Leg(Phase.DROP_LANDING, *here, 0.0)]
        if stay_s is None:
            return self._replace_legs(landing)
        stay = Leg(Phase.STAYING, *here, 0.0, stay_s)
        return self._replace_legs([*landing, stay, *legs_home(self.pad, here, alt_m)])

    def _replace_legs(self, legs: list[Leg]) -> None:
        self.legs, self.waited_s = legs, 0.0

    def _cruise(self, leg: Leg, dt_s: float, wind: tuple[float, float]) -> bool:
        east_m, north_m = offset_m(self.lat, self.lng, leg.lat, leg.lng)
        left_m = math.hypot(east_m, north_m)
        if left_m > 0:
            self.heading_deg = math.degrees(math.atan2(east_m, north_m)) % 360
        braking_mps = math.sqrt(2 * ACCELERATION_MPS2 * left_m)
        faster_mps = self.speed_mps + ACCELERATION_MPS2 * dt_s
        track = (east_m / left_m, north_m / left_m) if left_m else (0.0, 0.0)
        self.speed_mps = min(faster_mps, self._ground_speed_mps(track, wind), braking_mps)
        step_m = self.speed_mps * dt_s
        if step_m >= left_m:
            self.lat, self.lng, self.speed_mps = leg.lat, leg.lng, 0.0
            return True
        self.lat, self.lng = moved(self.lat, self.lng, track[0] * step_m, track[1] * step_m)
        return False

    def _ground_speed_mps(self, track: tuple[float, float], wind: tuple[float, float]) -> float:
        """From the wind triangle: the drone corrects for crosswind and keeps its track."""
        along_mps = wind[0] * track[0] + wind[1] * track[1]
        across_mps = wind[0] * track[1] - wind[1] * track[0]
        airspeed_mps = self.drone.cruise_speed_mps
        ahead_mps = math.sqrt(max(0.0, airspeed_mps**2 - across_mps**2))
        return max(MIN_GROUND_SPEED_FACTOR * airspeed_mps, ahead_mps + along_mps)

    def _change_altitude(self, leg: Leg, step_m: float) -> bool:
        self.speed_mps = 0.0
        left_m = leg.alt_m - self.alt_m
        if abs(left_m) <= step_m:
            self.alt_m = leg.alt_m
            return True
        self.alt_m += math.copysign(step_m, left_m)
        return False

    def to_dict(self) -> dict[str, Any]:
        """The state without the drone's figures, for the state file."""
        return {key: value for key, value in asdict(self).items() if key != "drone"}

    @classmethod
    def from_dict(cls, drone: SimDrone, values: dict[str, Any]) -> "Aircraft":
        legs = [Leg(**leg | {"phase": Phase(leg["phase"])}) for leg in values["legs"]]
        places = {name: tuple(values[name]) for name in ("launched_from", "pad")}
        return cls(drone, **values | {"legs": legs} | places)
