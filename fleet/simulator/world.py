"""The world: drones, missions, wind and noise, advanced by `step`. No clock, no network."""

import math
import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from fleet.simulator.airframe import SimDrone, distance_m
from fleet.simulator.faults import in_flight
from fleet.simulator.faults.board import Fault, FaultBoard
from fleet.simulator.faults.samples import apply_report_faults, with_faults
from fleet.simulator.flight import (
    LEAVING,
    Aircraft,
    Handling,
    Phase,
    energy_wh,
    mission_legs,
)
from fleet.simulator.intents import loads_at_pickup
from fleet.simulator.missions import COURSE, PICKED_UP, Mission, Refused, as_utc_text
from fleet.simulator.telemetry import Reading, read
from fleet.simulator.truth import SAME_PLACE_M, Ledger, Where

SLICE_S = 0.5  # maximum time step of the flight simulation
ARRIVAL_RADIUS_M = 30.0
AWAY_RADIUS_M = 30.0
WIND_MEMORY_S = 300.0
WIND_GUST_MPS = 0.8

MESSAGES = {
    "LAUNCHED": "Armed and climbing",
    "ENROUTE": "Away from the launch point",
    "ARRIVED": "At the drop point",
    "DELIVERING": "Low over the drop point, lowering the parcel",
    "DELIVERED": "Parcel dropped, leaving",
    PICKED_UP: "Parcel aboard",
}


