"""Whether a drone may fly a trip, and why not, for many (drone, trip) pairs at once.

Pure: columns in, columns out; the time, the rules and the wind are arguments. One function,
`judge`, serves quotes, placement, manual assignment, planning, and the last check before a mission
intent is published. A missing value counts against the pair.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from fleet.feasibility import winds as wind
from fleet.feasibility.energy import Physics, figures_of, physics_of
from fleet.feasibility.geometry import Floats, Ints, Zones
from fleet.feasibility.legs import (
    DETOUR_HORIZON_S,
    around_m,
    beyond_the_map,
    legs_of,
    lengths_m_of,
    off_the_map,
    touches,
    zones_in_the_way,
)
from fleet.feasibility.reasons import SOFT, Reason, ReasonInputs, Rule, explain
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import (
    FITNESS,
    SIDES,
    Bits,
    Bools,
    DroneTable,
    TripTable,
    payload_name,
)
from fleet.feasibility.winds import Blow, Winds


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """The result for each pair (P,). Figures are NaN if the drone's position is unknown.

    reasons: bits of `Rule`, 0 if the pair is able. distance_m: the whole flight from the drone's
    position via pickup and door to its home, detours included. to_pickup_s, delivery_s, busy_s:
    from now until the drone is at the pickup, the parcel is at the door, the drone is home.
    energy_pct: share of the full battery that a delivery takes. needed_pct: the share that must be
    there besides the reserve, for a drop that fails (see `figures_of`). zone: the no-fly zone that
    blocks the flight, -1 if none does. The other fields are the inputs.
    """

    reasons: Bits
    distance_m: Floats
    to_pickup_s: Floats
    delivery_s: Floats
    busy_s: Floats
    energy_pct: Floats
    needed_pct: Floats
    zone: Ints
    drones: DroneTable
    trips: TripTable
    d: Ints
    t: Ints
    rules: Rules
    zones: Zones
    winds: Winds | None

    @property
    def able(self) -> Bools:
        """Pairs that automatic dispatch may choose."""
        return np.equal(self.reasons, 0)

    @property
    def assignable(self) -> Bools:
        """Pairs that OPS may assign; those that are not able need a written reason."""
        return ~self.has(~SOFT)

    def has(self, rules: Rule) -> Bools:
        """Pairs that fail at least one of these rules."""
        failed: Bools = (self.reasons & np.uint32(rules)) != 0
        return failed

    def explain(self, i: int) -> list[Reason]:
        """All reasons against pair i, hard ones first, with their numbers."""
        return explain(int(self.reasons[i]), self.inputs(i))

    def inputs(self, i: int) -> ReasonInputs:
        """The numbers and names of pair i."""
        d, t = self.d[i], self.t[i]
        drones, trips = self.drones, self.trips
        wind_mps, measured, gap = np.nan, "", ""
        if self.winds:
            points = [*wind.points_of_drone(drones, d), *wind.points_of_trip(trips, t)]
            (wind_mps, measured), gap = self.winds.strongest(points), self.winds.gap(points)
        limit_mps = _limit_mps(drones.max_wind_mps[d], drones.cruise_speed_mps[d], self.rules)
        return ReasonInputs(
            drone_id=str(drones.drone_id[d]),
            telemetry_age_s=float(drones.telemetry_age_s[d]),
            battery_pct=float(drones.battery_pct[d]),
            energy_pct=float(self.energy_pct[i]),
            needed_pct=float(self.needed_pct[i]),
            payload_weight_kg=float(trips.payload_weight_kg[t]),
            max_payload_kg=float(drones.max_payload_kg[d]),
            payload_type=payload_name(trips.payload_type[t]),
            size_cm=tuple(float(getattr(trips, side)[t]) for side in SIDES),
            max_size_cm=tuple(float(getattr(drones, f"max_{side}")[d]) for side in SIDES),
            zone=self.zones.names[self.zone[i]] if self.zone[i] >= 0 else "",
            in_margin=self.zone[i] >= 0 and not self._touches_its_zone(i),
            wind_mps=wind_mps,
            max_wind_mps=float(limit_mps),
            wind_measured=measured,
            wind_gap=gap,
            rules=self.rules,
            **{name: str(getattr(drones, name)[d]) for name in FITNESS},
        )

    def _touches_its_zone(self, i: int) -> bool:
        pair = np.zeros(1, np.int64)
        legs = legs_of(self.drones.take([self.d[i]]), self.trips.take([self.t[i]]), pair, pair)
        return touches(self.zones, int(self.zone[i]), legs, int(self.reasons[i]))

    def ruled_out(self) -> dict[str, Ints]:
        """Reason code to the number of drones it rules out per trip (T,); only codes that occur."""
        counts = {
            rule.code: np.bincount(self.t[self.has(rule)], minlength=len(self.trips))
            for rule in Rule
        }
        return {code: count for code, count in counts.items() if count.any()}


def every_pair(drones: int, trips: int) -> tuple[Ints, Ints]:
    """Indices (d, t) of all pairs, ordered by trip."""
    return np.tile(np.arange(drones), trips), np.repeat(np.arange(trips), drones)


def judge(
    drones: DroneTable,
    trips: TripTable,
    d: Ints,
    t: Ints,
    rules: Rules,
    zones: Zones,
    at: datetime,
    winds: Winds | None = None,
) -> Verdicts:
    """Whether drone d[i] may fly trip t[i] if it is assigned at `at`, for every i (P,).

    zones: the no-fly zones; every leg keeps `zone_margin_m` from each zone that is active at any
    time until the drone is down, which a drop that fails delays by the loiter timeout. If the rules
    allow detours, a blocked flight is planned around the zones, and its figures include the detour.
    winds: the measured wind, None if it is not measured. The strongest at the drone, its hub, the
    pickup, the door and where the drone lands counts for the whole flight. Its direction is
    unknown, so every leg is planned against it.
    """
    known = _known_of(drones, rules)
    blow = wind.on_pairs(winds, drones, trips, d, t)
    legs = legs_of(drones, trips, d, t)
    figures = figures_of(known.physics, trips, d, t, lengths_m_of(legs), rules, blow.mps)
    longest_s = figures.busy_s + rules.loiter_timeout_s
    zone, by_zone = zones_in_the_way(
        drones, trips, d, t, legs, zones, at, longest_s, rules.zone_margin_m
    )
    (blocked,) = (by_zone == Rule.CROSSES_NO_FLY_ZONE).nonzero()
    if rules.detours_allowed and len(blocked):
        lengths_m = around_m(legs, blocked, zones, at, rules.zone_margin_m)
        headwind_mps = blow.mps[blocked]
        around = figures_of(
            known.physics, trips, d[blocked], t[blocked], lengths_m, rules, headwind_mps
        )
        around_s = around.busy_s + rules.loiter_timeout_s
        found = np.isfinite(lengths_m).all(axis=0) & (around_s <= DETOUR_HORIZON_S)
        zone[blocked[found]], by_zone[blocked[found]] = -1, 0
        for figure, detoured in zip(figures, around, strict=True):
            figure[blocked[found]] = detoured[found]
    # A drone slower than the wind already fails TOO_WINDY; its energy cannot be computed.
    energy_known = known.energy_known[d] & (blow.mps < drones.cruise_speed_mps[d])
    reasons = known.against[d] | _bits(
        {
            Rule.TOO_HEAVY: ~(trips.payload_weight_kg[t] <= drones.max_payload_kg[d]),
            Rule.PAYLOAD_TYPE_UNSUPPORTED: (trips.payload_type[t] & drones.payload_types[d]) == 0,
            Rule.TOO_LARGE: _too_large(drones, trips, d, t),
            Rule.OUTSIDE_AREA: trips.area[t] != drones.area[d],
            Rule.NOT_ENOUGH_ENERGY: energy_known
            & ~(figures.needed_pct + rules.reserve_pct <= drones.battery_pct[d]),
            Rule.OFF_THE_MAP: known.off_the_map[d]
            | off_the_map(drones, trips, d, t, legs, rules.zone_margin_m),
            **_against_wind(blow, known.wind_limit_mps[d]),
        }
    )
    reasons |= by_zone
    # For an unregistered drone all other reasons follow from this one.
    reasons[~drones.registered[d]] = Rule.UNKNOWN_DRONE
    return Verdicts(reasons, *figures, zone, drones, trips, d, t, rules, zones, winds)


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What is known of drones (N,) under some rules before their trips are."""

    rules: Rules
    physics: Physics
    against: Bits
    energy_known: Bools
    off_the_map: Bools
    wind_limit_mps: Floats


