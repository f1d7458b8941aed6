"""How far a flight is, read from telemetry alone. Pure: no clock, no database, no settings.

The real Fleet API knows no missions, only positions. `step` turns them into the phases of a
delivery: one call per look at the fleet, with the newest measurements of one drone. It never skips,
repeats or takes back a phase, whatever is noisy, missing, late or there twice.

What is trusted: a measurement that the drone can have reached since the last one, or that the next
one agrees with. Vertically as well: no glitch of the altimeter hands over a parcel. The clock of a
simulated fleet may run faster than ours; how much faster is measured on the way (`State.pace`).
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

from fleet.geometry import distance_m
from fleet.policy import Rules
from fleet.telemetry import Telemetry

AWAY_M = 30.0  # farther than this from where it stood, it is on its way
LIFTED_M = 5.0  # higher than this above where it stood, it has taken off
SLOW_MPS = 3.0  # ground speed of a drone that keeps its place, with room for gusts
SPEED_SLACK = 2.0  # a tail wind may nearly double the speed over ground
CLIMB_SLACK = 1.5
JITTER_M = 30.0  # GPS near buildings
ALT_JITTER_M = 5.0
MOVING_SHARE = 0.4  # of the cruise speed; slower is braking or manoeuvring and says no ETA


class Phase(StrEnum):
    GROUND = "GROUND"
    LAUNCHED = "LAUNCHED"
    ENROUTE = "ENROUTE"
    ARRIVED = "ARRIVED"
    DELIVERING = "DELIVERING"
    DELIVERED = "DELIVERED"
    RETURNED = "RETURNED"  # landed away from the drop point without a delivery
    UNCLEAR = "UNCLEAR"  # the same, after a silence that may hide a delivery


PATH = (
    Phase.GROUND,
    Phase.LAUNCHED,
    Phase.ENROUTE,
    Phase.ARRIVED,
    Phase.DELIVERING,
    Phase.DELIVERED,
)
OVER = (Phase.DELIVERED, Phase.RETURNED, Phase.UNCLEAR)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the drone is to go, and how fast it can. Altitudes are above ground."""

    pickup_lat: float
    pickup_lng: float
    dropoff_lat: float
    dropoff_lng: float
    cruise_alt_m: float
    delivery_alt_m: float
    cruise_speed_mps: float
    climb_speed_mps: float
    descent_speed_mps: float

    @property
    def trip_m(self) -> float:
        return _between(self.pickup_lat, self.pickup_lng, self.dropoff_lat, self.dropoff_lng)

    @property
    def low_m(self) -> float:
        """Half way down from cruising to handing over: room for terrain and for a barometer."""
        return (self.cruise_alt_m + self.delivery_alt_m) / 2


@dataclass(frozen=True, slots=True)
class Fix:
    """One measurement with a position. Times are POSIX seconds."""

    at: float
    lat: float
    lng: float
    alt_m: float | None
    speed_mps: float | None
    armed: bool | None

    @classmethod
    def of(cls, sample: Telemetry) -> Self | None:
        """None without a position. A drone whose clock is ahead of ours measured it just now."""
        if sample.lat is None or sample.lng is None:
            return None
        return cls(
            at=min(sample.measured_at, sample.seen_at).timestamp(),
            lat=sample.lat,
            lng=sample.lng,
            alt_m=sample.alt_m,
            speed_mps=sample.speed_mps,
            armed=sample.armed,
        )


@dataclass(frozen=True, slots=True)
class FlightEvent:
    """The flight entered `phase` at `at` (POSIX seconds, by the drone's clock)."""

    phase: Phase
    at: float


