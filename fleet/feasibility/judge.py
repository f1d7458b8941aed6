"""May this drone fly this trip, and if not, why: for many (drone, trip) pairs at once.

Pure: columns in, columns out; the time, the rules and the wind are arguments. One function,
`judge`, answers quote, placement, manual assignment, planning, and the last check before a mission
intent is published. Doubt means no: whatever telemetry does not say counts against the pair.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fleet.feasibility import detours
from fleet.feasibility.geometry import Floats, Ints, Zones, distance_m
from fleet.feasibility.reasons import SOFT, Facts, Reason, Rule, explain
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import PAYLOAD_TYPES, Bools, DroneTable, TripTable

Bits = npt.NDArray[np.uint32]

GRAVITY_MPS2 = 9.81
CLIMB_EFFICIENCY = 0.7  # battery to lift
# A way around stays clear of every zone that is active within this time, and no flight that needs
# one may take longer.
DETOUR_HORIZON_S = 4 * 3600.0


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
            payload_type=_type_name(trips.payload_type[t]),
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
    headwind_mps = _headwind_mps(wind_mps)
    legs = _legs(drones, trips, d, t)
    lengths_m = np.stack([leg.length_m() for leg in legs])
    figures = _figures(drones, trips, d, t, lengths_m, rules, headwind_mps)
    zone, in_zone = _zones_in_the_way(trips, t, legs, zones, at, figures.busy_s)
    if rules.detours_allowed and len(bent := np.flatnonzero((zone >= 0) & ~in_zone)):
        lengths_m = _around_m(legs, bent, zones, at, rules.zone_margin_m)
        around = _figures(drones, trips, d[bent], t[bent], lengths_m, rules, headwind_mps)
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


class _Legs(NamedTuple):
    """Straight legs (L,), and which of them each pair flies (P,): pairs may share legs."""

    lat1: Floats
    lng1: Floats
    lat2: Floats
    lng2: Floats
    of: Any

    def length_m(self) -> Floats:
        length: Floats = distance_m(self.lat1, self.lng1, self.lat2, self.lng2)[self.of]
        return length

    def take(self, pairs: Ints) -> "_Legs":
        """The legs of some pairs, one for each."""
        rows = pairs if isinstance(self.of, slice) else self.of[pairs]
        lat1, lng1, lat2, lng2 = (end[rows] for end in self[:4])
        return _Legs(lat1, lng1, lat2, lng2, slice(None))

    def closed(self, zones: Zones, at: datetime) -> tuple[Floats, Ints]:
        since_s, zone = zones.in_the_way(self.lat1, self.lng1, self.lat2, self.lng2, at)
        return since_s[self.of], zone[self.of]


def _legs(drones: DroneTable, trips: TripTable, d: Ints, t: Ints) -> tuple[_Legs, _Legs, _Legs]:
    """The three legs of every pair: to the pickup, to the door, and home."""
    each = slice(None)
    pickup, door = (trips.pickup_lat, trips.pickup_lng), (trips.dropoff_lat, trips.dropoff_lng)
    to_pickup = _Legs(drones.lat[d], drones.lng[d], pickup[0][t], pickup[1][t], each)
    to_door = _Legs(*pickup, *door, t)
    hubs, hub = np.unique([drones.home_lat, drones.home_lng], axis=1, return_inverse=True)
    count = hubs.shape[1]
    if count * len(trips) > len(d):
        home = _Legs(door[0][t], door[1][t], drones.home_lat[d], drones.home_lng[d], each)
    else:
        door_lat, door_lng = np.tile(door, count)
        hub_lat, hub_lng = np.repeat(hubs, len(trips), axis=1)
        home = _Legs(door_lat, door_lng, hub_lat, hub_lng, hub[d] * len(trips) + t)
    return to_pickup, to_door, home


class _Figures(NamedTuple):
    distance_m: Floats
    to_pickup_s: Floats
    delivery_s: Floats
    busy_s: Floats
    energy_pct: Floats


def _figures(
    drones: DroneTable,
    trips: TripTable,
    d: Ints,
    t: Ints,
    lengths_m: Floats,
    rules: Rules,
    headwind_mps: float,
) -> _Figures:
    """Way, times and energy of each pair's flight over three legs of these lengths (3, P).

    Each leg climbs to cruise altitude, cruises, and descends: to the ground at the pickup and at
    home, to the delivery altitude at the door. The drone hovers with the parcel while it is loaded
    and lowered. Power at mass m is the power at empty mass m0 times (m / m0) ** 1.5 (momentum
    theory of the hovering rotor); climbing adds m * g * v / CLIMB_EFFICIENCY to the hover;
    descending is taken to need as much as hovering.
    """
    to_pickup_m, to_door_m, home_m = lengths_m * rules.detour_factor
    pace_spm = _pace_spm(drones, headwind_mps)
    lowering_m = max(0.0, rules.cruise_alt_m - rules.delivery_alt_m)
    up_s = rules.cruise_alt_m / drones.climb_speed_mps
    down_s = rules.cruise_alt_m / drones.descent_speed_mps
    lower_s, raise_s = lowering_m / drones.descent_speed_mps, lowering_m / drones.climb_speed_mps

    pace = pace_spm[d]
    carrying_s = rules.load_time_s + up_s + lower_s + rules.delivery_time_s
    to_pickup_s = (rules.launch_time_s + up_s + down_s)[d] + pace * to_pickup_m
    delivery_s = to_pickup_s + carrying_s[d] + pace * to_door_m
    busy_s = delivery_s + (raise_s + down_s)[d] + pace * home_m

    # Everything from here in percent of the full battery.
    pct_per_ws = 100 / (3600 * drones.battery_wh)
    hover_pct_per_s = drones.hover_power_w * pct_per_ws
    cruise_pct_per_m = cruising_pct_per_m(drones, headwind_mps)[d]
    lift_pct_per_kg_m = GRAVITY_MPS2 / CLIMB_EFFICIENCY * pct_per_ws
    lift_empty_kg_m = drones.empty_mass_kg * (2 * rules.cruise_alt_m + lowering_m)
    empty_pct = (up_s + down_s + raise_s + down_s) * hover_pct_per_s
    empty_pct += lift_empty_kg_m * lift_pct_per_kg_m
    payload_kg = trips.payload_weight_kg[t]
    mass_ratio = 1 + payload_kg / drones.empty_mass_kg[d]
    energy_pct = (
        empty_pct[d]
        + (to_pickup_m + home_m) * cruise_pct_per_m
        + mass_ratio
        * np.sqrt(mass_ratio)
        * ((carrying_s * hover_pct_per_s)[d] + to_door_m * cruise_pct_per_m)
        + payload_kg * (rules.cruise_alt_m * lift_pct_per_kg_m)[d]
    )
    return _Figures(to_pickup_m + to_door_m + home_m, to_pickup_s, delivery_s, busy_s, energy_pct)


def cruising_pct_per_m(drones: DroneTable, headwind_mps: float) -> Floats:
    """What a metre of cruise without payload takes of each drone's (N,) full battery."""
    pct: Floats = drones.cruise_power_w * _pace_spm(drones, headwind_mps)
    return pct * 100 / (3600 * drones.battery_wh)