# Each new order is judged with the same drones of a rulebook.
_known: WeakKeyDictionary[DroneTable, _Known] = WeakKeyDictionary()


def _known_of(drones: DroneTable, rules: Rules) -> _Known:
    found = _known.get(drones)
    if found is None or found.rules is not rules:
        found = _known[drones] = _Known(
            rules,
            physics_of(drones, rules),
            _bits(_against_drones(drones, rules)),
            drones.placed & np.isfinite(drones.battery_pct),
            beyond_the_map(drones, rules.zone_margin_m),
            wind_limit_mps(drones, rules),
        )
    return found


def against_drones(drones: DroneTable, rules: Rules, winds: Winds | None = None) -> Bits:
    """The rules that each drone (N,) fails with any trip: bits of `Rule`, 0 for none."""
    blow = wind.at_drones(winds, drones)
    bits = _bits(
        {
            **_against_drones(drones, rules),
            **_against_wind(blow, wind_limit_mps(drones, rules)),
        }
    )
    bits[~drones.registered] = Rule.UNKNOWN_DRONE
    return bits


def _too_large(drones: DroneTable, trips: TripTable, d: Ints, t: Ints) -> Bools:
    """Pairs whose parcel does not fit, however it is turned: sides are compared by rank."""
    fits = np.ones(len(d), bool)
    if not trips.longest_cm.any():  # no size was given
        return ~fits
    for side in SIDES:
        fits &= getattr(trips, side)[t] <= getattr(drones, f"max_{side}")[d]
    return ~fits