@dataclass(slots=True)
class State:
    """What is remembered of a flight between two looks; `to_dict` is JSON."""

    phase: Phase = Phase.GROUND
    fix: Fix | None = None  # the last measurement that was trusted
    doubt: Fix | None = None  # one that the drone cannot have reached, until another agrees
    start: Fix | None = None  # where it stood, or where it was first seen when flying already
    start_is_ground: bool = False
    peak_alt_m: float | None = None
    speed_mps: float | None = None  # over ground while cruising, smoothed
    pace: float = 1.0  # of the drone's clock against ours, smoothed
    picked_up: bool = False
    left_pickup: bool = False
    silent: bool = False  # a silence that may hide a delivery
    arrived_at: float | None = None
    # When the present run of measurements that say the same began, and how many there were.
    since: float | None = None
    lifted: int = 0
    away: int = 0
    near: int = 0
    low: int = 0
    high: int = 0
    landed: int = 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        fixes = {
            name: Fix(**values[name]) if values.get(name) else None
            for name in ("fix", "doubt", "start")
        }
        phase = Phase(values.get("phase", Phase.GROUND))
        return cls(**values | fixes | {"phase": phase})


def step(
    state: State, samples: Iterable[Telemetry], plan: Plan, rules: Rules
) -> tuple[State, list[FlightEvent]]:
    """The state after these measurements of one drone, and the phases that it entered."""
    state, events = replace(state), []
    fixes = [fix for sample in samples if (fix := Fix.of(sample)) is not None]
    for fix in sorted(fixes, key=lambda fix: fix.at):
        if state.phase in OVER:
            break
        for trusted in _trusted(state, fix, plan):
            before = state.phase
            _look(state, trusted, plan, rules)
            events += _entered(state, before, trusted)
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
    path_m, handling_s = _to_dropoff_m(plan, fix), rules.delivery_time_s
    if not state.picked_up:
        path_m = _to_pickup_m(plan, fix) + plan.trip_m
        handling_s += rules.load_time_s
    speed_mps = state.speed_mps or plan.cruise_speed_mps
    return path_m * rules.detour_factor / speed_mps + handling_s / state.pace


# --- which measurements to trust -----------------------------------------------------------------


def _trusted(state: State, fix: Fix, plan: Plan) -> list[Fix]:
    """What to go on with: nothing while `fix` is old, or in doubt; or two once they agree."""
    last, doubt = state.fix, state.doubt
    if last is not None and fix.at <= max(last.at, doubt.at if doubt else 0.0):
        return []
    state.doubt = None
    if last is None or _reachable(state, last, fix, plan):
        return [fix]
    if doubt is not None and _reachable(state, doubt, fix, plan):
        state.fix = None  # it really is over there; how it came there says nothing about its speed
        return [doubt, fix]
    if doubt is not None and _goes_on(last, doubt, fix, plan):
        return [doubt, fix]
    state.doubt = fix
    return []


def _reachable(state: State, a: Fix, b: Fix, plan: Plan) -> bool:
    own_s = (b.at - a.at) * state.pace
    up_s, along_s = _flying_s(a, b, plan)
    return (
        along_s <= SPEED_SLACK * own_s + JITTER_M / plan.cruise_speed_mps
        and up_s <= CLIMB_SLACK * own_s + ALT_JITTER_M / plan.climb_speed_mps
    )


def _goes_on(last: Fix, doubt: Fix, fix: Fix, plan: Plan) -> bool:
    """Both too far, but onwards and about as fast: a clock that runs faster than ours."""
    first_s, second_s = sum(_flying_s(last, doubt, plan)), sum(_flying_s(doubt, fix, plan))
    onwards = sum(_flying_s(last, fix, plan)) > 0.9 * (first_s + second_s)
    ratio = (first_s / (doubt.at - last.at)) / (second_s / (fix.at - doubt.at))
    return bool(fix.armed) and onwards and 1 / 4 < ratio < 4


def _flying_s(a: Fix, b: Fix, plan: Plan) -> tuple[float, float]:
    """How long the drone takes up or down, and along the ground, at its own speeds."""
    climb_m = 0.0 if a.alt_m is None or b.alt_m is None else b.alt_m - a.alt_m
    rate_mps = plan.climb_speed_mps if climb_m > 0 else plan.descent_speed_mps
    return abs(climb_m) / rate_mps, _way_m(a, b) / plan.cruise_speed_mps