class World:
    """All drones and missions. The same seed and steps give the same telemetry.

    now: aware UTC time of telemetry and events. Each step advances it by the step's seconds, or
    sets it to the given time. report_pickup: whether PICKED_UP is reported after loading. `changes`
    increases with every change that must be saved.
    """

    def __init__(
        self,
        drones: Iterable[SimDrone],
        seed: int,
        now: datetime,
        handling: Handling | None = None,
        report_pickup: bool = False,
    ) -> None:
        self.now = now
        self.elapsed_s = 0.0
        self.handling = handling or Handling()
        self.faults = FaultBoard()
        self.aircraft = {drone.drone_id: Aircraft.parked_at_home(drone) for drone in drones}
        self.missions: dict[str, Mission] = {}
        self.ledger = Ledger()
        self.changes = 0
        self._report_pickup = report_pickup
        self._air = random.Random(f"{seed}:wind")  # noqa: S311 - not a secret
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
        """Accepts a validated intent; True if it is new. A repeated one is only counted.

        Raises Refused: unknown or busy drone, payload too heavy, battery too low, wind too strong.
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
        drone, here = aircraft.drone, (aircraft.lat, aircraft.lng)
        back = intent.get("return_to")
        pad = (back["lat"], back["lng"]) if back else aircraft.pad
        legs = mission_legs(here, pad, intent, self.handling)
        payload_kg = intent["metadata"]["payload_weight_kg"]
        self._check_limits(aircraft, intent, energy_wh(drone, legs, payload_kg))
        aircraft.legs, aircraft.pad = legs, pad
        aircraft.intent_id = intent["intent_id"]
        aircraft.launched_from = here
        aircraft.abort_requested = False
        mission = Mission(intent, as_utc_text(self.now))
        self._check_siblings("two_open_missions", mission, in_air=False)
        self.missions[mission.intent_id] = mission
        self.ledger.expect(intent, self.now)
        self.changes += 1
        return True

    def _check_siblings(self, kind: str, mission: Mission, in_air: bool) -> None:
        """Records a violation if another mission of the same order can still deliver."""
        for other in self.missions.values():
            live = other.in_air if in_air else other.over_at is None
            if live and other is not mission and other.order_id == mission.order_id:
                detail = f"Mission {other.intent_id} of {other.drone_id} is not over."
                self.ledger.violate(kind, mission.intent, self.now, detail)

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
        """mode: withdraw or abort. Returns withdrawn, launched, abort_requested, or its status.

        Raises KeyError for an unknown intent.
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
            mission.finish("withdrawn", self.now)
            self.changes += 1
            return "withdrawn"
        if mission.over_why == "gave_up":
            return self._confirm_abort(aircraft, mission)
        aircraft.abort_requested = True
        self.changes += 1
        return "abort_requested"

    def _confirm_abort(self, aircraft: Aircraft, mission: Mission) -> str:
        """Answers an abort of a mission that has failed without a report."""
        if aircraft.intent_id != mission.intent_id:
            return "failed"
        self.report(mission, "ABORTED", "Aborted by the operator: on its way home already")
        return "abort_requested"

    # -- time ----------------------------------------------------------------------------------

    def step(self, dt_s: float, now: datetime | None = None) -> None:
        """Advances the world by dt_s seconds, then sends telemetry."""
        before, after = self.now, now or self.now + timedelta(seconds=dt_s)
        slices = max(1, math.ceil(dt_s / SLICE_S))
        slice_s = dt_s / slices
        for number in range(1, slices + 1):
            self.elapsed_s += slice_s
            self.now = before + (after - before) * number / slices
            self._update_wind(slice_s)
            for aircraft in self.aircraft.values():
                self._move(aircraft, slice_s)
        self._send_telemetry()

    def _update_wind(self, dt_s: float) -> None:
        """Gusts around a constant mean wind (an Ornstein-Uhlenbeck process)."""
        back = dt_s / WIND_MEMORY_S
        gust_mps = WIND_GUST_MPS * math.sqrt(2 * back)
        east, north = (
            speed + (mean - speed) * back + gust_mps * self._air.gauss(0, 1)
            for speed, mean in zip(self.wind, self._mean_wind, strict=True)
        )
        self.wind = (east, north)

    def _move(self, aircraft: Aircraft, dt_s: float) -> None:
        drained = self.strike("drain_battery", aircraft)
        if drained and drained.pct is not None:
            aircraft.energy_wh = aircraft.drone.battery_wh * min(drained.pct, 100) / 100
        if not aircraft.legs:
            if aircraft.at_home:
                aircraft.charge(dt_s)
            return
        phase, mission = aircraft.phase, self.missions[str(aircraft.intent_id)]
        aircraft.fly(dt_s, self.wind)
        if aircraft.phase is not phase:
            self._end_phase(phase, aircraft, mission)
        self._report_course(aircraft, mission)
        in_flight.apply(self, aircraft, mission)
        if not aircraft.legs:
            aircraft.intent_id = None
            aircraft.landed_at = as_utc_text(self.now)
            self.changes += 1

    def _end_phase(self, phase: Phase, aircraft: Aircraft, mission: Mission) -> None:
        """The effect of the end of a phase."""
        match phase:
            case Phase.PREFLIGHT:
                self._launch(aircraft, mission)
            case Phase.LOADING:
                self._load(aircraft, mission)
            case Phase.DROPPING:
                in_flight.at_the_drop(self, aircraft, mission)

    def _launch(self, aircraft: Aircraft, mission: Mission) -> None:
        mission.launched_at = as_utc_text(self.now)
        self.changes += 1
        self._check_siblings("two_live_missions", mission, in_air=True)
        if not loads_at_pickup(mission.intent):
            return self._load(aircraft, mission)
        pickup = mission.intent["pickup"]
        away_m = distance_m(*aircraft.launched_from, pickup["lat"], pickup["lng"])
        if self.ledger.parcels[mission.order_id].aboard(mission.drone_id) and away_m > SAME_PLACE_M:
            detail = f"The parcel is aboard already, {away_m:.0f} m from the pickup."
            self.ledger.violate("sent_to_wrong_pickup", mission.intent, self.now, detail)
        return None

    def _load(self, aircraft: Aircraft, mission: Mission) -> None:
        self.ledger.load(mission.intent, (aircraft.lat, aircraft.lng), self.now)
        self.weigh(aircraft)
        if self._report_pickup and self.ledger.parcels[mission.order_id].aboard(mission.drone_id):
            self.report(mission, PICKED_UP, MESSAGES[PICKED_UP])

    def put_down(self, aircraft: Aircraft, mission: Mission, where: Where) -> None:
        """Drops the mission's parcel here if it is aboard."""
        self.ledger.put_down(mission.intent, where, (aircraft.lat, aircraft.lng), self.now)
        self.weigh(aircraft)

    def weigh(self, aircraft: Aircraft) -> None:
        """Updates the payload mass. Call it after every loading and unloading."""
        aircraft.payload_kg = self.ledger.weight_kg(aircraft.drone.drone_id)
        self.changes += 1

    # -- faults and reports --------------------------------------------------------------------

    def strike(self, kind: str, aircraft: Aircraft) -> Fault | None:
        return self.faults.strike(kind, self.elapsed_s, aircraft.drone.drone_id, aircraft.phase)

    def fault_waiting(self, kind: str, aircraft: Aircraft) -> Fault | None:
        return self.faults.waiting(kind, self.elapsed_s, aircraft.drone.drone_id, aircraft.phase)

    def _report_course(self, aircraft: Aircraft, mission: Mission) -> None:
        """Reports all events that the flight has reached since the last report."""
        if mission.over_why == "gave_up" or (mission.ended and not mission.talks_on):
            return
        reported = sum(event.event_type in COURSE for event in mission.events)
        for event_type in COURSE[reported : _events_due(aircraft, mission)]:
            self.report(mission, event_type, MESSAGES[event_type])

    def report(self, mission: Mission, event_type: str, message: str) -> None:
        """Reports an event of a mission, with the report faults of its drone."""
        aircraft = self.aircraft[mission.drone_id]
        apply_report_faults(mission, lambda kind: self.strike(kind, aircraft))
        mission.record(event_type, self.now, message, self.elapsed_s)
        self.changes += 1

    def _send_telemetry(self) -> None:
        for drone_id, aircraft in self.aircraft.items():
            fresh = read(aircraft, self._noise[drone_id], self.now)
            last = self.readings.get(drone_id)
            if last and self.strike("lose_link", aircraft):
                continue
            if last and self.strike("freeze", aircraft):
                fresh = last.repeated(self.now)
            self.readings[drone_id] = fresh

    def samples(self) -> list[Reading]:
        """The readings as the Fleet API returns them. Each call counts as one sample for faults."""
        return [
            with_faults(
                reading,
                self.aircraft[drone_id],
                self.missions.get(self.aircraft[drone_id].intent_id or ""),
                self.faults,
                self.elapsed_s,
            )
            for drone_id, reading in self.readings.items()
        ]

    # -- state file ----------------------------------------------------------------------------

    def to_json(self) -> bytes:
        """For the state file. Takes a few milliseconds for thousands of missions."""
        kept = {
            "aircraft": {key: aircraft.to_dict() for key, aircraft in self.aircraft.items()},
            "missions": list(self.missions.values()),
            "ledger": self.ledger,
            "faults": self.faults.to_list(),
            "elapsed_s": self.elapsed_s,
        }
        return msgspec.json.encode(kept)

    def restore(self, values: dict[str, Any]) -> None:
        """Restores the output of `to_json` (decoded). Ignores unknown drones."""
        for drone_id, kept in values["aircraft"].items():
            if drone_id in self.aircraft:
                drone = self.aircraft[drone_id].drone
                self.aircraft[drone_id] = Aircraft.from_dict(drone, kept)
        missions = map(Mission.from_dict, values["missions"])
        self.missions = {mission.intent_id: mission for mission in missions}
        self.ledger = Ledger.from_dict(values["ledger"])
        self.faults.restore(values["faults"])
        self.elapsed_s = values["elapsed_s"]
        self.readings.clear()
        self._send_telemetry()


def _events_due(aircraft: Aircraft, mission: Mission) -> int:
    """How many events of COURSE the flight has reached."""
    here, dropoff = (aircraft.lat, aircraft.lng), mission.intent["dropoff"]
    match aircraft.phase:
        case Phase.PREFLIGHT:
            return 0
        case Phase.DROPPING:
            return COURSE.index("DELIVERING") + 1
        case phase if phase in LEAVING or phase is Phase.PARKED:
            return COURSE.index("DELIVERED") + 1
        case Phase.TO_DROPOFF | Phase.DROP_DESCENT if (
            distance_m(*here, dropoff["lat"], dropoff["lng"]) <= ARRIVAL_RADIUS_M
        ):
            return COURSE.index("ARRIVED") + 1
        case _:
            away = distance_m(*here, *aircraft.launched_from) >= AWAY_RADIUS_M
            return COURSE.index("ENROUTE" if away else "LAUNCHED") + 1
