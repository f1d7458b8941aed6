"""Which measurements of a flight to trust, and which of their values. Pure.

A position counts when the drone can have reached it since the last one, or when others confirm it.
Each other value is checked on its own: a value that the others contradict is None in the
observation, and `FlightState.disbelieved` says why.

| limit | value | reason |
|---|---|---|
| JITTER_M | 30 | GPS near buildings |
| SPEED_SLACK | 2 | a tail wind may nearly double the speed over ground |
| MAX_PACE | 25 | a simulated fleet's clock runs up to 20 times faster than ours |
| SLOW_MPS | 3 | ground speed of a stationary drone, with room for gusts |
| STILL_M | 15 | drift of a stationary position; cruising takes it much farther in 4 s |
| BRAKING_S | 4 | over a longer gap the mean speed does not show the present one |
| GROUND_M | 10 | apparent height of a landed drone: barometer drift and a slope |
| MAX_TERRAIN_M | 100 | difference of ground altitude along a delivery |
| MOVED_SAMPLES | 3 | before a grounded drone counts as carried elsewhere |
| GRAZING_M, GRAZING_SAMPLES | 5, 3 | no drone cruises this low: the altitude is wrong |
| DISARMED_SAMPLES, DISARMED_S | 5, 12 | no drone hovers disarmed: the altitude is wrong |

Two bad values in a row are common (a sender repeats itself), so three are needed to overrule the
others. A false sample whose values are all plausible is not detected: samples ten seconds apart
allow any altitude between the ground and the cruise height.
"""

from msgspec import Struct
from msgspec.structs import replace

from dispatch.missions.flight.altimeter import Rates
from dispatch.missions.flight.state import (
    Fix,
    FlightState,
    Phase,
    Plan,
    fix_distance_m,
    to_pickup_m,
)
from fleet.live.telemetry import Telemetry

JITTER_M = 30.0
SPEED_SLACK = 2.0
MAX_PACE = 25.0
MOVING_SHARE = 0.4  # of the cruise speed; slower is braking or manoeuvring
SLOW_MPS = 3.0
STILL_M = 15.0
BRAKING_S = 4.0
GROUND_M = 10.0
MAX_TERRAIN_M = 100.0
MOVED_SAMPLES = 3
GRAZING_M = 5.0
GRAZING_SAMPLES = 3
DISARMED_SAMPLES, DISARMED_S = 5, 12.0


class Observation(Struct, frozen=True):
    """A trusted measurement and what follows from its values.

    height_m: above the ground where it stood; None if unknown. is_slow: by speed and by position.
    moves_on: by position alone. stands: disarmed before launch. still_s: how long it has been
    stationary.
    """

    fix: Fix
    height_m: float | None
    is_slow: bool
    moves_on: bool
    stands: bool
    still_s: float


def stands(sample: Telemetry, ground_alt_m: float | None) -> bool | None:
    """Whether a drone stands disarmed on the ground at `ground_alt_m`, by one sample.

    True: every value present agrees. False: a value shows that it flies. None: values are missing.
    """
    height_m = None
    if sample.alt_m is not None and ground_alt_m is not None:
        height_m = sample.alt_m - ground_alt_m
    is_fast = sample.speed_mps is not None and sample.speed_mps > SLOW_MPS
    is_up = height_m is not None and height_m > GROUND_M
    if sample.armed or is_fast or is_up:
        return False
    if sample.armed is None or (sample.speed_mps is None and height_m is None):
        return None
    return True


# --- positions -----------------------------------------------------------------------------------


def accept(state: FlightState, fix: Fix, plan: Plan) -> list[Fix]:
    """The fixes to process: none while `fix` is old or in doubt, several once they confirm it."""
    last, doubt, before = state.fix, state.doubt, state.doubt_before
    if last is not None and fix.at <= max(last.at, doubt.at if doubt else 0.0):
        return []
    state.doubt = state.doubt_before = None
    agreed = _confirmed_fixes(state, last, (before, doubt), fix, plan)
    if not agreed:
        state.doubt = fix
        state.doubted += 1
        state.low_at_pickup |= to_pickup_m(plan, fix) <= 2 * JITTER_M
        if doubt is not None and _reachable(state, doubt, fix, plan):
            state.doubt_before = doubt
        return []
    if state.doubted > len(agreed):  # some samples were never confirmed
        _lose_track(state)
    state.doubted = 0
    return agreed


