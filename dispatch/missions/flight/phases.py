"""How far a flight is, read from telemetry alone. Pure: no clock, no database, no settings.

The real Fleet API knows no missions, only positions. `step` turns them into the phases of a
delivery: one call per look at the fleet, with the newest measurements of one drone. It never skips,
repeats or takes back a phase, whatever is noisy, missing, late or there twice.

`trust.py` decides what to believe, `gaps.py` what may have been missed.
What is left is read like this:

| read | from |
|---|---|
| LAUNCHED | armed and lifted in two looks, or away from where it stood in three |
| ENROUTE | away from where it stood in three looks |
| pickup | low and slow there in two looks, then high; or launched there (`ParcelLoaded`) |
| ARRIVED | within the arrival radius of the drop point in two looks |
| DELIVERING, DELIVERED | low and slow there in two looks; then high again |
| landed | low, slow and disarmed, see LANDED_S |

A landing after DELIVERING that no look at the climb preceded is UNCLEAR: that the drone was low at
the drop point and is elsewhere now does not say where its parcel is. The same holds when positions
or altitudes are missing for so long that the drone can have dipped to the drop point and come back,
and for a flight that was first seen in the air.

The clock of a simulated fleet may run faster than ours; how much faster is measured on the way
(`State.pace`).
"""

from collections.abc import Iterable
from dataclasses import replace

from dispatch.missions.flight import gaps, trust
from dispatch.missions.flight.state import (
    OVER,
    PHASE_OF,
    STATUS_OF,
    Event,
    Fix,
    FlightEvent,
    ParcelLoaded,
    Phase,
    Plan,
    State,
    to_dropoff_m,
    to_pickup_m,
    way_m,
)
from dispatch.missions.flight.trust import GROUND_M, MOVING_SHARE, Look, stands
from fleet.feasibility.rules import Rules
from fleet.live.telemetry import Telemetry
from orders.states import steps_between

__all__ = [
    "OVER",
    "Event",
    "Fix",
    "FlightEvent",
    "ParcelLoaded",
    "Phase",
    "Plan",
    "State",
    "may_carry",
    "remaining_s",
    "stands",
    "step",
]

AT_DROPOFF = (Phase.ARRIVED, Phase.DELIVERING, Phase.DELIVERED)
REAL_TIME_PACE = 1.5
FAR_M = 200.0  # beside the way that it may have flown on: positions and clocks differ
AWAY_M = 30.0  # farther than this from where it stood, it is on its way
AWAY_LOOKS = 3  # a pair of bad positions is no departure
LIFTED_M, LIFTED_LOOKS = 5.0, 2  # higher than this above where it stood, it has taken off

# A landing takes so many looks over so many seconds, whatever the sample rate: a pair of bad ones
# is not enough at 2 s, nor a burst at 0.5 s. Without a good altitude and a speed, position and
# motors have to say it for longer.
LANDED_LOOKS, LANDED_S = 3, 4.0
LANDED_LOOKS_WEAK, LANDED_S_WEAK = 5, 12.0


def step(
    state: State, samples: Iterable[Telemetry], plan: Plan, rules: Rules
) -> tuple[State, list[Event]]:
    """The state after these measurements of one drone, and what happened, in order of time.

    Where it happened is in each FlightEvent; where a landed drone stands, in `State.fix` as well.
    """
    state, events = replace(state), list[Event]()
    fixes = [fix for sample in samples if (fix := Fix.of(sample)) is not None]
    for fix in sorted(fixes, key=lambda fix: fix.at):
        if state.phase in OVER:
            break
        for trusted in trust.trusted(state, fix, plan):
            before, loaded_at = state.phase, state.loaded_at
            _look(state, trusted, plan, rules)
            events += _entered(state, before, trusted, is_loaded=state.loaded_at != loaded_at)
    return state, events