def _headwind_mps(wind_mps: float | None) -> float:
    return wind_mps if wind_mps and np.isfinite(wind_mps) else 0.0


def _pace_spm(drones: DroneTable, headwind_mps: float) -> Floats:
    ahead_mps = drones.cruise_speed_mps - headwind_mps
    return 1 / np.where(ahead_mps > 0, ahead_mps, np.nan)


def _zones_in_the_way(
    trips: TripTable,
    t: Ints,
    legs: tuple[_Legs, _Legs, _Legs],
    zones: Zones,
    at: datetime,
    busy_s: Floats,
) -> tuple[Ints, Bools]:
    """Per pair: the zone that stops it (-1: none), and whether an end of the trip lies in it."""
    until_s = at.timestamp() + np.nan_to_num(busy_s)
    pickup = (trips.pickup_lat, trips.pickup_lng)
    door = (trips.dropoff_lat, trips.dropoff_lng)
    in_since_s, in_zone = _earliest(
        zones.in_the_way(*pickup, *pickup, at), zones.in_the_way(*door, *door, at)
    )
    to_pickup, to_door, home = legs
    since_s, zone = _earliest(to_door.closed(zones, at), home.closed(zones, at))
    # By far the most legs: spared where the trip itself is closed already.
    still = np.flatnonzero(since_s > at.timestamp())
    since_s[still], zone[still] = _earliest(
        (since_s[still], zone[still]), to_pickup.take(still).closed(zones, at)
    )
    inside = in_since_s[t] <= until_s
    return np.where(inside, in_zone[t], np.where(since_s <= until_s, zone, -1)), inside


def _around_m(
    legs: tuple[_Legs, _Legs, _Legs], pairs: Ints, zones: Zones, at: datetime, margin_m: float
) -> Floats:
    """The lengths (3, n) of these pairs' legs around all zones; infinite where no way is found."""
    until_s = at.timestamp() + DETOUR_HORIZON_S
    return np.stack(
        [detours.around_m(zones, leg.take(pairs)[:4], at, until_s, margin_m) for leg in legs]
    )


