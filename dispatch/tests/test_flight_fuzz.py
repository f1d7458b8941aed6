"""Simulated flights with everything wrong with their telemetry, against what really happened.

The aircraft of the simulator's world is the truth. Whatever is done to its measurements, no phase
is read that the flight does not have. Telemetry cannot tell a hand-over from one that is given up
half way down or later, nor loading from giving it up; so missions end elsewhere here.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import pytest

from dispatch.missions.flight.phases import (
    Event,
    ParcelLoaded,
    Phase,
    Plan,
    State,
    may_carry,
    step,
)
from dispatch.tests import noise
from dispatch.tests.flights import HUB, RULES, T0, names
from fleet.live.telemetry import Telemetry
from fleet.simulator.airframe import distance_m, moved
from fleet.simulator.faults.board import Fault
from fleet.simulator.flight import Aircraft
from fleet.simulator.flight import Phase as Truth
from fleet.simulator.world import World
from fleet.tests.simulated import DRONE_ID, INTENT_ID, mission_intent, sim_drone

FACTORS = (0.5, 1, 1, 2, 5, 10, 20)  # of the flight's clock against the one of its measurements
EVERY_S = (0.5, 1, 2, 2, 5, 10)  # of the latter
WIDEST_LOOK_S = 20  # of the flight's clock: with fewer looks a whole delivery lies between two
STANDS_LOOKS = 20  # the drone is looked at for so long after it has landed
NEAR_M = RULES.arrival_radius_m + 15  # room for the receiver's noise and for a moment of flight

ON_THE_GROUND = (Truth.PARKED, Truth.PREFLIGHT)
GIVEN_UP_IN = (Truth.TAKEOFF, Truth.TO_PICKUP, Truth.PICKUP_CLIMB, Truth.TO_DROPOFF)


@dataclass(frozen=True, slots=True)
class Moment:
    """One measurement, and what is true when it is made."""

    sample: Telemetry
    stands: bool
    has_flown: bool
    was_away: bool
    was_near: bool
    has_descended: bool
    was_loaded: bool
    was_delivered: bool

    def is_true(self, event: Event) -> bool:
        if isinstance(event, ParcelLoaded):
            return self.was_loaded
        return {
            Phase.LAUNCHED: self.has_flown,
            Phase.ENROUTE: self.was_away,
            Phase.ARRIVED: self.was_near,
            Phase.DELIVERING: self.has_descended,
            Phase.DELIVERED: self.was_delivered,
            Phase.RETURNED: self.stands and not self.was_delivered,
            Phase.UNCLEAR: self.stands,
        }[event.phase]


class Mission:
    """One mission in a world of its own, looked at every `every_s` from before its launch until it
    has stood for a while again."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.factor = self.chance.choice(FACTORS)
        self.every_s = min(self.chance.choice(EVERY_S), WIDEST_LOOK_S / self.factor)
        pickup = self._place(HUB, 300, 900)
        dropoff = self._place(pickup, 500, 1200)
        self.plan = Plan(*pickup, *dropoff, 60, 8, 16, 4, 3)
        self.world = World([sim_drone()], seed, T0)
        self.intent = mission_intent()
        for name, (lat, lng) in (("pickup", pickup), ("dropoff", dropoff)):
            self.intent[name] |= {"lat": lat, "lng": lng}
        self.given_up_in = self.chance.choice([None, *GIVEN_UP_IN])
        self.at_pickup = False
        self.moments: list[Moment] = []
        self.true = dict.fromkeys(Moment.__slots__[1:], False)

    def fly(self) -> "Mission":
        for _ in range(self.chance.randint(0, 5)):
            self._look()
        self.world.accept(self.intent)
        while not (self.true["has_flown"] and self.true["stands"]):
            self._look()
        for _ in range(STANDS_LOOKS):
            self._look()
        return self

    def _place(self, around: tuple[float, float], least_m: int, most_m: int) -> tuple[float, float]:
        return moved(*around, self.chance.uniform(-900, 900), self.chance.uniform(least_m, most_m))

    def _look(self) -> None:
        slices = max(1, round(self.every_s * self.factor / 0.5))
        for _ in range(slices):
            now = self.world.now + timedelta(seconds=self.every_s / slices)
            self.world.step(self.every_s * self.factor / slices, now)
            self._see(self.world.aircraft[DRONE_ID])
        reading = self.world.readings[DRONE_ID]
        sample = Telemetry(
            drone_id=DRONE_ID,
            seen_at=reading.received_at,
            measured_at=reading.measured_at,
            lat=reading.lat,
            lng=reading.lng,
            alt_m=reading.alt_m,
            speed_mps=reading.groundspeed_mps,
            armed=reading.armed,
        )
        self.moments.append(Moment(sample, **self.true))

    def _see(self, aircraft: Aircraft) -> None:
        here, plan, true = (aircraft.lat, aircraft.lng), self.plan, self.true
        to_dropoff_m = distance_m(*here, plan.dropoff_lat, plan.dropoff_lng)
        phase = aircraft.phase
        true["stands"] = phase in ON_THE_GROUND
        true["has_flown"] |= not true["stands"]
        true["was_away"] |= distance_m(*here, *HUB) > 25
        true["was_loaded"] |= aircraft.payload_kg > 0
        true["was_near"] |= to_dropoff_m <= NEAR_M and true["was_loaded"]
        true["has_descended"] |= phase in (Truth.DROP_DESCENT, Truth.DROPPING)
        events = self.world.missions[INTENT_ID].events if INTENT_ID in self.world.missions else []
        true["was_delivered"] |= any(event.event_type == "DELIVERED" for event in events)
        self.at_pickup = distance_m(*here, plan.pickup_lat, plan.pickup_lng) < 2 * NEAR_M
        is_seen = aircraft.alt_m > 20 and to_dropoff_m > 2 * NEAR_M
        if phase is self.given_up_in and is_seen and self.chance.random() < 0.05:
            self._give_up()

    def _give_up(self) -> None:
        """It flies home, or comes down where it is."""
        self.given_up_in = None
        if self.at_pickup or self.chance.random() < 0.6:
            self.world.cancel(INTENT_ID, "abort")
        else:
            self.world.faults.add(Fault("drain_battery", DRONE_ID, pct=0), self.world.elapsed_s)


