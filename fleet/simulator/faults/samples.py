"""What faults make of a sample before the Fleet API hands it out, and of a mission's reports.

A sample is one answer to one reader: `times=2` on a fault spoils the next two answers, however fast
the world runs and however rarely it is polled.
"""

from collections.abc import Callable
from dataclasses import replace

from fleet.simulator.airframe import distance_m
from fleet.simulator.faults.board import Fault, FaultBoard
from fleet.simulator.flight import LEAVING, Aircraft, Phase
from fleet.simulator.missions import Mission
from fleet.simulator.telemetry import Reading

AT_THE_DROP = {Phase.TO_DROPOFF, Phase.DROP_DESCENT, Phase.DROPPING} | LEAVING


def spoilt(
    reading: Reading, aircraft: Aircraft, mission: Mission | None, board: FaultBoard, now_s: float
) -> Reading:
    """The sample of an aircraft as it is handed out. mission: what it flies, if it does."""

    def strike(kind: str) -> Fault | None:
        return board.strike(kind, now_s, reading.drone_id, aircraft.phase)

    if strike("glitch_armed"):
        reading = replace(reading, armed=not reading.armed)
    for kind in ("glitch_altitude", "datum_change"):
        fault = strike(kind)
        if fault:
            reading = replace(reading, alt_m=reading.alt_m + (fault.metres or 0.0))
    vanishing = board.waiting("null_position", now_s, reading.drone_id, aircraft.phase)
    if vanishing and mission and _is_near_drop(aircraft, mission, vanishing.metres or 0.0):
        strike("null_position")
        for name in ("lat", "lon", "alt_m"):
            reading = reading.changed(f"position.{name}", None)
    if strike("production_plugin"):
        reading = _as_production_sends(reading)
    bad = strike("bad_value")
    if bad and bad.field:
        reading = reading.changed(bad.field, bad.value)
    return reading


def _is_near_drop(aircraft: Aircraft, mission: Mission, metres: float) -> bool:
    """On the last metres of the way to the drop, at it, or on the first metres of the way back."""
    drop = mission.intent["dropoff"]
    left_m = distance_m(aircraft.lat, aircraft.lng, drop["lat"], drop["lng"])
    return aircraft.phase in AT_THE_DROP and left_m <= metres


def _as_production_sends(reading: Reading) -> Reading:
    """Position and yaw; the altitude field holds the accuracy of the GPS in millimetres."""
    accuracy_mm = 800 + reading.measured_at.microsecond % 900
    for name in ("velocity", "state", "battery", "link"):
        reading = reading.changed(name, None)
    return reading.changed("position.alt_m", accuracy_mm)


def spoil_manner(mission: Mission, strike: Callable[[str], Fault | None]) -> None:
    """Before a report is recorded: let the faults that ask for it spoil how this mission reports.

    A mission uses up one strike of each kind, and keeps its manner to the end.
    """
    manner = mission.manner
    if not manner.silent and strike("silent_reports"):
        manner.silent = True
    if not manner.delay_s and (late := strike("late_report")):
        manner.delay_s = late.seconds or 0.0
    if not (manner.at or manner.ahead_s) and (clock := strike("clock")):
        manner.at, manner.ahead_s = clock.at, clock.seconds or 0.0
    if manner.copies == 1 and strike("duplicate_reports"):
        manner.copies = 2
    starts_pair = len(mission.events) % 2 == 0
    if starts_pair and not manner.swapped and strike("swapped_reports"):
        manner.swapped = True