def _earliest(*closures: tuple[Floats, Ints]) -> tuple[Floats, Ints]:
    """Of several (since when, which zone), the one that closes first, elementwise."""
    since_s, zone = closures[0]
    for other_since_s, other_zone in closures[1:]:
        zone = np.where(other_since_s < since_s, other_zone, zone)
        since_s = np.minimum(other_since_s, since_s)
    return since_s, zone


# What changes from minute to minute; a drone at its best has the best of each.
_STATE = {
    "lat",
    "lng",
    "battery_pct",
    "telemetry_age_s",
    "armed",
    "grounded",
    "held",
    "carrying",
    "busy",
    "hub_full",
}


def at_their_best(drones: DroneTable) -> DroneTable:
    """One drone of each kind in service at each hub, at home, with a full battery, free to fly.

    Judged with these, a trip that no drone could ever fly shows itself (see `refusals`).
    """
    drones = drones.take(drones.registered & drones.active)
    alike = [c.name for c in fields(DroneTable) if c.name not in _STATE | {"drone_id"}]
    rows = np.array([getattr(drones, name) for name in alike], dtype=float)
    drones = drones.take(np.sort(np.unique(rows, axis=1, return_index=True)[1]))
    return ready_at_home(drones)


def ready_at_home(drones: DroneTable) -> DroneTable:
    """These drones as they would be at home with a full battery, heard of and free to fly."""
    zeros = np.zeros(len(drones))
    return replace(
        drones,
        lat=drones.home_lat,
        lng=drones.home_lng,
        battery_pct=zeros + 100,
        telemetry_age_s=zeros,
        armed=zeros,
        grounded=zeros > 0,
        held=zeros > 0,
        carrying=zeros > 0,
        busy=zeros > 0,
        hub_full=zeros > 0,
    )


def refusals(best: Verdicts) -> list[Reason]:
    """Why one trip cannot be delivered by any drone; empty when at least one could.

    best: the verdicts of that trip with all drones `at_their_best`. The codes are those of placing
    an order: payload_type_unsupported, payload_too_heavy, in_no_fly_zone, out_of_range.
    """
    if best.able.any():
        return []
    here = ~best.has(Rule.OUTSIDE_AREA)
    if not here.any():
        return [Reason("out_of_range", "No drone is based in the service area of this trip.")]
    found = _unliftable(best, here) + _unreachable(best, here)
    return found or best.explain(int(np.flatnonzero(here)[0]))


def _unliftable(best: Verdicts, here: Bools) -> list[Reason]:
    found = []
    t = best.t[0]
    carriers = here & ~best.has(Rule.PAYLOAD_TYPE_UNSUPPORTED)
    if not carriers.any():
        text = f"No drone here carries {_type_name(best.trips.payload_type[t])}."
        found.append(Reason("payload_type_unsupported", text))
        carriers = here
    if best.has(Rule.TOO_HEAVY)[carriers].all():
        weight_kg = float(best.trips.payload_weight_kg[t])
        most_kg = float(best.drones.max_payload_kg[best.d[carriers]].max())
        text = f"The payload weighs {weight_kg:g} kg; at most {most_kg:g} kg can be carried here."
        found.append(Reason("payload_too_heavy", text, needed=weight_kg, has=most_kg))
    return found


def _unreachable(best: Verdicts, here: Bools) -> list[Reason]:
    in_zone = here & best.has(Rule.IN_NO_FLY_ZONE)
    if in_zone[here].all():
        zone = best.zones.names[best.zone[here][0]]
        return [Reason("in_no_fly_zone", f"The pickup or the drop point is in {zone}.")]
    carriers = here & ~best.has(Rule.TOO_HEAVY | Rule.PAYLOAD_TYPE_UNSUPPORTED)
    reaching = carriers & ~best.has(Rule.NOT_ENOUGH_ENERGY)
    if carriers.any() and not reaching.any():
        needed_pct = float(best.energy_pct[carriers].min()) + best.rules.reserve_pct
        text = (
            f"The trip is too long: even the best drone here would need {needed_pct:.0f} % battery "
            f"with the {best.rules.reserve_pct:.0f} % reserve."
        )
        return [Reason("out_of_range", text, needed=needed_pct, has=100.0)]
    if reaching.any() and best.has(Rule.CROSSES_NO_FLY_ZONE)[reaching].all():
        zone = best.zones.names[best.zone[reaching][0]]
        return [Reason("in_no_fly_zone", f"Every drone that could fly this would cross {zone}.")]
    return []


def _type_name(bit: int) -> str:
    return PAYLOAD_TYPES[int(bit).bit_length() - 1]
