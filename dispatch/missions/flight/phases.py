"""The phases of a flight, read from telemetry alone. Pure: no clock, no database, no settings.

The Fleet API has positions and no missions. `step` turns positions into the phases of a delivery:
one call per poll, with the newest measurements of one drone. It never skips, repeats or reverts a
phase when samples are noisy, missing, late or repeated.

`trust.py` decides which values to believe, `gaps.py` what a gap may hide. The phases:

| phase | condition |
|---|---|
| LAUNCHED | armed and lifted in two samples, or away from its start in three |
| ENROUTE | away from its start in three samples |
| pickup | low and slow there in two samples, then high; or launched there (`ParcelLoaded`) |
| ARRIVED | within the arrival radius of the drop point in two samples |
| DELIVERING, DELIVERED | low and slow there in two samples; then armed and high, or away and high |
| landed | low, slow and disarmed, see LANDED_S |

A landing after DELIVERING without an observed climb is UNCLEAR: the drone was low at the drop point
and is elsewhere now, which does not show where its parcel is. So is a landing after a gap in
positions or altitudes that is long enough for a hand-over, and one of a flight first seen in the
air.

The clock of a simulated fleet may run faster than ours; the pace is measured in flight
(`FlightState.pace`).
"""

from collections.abc import Iterable

from msgspec.structs import replace

from dispatch.missions.flight import gaps, trust
from dispatch.missions.flight.state import (
    OVER,
    PHASE_OF,
    STATUS_OF,
    Event,
    Fix,
    FlightEvent,
    FlightState,
    ParcelLoaded,
    Phase,
    Plan,
    fix_distance_m,
    to_dropoff_m,
    to_pickup_m,
)
from dispatch.missions.flight.trust import GROUND_M, MOVING_SHARE, Observation, stands
from fleet.feasibility.rules import Rules
from fleet.live.telemetry import Telemetry
from orders.states import steps_between

__all__ = [
    "OVER",
    "Event",
    "Fix",
    "FlightEvent",
    "FlightState",
    "ParcelLoaded",
    "Phase",
    "Plan",
    "may_carry",
    "remaining_s",
    "stands",
    "step",
]

AT_DROPOFF = (Phase.ARRIVED, Phase.DELIVERING, Phase.DELIVERED)
REAL_TIME_PACE = 1.5
DROP_MARGIN_M = 200.0  # on top of the distance it may have flown since: positions and clocks differ
AWAY_M = 30.0  # farther than this from its start, it has departed
AWAY_SAMPLES = 3  # two bad positions are no departure
LIFTED_M, LIFTED_SAMPLES = 5.0, 2  # above its start by more than this, it has taken off

# A landing needs both a number of samples and a time: two bad samples at 2 s must not suffice, nor
# a burst at 0.5 s. Without altitude and speed, position and `armed` must show it for longer.
LANDED_SAMPLES, LANDED_S = 3, 4.0
LANDED_SAMPLES_WEAK, LANDED_S_WEAK = 5, 12.0


def step(
    state: FlightState, samples: Iterable[Telemetry], plan: Plan, rules: Rules
) -> tuple[FlightState, list[Event]]:
    """The state after these measurements of one drone, and the events in order of time.

    Each FlightEvent has its position; `FlightState.fix` is the position of a landed drone.
    """
    state, events = replace(state), list[Event]()
    samples = list(samples)
    for sample in samples:
        _read_battery(state, sample)
    fixes = [fix for sample in samples if (fix := Fix.of(sample)) is not None]
    for fix in sorted(fixes, key=lambda fix: fix.at):
        if state.phase in OVER:
            break
        for trusted in trust.accept(state, fix, plan):
            before, loaded_at = state.phase, state.loaded_at
            _apply(state, trusted, plan, rules)
            events += _events_since(state, before, trusted, is_loaded=state.loaded_at != loaded_at)
    return state, events


