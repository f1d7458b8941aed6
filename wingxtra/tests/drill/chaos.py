"""Faults of a drill: those of external systems. `blows` has those of our own processes."""

import random
import threading
from collections import Counter
from typing import Any

from wingxtra.tests.drill.machine import Machine
from wingxtra.tests.drill.outside import Outside

Fault = dict[str, Any]


def of_a_flight(chance: random.Random) -> Fault:
    either = chance.random() < 0.5
    return chance.choice(
        [
            {"kind": "mission_fail"},
            {"kind": "abort"},
            {"kind": "drain_battery", "pct": 8},
            {"kind": "land_short", "report": either, "drop": chance.random() < 0.3},
            {"kind": "motor_failure", "drop": either},
            {"kind": "carry_home", "report": either},
            {"kind": "stay_at_drop", "report": either, "seconds": chance.choice([60, 700, 1200])},
            {"kind": "stay_at_drop", "report": either, "drop": False, "seconds": 1200},
        ]
    )


def of_telemetry(chance: random.Random, speed: float) -> Fault:
    for_s = chance.uniform(3, 45) * speed
    times = chance.randint(1, 3)
    bad = [("battery.remaining_pct", -1), ("velocity.groundspeed_mps", -0.01), ("armed", "yes")]
    name, value = chance.choice([*bad, ("position.lat", None), ("last_seen_ts", "soon")])
    return chance.choice(
        [
            {"kind": "lose_link", "for_s": for_s},
            {"kind": "freeze", "for_s": for_s},
            {"kind": "one_bad_drone", "times": times},
            {"kind": "glitch_armed", "times": chance.choice([1, 2])},
            {"kind": "glitch_altitude", "times": times, "metres": chance.choice([-60, 40, 120])},
            {"kind": "datum_change", "for_s": for_s},
            {"kind": "null_position", "for_s": for_s},
            {"kind": "bad_value", "times": times, "field": name, "value": value},
            {"kind": "production_plugin", "for_s": for_s / 2},
        ]
    )


def of_reports(chance: random.Random, speed: float) -> Fault:
    return chance.choice(
        [
            {"kind": "lie_delivered"},
            {"kind": "lie_failed", "report": chance.random() < 0.5},
            {"kind": "silent_reports"},
            {"kind": "silent_reports"},
            {"kind": "late_report", "seconds": chance.uniform(2, 40) * speed},
            {"kind": "clock", "seconds": chance.choice([-86400, 360])},
            {"kind": "clock", "at": "1970-01-01T00:00:00Z"},
            {"kind": "duplicate_reports"},
            {"kind": "swapped_reports"},
        ]
    )


def of_a_service(chance: random.Random, speed: float) -> Fault:
    """A cancel is never answered as "over" unless the mission is over."""
    for_s = chance.uniform(2, 8) * speed
    words = chance.choice(["accepted", "pending", "unknown", None])
    garbage = chance.choice(["non_json", "truncated", "error_500", "redirect", "slow"])
    after = chance.random() < 0.5
    return chance.choice(
        [
            {"kind": "garbage", "how": garbage, "times": chance.randint(1, 3), "seconds": 5},
            {"kind": "bridge_down", "for_s": for_s, "after": after},
            {"kind": "bridge_500", "for_s": for_s, "after": after},
            {"kind": "bridge_hang", "times": chance.randint(1, 2), "seconds": 5},
            {"kind": "bridge_reject", "times": 1},
            {"kind": "no_cancel_route", "for_s": 2 * for_s},
            {"kind": "cancel_word", "for_s": 2 * for_s, "word": words, "after": after},
            {"kind": "strict_members", "for_s": for_s},
            {"kind": "refuse_form", "for_s": for_s / 2},
            {"kind": "accept_silently", "times": chance.randint(1, 3), "seconds": 5},
        ]
    )


class Chaos:
    """Random faults from a seed, until `stop` is set."""

    def __init__(self, machine: Machine, speed: float, seed: int, drones: list[str]) -> None:
        self._speed, self._drones = speed, drones
        self._outside = Outside(machine.simulator_url)
        self._chance = random.Random(f"{seed}:chaos")
        self.faults: Counter[str] = Counter()

    def rage(self, stop: threading.Event, faults_per_minute: float) -> None:
        while not stop.wait(self._chance.expovariate(faults_per_minute / 60)):
            self._one_fault()

    def _one_fault(self) -> None:
        chance = self._chance
        kind = chance.choices(["flight", "telemetry", "reports", "service"], [5, 4, 5, 2])[0]
        if kind == "service":
            fault = of_a_service(chance, self._speed)
        else:
            fault = {
                "flight": lambda: of_a_flight(chance),
                "telemetry": lambda: of_telemetry(chance, self._speed),
                "reports": lambda: of_reports(chance, self._speed),
            }[kind]()
            fault["drone_id"] = chance.choice(self._drones)
        self._outside.fault(**{name: value for name, value in fault.items() if value is not None})
        self.faults[fault["kind"]] += 1
