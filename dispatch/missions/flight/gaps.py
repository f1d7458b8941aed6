"""What a flight may have done during gaps in its telemetry. Pure.

Silence, missing positions and missing altitudes are treated alike. Between two samples that rule a
hand-over out, the drone may have handed over if it had time to fly to the drop point, descend,
climb, and reach its present position at full speed. The same holds for the pickup.
"""

from dispatch.missions.flight.altimeter import CLIMB_SLACK
from dispatch.missions.flight.state import Fix, FlightState, Phase, Plan, to_dropoff_m, to_pickup_m
from dispatch.missions.flight.trust import SPEED_SLACK, Observation
from fleet.feasibility.rules import Rules

PEAK_TOLERANCE_M = 12.0  # deviation from the cruise height by barometer and gusts
HIGH_SAMPLES = 3  # at the drop point, to rule a hand-over out: two may be wrong


def update(
    state: FlightState, obs: Observation, last: Fix | None, plan: Plan, rules: Rules
) -> None:
    """Note in `state` whether a gap may hide a hand-over, a pickup, or anything.

    In flight no receiver repeats a position to the last digit: such a sample may be frozen, and
    rules nothing out.
    """
    fix, radius_m = obs.fix, min(rules.arrival_radius_m, plan.trip_m / 2)
    is_fresh = last is None or obs.stands or (last.lat, last.lng) != (fix.lat, fix.lng)
    if state.fresh_at is not None and fix.at - state.fresh_at > rules.link_lost_after_s:
        state.gap = True
    if is_fresh:
        state.fresh_at = fix.at
    is_up = obs.height_m is not None and obs.height_m > plan.low_m and _is_at_peak(state, fix)
    at_pickup = to_pickup_m(plan, fix) <= radius_m
    flies = state.phase is not Phase.GROUND or fix.armed is not False
    state.low_at_pickup |= flies and at_pickup and not is_up and not obs.moves_on
    if not at_pickup or is_up:
        _rule_out_pickup(state, fix, plan, is_fresh=is_fresh)
    if to_dropoff_m(plan, fix) > radius_m or (is_up and state.high >= HIGH_SAMPLES):
        _rule_out_handover(state, fix, plan, is_fresh=is_fresh)


def _rule_out_pickup(state: FlightState, fix: Fix, plan: Plan, *, is_fresh: bool) -> None:
    """The drone is not at the pickup now. Between two such samples it may have had time for a
    visit: fly there, descend, climb and come here at full speed."""
    if (clear := state.pickup_clear) is not None:
        path_m = to_pickup_m(plan, clear) + to_pickup_m(plan, fix)
        state.pickup_hidden |= _has_time(state, clear, fix, plan, path_m)
    if is_fresh:
        state.pickup_clear = fix


def _rule_out_handover(state: FlightState, fix: Fix, plan: Plan, *, is_fresh: bool) -> None:
    """The same for the drop point; the path includes the pickup until that is visited."""
    if (clear := state.clear) is not None:
        path_m = to_dropoff_m(plan, clear) + to_dropoff_m(plan, fix)
        if not (state.picked_up or state.pickup_hidden or state.phase is Phase.ARRIVED):
            path_m += to_pickup_m(plan, clear) + plan.trip_m - to_dropoff_m(plan, clear)
        state.silent |= _has_time(state, clear, fix, plan, path_m)
    if is_fresh:
        state.clear = fix


def _is_at_peak(state: FlightState, fix: Fix) -> bool:
    """Whether it flies at its cruise height. Below it, the ground altitude may be wrong."""
    if fix.alt_m is None or state.peak_alt_m is None:
        return False
    return fix.alt_m >= state.peak_alt_m - PEAK_TOLERANCE_M


def _has_time(state: FlightState, a: Fix, b: Fix, plan: Plan, path_m: float) -> bool:
    """Descent and climb take time only when both altitudes are known."""
    dip_s = 0.0 if a.alt_m is None or b.alt_m is None else plan.dip_s / CLIMB_SLACK
    path_s = path_m / (SPEED_SLACK * plan.cruise_speed_mps)
    return path_s + dip_s <= (b.at - a.at) * state.pace