def remaining_s(state: FlightState, plan: Plan, rules: Rules) -> float | None:
    """Seconds from the last trusted measurement to the hand-over; None when not flying.

    Remaining path divided by the measured speed, plus handling.
    """
    fix = state.fix
    if fix is None or state.phase is Phase.GROUND or state.phase in OVER:
        return None
    if state.arrived_at is not None:
        return max(state.arrived_at + rules.delivery_time_s / state.pace - fix.at, 0.0)
    path_m, handling_s = to_dropoff_m(plan, fix), rules.delivery_time_s
    if not state.picked_up:
        path_m = to_pickup_m(plan, fix) + plan.trip_m
        handling_s += rules.load_time_s
    speed_mps = state.speed_mps or plan.cruise_speed_mps
    return path_m * rules.detour_factor / speed_mps + handling_s / state.pace


def may_carry(state: FlightState, plan: Plan) -> bool:
    """Whether a parcel may be aboard by telemetry; doubt means True.

    False only if the drone was followed from the ground without a gap and was never low at the
    pickup. A gap that has not ended is not in the state: see `FlightState.fresh_at`.
    """
    followed = state.start_is_ground and not (state.gap or state.pickup_hidden or state.doubt)
    if not followed or state.low_at_pickup or state.loaded_at is not None:
        return True
    return state.start is None or to_pickup_m(plan, state.start) <= AWAY_M


def is_far_from_drop(state: FlightState, plan: Plan, rules: Rules, silence_s: float) -> bool:
    """Whether telemetry proves that the drone has not reached the drop point; doubt means False.

    silence_s: since the last measurement; the drone may have flown on at twice its cruise speed.
    """
    followed = state.start_is_ground and not (state.gap or state.silent or state.doubt)
    # With a faster simulated clock, positions lag far behind the reports.
    is_in_time = state.phase is Phase.ENROUTE and state.pace <= REAL_TIME_PACE
    has_just_left = state.phase in (Phase.GROUND, Phase.LAUNCHED)
    if not followed or state.fix is None or not (has_just_left or is_in_time):
        return False
    flown_on_m = trust.SPEED_SLACK * plan.cruise_speed_mps * state.pace * silence_s
    return to_dropoff_m(plan, state.fix) > rules.arrival_radius_m + DROP_MARGIN_M + flown_on_m


def _read_battery(state: FlightState, sample: Telemetry) -> None:
    at = min(sample.measured_at, sample.seen_at).timestamp()
    if sample.battery_pct is None:
        state.battery_at = at if state.battery_at is None else state.battery_at
    elif state.battery_at is None or at >= state.battery_at:
        state.battery_pct, state.battery_at = sample.battery_pct, at
        if state.phase is Phase.GROUND:
            state.ground_battery_pct = sample.battery_pct


# --- one measurement -----------------------------------------------------------------------------


def _apply(state: FlightState, fix: Fix, plan: Plan, rules: Rules) -> None:
    last = state.fix
    obs = trust.observe(state, fix, plan)
    if last is not None:
        _measure_speed(state, last, obs.fix, plan, rules)
    radius_m = min(rules.arrival_radius_m, plan.trip_m / 2)
    if state.phase is Phase.GROUND:
        _detect_launch(state, obs, plan, radius_m)
    else:
        _count_away(state, fix)
    gaps.update(state, obs, last, plan, rules)
    if state.phase is Phase.GROUND:
        return
    if state.phase is Phase.LAUNCHED and state.away >= AWAY_SAMPLES:
        state.phase = Phase.ENROUTE
    _detect_pickup(state, obs, plan, radius_m)
    _detect_handover(state, obs, plan, radius_m)
    if state.loaded_at is None and state.pickup_low and state.phase in AT_DROPOFF:
        state.loaded_at = state.since  # low at the pickup; its departure was not seen
    _detect_landing(state, obs, plan, radius_m)


