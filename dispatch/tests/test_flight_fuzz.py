"""Simulated flights with faulty telemetry, compared with what really happened.

The aircraft of the simulated world is the truth. No fault of its samples may produce a phase that
did not happen. Telemetry cannot distinguish a hand-over from one aborted halfway down or later, nor
a loading from an aborted one, so missions here end elsewhere.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import pytest

from dispatch.missions.flight.phases import (
    Event,
    FlightState,
    ParcelLoaded,
    Phase,
    Plan,
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

FACTORS = (0.5, 1, 1, 2, 5, 10, 20)  # the flight's clock against the clock of its samples
EVERY_S = (0.5, 1, 2, 2, 5, 10)  # by the samples' clock
WIDEST_LOOK_S = 20  # by the flight's clock: with fewer samples a delivery fits between two
SAMPLES_AFTER_LANDING = 20  # samples after the landing
NEAR_M = RULES.arrival_radius_m + 15  # tolerance for receiver noise and a moment of flight

ON_THE_GROUND = (Truth.PARKED, Truth.PREFLIGHT)
GIVEN_UP_IN = (Truth.TAKEOFF, Truth.TO_PICKUP, Truth.PICKUP_CLIMB, Truth.TO_DROPOFF)


@dataclass(frozen=True, slots=True)
class Moment:
    """One sample, and the truth at its time."""

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
    """One mission in its own world, sampled every `every_s` from before launch until after it has
    landed."""

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
            self._sample()
        self.world.accept(self.intent)
        while not (self.true["has_flown"] and self.true["stands"]):
            self._sample()
        for _ in range(SAMPLES_AFTER_LANDING):
            self._sample()
        return self

    def _place(self, around: tuple[float, float], least_m: int, most_m: int) -> tuple[float, float]:
        return moved(*around, self.chance.uniform(-900, 900), self.chance.uniform(least_m, most_m))

    def _sample(self) -> None:
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
        """It flies home or lands where it is."""
        self.given_up_in = None
        if self.at_pickup or self.chance.random() < 0.6:
            self.world.cancel(INTENT_ID, "abort")
        else:
            self.world.faults.add(Fault("drain_battery", DRONE_ID, pct=0), self.world.elapsed_s)


class StaysAtTheDrop(Mission):
    """It lands at the drop point and stays there with its parcel."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.given_up_in = None
        stay = Fault("stay_at_drop", DRONE_ID, drop=False, report=False)
        self.world.faults.add(stay, self.world.elapsed_s)

    def fly(self) -> "StaysAtTheDrop":
        if self.chance.random() < 0.7:  # else it is first seen in flight
            self._sample()
        self.world.accept(self.intent)
        while self.world.aircraft[DRONE_ID].armed or not self.true["has_descended"]:
            self._sample()
        for _ in range(80):
            self._sample()
        return self


def read(plan: Plan, moments: list[Moment]) -> Iterator[tuple[Moment, FlightState, list[Event]]]:
    state = FlightState()
    for moment in moments:
        state, events = step(state, [moment.sample], plan, RULES)
        yield moment, state, events


def spoiled(moments: list[Moment], chance: random.Random) -> tuple[list[Moment], list[str]]:
    """The same moments with one to three kinds of noise; some samples are lost or repeated."""
    kinds = chance.sample(noise.EVERY, chance.randint(1, 3))
    samples = [moment.sample for moment in moments]
    truth = {moment.sample.seen_at: moment for moment in moments}
    for kind in kinds:
        samples = kind(chance, samples) or samples
    latest = moments[0]
    noisy = []
    for sample in samples:  # a late sample arrives after the world has moved on
        mine = truth[sample.seen_at]
        latest = max(latest, mine, key=lambda moment: moment.sample.seen_at)
        noisy.append(Moment(sample, *[getattr(latest, name) for name in Moment.__slots__[1:]]))
    return noisy, [kind.__name__ for kind in kinds]


def spoiled_in_many_ways(
    mission: Mission, seed: int
) -> Iterator[tuple[random.Random, list[Moment], str]]:
    """25 times: the chance that spoiled the moments, these, and how they were spoiled."""
    for number in range(25):
        chance = random.Random(f"{seed}:{number}")
        noisy, kinds = spoiled(mission.moments, chance)
        yield chance, noisy, f"{number}: {kinds}, every {mission.every_s} s, {mission.factor} times"


def is_followed(mission: Mission, noisy: list[Moment], state: FlightState, moment: Moment) -> bool:
    """Followed from the ground until now; on the ground a fast clock is not detected yet."""
    is_timed = state.phase is not Phase.GROUND or mission.factor <= 2
    is_fresh = state.fresh_at == moment.sample.measured_at.timestamp()
    return is_timed and is_fresh and not noisy[0].has_flown


@pytest.mark.parametrize("seed", range(40))
def test_no_phase_is_read_that_did_not_happen(seed: int) -> None:
    mission = Mission(seed).fly()
    for _, noisy, description in spoiled_in_many_ways(mission, seed):
        all_events: list[Event] = []
        for moment, state, events in read(mission.plan, noisy):
            all_events += events
            assert all(moment.is_true(event) for event in events), (description, events, moment)
            if is_followed(mission, noisy, state, moment):
                assert may_carry(state, mission.plan) or not moment.was_loaded, (
                    description,
                    moment,
                )
            assert state.stands_at_drop_since is None, description
        phases = names(all_events)
        in_order = [phase for phase in Phase if phase is not Phase.GROUND]
        assert phases == [phase for phase in in_order if phase in phases], description
        assert sum(isinstance(event, ParcelLoaded) for event in all_events) <= 1, description
        assert all(a.at <= b.at for a, b in pairwise(all_events)), (description, all_events)


@pytest.mark.parametrize("seed", range(40))
def test_a_drone_that_stays_at_the_drop_with_its_parcel_is_not_seen_to_deliver(seed: int) -> None:
    mission = StaysAtTheDrop(seed).fly()
    for chance, noisy, description in spoiled_in_many_ways(mission, seed):
        if chance.random() < 0.3:
            noisy = noisy[chance.randrange(len(noisy) // 2) :]
        events = [event for _, _, some in read(mission.plan, noisy) for event in some]
        assert Phase.DELIVERED.value not in names(events), description


@pytest.mark.parametrize("seed", range(40))
def test_clean_telemetry_yields_all_phases(seed: int) -> None:
    """At most twice as fast, sampled at least every two seconds."""
    mission = Mission(seed)
    mission.factor, mission.every_s = min(mission.factor, 2), min(mission.every_s, 2)
    mission.fly()
    *_, (moment, state, _) = read(mission.plan, mission.moments)
    if moment.was_delivered:
        assert state.phase is Phase.DELIVERED
    else:
        assert state.phase is Phase.RETURNED
    assert (state.loaded_at is not None) == moment.was_loaded