def _confirmed_fixes(
    state: FlightState,
    last: Fix | None,
    doubts: tuple[Fix | None, Fix | None],
    fix: Fix,
    plan: Plan,
) -> list[Fix]:
    before, doubt = doubts
    if last is None or _reachable(state, last, fix, plan):
        return [fix]
    if doubt is None:
        return []
    if _is_faster_clock(state, last, doubt, fix, plan):
        return [doubt, fix]
    if before is None or not _reachable(state, doubt, fix, plan):
        return []
    state.fix = None  # the jump is real, but gives no speed
    if fix.armed is not False:
        _lose_track(state)
    if state.phase is Phase.GROUND:  # the start position was wrong or is outdated
        state.start, state.start_is_ground = None, False
    return [before, doubt, fix]


def _lose_track(state: FlightState) -> None:
    """Note that its path since the last fix is unknown."""
    state.silent = state.pickup_hidden = state.gap = True


def _reachable(state: FlightState, a: Fix, b: Fix, plan: Plan) -> bool:
    own_s = (b.at - a.at) * state.pace
    return fix_distance_m(a, b) <= SPEED_SLACK * own_s * plan.cruise_speed_mps + JITTER_M


def _is_faster_clock(state: FlightState, last: Fix, doubt: Fix, fix: Fix, plan: Plan) -> bool:
    """Whether two jumps ahead at a similar speed come from a clock faster than estimated."""
    reports_standstill = not (_reports_motion(doubt, plan) or _reports_motion(fix, plan))
    if not fix.armed or reports_standstill:
        return False
    first_m, second_m = fix_distance_m(last, doubt), fix_distance_m(doubt, fix)
    first_mps, second_mps = first_m / (doubt.at - last.at), second_m / (fix.at - doubt.at)
    onwards = fix_distance_m(last, fix) > 0.9 * (first_m + second_m)
    pace = min(first_mps, second_mps) / plan.cruise_speed_mps
    if not (onwards and 1 / 4 < first_mps / max(second_mps, 1e-9) < 4 and pace <= MAX_PACE):
        return False
    state.pace = max(state.pace, pace)
    return True


def _reports_motion(fix: Fix, plan: Plan) -> bool:
    return fix.speed_mps is None or fix.speed_mps >= MOVING_SHARE * plan.cruise_speed_mps


# --- the other values ----------------------------------------------------------------------------


def observe(state: FlightState, fix: Fix, plan: Plan) -> Observation:
    """The measurement without its contradicted values. Updates `state`."""
    last = state.fix
    if state.still is None or fix_distance_m(state.still, fix) > STILL_M:
        state.still = fix
    still_s = fix.at - state.still.at
    moved_mps = _moved_mps(state, last, fix)
    speed_mps = _believed_speed(state, fix, still_s, moved_mps)
    is_slow = (speed_mps is None or speed_mps <= SLOW_MPS) and (moved_mps or 0.0) <= SLOW_MPS
    on_ground = _is_on_ground(state, fix, is_slow=is_slow)
    if fix.alt_m is None:
        alt_m = None
    elif on_ground:
        alt_m = fix.alt_m
        state.altimeter = state.altimeter.after_ground_sample(alt_m, fix.at)
    else:
        alt_m = _believed_altitude(state, fix, fix.alt_m, plan, is_slow=is_slow)
    height_m = _height_m(state, alt_m, plan)
    is_high = height_m is not None and height_m > plan.low_m
    armed, stands_high = fix.armed, False
    if armed is False and state.phase is not Phase.GROUND and (is_high or not is_slow):
        armed, stands_high = None, is_slow
        state.disbelieve(_flying_signs(height_m, speed_mps, moved_mps), fix.at)
    state.disarmed = state.disarmed + 1 if stands_high else 0
    if stands_high:  # only its altitude says that it flies: neither is believed
        alt_m = height_m = None
        _doubt_altimeter(state, fix, still_s)
    believed = replace(fix, alt_m=alt_m, speed_mps=speed_mps, armed=armed)
    state.fix = believed
    return Observation(
        believed, height_m, is_slow, (moved_mps or 0.0) > SLOW_MPS, on_ground, still_s
    )


def _is_on_ground(state: FlightState, fix: Fix, *, is_slow: bool) -> bool:
    """Whether it stands before its launch: at the known place, or in the third sample elsewhere."""
    if state.phase is not Phase.GROUND or fix.armed is not False or not is_slow:
        state.stood_elsewhere = 0
        return False
    if (
        state.start is None
        or not state.start_is_ground
        or fix_distance_m(state.start, fix) <= STILL_M
    ):
        state.stood_elsewhere = 0
        state.stood += 1
        return True
    state.stood_elsewhere += 1
    return state.stood_elsewhere >= min(MOVED_SAMPLES, state.stood + 1)


