"""May this drone fly this trip, and if not, why: for many (drone, trip) pairs at once.

Pure: columns in, columns out; the time, the rules and the wind are arguments. One function,
`judge`, answers quote, placement, manual assignment, planning, and the last check before a mission
intent is published. Doubt means no: whatever telemetry does not say counts against the pair.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from fleet.feasibility.energy import figures_of, headwind_of
from fleet.feasibility.geometry import Floats, Ints, Zones
from fleet.feasibility.legs import DETOUR_HORIZON_S, around_m, legs_of, zones_in_the_way
from fleet.feasibility.reasons import SOFT, Facts, Reason, Rule, explain
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import Bools, DroneTable, TripTable, payload_name

Bits = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """What was found for each pair (P,). Figures are NaN where the drone's position is unknown.

    reasons: bits of `Rule`, 0 when nothing speaks against the pair. distance_m: the whole flight
    from where the drone is over pickup and door to home, detours included. to_pickup_s, delivery_s,
    busy_s: from now until the drone is at the pickup, the parcel at the door, the drone home again.
    energy_pct: share of the full battery that the flight takes, without the reserve. zone: the
    no-fly zone in the way, -1 when none is. The other fields are what was judged.
    """

    reasons: Bits
    distance_m: Floats
    to_pickup_s: Floats
    delivery_s: Floats
    busy_s: Floats
    energy_pct: Floats
    zone: Ints
    drones: DroneTable
    trips: TripTable
    d: Ints
    t: Ints
    rules: Rules
    zones: Zones
    wind_mps: float | None

    @property
    def able(self) -> Bools:
        """Pairs that automatic dispatch may choose."""
        return np.equal(self.reasons, 0)

    @property
    def assignable(self) -> Bools:
        """Pairs that OPS may choose, with a written reason where they are not able."""
        return ~self.has(~SOFT)

    def has(self, rules: Rule) -> Bools:
        """Pairs that one or more of these rules speak against."""
        spoken: Bools = (self.reasons & np.uint32(rules)) != 0
        return spoken

    def explain(self, i: int) -> list[Reason]:
        """Every reason against pair i, hard ones first, with its numbers."""
        d, t = self.d[i], self.t[i]
        drones, trips = self.drones, self.trips
        facts = Facts(
            drone_id=str(drones.drone_id[d]),
            telemetry_age_s=float(drones.telemetry_age_s[d]),
            battery_pct=float(drones.battery_pct[d]),
            energy_pct=float(self.energy_pct[i]),
            payload_weight_kg=float(trips.payload_weight_kg[t]),
            max_payload_kg=float(drones.max_payload_kg[d]),
            payload_type=payload_name(trips.payload_type[t]),
            zone=self.zones.names[self.zone[i]] if self.zone[i] >= 0 else "",
            wind_mps=np.nan if self.wind_mps is None else self.wind_mps,
            max_wind_mps=min(float(drones.max_wind_mps[d]), self.rules.max_wind_mps),
            rules=self.rules,
        )
        return explain(int(self.reasons[i]), facts)

    def ruled_out(self) -> dict[str, Ints]:
        """How many of the judged drones each code rules out, per trip (T,); only codes that do."""
        counts = {
            rule.code: np.bincount(self.t[self.has(rule)], minlength=len(self.trips))
            for rule in Rule
        }
        return {code: count for code, count in counts.items() if count.any()}


def every_pair(drones: int, trips: int) -> tuple[Ints, Ints]:
    """Indices (d, t) of all drones with all trips, trip by trip."""
    return np.tile(np.arange(drones), trips), np.repeat(np.arange(trips), drones)


def judge(
    drones: DroneTable,
    trips: TripTable,
    d: Ints,
    t: Ints,
    rules: Rules,
    zones: Zones,
    at: datetime,
    wind_mps: float | None = None,
) -> Verdicts:
    """May drone d[i] fly trip t[i], assigned at `at`? For every i (P,).

    zones: the no-fly zones; every leg of a flight must stay clear of those that are active at any
    time until the drone is home. Where the rules allow detours, a flight that would cross one bends
    around them, and its figures are those of that way. wind_mps: the steady wind where it is
    measured, NaN where that is silent or old; since its direction along the trip is not known,
    every leg is planned against it.
    """
    headwind_mps = headwind_of(wind_mps)
    legs = legs_of(drones, trips, d, t)
    lengths_m = np.stack([leg.length_m() for leg in legs])
    figures = figures_of(drones, trips, d, t, lengths_m, rules, headwind_mps)
    zone, in_zone = zones_in_the_way(trips, t, legs, zones, at, figures.busy_s)
    if rules.detours_allowed and len(bent := np.flatnonzero((zone >= 0) & ~in_zone)):
        lengths_m = around_m(legs, bent, zones, at, rules.zone_margin_m)
        around = figures_of(drones, trips, d[bent], t[bent], lengths_m, rules, headwind_mps)
        found = np.isfinite(lengths_m).all(axis=0) & (around.busy_s <= DETOUR_HORIZON_S)
        zone[bent[found]] = -1
        for figure, anew in zip(figures, around, strict=True):
            figure[bent[found]] = anew[found]
    battery_pct = drones.battery_pct[d]
    # In a wind that it cannot make way against, a drone's energy is not the question.
    asked = drones.placed & np.isfinite(drones.battery_pct)
    asked &= ~(drones.cruise_speed_mps <= headwind_mps)
    reasons = _bits(_against_drones(drones, rules, wind_mps))[d] | _bits(
        {
            Rule.TOO_HEAVY: ~(trips.payload_weight_kg[t] <= drones.max_payload_kg[d]),
            Rule.PAYLOAD_TYPE_UNSUPPORTED: (trips.payload_type[t] & drones.payload_types[d]) == 0,
            Rule.OUTSIDE_AREA: trips.area[t] != drones.area[d],
            Rule.NOT_ENOUGH_ENERGY: asked[d]
            & ~(figures.energy_pct + rules.reserve_pct <= battery_pct),
            Rule.IN_NO_FLY_ZONE: in_zone,
            Rule.CROSSES_NO_FLY_ZONE: (zone >= 0) & ~in_zone,
        }
    )
    # Of a drone that is not registered nothing else is worth saying.
    reasons[~drones.registered[d]] = Rule.UNKNOWN_DRONE
    return Verdicts(reasons, *figures, zone, drones, trips, d, t, rules, zones, wind_mps)


def against_drones(drones: DroneTable, rules: Rules, wind_mps: float | None = None) -> Bits:
    """What speaks against each drone (N,) whatever the trip: bits of `Rule`, 0 for nothing."""
    bits = _bits(_against_drones(drones, rules, wind_mps))
    bits[~drones.registered] = Rule.UNKNOWN_DRONE
    return bits


def _bits(against: Mapping[Rule, Bools]) -> Bits:
    """A mask per rule -> one bit field per element."""
    bits: Bits = np.zeros(len(next(iter(against.values()))), np.uint32)
    for rule, mask in against.items():
        bits |= mask * np.uint32(rule)
    return bits


def _against_drones(drones: DroneTable, rules: Rules, wind_mps: float | None) -> dict[Rule, Bools]:
    """What speaks against a drone (N,), whatever the trip."""
    heard = np.isfinite(drones.telemetry_age_s)
    # A stamp from the future is as doubtful as an old one.
    age_s = np.abs(drones.telemetry_age_s)
    old = heard & ~(age_s <= rules.telemetry_hard_age_s)
    metered = np.isfinite(drones.battery_pct)
    against = {
        Rule.INACTIVE: ~drones.active,
        Rule.GROUNDED: drones.grounded,
        Rule.ON_HOLD: drones.held,
        Rule.CARRIES_PARCEL: drones.carrying & ~drones.busy,
        Rule.BUSY: drones.busy,
        Rule.ALREADY_FLYING: (drones.armed == 1) & ~drones.busy,
        Rule.ARMING_UNKNOWN: heard & ~np.isin(drones.armed, (0, 1)),
        Rule.NO_TELEMETRY: ~heard,
        Rule.TELEMETRY_OLD: old,
        Rule.TELEMETRY_AGING: heard & ~old & ~(age_s <= rules.telemetry_max_age_s),
        Rule.NO_POSITION: heard & ~drones.placed,
        Rule.NO_BATTERY_READING: heard & ~metered,
        Rule.BATTERY_BELOW_MINIMUM: metered & ~(drones.battery_pct >= rules.battery_min_pct),
        Rule.HUB_FULL: drones.hub_full,
    }
    if wind_mps is not None and np.isnan(wind_mps):
        against[Rule.WEATHER_UNKNOWN] = np.ones(len(drones), bool)
    elif wind_mps is not None:
        limit_mps = np.minimum(drones.max_wind_mps, rules.max_wind_mps)
        against[Rule.TOO_WINDY] = ~((wind_mps <= limit_mps) & (wind_mps < drones.cruise_speed_mps))
    return against