def remaining_s(state: State, plan: Plan, rules: Rules) -> float | None:
    """From the last trusted measurement until the parcel is at the door; None when not flying.

    Remaining path over the measured speed, and handling.
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


def may_carry(state: State, plan: Plan) -> bool:
    """Whether a parcel may be aboard, for all that telemetry has shown; doubt means yes.

    No only if the drone was followed from the ground on without a gap and never was low at the
    pickup. A silence that has not ended yet is not in the state: see `State.fresh_at`.
    """
    followed = state.start_is_ground and not (state.gap or state.pickup_hidden or state.doubt)
    if not followed or state.low_at_pickup or state.loaded_at is not None:
        return True
    return state.start is None or to_pickup_m(plan, state.start) <= AWAY_M


def is_far_from_drop(state: State, plan: Plan, rules: Rules, silence_s: float) -> bool:
    """Whether telemetry shows beyond doubt that the drone has not come to the drop point yet.

    silence_s: since its last measurement; the drone may have flown on for so long, at twice its
    speed. Doubt means no.
    """
    followed = state.start_is_ground and not (state.gap or state.silent or state.doubt)
    # Where the clock of a simulated fleet runs faster, positions are far behind the reports.
    is_in_time = state.phase is Phase.ENROUTE and state.pace <= REAL_TIME_PACE
    has_just_left = state.phase in (Phase.GROUND, Phase.LAUNCHED)
    if not followed or state.fix is None or not (has_just_left or is_in_time):
        return False
    flown_on_m = trust.SPEED_SLACK * plan.cruise_speed_mps * state.pace * silence_s
    return to_dropoff_m(plan, state.fix) > rules.arrival_radius_m + FAR_M + flown_on_m


# --- what a measurement says ---------------------------------------------------------------------


def _look(state: State, fix: Fix, plan: Plan, rules: Rules) -> None:
    last = state.fix
    look = trust.judged(state, fix, plan)
    if last is not None:
        _measure(state, last, look.fix, plan, rules)
    radius_m = min(rules.arrival_radius_m, plan.trip_m / 2)
    if state.phase is Phase.GROUND:
        _look_for_launch(state, look, plan, radius_m)
    else:
        _count_away(state, fix)
    gaps.look(state, look, last, plan, rules)
    if state.phase is Phase.GROUND:
        return
    if state.phase is Phase.LAUNCHED and state.away >= AWAY_LOOKS:
        state.phase = Phase.ENROUTE
    _look_at_pickup(state, look, plan, radius_m)
    _look_at_dropoff(state, look, plan, radius_m)
    if state.loaded_at is None and state.pickup_low and state.phase in AT_DROPOFF:
        state.loaded_at = state.since  # it was low at the pickup, and how it left was not seen
    _look_for_landing(state, look, plan, radius_m)


def _look_for_launch(state: State, look: Look, plan: Plan, radius_m: float) -> None:
    fix = look.fix
    if fix.armed is not True:
        if look.stands:  # remember where, and how high the ground is
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
    if state.lifted < LIFTED_LOOKS and state.away < AWAY_LOOKS:
        return
    state.phase = Phase.LAUNCHED
    if not state.start_is_ground:  # what it did before it was first seen is not known
        state.silent = True
    elif to_pickup_m(plan, state.start) <= radius_m:
        state.loaded_at = fix.at


def _count_away(state: State, fix: Fix) -> None:
    is_away = state.start is not None and way_m(state.start, fix) >= AWAY_M
    state.away = state.away + 1 if is_away else 0


def _look_at_pickup(state: State, look: Look, plan: Plan, radius_m: float) -> None:
    """A visit that may have loaded the parcel: low and slow in two looks, or one when seen by few.

    Passing over the pickup at cruise height counts for the way (`picked_up`), not for the parcel.
    """
    at_pickup = to_pickup_m(plan, look.fix) <= radius_m
    state.left_pickup = state.left_pickup or (state.picked_up and not at_pickup)
    state.picked_up = state.picked_up or at_pickup
    if state.loaded_at is not None:
        return
    is_high = look.height_m is not None and look.height_m > plan.low_m
    is_low = look.height_m is not None and not is_high and at_pickup and look.is_slow
    state.pickup_low += is_low
    state.pickup_high = 0 if is_low else state.pickup_high + is_high
    if _has_left(state.pickup_low, state.pickup_high, is_out=is_high and not at_pickup):
        state.loaded_at = look.fix.at if not state.near else state.since
    elif state.pickup_high >= 2:
        state.pickup_low = 0


def _look_at_dropoff(state: State, look: Look, plan: Plan, radius_m: float) -> None:
    """Counts what consecutive measurements say. One alone is never enough, but for one: low at the
    drop point and then on the way out is a delivery, seen by few looks."""
    if state.phase not in (Phase.ENROUTE, Phase.ARRIVED, Phase.DELIVERING):
        return
    fix, height_m = look.fix, look.height_m
    is_near = to_dropoff_m(plan, fix) <= radius_m and _has_parcel(state, plan, radius_m, look)
    is_high = height_m is not None and height_m > plan.low_m
    is_low = height_m is not None and not is_high and is_near and look.is_slow

    state.near = state.near + 1 if is_near else 0
    state.low += is_low
    state.high = 0 if is_low else state.high + is_high
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
        state.low = 0  # high, low once, high and high again: a feint or a glitch


def _has_left(low: int, high: int, *, is_out: bool) -> bool:
    return (low >= 2 and high >= 2) or (low >= 1 and is_out)


def _has_parcel(state: State, plan: Plan, radius_m: float, look: Look) -> bool:
    """Passing over the drop point on the way to the pickup is no arrival.

    A pickup that was not where the order says, or not seen, is made up for by slowing down here.
    """
    if state.picked_up or state.start is None:
        return state.picked_up
    return look.is_slow and to_dropoff_m(plan, state.start) > 2 * radius_m


# --- landings ------------------------------------------------------------------------------------


def _look_for_landing(state: State, look: Look, plan: Plan, radius_m: float) -> None:
    start_at_pickup = state.start is not None and to_pickup_m(plan, state.start) <= radius_m
    loading = state.picked_up and not state.left_pickup and not start_at_pickup
    at_dropoff = to_dropoff_m(plan, look.fix) <= radius_m and state.picked_up
    _count_down(state, look, plan)
    if state.phase in OVER or loading or not _is_down(state, look):
        return
    if at_dropoff:
        state.phase = Phase.DELIVERING
        state.stands_at_drop_since = state.stands_at_drop_since or state.down_since
    elif state.silent or state.phase is Phase.DELIVERING:
        state.phase = Phase.UNCLEAR
    else:
        state.phase = Phase.RETURNED


def _count_down(state: State, look: Look, plan: Plan) -> None:
    """How long it has been low, slow and disarmed; a look without `armed` is passed over."""
    fix, height_m = look.fix, look.height_m
    is_high = height_m is not None and height_m > plan.low_m
    if fix.armed or is_high or not look.is_slow:
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


def _is_down(state: State, look: Look) -> bool:
    if state.down_since is None or look.fix.armed is not False:
        return False
    held_s = min(look.fix.at - state.down_since, look.still_s)
    if state.down_sure >= LANDED_LOOKS and held_s >= LANDED_S:
        return True
    return state.down >= LANDED_LOOKS_WEAK and held_s >= LANDED_S_WEAK


# --- speed ---------------------------------------------------------------------------------------


def _measure(state: State, last: Fix, fix: Fix, plan: Plan, rules: Rules) -> None:
    """The speed while it cruises, and the pace of its clock."""
    silence_s = fix.at - last.at
    if silence_s > rules.link_lost_after_s or not fix.armed:
        return
    way = way_m(last, fix)
    if (speed_mps := way / silence_s) >= MOVING_SHARE * plan.cruise_speed_mps:
        before = speed_mps if state.speed_mps is None else state.speed_mps
        state.speed_mps = (before + speed_mps) / 2
    climb_m = 0.0 if fix.alt_m is None or last.alt_m is None else fix.alt_m - last.alt_m
    rate_mps = plan.climb_speed_mps if climb_m > 0 else plan.descent_speed_mps
    pace = (way / plan.cruise_speed_mps + abs(climb_m) / rate_mps) / silence_s
    if silence_s * state.pace >= 1 and pace >= MOVING_SHARE * state.pace:
        state.pace = min(max(1.0, (state.pace + pace) / 2), trust.MAX_PACE)


def _entered(state: State, before: Phase, fix: Fix, *, is_loaded: bool) -> list[Event]:
    """One event per phase since `before`, with the time that is known best; then the parcel."""
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
