"""The world: drones, their missions, wind and noise, moved on by `step`. No clock, no network."""

import math
import random
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from fleet.simulator.airframe import SimDrone, distance_m
from fleet.simulator.faults import FaultBoard
from fleet.simulator.flight import (
    GOING_HOME,
    Aircraft,
    Handling,
    Phase,
    energy_wh,
    mission_legs,
)
from fleet.simulator.missions import COURSE, Mission, Refused
from fleet.simulator.telemetry import Reading, read

SLICE_S = 0.5  # flights are worked out in slices no longer than this
ARRIVAL_RADIUS_M = 30.0
AWAY_RADIUS_M = 30.0
RETURN_BELOW_PCT = 10.0
WIND_MEMORY_S = 300.0
WIND_GUST_MPS = 0.8

WORDS = {
    "LAUNCHED": "Armed and climbing",
    "ENROUTE": "Away from the launch point",
    "ARRIVED": "At the drop point",
    "DELIVERING": "Low over the drop point, lowering the parcel",
    "DELIVERED": "Parcel dropped, leaving",
}


class World:
    """Drones in the air and on their pads. Same seed and same steps, same telemetry.

    now: aware UTC time that telemetry and events are stamped with. It moves on by the seconds of
    each step, unless the step is told what time it is.
    """

    def __init__(
        self,
        drones: Iterable[SimDrone],
        seed: int,
        now: datetime,
        handling: Handling | None = None,
    ) -> None:
        self.now = now
        self.elapsed_s = 0.0
        self.handling = handling or Handling()
        self.faults = FaultBoard()
        self.aircraft = {drone.drone_id: Aircraft.parked_at_home(drone) for drone in drones}
        self.missions: dict[str, Mission] = {}
        self._air = random.Random(f"{seed}:wind")  # noqa: S311 - a game of chance, not a secret
        self._noise = {
            drone_id: random.Random(f"{seed}:{drone_id}")  # noqa: S311
            for drone_id in self.aircraft
        }
        towards, mean_mps = self._air.uniform(0, math.tau), self._air.uniform(1, 4)
        self._mean_wind = (mean_mps * math.sin(towards), mean_mps * math.cos(towards))
        self.wind = self._mean_wind
        self.readings: dict[str, Reading] = {}
        self._send_telemetry()

    # -- missions ------------------------------------------------------------------------------

    def accept(self, intent: dict[str, Any]) -> bool:
        """Take a checked intent; True when it is new. The same one again is only counted.

        Raises Refused when a GCS would: unknown or busy drone, too heavy, too little charge, wind.
        """
        known = self.missions.get(intent["intent_id"])
        if known is not None:
            known.posts += 1
            return False
        drone_id = intent["drone_id"]
        aircraft = self.aircraft.get(drone_id)
        if aircraft is None:
            raise Refused("unknown_drone", f"No drone {drone_id} is connected to this GCS.")
        if aircraft.legs:
            raise Refused(
                "drone_busy",
                f"{drone_id} is flying ({aircraft.phase}, mission {aircraft.intent_id}).",
            )
        legs = mission_legs(aircraft.drone, (aircraft.lat, aircraft.lng), intent, self.handling)
        payload_kg = intent["metadata"]["payload_weight_kg"]
        self._check_limits(aircraft, intent, energy_wh(aircraft.drone, legs, payload_kg))
        aircraft.legs = legs
        aircraft.intent_id = intent["intent_id"]
        aircraft.launched_from = (aircraft.lat, aircraft.lng)
        aircraft.abort_requested = False
        self.missions[intent["intent_id"]] = Mission(intent)
        return True

    def _check_limits(self, aircraft: Aircraft, intent: dict[str, Any], trip_wh: float) -> None:
        drone, limits = aircraft.drone, intent["constraints"]
        payload_kg = intent["metadata"]["payload_weight_kg"]
        if payload_kg > drone.max_payload_kg:
            raise Refused(
                "payload_too_heavy",
                f"{drone.drone_id} carries {drone.max_payload_kg:g} kg, not {payload_kg:g} kg.",
            )
        needs_pct = 100 * trip_wh / drone.battery_wh
        if aircraft.battery_pct < max(needs_pct, limits["battery_min_pct"]):
            raise Refused(
                "battery_too_low",
                f"{drone.drone_id} has {aircraft.battery_pct:.1f} % battery; the mission needs "
                f"{needs_pct:.1f} % and asks for {limits['battery_min_pct']:g} % at take-off.",
            )
        if math.hypot(*self.wind) > limits["max_wind_mps"]:
            raise Refused(
                "wind_too_strong",
                f"The wind is {math.hypot(*self.wind):.1f} m/s, the mission allows "
                f"{limits['max_wind_mps']:g} m/s.",
            )

    def cancel(self, intent_id: str, mode: str) -> str:
        """mode withdraw or abort. Answers withdrawn, launched, abort_requested, or how it ended.

        Raises KeyError for an intent never accepted.
        """
        mission = self.missions[intent_id]
        aircraft = self.aircraft.get(mission.intent["drone_id"])
        if mission.withdrawn:
            return "withdrawn"
        if mode == "withdraw" and mission.events:
            return "launched"
        if mission.status == "ABORTED":
            return "abort_requested"
        if mission.ended or aircraft is None:
            return mission.status.lower()
        if not mission.events:
            aircraft.legs.clear()
            aircraft.intent_id = None
            mission.withdrawn = True
            return "withdrawn"
        aircraft.abort_requested = True
        return "abort_requested"

    # -- time ----------------------------------------------------------------------------------

    def step(self, dt_s: float, now: datetime | None = None) -> None:
        """Move everything on by so many seconds, then take the drones' telemetry."""
        before, after = self.now, now or self.now + timedelta(seconds=dt_s)
        slices = max(1, math.ceil(dt_s / SLICE_S))
        slice_s = dt_s / slices
        for number in range(1, slices + 1):
            self.elapsed_s += slice_s
            self.now = before + (after - before) * number / slices
            self._blow(slice_s)
            for aircraft in self.aircraft.values():
                self._move(aircraft, slice_s)
        self._send_telemetry()

    def _blow(self, dt_s: float) -> None:
        """Gusts around a mean wind that stays (an Ornstein-Uhlenbeck walk)."""
        back = dt_s / WIND_MEMORY_S
        gust_mps = WIND_GUST_MPS * math.sqrt(2 * back)
        east, north = (
            speed + (mean - speed) * back + gust_mps * self._air.gauss(0, 1)
            for speed, mean in zip(self.wind, self._mean_wind, strict=True)
        )
        self.wind = (east, north)

    def _move(self, aircraft: Aircraft, dt_s: float) -> None:
        drone_id = aircraft.drone.drone_id
        drained = self.faults.strike("drain_battery", self.elapsed_s, drone_id)
        if drained:
            aircraft.energy_wh = aircraft.drone.battery_wh * min(drained.pct, 100) / 100
        if not aircraft.legs:
            if aircraft.at_home:
                aircraft.charge(dt_s)
            return
        aircraft.fly(dt_s, self.wind)
        mission = self.missions[str(aircraft.intent_id)]
        if aircraft.phase is Phase.PICKUP_CLIMB:
            aircraft.payload_kg = mission.intent["metadata"]["payload_weight_kg"]
        elif aircraft.phase is Phase.RETURN_CLIMB and not mission.ended:
            aircraft.payload_kg = 0.0
        self._report_course(aircraft, mission)
        self._look_for_trouble(aircraft, mission)
        if not aircraft.legs:
            aircraft.intent_id = None
            aircraft.payload_kg = 0.0

    def _report_course(self, aircraft: Aircraft, mission: Mission) -> None:
        """Record every event between the last one and how far the flight has come."""
        if not mission.ended:
            for event_type in COURSE[len(mission.events) : _events_due(aircraft, mission)]:
                mission.record(event_type, self.now, WORDS[event_type])

    def _look_for_trouble(self, aircraft: Aircraft, mission: Mission) -> None:
        if not aircraft.armed or aircraft.phase is Phase.FORCED_LANDING:
            return
        drone_id, battery_pct = aircraft.drone.drone_id, aircraft.battery_pct
        if battery_pct <= 0:
            aircraft.land_here()
            self._end(mission, "FAILED", "Battery empty: landed where it was")
        elif mission.ended or aircraft.phase in GOING_HOME:
            return
        elif battery_pct < RETURN_BELOW_PCT:
            self._turn_home(aircraft, mission, "FAILED", f"Battery at {battery_pct:.0f} %")
        elif aircraft.abort_requested or self.faults.strike("abort", self.elapsed_s, drone_id):
            self._turn_home(aircraft, mission, "ABORTED", "Aborted by the operator")
        elif len(mission.events) > 1 and self.faults.strike(
            "mission_fail", self.elapsed_s, drone_id
        ):
            self._turn_home(aircraft, mission, "FAILED", "The vehicle reported a failure")

    def _turn_home(
        self, aircraft: Aircraft, mission: Mission, event_type: str, reason: str
    ) -> None:
        safety = mission.intent["safety"]
        waits = event_type == "FAILED" and not safety["abort_rtl_on_fail"]
        loiter_s = safety["loiter_timeout_s"] if waits else 0.0
        aircraft.turn_home(loiter_s, mission.intent["dropoff"]["alt_m"])
        self._end(mission, event_type, f"{reason}: returning home with the parcel undelivered")

    def _end(self, mission: Mission, event_type: str, message: str) -> None:
        if not mission.ended:
            mission.record(event_type, self.now, message)

    def _send_telemetry(self) -> None:
        for drone_id, aircraft in self.aircraft.items():
            fresh = read(aircraft, self._noise[drone_id], self.now)
            last = self.readings.get(drone_id)
            if last and self.faults.strike("lose_link", self.elapsed_s, drone_id):
                continue
            if last and self.faults.strike("freeze", self.elapsed_s, drone_id):
                fresh = last.repeated(self.now)
            self.readings[drone_id] = fresh

    # -- keeping -------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        return {
            "aircraft": {key: aircraft.to_dict() for key, aircraft in self.aircraft.items()},
            "missions": [asdict(mission) for mission in self.missions.values()],
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Put known drones back to where they were, and remember every mission."""
        for drone_id, kept in values["aircraft"].items():
            if drone_id in self.aircraft:
                drone = self.aircraft[drone_id].drone
                self.aircraft[drone_id] = Aircraft.from_dict(drone, kept)
        missions = map(Mission.from_dict, values["missions"])
        self.missions = {mission.intent_id: mission for mission in missions}
        self.readings.clear()
        self._send_telemetry()


def _events_due(aircraft: Aircraft, mission: Mission) -> int:
    """How many events of the course a flight that goes well has earned by now."""
    here, dropoff = (aircraft.lat, aircraft.lng), mission.intent["dropoff"]
    match aircraft.phase:
        case Phase.PREFLIGHT:
            return 0
        case Phase.DROPPING:
            return COURSE.index("DELIVERING") + 1
        case phase if phase in GOING_HOME or phase is Phase.PARKED:
            return COURSE.index("DELIVERED") + 1
        case Phase.TO_DROPOFF | Phase.DROP_DESCENT if (
            distance_m(*here, dropoff["lat"], dropoff["lng"]) <= ARRIVAL_RADIUS_M
        ):
            return COURSE.index("ARRIVED") + 1
        case _:
            away = distance_m(*here, *aircraft.launched_from) >= AWAY_RADIUS_M
            return COURSE.index("ENROUTE" if away else "LAUNCHED") + 1