def _detect_launch(state: FlightState, obs: Observation, plan: Plan, radius_m: float) -> None:
    fix = obs.fix
    if fix.armed is not True:
        if obs.stands:  # its start and the ground altitude
            state.start = replace(fix, alt_m=state.altimeter.ground_m)
            state.start_is_ground = True
        state.lifted = state.away = 0
        return
    if state.start is None:
        state.start = fix
    height_m = None
    if fix.alt_m is not None and state.start.alt_m is not None:
        height_m = fix.alt_m - state.start.alt_m
    is_up = height_m is not None and height_m >= LIFTED_M
    state.lifted = state.lifted + 1 if is_up else 0
    _count_away(state, fix)
    if state.lifted < LIFTED_SAMPLES and state.away < AWAY_SAMPLES:
        return
    state.phase = Phase.LAUNCHED
    if not state.start_is_ground:  # its path before the first sample is unknown
        state.silent = True
    elif to_pickup_m(plan, state.start) <= radius_m:
        state.loaded_at = fix.at


def _count_away(state: FlightState, fix: Fix) -> None:
    is_away = state.start is not None and fix_distance_m(state.start, fix) >= AWAY_M
    state.away = state.away + 1 if is_away else 0


def _detect_pickup(state: FlightState, obs: Observation, plan: Plan, radius_m: float) -> None:
    """A pickup: low and slow in two samples, or in one followed by a departure.

    Passing over the pickup at cruise height sets `picked_up`, but loads no parcel.
    """
    at_pickup = to_pickup_m(plan, obs.fix) <= radius_m
    state.left_pickup = state.left_pickup or (state.picked_up and not at_pickup)
    state.picked_up = state.picked_up or at_pickup
    if state.loaded_at is not None:
        return
    is_high = obs.height_m is not None and obs.height_m > plan.low_m
    is_low = obs.height_m is not None and not is_high and at_pickup and obs.is_slow
    state.pickup_low += is_low
    state.pickup_high = 0 if is_low else state.pickup_high + is_high
    if _has_left(state.pickup_low, state.pickup_high, is_out=is_high and not at_pickup):
        state.loaded_at = obs.fix.at if not state.near else state.since
    elif state.pickup_high >= 2:
        state.pickup_low = 0


def _detect_handover(state: FlightState, obs: Observation, plan: Plan, radius_m: float) -> None:
    """Arrival, hand-over and departure, each from two agreeing samples.

    One low sample at the drop point suffices when the next shows the drone leaving.
    """
    if state.phase not in (Phase.ENROUTE, Phase.ARRIVED, Phase.DELIVERING):
        return
    fix, height_m = obs.fix, obs.height_m
    is_near = to_dropoff_m(plan, fix) <= radius_m and _has_parcel(state, plan, radius_m, obs)
    is_high = height_m is not None and height_m > plan.low_m
    is_low = height_m is not None and not is_high and is_near and obs.is_slow
    # At the drop point an altitude alone is no climb: it may stand there.
    is_up = is_high and (fix.armed is True or not is_near)
    is_down = is_low or (fix.armed is False and obs.is_slow)

    state.near = state.near + 1 if is_near else 0
    state.low += is_low
    state.high = 0 if is_down else state.high + is_up
    if is_near and state.near == 1:
        state.since = fix.at
    was_low = state.low >= 2 or state.phase is Phase.DELIVERING
    if was_low:
        state.phase = Phase.DELIVERING
    elif state.near >= 2:
        state.phase = Phase.ARRIVED

    low = 2 if was_low else state.low
    if _has_left(low, state.high, is_out=is_high and not is_near):
        state.phase = Phase.DELIVERED
    elif state.high >= 2:
        state.low = 0  # one low sample between high ones is a glitch


def _has_left(low: int, high: int, *, is_out: bool) -> bool:
    return (low >= 2 and high >= 2) or (low >= 1 and is_out)


def _has_parcel(state: FlightState, plan: Plan, radius_m: float, obs: Observation) -> bool:
    """Whether the parcel can be aboard: passing the drop point before the pickup is no arrival.

    If the pickup was not seen, or was elsewhere, slowing down here counts instead.
    """
    if state.picked_up or state.start is None:
        return state.picked_up
    return obs.is_slow and to_dropoff_m(plan, state.start) > 2 * radius_m


