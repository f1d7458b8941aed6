"""The parcel by telemetry: loaded, maybe aboard, or in a drone that stays at the door."""

from dataclasses import replace

import pytest
from msgspec import structs

from dispatch.missions.flight.phases import (
    Event,
    FlightEvent,
    FlightState,
    ParcelLoaded,
    Plan,
    may_carry,
    step,
)
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
from fleet.live.telemetry import Telemetry


def events_of(pilot: Pilot, where: Plan | None = None) -> list[Event]:
    samples = [at.telemetry() for at in shaken(pilot.track, seed=1, metres=0.6, alt_m=0.4)]
    return step(FlightState(), samples, where or plan(), RULES)[1]


def state_of(track: list[At], where: Plan | None = None) -> FlightState:
    return flown(shaken(track, seed=1, metres=0.6, alt_m=0.4), where)[0]


def kinds(events: list[Event]) -> list[str]:
    return [event.phase.value if isinstance(event, FlightEvent) else "LOADED" for event in events]


def test_the_parcel_is_loaded_when_the_drone_leaves_the_pickup_upwards() -> None:
    hovering = launched().fly(500).to_alt(2).stand(16)
    assert kinds(events_of(hovering)) == ["LAUNCHED", "ENROUTE"]
    events = events_of(hovering.to_alt(60))
    assert kinds(events) == ["LAUNCHED", "ENROUTE", "LOADED"]
    assert isinstance(events[-1], ParcelLoaded)
    assert state_of(hovering.track).loaded_at == pytest.approx(events[-1].at)


def test_a_launch_from_the_pickup_is_loaded_at_its_launch() -> None:
    assert kinds(events_of(launched(), plan(pickup_m=0))) == ["LAUNCHED", "LOADED"]


def test_passing_over_the_pickup_in_cruise_loads_nothing() -> None:
    passing = launched().fly(1000)
    assert kinds(events_of(passing)) == ["LAUNCHED", "ENROUTE"]
    assert not may_carry(state_of(passing.track), plan())


def test_a_partly_seen_loading_comes_before_the_arrival() -> None:
    track = delivery()
    top_s = next(at.s for at in track if at.north_m == 500 and at.alt_m == 2) + 16
    door_s = next(at.s for at in track if at.north_m == 2000 and at.alt_m == 8)
    seen = [at.telemetry() for at in track if not top_s < at.s < door_s]
    events = step(FlightState(), seen, plan(), RULES)[1]
    assert kinds(events) == ["LAUNCHED", "ENROUTE", "LOADED", *DELIVERY[2:]]


# --- may_carry -----------------------------------------------------------------------------------


def test_a_followed_drone_that_never_visited_the_pickup_carries_nothing() -> None:
    pilot = launched().fly(300).fly(0).to_alt(0).disarm()
    assert not may_carry(state_of(pilot.track), plan())


def test_a_drone_that_was_low_at_the_pickup_may_carry() -> None:
    assert may_carry(state_of(launched().fly(500).to_alt(30).track), plan())
    assert may_carry(state_of(loaded().track), plan())


def test_a_drone_first_seen_in_the_air_may_carry() -> None:
    up = [at for at in launched().fly(300).track if (at.alt_m or 0) > 20]
    assert may_carry(state_of(up), plan())
    assert may_carry(FlightState(), plan())


def test_a_drone_that_stands_at_the_pickup_may_carry() -> None:
    assert may_carry(state_of(Pilot().stand(20).track, plan(pickup_m=0)), plan(pickup_m=0))


def test_a_silence_may_hide_the_pickup() -> None:
    track = launched().fly(300).stand(30).track
    gone = [at for at in track if not track[-1].s - 26 < at.s < track[-1].s - 2]
    assert not may_carry(state_of(track), plan())
    assert may_carry(state_of(gone), plan())


def test_a_pickup_without_altitudes_may_have_loaded() -> None:
    track = [
        replace(at, alt_m=None) if at.north_m > 450 else at
        for at in launched().fly(500).stand(20).fly(700).track
    ]
    assert may_carry(state_of(track), plan())


