"""The phases of a flight from positions alone, with good and bad positions."""

import math
import random
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.missions.flight import phases
from dispatch.missions.flight.phases import FlightState, Plan, remaining_s, step
from dispatch.tests.flights import (
    DELIVERY,
    HUB,
    RULES,
    T0,
    At,
    Pilot,
    delivery,
    flown,
    launched,
    loaded,
    names,
    phases_of,
    plan,
    shaken,
)
from fleet.live.telemetry import Telemetry
from fleet.simulator.airframe import SimDrone, moved
from fleet.simulator.world import World
from fleet.tests.simulated import mission_intent, sim_drone

# --- a normal flight -----------------------------------------------------------------------------


@pytest.mark.parametrize("every_s", [0.2, 1, 2, 5, 10])
def test_a_delivery_is_seen_phase_by_phase(every_s: float) -> None:
    assert phases_of(delivery(every_s)) == DELIVERY


def test_each_phase_is_seen_where_it_happens() -> None:
    where = {phase.value: at for phase, at in flown(delivery())[1]}
    assert where["LAUNCHED"].north_m == 0
    assert 30 <= where["ENROUTE"].north_m <= 100
    assert 1940 <= where["ARRIVED"].north_m <= 2000
    assert (where["DELIVERING"].north_m, where["DELIVERING"].alt_m < 34) == (2000, True)
    assert (where["DELIVERED"].north_m, where["DELIVERED"].alt_m > 34) == (2000, True)


@given(st.integers(0, 10_000), st.sampled_from([0.5, 1, 2, 4]))
@settings(max_examples=40, deadline=None)
def test_noise_changes_nothing(seed: int, every_s: float) -> None:
    assert phases_of(shaken(delivery(every_s), seed)) == DELIVERY


def test_altitudes_above_sea_level_are_measured_from_the_start() -> None:
    assert phases_of(replace(at, alt_m=at.alt_m + 124) for at in delivery()) == DELIVERY


def test_a_flight_first_seen_in_the_air_is_followed() -> None:
    up = [replace(at, alt_m=at.alt_m + 124) for at in delivery() if at.alt_m == 60 or at.s > 60]
    assert phases_of(up) == DELIVERY


def test_a_drone_that_starts_at_the_pickup_delivers() -> None:
    pilot = launched().fly(2000).to_alt(8).stand(20).to_alt(60).fly(0).to_alt(0).disarm()
    assert phases_of(pilot.track, plan(pickup_m=0)) == DELIVERY


def test_a_drone_that_lands_and_disarms_at_the_pickup_to_be_loaded_delivers() -> None:
    pilot = launched().fly(500).to_alt(0).disarm().stand(60).arm().to_alt(60)
    pilot.fly(2000).to_alt(8).stand(20).to_alt(60).fly(0).to_alt(0).disarm()
    assert phases_of(pilot.track) == DELIVERY


def test_a_drone_that_lands_at_the_drop_point_has_delivered_once_it_leaves() -> None:
    pilot = loaded().fly(2000).to_alt(0)
    assert phases_of(pilot.track) == DELIVERY[:4]
    pilot.disarm().stand(60)
    assert phases_of(pilot.track) == DELIVERY[:4]
    pilot.arm().to_alt(60)
    assert phases_of(pilot.track) == DELIVERY


# --- no delivery ---------------------------------------------------------------------------------


def test_a_drone_that_stands_with_its_motors_on_has_not_launched() -> None:
    assert phases_of(shaken(Pilot().stand(10).arm().stand(120).track, seed=1)) == []


def test_a_disarmed_drone_that_is_carried_around_has_not_launched() -> None:
    assert phases_of(At(s, 10.0 * s, 1.0, 5.0, armed=False) for s in range(60)) == []


def test_a_pickup_stop_is_no_delivery() -> None:
    assert phases_of(loaded().stand(60).track) == ["LAUNCHED", "ENROUTE"]


def test_passing_over_the_drop_point_on_the_way_to_the_pickup_is_no_arrival() -> None:
    pilot = launched().fly(2000)
    assert phases_of(pilot.track, plan(pickup_m=2000, dropoff_m=1000)) == ["LAUNCHED", "ENROUTE"]


def test_a_launch_beside_the_drop_point_is_no_delivery() -> None:
    where = plan(pickup_m=1000, dropoff_m=20)
    pilot = launched().stand(20).fly(1000).to_alt(2).stand(16)
    assert phases_of(pilot.track, where) == ["LAUNCHED", "ENROUTE"]
    pilot.to_alt(60).fly(20).to_alt(8).stand(20).to_alt(60)
    assert phases_of(pilot.track, where) == DELIVERY


def test_a_drone_that_turns_back_has_not_delivered() -> None:
    pilot = loaded().fly(1500).fly(0)
    assert phases_of(pilot.track) == ["LAUNCHED", "ENROUTE"]
    pilot.to_alt(0).disarm()
    assert phases_of(pilot.track) == ["LAUNCHED", "ENROUTE", "RETURNED"]