def read(plan: Plan, moments: list[Moment]) -> Iterator[tuple[Moment, State, list[Event]]]:
    state = State()
    for moment in moments:
        state, events = step(state, [moment.sample], plan, RULES)
        yield moment, state, events


def spoiled(moments: list[Moment], chance: random.Random) -> tuple[list[Moment], list[str]]:
    """The same moments, measured with one to three kinds of noise; some are lost or come twice."""
    kinds = chance.sample(noise.EVERY, chance.randint(1, 3))
    samples = [moment.sample for moment in moments]
    truth = {moment.sample.seen_at: moment for moment in moments}
    for kind in kinds:
        samples = kind(chance, samples) or samples
    latest = moments[0]
    told = []
    for sample in samples:  # a late sample is told when the world has moved on
        mine = truth[sample.seen_at]
        latest = max(latest, mine, key=lambda moment: moment.sample.seen_at)
        told.append(Moment(sample, *[getattr(latest, name) for name in Moment.__slots__[1:]]))
    return told, [kind.__name__ for kind in kinds]


def is_followed(mission: Mission, told: list[Moment], state: State, moment: Moment) -> bool:
    """Seen from the ground on and just now; on the ground a fast clock is not known yet."""
    is_timed = state.phase is not Phase.GROUND or mission.factor <= 2
    is_fresh = state.fresh_at == moment.sample.measured_at.timestamp()
    return is_timed and is_fresh and not told[0].has_flown


@pytest.mark.parametrize("seed", range(40))
def test_no_phase_is_read_that_the_flight_does_not_have(seed: int) -> None:
    mission = Mission(seed).fly()
    for number in range(25):
        chance = random.Random(f"{seed}:{number}")
        told, kinds = spoiled(mission.moments, chance)
        told_as = f"{number}: {kinds}, every {mission.every_s} s, {mission.factor} times"
        said: list[Event] = []
        for moment, state, events in read(mission.plan, told):
            said += events
            assert all(moment.is_true(event) for event in events), (told_as, events, moment)
            if is_followed(mission, told, state, moment):
                assert may_carry(state, mission.plan) or not moment.was_loaded, (told_as, moment)
            assert state.stands_at_drop_since is None, told_as
        phases = names(said)
        in_order = [phase for phase in Phase if phase is not Phase.GROUND]
        assert phases == [phase for phase in in_order if phase in phases], told_as
        assert sum(isinstance(event, ParcelLoaded) for event in said) <= 1, told_as
        assert all(a.at <= b.at for a, b in pairwise(said)), (told_as, said)


@pytest.mark.parametrize("seed", range(40))
def test_clean_telemetry_is_read_to_the_end(seed: int) -> None:
    """Twice as fast at the most, looked at every two seconds or more often."""
    mission = Mission(seed)
    mission.factor, mission.every_s = min(mission.factor, 2), min(mission.every_s, 2)
    mission.fly()
    *_, (moment, state, _) = read(mission.plan, mission.moments)
    if moment.was_delivered:
        assert state.phase is Phase.DELIVERED
    else:
        assert state.phase is Phase.RETURNED
    assert (state.loaded_at is not None) == moment.was_loaded