# --- what a measurement says ---------------------------------------------------------------------


def _look(state: State, fix: Fix, plan: Plan, rules: Rules) -> None:
    last, state.fix = state.fix, fix
    if last is not None:
        _measure(state, last, fix, plan, rules)
    if fix.armed and fix.alt_m is not None:
        state.peak_alt_m = max(fix.alt_m, state.peak_alt_m or fix.alt_m)
    if state.phase is Phase.GROUND:
        _look_for_launch(state, fix)
    is_away = state.start is not None and _way_m(state.start, fix) >= AWAY_M
    state.away = state.away + 1 if is_away else 0
    if state.phase is Phase.GROUND:
        return
    if state.phase is Phase.LAUNCHED and state.away >= 2:
        state.phase = Phase.ENROUTE
    radius_m = min(rules.arrival_radius_m, plan.trip_m / 2)
    _look_at_pickup(state, fix, plan, radius_m)
    _look_at_dropoff(state, fix, plan, radius_m)
    _look_for_landing(state, fix, plan, radius_m)


def _look_for_launch(state: State, fix: Fix) -> None:
    if fix.armed is not True:
        if fix.armed is False:  # it stands here: remember where, and how high the ground is
            state.start, state.start_is_ground = _smoothed(state, fix), True
        state.lifted = 0
        return
    if state.start is None:
        state.start = fix
    height_m = _above_start_m(state, fix)
    is_up = height_m is not None and height_m >= LIFTED_M
    state.lifted = state.lifted + 1 if is_up or _way_m(state.start, fix) >= AWAY_M else 0
    if state.lifted >= 2:
        state.phase = Phase.LAUNCHED


def _smoothed(state: State, fix: Fix) -> Fix:
    before = state.start
    if before is None or before.alt_m is None or fix.alt_m is None or _way_m(before, fix) > AWAY_M:
        return fix
    return replace(fix, alt_m=0.8 * before.alt_m + 0.2 * fix.alt_m)


def _look_at_pickup(state: State, fix: Fix, plan: Plan, radius_m: float) -> None:
    at_pickup = _to_pickup_m(plan, fix) <= radius_m
    state.left_pickup = state.left_pickup or (state.picked_up and not at_pickup)
    state.picked_up = state.picked_up or at_pickup


def _look_at_dropoff(state: State, fix: Fix, plan: Plan, radius_m: float) -> None:
    """Counts what consecutive measurements say. One alone is never enough, but for one: low at the
    drop point and then on the way out is a delivery, seen by few looks."""
    if state.phase not in (Phase.ENROUTE, Phase.ARRIVED, Phase.DELIVERING):
        return
    height_m = _above_ground_m(state, fix, plan)
    is_slow = fix.speed_mps is None or fix.speed_mps <= SLOW_MPS
    is_near = _to_dropoff_m(plan, fix) <= radius_m and _has_parcel(state, plan, radius_m, is_slow)
    is_high = height_m is not None and height_m > plan.low_m
    is_low = height_m is not None and not is_high and is_near and is_slow

    state.near = state.near + 1 if is_near else 0
    state.low = state.low + 1 if is_low else state.low
    state.high = 0 if is_low else state.high + is_high
    if is_near and state.near == 1:
        state.since = fix.at
    was_low = state.low >= 2 or state.phase is Phase.DELIVERING
    if was_low:
        state.phase = Phase.DELIVERING
    elif state.near >= 2:
        state.phase = Phase.ARRIVED

    left_it = is_high and not is_near
    if (was_low and (state.high >= 2 or left_it)) or (state.low == 1 and left_it):
        state.phase = Phase.DELIVERED
    elif state.high >= 2:
        state.low = 0  # high, low once, high and high again: a feint or a glitch