def test_a_drone_that_turns_back_above_the_drop_point_has_not_delivered() -> None:
    pilot = loaded().fly(2000).stand(60).fly(0).to_alt(0).disarm()
    seen = ["LAUNCHED", "ENROUTE", "ARRIVED"]
    assert phases_of(shaken(pilot.track, seed=3)) == [*seen, "RETURNED"]
    # The same with a constant altitude, which may be frozen.
    assert phases_of(pilot.track) == [*seen, "UNCLEAR"]


def test_a_drone_that_hovers_low_short_of_the_drop_point_has_not_arrived() -> None:
    pilot = loaded().fly(1900).to_alt(8).stand(60).to_alt(60)
    assert phases_of(shaken(pilot.track, seed=2)) == ["LAUNCHED", "ENROUTE"]


def test_a_landing_away_from_the_drop_point_is_no_delivery() -> None:
    pilot = loaded().fly(1200).to_alt(0).disarm()
    assert phases_of(pilot.track) == ["LAUNCHED", "ENROUTE", "RETURNED"]


def test_one_low_measurement_is_no_handover() -> None:
    """One altitude of 8 m while the drone hovers at 60 m above the drop point."""
    hover = loaded().fly(2000).stand(40)
    glitch = len(hover.track) - 5
    home = list(shaken(hover.fly(0).to_alt(0).disarm().track, seed=4))
    home[glitch] = replace(home[glitch], alt_m=8.0)
    assert phases_of(home) == ["LAUNCHED", "ENROUTE", "ARRIVED", "RETURNED"]


@given(
    at=st.integers(5, 10_000),
    jump=st.tuples(st.floats(-40_000, 40_000), st.floats(-40_000, 40_000)),
    alt_m=st.floats(-400, 900),
    speed_mps=st.floats(0, 40),
)
@settings(max_examples=150, deadline=None)
def test_one_outlier_changes_nothing(
    at: int, jump: tuple[float, float], alt_m: float, speed_mps: float
) -> None:
    """An outlier at any position that the drone cannot have reached."""
    track = delivery()
    i = 5 + at % (len(track) - 16)
    there = replace(track[i], north_m=jump[0], east_m=jump[1], alt_m=alt_m, speed_mps=speed_mps)
    if math.hypot(there.north_m - track[i].north_m, there.east_m) < 150:
        return
    assert phases_of([*track[:i], there, *track[i + 1 :]]) == DELIVERY


def test_a_jump_onto_the_drop_point_is_no_arrival() -> None:
    track = loaded().fly(1200).track
    jump = At(track[-1].s + 2, 2000, 8.0, 0.0)
    back = [At(jump.s + 2 + i, 1232 + 16 * i, 60.0, 16.0) for i in range(5)]
    assert phases_of([*track, jump, *back]) == ["LAUNCHED", "ENROUTE"]