def _bits(against: Mapping[Rule, Bools]) -> Bits:
    """Combines a mask per rule into one bit field per element."""
    bits: Bits = np.zeros(len(next(iter(against.values()))), np.uint32)
    for rule, mask in against.items():
        bits |= mask * np.uint32(rule)
    return bits


def wind_limit_mps(drones: DroneTable, rules: Rules) -> Floats:
    """The strongest wind that each drone (N,) flies in: it must also make way against it."""
    limit_mps: Floats = _limit_mps(drones.max_wind_mps, drones.cruise_speed_mps, rules)
    return limit_mps


def _limit_mps(max_wind_mps: Any, cruise_speed_mps: Any, rules: Rules) -> Any:
    makes_way_mps = np.nextafter(cruise_speed_mps, 0.0)
    return np.minimum(np.minimum(max_wind_mps, rules.max_wind_mps), makes_way_mps)


def _against_wind(blow: Blow, limit_mps: Floats) -> dict[Rule, Bools]:
    return {Rule.TOO_WINDY: ~(blow.mps <= limit_mps), Rule.WEATHER_UNKNOWN: blow.unknown}


def _against_drones(drones: DroneTable, rules: Rules) -> dict[Rule, Bools]:
    """A mask (N,) for each rule that depends neither on the trip nor on the wind."""
    has_telemetry = np.isfinite(drones.telemetry_age_s)
    # A timestamp in the future counts as old as one equally far in the past.
    age_s = np.abs(drones.telemetry_age_s)
    old = has_telemetry & ~(age_s <= rules.telemetry_hard_age_s)
    has_battery_reading = np.isfinite(drones.battery_pct)
    return {
        Rule.INACTIVE: ~drones.active,
        Rule.GROUNDED: drones.grounded | (drones.defects != ""),
        Rule.MAINTENANCE_OVERDUE: drones.overdue != "",
        Rule.NOT_ATTESTED: drones.unattested != "",
        Rule.ON_HOLD: drones.held,
        Rule.CARRIES_PARCEL: drones.carrying & ~drones.busy,
        Rule.BUSY: drones.busy,
        Rule.ALREADY_FLYING: (drones.armed == 1) & ~drones.busy,
        Rule.ARMING_UNKNOWN: has_telemetry & ~np.isin(drones.armed, (0, 1)),
        Rule.NO_TELEMETRY: ~has_telemetry,
        Rule.TELEMETRY_OLD: old,
        Rule.TELEMETRY_AGING: has_telemetry & ~old & ~(age_s <= rules.telemetry_max_age_s),
        Rule.NO_POSITION: has_telemetry & ~drones.placed,
        Rule.NO_BATTERY_READING: has_telemetry & ~has_battery_reading,
        Rule.BATTERY_BELOW_MINIMUM: has_battery_reading
        & ~(drones.battery_pct >= rules.battery_min_pct),
        Rule.HUB_FULL: drones.hub_full,
    }
