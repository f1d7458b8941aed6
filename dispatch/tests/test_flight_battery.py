"""The charge of a drone as its flight remembers it."""

from datetime import timedelta

from msgspec.structs import replace

from dispatch.missions.flight.phases import Phase, step
from dispatch.missions.flight.state import FlightState
from dispatch.tests.flights import RULES, T0, At, plan
from fleet.live.telemetry import Telemetry


def sample(at: At, battery_pct: float | None) -> Telemetry:
    return replace(at.telemetry(), battery_pct=battery_pct)


def standing(s: float, battery_pct: float | None) -> Telemetry:
    return sample(At(s, north_m=0, alt_m=0, armed=False), battery_pct)


def flown(s: float, battery_pct: float | None) -> Telemetry:
    return sample(At(s, north_m=16 * s, alt_m=60, speed_mps=16), battery_pct)


def after(*samples: Telemetry) -> FlightState:
    """As followed poll by poll, and stored in between."""
    state = FlightState()
    for one in samples:
        state, _ = step(FlightState.from_dict(state.to_dict()), [one], plan(), RULES)
    return state


def seconds(state: FlightState) -> float | None:
    return None if state.battery_at is None else state.battery_at - T0.timestamp()


def test_the_last_reading_and_its_time_are_kept_while_others_lack_it() -> None:
    state = after(standing(0, 90), standing(2, None), standing(4, None))
    assert (state.battery_pct, seconds(state)) == (90, 0)


def test_without_any_reading_the_time_is_that_of_the_first_sample() -> None:
    state = after(standing(0, None), standing(2, None))
    assert (state.battery_pct, seconds(state)) == (None, 0)


def test_an_older_sample_and_one_without_a_position_change_nothing_that_they_should_not() -> None:
    late = replace(standing(0, 99), measured_at=T0 - timedelta(seconds=60))
    state = after(standing(2, 90), late, replace(standing(4, 89), lat=None, lng=None))
    assert (state.battery_pct, seconds(state)) == (89, 4)


def test_the_charge_at_take_off_is_the_last_one_on_the_ground() -> None:
    state = after(standing(0, 80), standing(2, 90), *(flown(4 + 2 * i, 88 - i) for i in range(8)))
    assert state.phase is not Phase.GROUND
    assert state.start_is_ground
    assert state.ground_battery_pct is not None
    assert 85 <= state.ground_battery_pct <= 90
    assert state.battery_pct == 81