# --- gaps, order, repetition ---------------------------------------------------------------------


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_phases_only_go_forward_with_lost_late_or_repeated_samples(data: st.DataObject) -> None:
    track = delivery()
    seed = data.draw(st.integers(0, 10_000))
    chance = random.Random(seed)
    samples = [at for at in shaken(track, seed) if chance.random() > 0.3]
    samples += chance.sample(samples, len(samples) // 3)
    for _ in range(len(samples)):
        i = chance.randrange(len(samples) - 4)
        if chance.random() < 0.3:
            samples[i], samples[i + 3] = samples[i + 3], samples[i]
    seen_phases = phases_of(samples)
    assert seen_phases == [
        phase for phase in [*DELIVERY, "RETURNED", "UNCLEAR"] if phase in seen_phases
    ]
    assert len(seen_phases) == len(set(seen_phases))


def test_samples_of_one_poll_are_sorted_by_time() -> None:
    samples = [at.telemetry() for at in reversed(delivery())]
    _, events = step(FlightState(), samples, plan(), RULES)
    assert names(events) == DELIVERY


def test_repeated_samples_change_nothing() -> None:
    assert phases_of([at for at in delivery() for _ in range(2)]) == DELIVERY


def test_phases_hidden_by_a_gap_are_added() -> None:
    track = [at for at in delivery() if not 20 < at.s < 150]
    assert phases_of(track) == DELIVERY


def test_a_drone_at_home_after_a_long_silence_may_have_delivered() -> None:
    track = delivery()
    above = next(at.s for at in track if at.north_m > 1500)
    away = [at for at in track if at.s < above or at.s > track[-1].s - 30]
    assert phases_of(away) == ["LAUNCHED", "ENROUTE", "UNCLEAR"]


def test_a_drone_at_home_after_a_short_silence_has_not_delivered() -> None:
    pilot = loaded().fly(800)
    silent = len(pilot.track)
    home = pilot.fly(600).fly(0).to_alt(0).disarm().track
    assert phases_of(home[:silent] + home[silent + 13 :])[-1] == "RETURNED"


def test_a_timestamp_in_the_future_does_not_hide_later_samples() -> None:
    track = [at.telemetry() for at in delivery()]
    wrong = Telemetry(
        **{
            name: getattr(track[20], name)
            for name in ("drone_id", "seen_at", "lat", "lng", "alt_m", "speed_mps", "armed")
        },
        measured_at=track[20].measured_at + timedelta(days=1),
    )
    state, seen_phases = FlightState(), []
    for sample in [*track[:20], wrong, *track[21:]]:
        state, events = step(state, [sample], plan(), RULES)
        seen_phases += names(events)
    assert seen_phases == DELIVERY


def test_a_sample_without_a_position_is_ignored_but_for_its_charge() -> None:
    blind = Telemetry(drone_id="WX-DRN-001", seen_at=T0, measured_at=T0, armed=True)
    since = FlightState(battery_at=T0.timestamp())
    assert step(FlightState(), [blind], plan(), RULES) == (since, [])


def test_without_altitudes_the_flight_is_followed_but_no_handover_is_seen() -> None:
    """The landing is detected after a longer stand; the hand-over stays unclear."""
    pilot = loaded().fly(2000).to_alt(8).stand(20).to_alt(60).fly(0).to_alt(0).disarm()
    track = [replace(at, alt_m=None) for at in pilot.track]
    assert phases_of(track) == ["LAUNCHED", "ENROUTE", "ARRIVED"]
    track = [replace(at, alt_m=None) for at in pilot.stand(10).track]
    assert phases_of(track) == ["LAUNCHED", "ENROUTE", "ARRIVED", "UNCLEAR"]


def test_a_drone_without_speed_values_is_followed() -> None:
    assert phases_of(replace(at, speed_mps=None) for at in delivery()) == DELIVERY


# --- few samples: two seconds apart on a clock that runs ten times faster ------------------------


@pytest.mark.parametrize("seed", range(40))
def test_a_simulated_delivery_is_seen_with_few_samples(seed: int) -> None:
    chance = random.Random(seed)
    pickup = moved(*HUB, chance.uniform(-2000, 2000), chance.uniform(500, 1500))
    dropoff = moved(*pickup, chance.uniform(-2000, 2000), chance.uniform(700, 1500))
    assert simulated(seed, pickup, dropoff, speed=10, first_look_s=chance.uniform(0, 2)) == DELIVERY


def simulated(
    seed: int,
    pickup: tuple[float, float],
    dropoff: tuple[float, float],
    *,
    speed: float,
    first_look_s: float,
) -> list[str]:
    drone: SimDrone = sim_drone()
    world = World([drone], seed, T0)
    intent = mission_intent()
    for name, (lat, lng) in (("pickup", pickup), ("dropoff", dropoff)):
        intent[name] |= {"lat": lat, "lng": lng}
    world.accept(intent)
    where = Plan(*pickup, *dropoff, 60, 8, 16, 4, 3)
    state, seen_phases, now_s = FlightState(), [], 0.0
    while state.phase not in phases.OVER and now_s < 200:
        now_s += 0.1
        world.step(0.1 * speed, T0 + timedelta(seconds=now_s))
        if (now_s - first_look_s) % 2 < 0.1:
            reading = world.readings[drone.drone_id]
            sample = Telemetry(
                drone_id=drone.drone_id,
                seen_at=reading.received_at,
                measured_at=reading.measured_at,
                lat=reading.lat,
                lng=reading.lng,
                alt_m=reading.alt_m,
                speed_mps=reading.groundspeed_mps,
                armed=reading.armed,
            )
            state, events = step(state, [sample], where, RULES)
            seen_phases += names(events)
    return seen_phases


# --- ETA -----------------------------------------------------------------------------------------


def test_there_is_no_eta_on_the_ground_or_after_the_end() -> None:
    assert remaining_s(flown(Pilot().stand(10).track)[0], plan(), RULES) is None
    assert remaining_s(flown(delivery())[0], plan(), RULES) is None


def test_the_eta_is_the_remaining_path_at_the_measured_speed_plus_handling() -> None:
    pilot = loaded().fly(1200)
    left_s = remaining_s(flown(pilot.track)[0], plan(), RULES)
    expected_s = 800 * RULES.detour_factor / 16 + RULES.delivery_time_s
    assert left_s == pytest.approx(expected_s, rel=0.05)


def test_the_eta_before_the_pickup_includes_the_pickup() -> None:
    pilot = launched().fly(200)
    left_s = remaining_s(flown(pilot.track)[0], plan(), RULES)
    handling_s = RULES.load_time_s + RULES.delivery_time_s
    assert left_s == pytest.approx(1800 * RULES.detour_factor / 16 + handling_s, rel=0.1)


def test_the_eta_never_grows_while_the_drone_flies_on() -> None:
    track = loaded().fly(2000).track
    left = [remaining_s(flown(track[:n])[0], plan(), RULES) for n in range(60, len(track))]
    assert all(later <= sooner + 1 for sooner, later in pairwise(left))