def test_a_state_of_an_older_version_may_carry() -> None:
    old = FlightState().to_dict()
    del old["altimeter"]
    assert may_carry(FlightState.from_dict(old | {"start_is_ground": True, "landed": 1}), plan())


# --- an unseen hand-over, and a drone that stays -------------------------------------------------


def test_missing_positions_around_the_drop_point_make_the_landing_unclear() -> None:
    track = delivery()
    door_s = next(at.s for at in track if at.north_m > 1940)
    back_s = next(at.s for at in track if at.s > door_s + 20 and at.north_m < 1900)
    samples = [without_position(at) if door_s <= at.s <= back_s else at.telemetry() for at in track]
    state, events = step(FlightState(), samples, plan(), RULES)
    assert kinds(events) == ["LAUNCHED", "ENROUTE", "LOADED", "UNCLEAR"]
    assert may_carry(state, plan())


def without_position(at: At) -> Telemetry:
    return structs.replace(at.telemetry(), lat=None, lng=None)


def test_a_gap_after_a_low_sample_at_the_door_makes_the_landing_unclear() -> None:
    track = loaded().fly(2000).to_alt(8).stand(20).to_alt(60).fly(0).to_alt(0).disarm().track
    low_s = next(at.s for at in track if at.north_m == 2000 and at.alt_m == 8) + 10
    seen = [at for at in track if at.s < low_s or at.s > track[-1].s - 10]
    assert phases_of(seen) == [*DELIVERY[:4], "UNCLEAR"]


def test_a_drone_that_stays_at_the_door_has_neither_returned_nor_delivered() -> None:
    pilot = loaded().fly(2000).to_alt(0)
    down_s = pilot.s
    pilot.disarm().stand(60)
    state = state_of(pilot.track)
    assert state.phase == "DELIVERING"
    assert state.stands_at_drop_since is not None
    assert state.stands_at_drop_since == pytest.approx(pilot_time(down_s), abs=2)
    pilot.arm().to_alt(30)
    assert state_of(pilot.track).stands_at_drop_since is None
    assert state_of(pilot.to_alt(60).track).phase == "DELIVERED"


@pytest.mark.parametrize("seconds_later", [-4, 30])
def test_without_altitudes_a_stand_at_the_door_after_cruise_is_no_delivery(
    seconds_later: float,
) -> None:
    """Its height above the door before it came down shows no departure."""
    pilot = loaded().fly(2000).stand(20)
    lost_s = pilot.s + seconds_later
    track = pilot.to_alt(0).disarm().stand(120).track
    state = state_of([replace(at, alt_m=None) if at.s >= lost_s else at for at in track])
    assert state.phase == "DELIVERING"
    assert state.stands_at_drop_since is not None


@pytest.mark.parametrize("by_m", [40.0, 61.0, 124.0])
def test_altitudes_that_rise_while_it_stands_at_the_door_are_no_departure(by_m: float) -> None:
    pilot = loaded().fly(2000).to_alt(0).disarm()
    down_s = pilot.s
    track = [
        replace(at, alt_m=max(0, min(by_m, 6 * (at.s - down_s)))) if at.s > down_s else at
        for at in pilot.stand(60).track
    ]
    assert state_of(track).phase == "DELIVERING"


def test_an_altitude_alone_is_no_departure_from_the_door() -> None:
    """It sends neither `armed` nor its speed; the altitude is another quantity."""
    pilot = loaded().fly(2000).to_alt(0).disarm()
    down_s = pilot.s
    track = pilot.stand(60).track
    bare = [
        replace(at, alt_m=30.0 + 7 * (i % 4), speed_mps=None, armed=None) if at.s > down_s else at
        for i, at in enumerate(track)
    ]
    assert state_of(bare).phase == "DELIVERING"


def test_one_outlier_does_not_end_its_stand_at_the_door() -> None:
    track = loaded().fly(2000).to_alt(0).disarm().stand(60).track
    track[-1] = replace(track[-1], armed=True)
    assert state_of(track).stands_at_drop_since is not None


def pilot_time(s: float) -> float:
    return At(s, 0, 0).telemetry().measured_at.timestamp()
