"""What a flight may have done while it was not seen. Pure.

A silence, missing positions and missing altitudes are the same here: from the last look that rules
a hand-over out until the next one, the drone may have handed over if it had the time to go there,
down and up, and on to where it is now, as fast as it can. The same holds for the pickup.
"""

from dispatch.missions.flight.altimeter import CLIMB_SLACK
from dispatch.missions.flight.state import Fix, Phase, Plan, State, to_dropoff_m, to_pickup_m
from dispatch.missions.flight.trust import SPEED_SLACK, Look
from fleet.feasibility.rules import Rules

PEAK_M = 12.0  # how far a barometer and gusts take a drone from its cruise height
HIGH_LOOKS = 3  # at the drop point, before a hand-over is ruled out: a pair may be wrong


def look(state: State, seen: Look, last: Fix | None, plan: Plan, rules: Rules) -> None:
    """Whether what was not seen may hide a hand-over, a visit to the pickup, or anything.

    No receiver in the air measures the same place to the last digit again: such a look may be
    frozen, and rules nothing out.
    """
    fix, radius_m = seen.fix, min(rules.arrival_radius_m, plan.trip_m / 2)
    is_fresh = last is None or seen.stands or (last.lat, last.lng) != (fix.lat, fix.lng)
    if state.fresh_at is not None and fix.at - state.fresh_at > rules.link_lost_after_s:
        state.gap = True
    if is_fresh:
        state.fresh_at = fix.at
    is_up = seen.height_m is not None and seen.height_m > plan.low_m and _is_at_peak(state, fix)
    at_pickup = to_pickup_m(plan, fix) <= radius_m
    flies = state.phase is not Phase.GROUND or fix.armed is not False
    state.low_at_pickup |= flies and at_pickup and not is_up and not seen.moves_on
    if not at_pickup or is_up:
        _rule_pickup_out(state, fix, plan, is_fresh=is_fresh)
    if to_dropoff_m(plan, fix) > radius_m or (is_up and state.high >= HIGH_LOOKS):
        _rule_handover_out(state, fix, plan, is_fresh=is_fresh)


def _rule_pickup_out(state: State, fix: Fix, plan: Plan, *, is_fresh: bool) -> None:
    """It is not there now. Since it last was not, it must have had no time to go there, down and
    up, and on to here, as fast as it can."""
    if (clear := state.pickup_clear) is not None:
        path_m = to_pickup_m(plan, clear) + to_pickup_m(plan, fix)
        state.pickup_hidden |= _has_time(state, clear, fix, plan, path_m)
    if is_fresh:
        state.pickup_clear = fix


def _rule_handover_out(state: State, fix: Fix, plan: Plan, *, is_fresh: bool) -> None:
    """The same for the drop point; by the pickup, as long as it has not been there."""
    if (clear := state.clear) is not None:
        path_m = to_dropoff_m(plan, clear) + to_dropoff_m(plan, fix)
        if not (state.picked_up or state.pickup_hidden or state.phase is Phase.ARRIVED):
            path_m += to_pickup_m(plan, clear) + plan.trip_m - to_dropoff_m(plan, clear)
        state.silent |= _has_time(state, clear, fix, plan, path_m)
    if is_fresh:
        state.clear = fix


def _is_at_peak(state: State, fix: Fix) -> bool:
    """Lower than it cruised, if only a little: its ground may be another than it seems."""
    if fix.alt_m is None or state.peak_alt_m is None:
        return False
    return fix.alt_m >= state.peak_alt_m - PEAK_M


def _has_time(state: State, a: Fix, b: Fix, plan: Plan, path_m: float) -> bool:
    """Down and up count only where it is known to have been high, or at least somewhere."""
    dip_s = 0.0 if a.alt_m is None or b.alt_m is None else plan.dip_s / CLIMB_SLACK
    path_s = path_m / (SPEED_SLACK * plan.cruise_speed_mps)
    return path_s + dip_s <= (b.at - a.at) * state.pace
