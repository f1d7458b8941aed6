"""A bad value is dropped without the rest; a landing needs all values to agree for a time."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.missions.flight.phases import FlightState, Phase, stands, step
from dispatch.tests.flights import (
    DELIVERY,
    RULES,
    At,
    Pilot,
    delivery,
    flown,
    launched,
    loaded,
    phases_of,
    plan,
    shaken,
)

EVERY_S = [0.5, 1, 2, 5, 10]
CRUISES = [Phase.LAUNCHED, Phase.ENROUTE]


def clean(pilot: Pilot) -> list[At]:
    return list(shaken(pilot.track, seed=1, metres=0.6, alt_m=0.4))


def changed(track: list[At], at: range, change: Callable[[At], At]) -> list[At]:
    return [change(one) if i in at else one for i, one in enumerate(track)]


# --- landed --------------------------------------------------------------------------------------


def test_two_disarmed_samples_in_cruise_change_nothing_and_are_noted() -> None:
    cruising = clean(loaded().fly(1500))
    last = len(cruising) - 8
    track = changed(cruising, range(last, last + 2), lambda one: replace(one, armed=False))
    state, phases = flown(track[: last + 2])
    assert [phase for phase, _ in phases] == CRUISES
    assert state.disbelieved.startswith("armed: false while at 6")
    assert state.disbelieved.endswith("and 16 m/s")
    assert state.down == 0
    whole = [*track, *clean(loaded().fly(2000).to_alt(8).stand(20).to_alt(60))[len(track) :]]
    assert phases_of(whole) == DELIVERY


@pytest.mark.parametrize("every_s", EVERY_S)
@pytest.mark.parametrize("north_m", [700.0, 1200.0])
def test_a_burst_of_disarmed_samples_in_cruise_is_no_landing(
    every_s: float, north_m: float
) -> None:
    track = clean(loaded(every_s).fly(north_m).fly(1800))
    start = next(i for i, one in enumerate(track) if one.north_m > north_m)
    burst = range(start, start + max(3, round(20 / every_s)))
    spoiled = changed(track, burst, lambda one: replace(one, armed=False, speed_mps=0.0))
    assert phases_of(spoiled) == CRUISES


def test_a_missing_altitude_at_cruise_speed_is_no_landing() -> None:
    track = clean(loaded().fly(1800))
    mute = [replace(one, alt_m=None, speed_mps=None) for one in track]
    spoiled = changed(mute, range(60, len(mute)), lambda one: replace(one, armed=False))
    assert Phase.RETURNED not in phases_of(spoiled)
    assert Phase.UNCLEAR not in phases_of(spoiled)


@pytest.mark.parametrize("every_s", EVERY_S)
@pytest.mark.parametrize(
    ("mute", "within_s"), [((), 4.0), (("alt_m",), 12.0), (("speed_mps",), 12.0)]
)
def test_a_landing_is_detected_in_time(
    every_s: float, mute: tuple[str, ...], within_s: float
) -> None:
    pilot = loaded(every_s).fly(1200).to_alt(0)
    touched_s = pilot.s
    for _ in range(20):
        pilot.armed = False
        pilot.stand(10)
    track = [replace(one, **dict.fromkeys(mute)) for one in clean(pilot)]
    landed = next(at for phase, at in flown(track)[1] if phase in ("RETURNED", "UNCLEAR"))
    looks = 5 if mute else 3
    assert within_s <= landed.s - touched_s <= max(within_s, (looks - 1) * every_s) + every_s


def test_one_armed_sample_only_delays_a_landing() -> None:
    track = clean(loaded().fly(1200).to_alt(0).disarm().stand(20))
    spoiled = changed(
        track, range(len(track) - 13, len(track) - 12), lambda one: replace(one, armed=True)
    )
    assert phases_of(spoiled) == [*CRUISES, "RETURNED"]


def test_a_frozen_speed_does_not_hide_a_landing() -> None:
    track = clean(loaded().fly(1200).to_alt(0).disarm().stand(20))
    hung = changed(
        track, range(len(track) - 20, len(track)), lambda one: replace(one, speed_mps=16.0)
    )
    state, phases = flown(hung)
    assert phases[-1][0] == Phase.RETURNED
    assert state.disbelieved == "speed 16 m/s while it is stationary"


def test_the_event_of_a_landing_has_its_position() -> None:
    track = [at.telemetry() for at in clean(loaded().fly(1200).to_alt(0).disarm())]
    state, events = step(FlightState(), track, plan(), RULES)
    assert (events[-1].at, state.phase) == (state.fix and state.fix.at, Phase.RETURNED)
    assert state.fix is not None
    assert getattr(events[-1], "lat", None) == state.fix.lat
    assert getattr(events[-1], "lng", None) == state.fix.lng


# --- altitudes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("by_m", [-124.0, 124.0, 400.0])
def test_a_change_of_datum_in_flight_is_not_believed(by_m: float) -> None:
    """Then the hand-over cannot be seen, and none is read."""
    track = clean(loaded().fly(1500))
    whole = clean(
        loaded().fly(2000).to_alt(8).stand(20).to_alt(60).fly(0).to_alt(0).disarm().stand(20)
    )
    jumps = len(track)
    samples = changed(
        whole, range(jumps, len(whole)), lambda one: replace(one, alt_m=(one.alt_m or 0) + by_m)
    )
    state, phases = flown(samples)
    assert [phase for phase, _ in phases] == [*CRUISES, "ARRIVED", "UNCLEAR"]
    assert "m from the last one" in state.disbelieved


@pytest.mark.parametrize("high_m", [45.0, 61.0])
def test_a_landing_with_an_altitude_in_the_air_is_detected(high_m: float) -> None:
    """A climb to this altitude is possible, but no drone hovers disarmed."""
    pilot = loaded().fly(1200).to_alt(0)
    down_s = pilot.s
    track = [
        replace(at, alt_m=min(high_m, 6 * (at.s - down_s))) if at.s > down_s else at
        for at in pilot.disarm().stand(60).track
    ]
    state, phases = flown(track)
    assert phases[-1][0] is Phase.RETURNED
    assert state.disbelieved.endswith("m while it stands disarmed")


@pytest.mark.parametrize("above_hub_m", [20.0, 40.0, 50.0])
def test_a_delivery_from_a_pickup_on_a_hill_is_seen(above_hub_m: float) -> None:
    """It stands there disarmed, as high above its hub as a drone that flies."""
    pilot = launched().fly(500).to_alt(above_hub_m).disarm().stand(60)
    assert phases_of(clean(pilot.arm().to_alt(60).fly(2000).to_alt(8).stand(20).to_alt(60))) == (
        DELIVERY
    )


def test_disarmed_samples_with_one_between_that_moves_do_not_break_the_altitude() -> None:
    pilot = loaded().fly(1200)
    start = len(pilot.track)
    pilot.stand(16).fly(2000).to_alt(8).stand(20).to_alt(60)
    track = changed(
        clean(pilot), range(start, start + 8), lambda one: replace(one, armed=False, speed_mps=0.0)
    )
    track[start + 4] = replace(track[start + 4], speed_mps=5.0)
    assert phases_of(track) == DELIVERY


@pytest.mark.parametrize("every_s", [2, 5, 10, 14])
def test_a_flight_first_seen_low_is_seen_to_deliver_from_a_cruise_of_120_m(every_s: float) -> None:
    """Without the ground altitude, the height is measured from the highest altitude so far."""
    pilot = Pilot(every_s).arm()
    pilot.north_m, pilot.alt_m = 500, 2
    pilot.stand(40).to_alt(120).fly(2000).to_alt(8).stand(40).to_alt(120).fly(0)
    high = replace(plan(), cruise_alt_m=120)
    assert phases_of(clean(pilot), high)[-1] == Phase.DELIVERED


def test_an_accuracy_sent_as_altitude_is_not_believed() -> None:
    track = clean(Pilot().stand(20).arm().to_alt(60).fly(400))
    samples = [replace(one, alt_m=400.0 + 577 * i % 2300) for i, one in enumerate(track)]
    state, phases = flown(samples)
    assert [phase for phase, _ in phases] == CRUISES
    assert state.fix is not None
    assert state.fix.alt_m is None
    assert state.disbelieved.endswith("m on the ground")


def test_a_ground_altitude_in_cruise_is_not_believed() -> None:
    track = [
        replace(one, alt_m=(0.1 * i) % 0.7) for i, one in enumerate(clean(launched().fly(400)))
    ]
    state, _ = flown(track)
    assert state.disbelieved.endswith("no higher than where it stood, in cruise")


def test_a_frozen_altimeter_is_noted() -> None:
    track = changed(clean(loaded().fly(1500)), range(70, 200), lambda one: replace(one, alt_m=58.7))
    state, _ = flown(track)
    assert state.disbelieved.startswith("altitude 59 m, frozen for ")


def test_the_ground_may_change_its_altitude_while_the_drone_stands() -> None:
    track = clean(Pilot().stand(20))
    raised = [replace(one, s=one.s + 20, alt_m=(one.alt_m or 0) + 124) for one in delivery()]
    assert phases_of([*track, *shaken(raised, seed=2)]) == DELIVERY


@given(st.integers(5, 10_000), st.sampled_from(["armed", "alt_m", "speed_mps"]), st.integers(1, 2))
@settings(max_examples=60, deadline=None)
def test_one_or_two_missing_values_change_nothing(at: int, name: str, times: int) -> None:
    track = clean_delivery()
    i = 5 + at % (len(track) - 30)
    samples = changed(track, range(i, i + times), lambda one: replace(one, **{name: None}))
    assert phases_of(samples) == DELIVERY


def clean_delivery() -> list[At]:
    return list(shaken(delivery(), seed=5, metres=0.6, alt_m=0.4))


# --- a drone that stands -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("look", "ground_m", "answer"),
    [
        (At(0, 0, 124, 0.1, armed=False), 124, True),
        (At(0, 0, 131, 0.1, armed=False), 124, True),
        (At(0, 0, None, 0.1, armed=False), 124, True),
        (At(0, 0, 60, None, armed=False), None, None),
        (At(0, 0, 124, None, armed=False), 124, True),
        (At(0, 0, None, None, armed=False), 124, None),
        (At(0, 0, 124, 0.0, armed=None), 124, None),
        (At(0, 0, 124, 0.0, armed=True), 124, False),
        (At(0, 0, 124, 9.0, armed=None), 124, False),
        (At(0, 0, 184, 0.0, armed=False), 124, False),
    ],
)
def test_a_drone_stands_when_every_value_says_so(
    look: At, ground_m: float | None, answer: bool | None
) -> None:
    assert stands(look.telemetry(), ground_m) is answer


def test_two_noisy_altitudes_in_a_row_do_not_disable_the_altimeter() -> None:
    # Found by fuzzing: 7 m between two samples of a descent, just above a barometer's error.
    assert phases_of(shaken(delivery(0.5), seed=2523)) == DELIVERY