# --- landings ------------------------------------------------------------------------------------


def _detect_landing(state: FlightState, obs: Observation, plan: Plan, radius_m: float) -> None:
    start_at_pickup = state.start is not None and to_pickup_m(plan, state.start) <= radius_m
    loading = state.picked_up and not state.left_pickup and not start_at_pickup
    at_dropoff = to_dropoff_m(plan, obs.fix) <= radius_m and state.picked_up
    _count_down(state, obs, plan)
    if state.phase in OVER or loading or not _is_down(state, obs):
        return
    if at_dropoff:
        state.phase = Phase.DELIVERING
        state.stands_at_drop_since = state.stands_at_drop_since or state.down_since
    elif state.silent or state.phase is Phase.DELIVERING:
        state.phase = Phase.UNCLEAR
    else:
        state.phase = Phase.RETURNED


def _count_down(state: FlightState, obs: Observation, plan: Plan) -> None:
    """Count low, slow, disarmed samples; samples without `armed` are skipped."""
    fix, height_m = obs.fix, obs.height_m
    is_high = height_m is not None and height_m > plan.low_m
    if fix.armed or is_high or not obs.is_slow:
        state.down, state.down_sure, state.down_since = 0, 0, None
        state.off_drop += 1
        if state.off_drop >= 2:
            state.stands_at_drop_since = None
    elif fix.armed is False:
        state.down += 1
        on_ground = height_m is not None and height_m <= GROUND_M
        state.down_sure += on_ground and fix.speed_mps is not None
        state.down_since = fix.at if state.down_since is None else state.down_since
        state.off_drop = 0


def _is_down(state: FlightState, obs: Observation) -> bool:
    if state.down_since is None or obs.fix.armed is not False:
        return False
    held_s = min(obs.fix.at - state.down_since, obs.still_s)
    if state.down_sure >= LANDED_SAMPLES and held_s >= LANDED_S:
        return True
    return state.down >= LANDED_SAMPLES_WEAK and held_s >= LANDED_S_WEAK


# --- speed ---------------------------------------------------------------------------------------


def _measure_speed(state: FlightState, last: Fix, fix: Fix, plan: Plan, rules: Rules) -> None:
    """Update the cruise speed and the pace of the drone's clock."""
    silence_s = fix.at - last.at
    if silence_s > rules.link_lost_after_s or not fix.armed:
        return
    way = fix_distance_m(last, fix)
    if (speed_mps := way / silence_s) >= MOVING_SHARE * plan.cruise_speed_mps:
        before = speed_mps if state.speed_mps is None else state.speed_mps
        state.speed_mps = (before + speed_mps) / 2
    climb_m = 0.0 if fix.alt_m is None or last.alt_m is None else fix.alt_m - last.alt_m
    rate_mps = plan.climb_speed_mps if climb_m > 0 else plan.descent_speed_mps
    pace = (way / plan.cruise_speed_mps + abs(climb_m) / rate_mps) / silence_s
    if silence_s * state.pace >= 1 and pace >= MOVING_SHARE * state.pace:
        state.pace = min(max(1.0, (state.pace + pace) / 2), trust.MAX_PACE)


def _events_since(state: FlightState, before: Phase, fix: Fix, *, is_loaded: bool) -> list[Event]:
    """One event per phase since `before`, and one for a loaded parcel, with the best times."""
    events: list[Event] = []
    phases = [state.phase]
    if state.phase in STATUS_OF:
        steps = steps_between(STATUS_OF[before], STATUS_OF[state.phase])
        phases = [PHASE_OF[step.target] for step in steps if step.target in PHASE_OF]
    if Phase.ARRIVED in phases:
        state.arrived_at = state.since
    for phase in phases:
        at = (state.since or fix.at) if phase is Phase.ARRIVED else fix.at
        events.append(FlightEvent(phase, at, fix.lat, fix.lng))
    if is_loaded and state.loaded_at is not None:
        events.insert(1 if Phase.LAUNCHED in phases else 0, ParcelLoaded(state.loaded_at))
    return events
