"""Flights of one drone for tests: its path, its samples, and the phases read from them."""

import json
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from dispatch.missions.flight.phases import Event, FlightEvent, FlightState, Phase, Plan, step
from fleet.live.telemetry import Telemetry
from fleet.policy import Policy
from fleet.simulator.airframe import moved

RULES = Policy().rules()
HUB = (5.6037, -0.1870)
T0 = datetime(2026, 11, 24, 8, tzinfo=UTC)
DELIVERY = ["LAUNCHED", "ENROUTE", "ARRIVED", "DELIVERING", "DELIVERED"]


@dataclass(frozen=True, slots=True)
class At:
    """One sample: seconds after T0, metres north and east of the hub, and so on."""

    s: float
    north_m: float
    alt_m: float | None
    speed_mps: float | None = 0.0
    armed: bool | None = True
    east_m: float = 0.0

    def telemetry(self) -> Telemetry:
        lat, lng = moved(*HUB, self.east_m, self.north_m)
        when = T0 + timedelta(seconds=self.s)
        return Telemetry(
            drone_id="WX-DRN-001",
            seen_at=when,
            measured_at=when,
            lat=lat,
            lng=lng,
            alt_m=self.alt_m,
            speed_mps=self.speed_mps,
            armed=self.armed,
        )


def plan(pickup_m: float = 500, dropoff_m: float = 2000) -> Plan:
    """Pickup and drop point north of the hub; a drone of 16 m/s that climbs at 4, descends at 3."""
    return Plan(
        *moved(*HUB, 0, pickup_m),
        *moved(*HUB, 0, dropoff_m),
        cruise_alt_m=60,
        delivery_alt_m=8,
        cruise_speed_mps=16,
        climb_speed_mps=4,
        descent_speed_mps=3,
    )


class Pilot:
    """Flies on a line north of the hub and takes a sample every `every_s`."""

    def __init__(self, every_s: float = 2.0) -> None:
        self.every_s, self.s, self.north_m, self.alt_m = every_s, 0.0, 0.0, 0.0
        self.armed = False
        self.track: list[At] = []

    def _measure(self, speed_mps: float = 0.0) -> None:
        self.track.append(At(self.s, self.north_m, self.alt_m, speed_mps, self.armed))
        self.s += self.every_s

    def stand(self, seconds: float) -> "Pilot":
        for _ in range(round(seconds / self.every_s)):
            self._measure()
        return self

    def arm(self) -> "Pilot":
        self.armed = True
        return self

    def disarm(self) -> "Pilot":
        self.armed = False
        return self.stand(10)

    def to_alt(self, alt_m: float) -> "Pilot":
        rate_mps = 4 if alt_m > self.alt_m else -3
        while self.alt_m != alt_m:
            change_m = rate_mps * self.every_s
            left_m = alt_m - self.alt_m
            self.alt_m = alt_m if abs(change_m) >= abs(left_m) else self.alt_m + change_m
            self._measure()
        return self

    def fly(self, north_m: float) -> "Pilot":
        while self.north_m != north_m:
            left_m = north_m - self.north_m
            ahead_m = math.copysign(min(16 * self.every_s, abs(left_m)), left_m)
            self.north_m += ahead_m
            self._measure(abs(ahead_m) / self.every_s)
        return self


def launched(every_s: float = 2.0) -> Pilot:
    return Pilot(every_s).stand(10).arm().to_alt(60)


def loaded(every_s: float = 2.0) -> Pilot:
    """In cruise above the pickup, with the parcel."""
    return launched(every_s).fly(500).to_alt(2).stand(16).to_alt(60)


def delivery(every_s: float = 2.0) -> list[At]:
    pilot = loaded(every_s).fly(2000).to_alt(8).stand(20).to_alt(60)
    return pilot.fly(0).to_alt(0).disarm().track


def phases_of(track: Iterable[At], where: Plan | None = None) -> list[str]:
    return [phase.value for phase, _ in flown(track, where)[1]]


def flown(
    track: Iterable[At], where: Plan | None = None
) -> tuple[FlightState, list[tuple[Phase, At]]]:
    """The phases and their samples, read one by one with a JSON round trip after each."""
    state, phases = FlightState(), []
    for at in track:
        state = FlightState.from_dict(json.loads(json.dumps(state.to_dict())))
        state, events = step(state, [at.telemetry()], where or plan(), RULES)
        phases += [(event.phase, at) for event in events if isinstance(event, FlightEvent)]
    return state, phases


def shaken(track: Iterable[At], seed: int, metres: float = 2.0, alt_m: float = 1.0) -> Iterator[At]:
    """The track with the noise of a receiver and a barometer."""
    noise = random.Random(seed)
    for at in track:
        yield replace(
            at,
            north_m=at.north_m + noise.gauss(0, metres),
            east_m=noise.gauss(0, metres),
            alt_m=None if at.alt_m is None else at.alt_m + noise.gauss(0, alt_m),
            speed_mps=abs((at.speed_mps or 0) + noise.gauss(0, 0.3)),
        )


def names(events: Iterable[Event]) -> list[str]:
    return [event.phase.value for event in events if isinstance(event, FlightEvent)]
