"""Applies faults to samples of telemetry and to a mission's reports.

A sample is one answer to one poll: `times=2` affects the next two answers, independent of the
world's speed and the polling rate.
"""

from collections.abc import Callable
from dataclasses import replace

from fleet.simulator.airframe import distance_m
from fleet.simulator.faults.board import Fault, FaultBoard
from fleet.simulator.flight import LEAVING, Aircraft, Phase
from fleet.simulator.missions import Mission
from fleet.simulator.telemetry import Reading

AT_THE_DROP = {Phase.TO_DROPOFF, Phase.DROP_DESCENT, Phase.DROPPING} | LEAVING


def with_faults(
    reading: Reading, aircraft: Aircraft, mission: Mission | None, board: FaultBoard, now_s: float
) -> Reading:
    """The reading of an aircraft with its faults applied. mission: the current one, if any."""

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
    """Within this distance of the drop, before, at or after it."""
    if aircraft.phase not in AT_THE_DROP:
        return False
    drop = mission.intent["dropoff"]
    return distance_m(aircraft.lat, aircraft.lng, drop["lat"], drop["lng"]) <= metres


def _as_production_sends(reading: Reading) -> Reading:
    """Only position and yaw; the altitude is the GPS accuracy in millimetres."""
    accuracy_mm = 800 + reading.measured_at.microsecond % 900
    for name in ("velocity", "state", "battery", "link"):
        reading = reading.changed(name, None)
    return reading.changed("position.alt_m", accuracy_mm)


def apply_report_faults(mission: Mission, strike: Callable[[str], Fault | None]) -> None:
    """Sets the report faults of a mission. Call it before a report is recorded.

    A mission uses one strike of each kind, and keeps the fault to its end.
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