def _has_parcel(state: State, plan: Plan, radius_m: float, is_slow: bool) -> bool:
    """Passing over the drop point on the way to the pickup is no arrival.

    A pickup that was not where the order says, or not seen, is made up for by slowing down here.
    """
    if state.picked_up or state.start is None:
        return state.picked_up
    return is_slow and _to_dropoff_m(plan, state.start) > 2 * radius_m


def _look_for_landing(state: State, fix: Fix, plan: Plan, radius_m: float) -> None:
    start_at_pickup = state.start is not None and _to_pickup_m(plan, state.start) <= radius_m
    loading = state.picked_up and not state.left_pickup and not start_at_pickup
    at_dropoff = _to_dropoff_m(plan, fix) <= radius_m and state.picked_up
    is_down = fix.armed is False and not at_dropoff and not loading
    state.landed = state.landed + 1 if is_down else 0
    if state.landed < 2 or state.phase in OVER:
        return
    if state.phase is Phase.DELIVERING:
        state.phase = Phase.DELIVERED
    else:
        state.phase = Phase.UNCLEAR if state.silent else Phase.RETURNED


def _above_ground_m(state: State, fix: Fix, plan: Plan) -> float | None:
    """Where the ground was not seen, it is taken to be the cruise altitude below the highest."""
    height_m = _above_start_m(state, fix) if state.start_is_ground else None
    if height_m is not None or fix.alt_m is None or state.peak_alt_m is None:
        return height_m
    return fix.alt_m - state.peak_alt_m + plan.cruise_alt_m


def _above_start_m(state: State, fix: Fix) -> float | None:
    if fix.alt_m is None or state.start is None or state.start.alt_m is None:
        return None
    return fix.alt_m - state.start.alt_m


def _measure(state: State, last: Fix, fix: Fix, plan: Plan, rules: Rules) -> None:
    """The speed while it cruises, and whether a silence may hide a delivery."""
    silence_s = fix.at - last.at
    speed_mps = _way_m(last, fix) / silence_s
    flying = state.phase not in (Phase.GROUND, *OVER)
    if silence_s > rules.link_lost_after_s and flying:
        by_pickup_m = _to_pickup_m(plan, last) + plan.trip_m
        there_m = _to_dropoff_m(plan, last) if state.picked_up else by_pickup_m
        way_m = there_m + _to_dropoff_m(plan, fix)
        state.silent |= way_m <= plan.cruise_speed_mps * SPEED_SLACK * state.pace * silence_s
        return
    if not fix.armed:
        return
    if speed_mps >= MOVING_SHARE * plan.cruise_speed_mps:
        before = speed_mps if state.speed_mps is None else state.speed_mps
        state.speed_mps = (before + speed_mps) / 2
    if (pace := sum(_flying_s(last, fix, plan)) / silence_s) >= MOVING_SHARE * state.pace:
        state.pace = max(1.0, (state.pace + pace) / 2)


def _entered(state: State, before: Phase, fix: Fix) -> list[FlightEvent]:
    """One event per phase since `before`, with the time that is known best."""
    if state.phase is before:
        return []
    if state.phase not in PATH:
        return [FlightEvent(state.phase, fix.at)]
    phases = PATH[PATH.index(before) + 1 : PATH.index(state.phase) + 1]
    if Phase.ARRIVED in phases:
        state.arrived_at = state.since
    return [
        FlightEvent(phase, (state.since or fix.at) if phase is Phase.ARRIVED else fix.at)
        for phase in phases
    ]


def _between(lat1: float, lng1: float, lat2: float, lng2: float) -> float:
    return float(distance_m(lat1, lng1, lat2, lng2))


def _way_m(a: Fix, b: Fix) -> float:
    return _between(a.lat, a.lng, b.lat, b.lng)


def _to_pickup_m(plan: Plan, fix: Fix) -> float:
    return _between(plan.pickup_lat, plan.pickup_lng, fix.lat, fix.lng)


def _to_dropoff_m(plan: Plan, fix: Fix) -> float:
    return _between(plan.dropoff_lat, plan.dropoff_lng, fix.lat, fix.lng)