def _moved_mps(state: FlightState, last: Fix | None, fix: Fix) -> float | None:
    """The minimum speed by position, in seconds of the drone's clock; None after a long gap."""
    if last is None or (own_s := (fix.at - last.at) * state.pace) > BRAKING_S:
        return None
    return max(fix_distance_m(last, fix) - STILL_M, 0.0) / own_s


def _believed_speed(
    state: FlightState, fix: Fix, still_s: float, moved_mps: float | None
) -> float | None:
    reported_mps = fix.speed_mps
    if reported_mps is None:
        return None
    if reported_mps > SLOW_MPS and reported_mps * still_s > 4 * STILL_M:
        state.disbelieve(f"speed {reported_mps:.0f} m/s while it is stationary", fix.at)
        return None
    if reported_mps <= SLOW_MPS and moved_mps is not None and moved_mps > 2 * SLOW_MPS:
        state.disbelieve(f"speed {reported_mps:.0f} m/s while it moves", fix.at)
        return None
    return reported_mps


def _believed_altitude(
    state: FlightState, fix: Fix, alt_m: float, plan: Plan, *, is_slow: bool
) -> float | None:
    armed = fix.armed is not False
    rates = Rates(plan.climb_speed_mps, plan.descent_speed_mps, state.pace, armed)
    state.altimeter, why_not = state.altimeter.after_flight_sample(alt_m, fix.at, rates)
    ground_m = state.ground_alt_m
    height_m = _height_m(state, alt_m, plan)
    if not why_not and height_m is not None:
        is_grazing = height_m <= GRAZING_M and not is_slow and state.away > 0 and bool(fix.armed)
        state.grazing = state.grazing + 1 if is_grazing else 0
        if not -MAX_TERRAIN_M <= height_m <= plan.cruise_alt_m + MAX_TERRAIN_M:
            why_not = f"altitude {alt_m:.0f} m, {height_m:.0f} m above the ground"
            if ground_m is None:  # the peak may be too low: three such samples in a row raise it
                _remember_peak(state, alt_m, armed=fix.armed)
        elif ground_m is not None and state.grazing >= GRAZING_SAMPLES:
            why_not = f"altitude {alt_m:.0f} m, no higher than where it stood, in cruise"
            state.altimeter = replace(state.altimeter, broken=why_not)
    if why_not:
        state.disbelieve(why_not, fix.at)
        return None
    _remember_peak(state, alt_m, armed=fix.armed)
    return alt_m


def _doubt_altimeter(state: FlightState, fix: Fix, still_s: float) -> None:
    """A drone that is stationary and disarmed for long stands: its altitude is wrong.

    Not while it loads: a pickup may lie higher than the place where it stood.
    """
    is_loading = state.picked_up and not state.left_pickup
    if state.disarmed >= DISARMED_SAMPLES and still_s >= DISARMED_S and not is_loading:
        broken = f"altitude {fix.alt_m:.0f} m while it stands disarmed"
        state.altimeter = replace(state.altimeter, broken=broken)


def _remember_peak(state: FlightState, alt_m: float, *, armed: bool | None) -> None:
    """The highest altitude of three believed samples in a row; two bad ones make no peak."""
    state.recent_alts = (*state.recent_alts, alt_m)[-3:]
    if armed:
        lowest_m = min(state.recent_alts)
        state.peak_alt_m = lowest_m if state.peak_alt_m is None else max(lowest_m, state.peak_alt_m)


def _height_m(state: FlightState, alt_m: float | None, plan: Plan) -> float | None:
    """Without a ground altitude, the peak is taken for the cruise altitude."""
    if alt_m is None:
        return None
    if state.ground_alt_m is not None:
        return alt_m - state.ground_alt_m
    return None if state.peak_alt_m is None else alt_m - state.peak_alt_m + plan.cruise_alt_m


def _flying_signs(height_m: float | None, speed_mps: float | None, moved_mps: float | None) -> str:
    fastest_mps = max(speed_mps or 0.0, moved_mps or 0.0)
    signs = [f"at {height_m:.0f} m"] if height_m is not None else []
    return "armed: false while " + " and ".join([*signs, f"{fastest_mps:.0f} m/s"])
