"""Why an order has no drone: how many drones each rule excludes, and the closest one. Pure.

Only drones of the order's own area are counted in detail, and the trip is judged only for those
without a reason of their own. So no matrix of all drones with all orders is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self

import numpy as np

from fleet.feasibility import judge
from fleet.feasibility.geometry import Ints
from fleet.feasibility.judge import Verdicts
from fleet.feasibility.reasons import Reason, Rule
from fleet.feasibility.tables import SIDES, Bools, DroneTable
from fleet.feasibility.winds import on_trips

# They follow a number of drones: "9 of 12 …".
PHRASES = {
    Rule.UNKNOWN_DRONE: "not registered",
    Rule.INACTIVE: "out of service",
    Rule.GROUNDED: "grounded",
    Rule.BUSY: "on another mission",
    Rule.ALREADY_FLYING: "in the air or about to be",
    Rule.ARMING_UNKNOWN: "without a known arming state",
    Rule.NO_TELEMETRY: "without telemetry",
    Rule.TELEMETRY_OLD: "with telemetry too old",
    Rule.TELEMETRY_AGING: "with telemetry a little old",
    Rule.NO_POSITION: "without a position",
    Rule.NO_BATTERY_READING: "without a battery reading",
    Rule.BATTERY_BELOW_MINIMUM: "below the minimum charge",
    Rule.NOT_ENOUGH_ENERGY: "with too little battery for the trip",
    Rule.TOO_HEAVY: "cannot lift it",
    Rule.PAYLOAD_TYPE_UNSUPPORTED: "do not carry this type",
    Rule.OUTSIDE_AREA: "of another area",
    Rule.IN_NO_FLY_ZONE: "kept out by a no-fly zone",
    Rule.CROSSES_NO_FLY_ZONE: "would cross a no-fly zone or its margin",
    Rule.TOO_WINDY: "not made for this wind",
    Rule.WEATHER_UNKNOWN: "without wind data",
    Rule.HUB_FULL: "at a hub whose launches are all taken",
    Rule.ON_HOLD: "on hold until a person releases them",
    Rule.CARRIES_PARCEL: "with a parcel aboard",
    Rule.TOO_LARGE: "have no room for it",
    Rule.TAKEOFF_OR_LANDING_IN_ZONE: "would take off or land in or beside a no-fly zone",
    Rule.MAINTENANCE_OVERDUE: "with overdue maintenance",
    Rule.NOT_ATTESTED: "without attested pre-flight checks",
    Rule.OFF_THE_MAP: "too near to the 180° meridian or a pole",
}
# Rules that `_counts` cannot tell without judging the pair.
JUDGED_BY_PAIR = (
    Rule.NOT_ENOUGH_ENERGY,
    Rule.IN_NO_FLY_ZONE,
    Rule.CROSSES_NO_FLY_ZONE,
    Rule.TAKEOFF_OR_LANDING_IN_ZONE,
    Rule.OFF_THE_MAP,
)
MAX_PHRASES = 3
MAX_CHARS = 500
BLOCK_PAIRS = 500_000
RULES = list(Rule)
EVERY_RULE = np.array(RULES, np.uint32)


@dataclass(frozen=True, slots=True)
class Obstacles:
    """Why drones cannot fly an order.

    counts: [{code, drones}], most frequent first. Only if no drone is able: `text`, a sentence
    about the closest drone; and `nearest`, that drone as JSON: drone_id, reasons (each a `Reason`),
    and if it lacks charge, short_pct and charging_s.
    """

    counts: list[dict[str, Any]]
    text: str
    nearest: dict[str, Any] | None = None


def obstacles(judged: Verdicts, at: datetime) -> list[Obstacles]:
    """The obstacles of each trip. `judged` must contain all able pairs (see reach.py)."""
    trips = judged.trips
    if not len(judged.drones):
        return [Obstacles([], "This service area has no drones.")] * len(trips)
    counts = _counts(judged)
    unserved = np.ones(len(trips), bool)
    unserved[judged.t[judged.able]] = False
    misses = _closest_misses(judged, np.flatnonzero(unserved), at)
    # Many trips have the same counts.
    told = {
        row: _Told.of(row, len(judged.drones)) for row in {tuple(row) for row in counts.tolist()}
    }
    found = []
    for i, row in enumerate(counts.tolist()):
        ours = told[tuple(row)]
        nearest = _nearest(*misses[i]) if i in misses else None
        text = _sentence(ours.most, nearest) if nearest else ""
        found.append(Obstacles(ours.counts, text, nearest))
    return found


class _Told(NamedTuple):
    """The counts of a trip as JSON, the most frequent first, and the first of them in words."""

    counts: list[dict[str, Any]]
    most: str

    @classmethod
    def of(cls, row: Sequence[int], drones: int) -> Self:
        excluded = [(rule, number) for rule, number in zip(RULES, row, strict=True) if number]
        excluded.sort(key=lambda entry: (-entry[1], entry[0].code))
        return cls(
            [{"code": rule.code, "drones": number} for rule, number in excluded],
            ", ".join(
                f"{number} of {drones} {PHRASES[rule]}" for rule, number in excluded[:MAX_PHRASES]
            ),
        )


def _counts(judged: Verdicts) -> Ints:
    """The number of drones that each rule excludes, per trip (T, rules)."""
    drones, trips = judged.drones, judged.trips
    bits = judge.against_drones(drones, judged.rules, judged.winds)
    counts = np.zeros((len(trips), len(EVERY_RULE)), np.int64)
    column = {rule: place for place, rule in enumerate(Rule)}
    for area in np.unique(trips.area):
        here, trip = drones.area == area, trips.area == area
        counts[trip] += ((bits[here, None] & EVERY_RULE) != 0).sum(axis=0)
        counts[trip, column[Rule.OUTSIDE_AREA]] += np.count_nonzero(~here)
        fit = np.flatnonzero(here & (bits == 0))
        carriers = _not_carrying(counts, column, drones.take(fit), judged, np.flatnonzero(trip))
        likely = np.bincount(judged.t, minlength=len(trips))[trip]
        counts[trip, column[Rule.NOT_ENOUGH_ENERGY]] += carriers - likely
    for rule in JUDGED_BY_PAIR:
        counts[:, column[rule]] += np.bincount(judged.t[judged.has(rule)], minlength=len(trips))
    return counts


def _not_carrying(
    counts: Ints, column: dict[Rule, int], fit: DroneTable, judged: Verdicts, here: Ints
) -> Ints:
    """Add the fit drones that cannot carry each of these trips, or not in its wind, to `counts`.
    Returns how many can carry it, per trip.
    """
    trips, blow = judged.trips, on_trips(judged.winds, judged.trips).take(here)
    counts[here, column[Rule.WEATHER_UNKNOWN]] += blow.unknown * len(fit)
    carriers = np.full(len(here), len(fit))
    largest = [getattr(fit, f"max_{side}") for side in SIDES]
    limit_mps = judge.wind_limit_mps(fit, judged.rules)
    loads = np.array([fit.payload_types, fit.max_payload_kg, limit_mps, *largest], float)
    for (types, most_kg, most_mps, *most_cm), drones in zip(*_unique_columns(loads), strict=True):
        wrong = (trips.payload_type[here] & int(types)) == 0
        heavy = trips.payload_weight_kg[here] > most_kg
        over = [getattr(trips, side)[here] > cm for side, cm in zip(SIDES, most_cm, strict=True)]
        large = np.logical_or.reduce(over)
        windy = blow.mps > most_mps
        counts[here, column[Rule.PAYLOAD_TYPE_UNSUPPORTED]] += wrong * drones
        counts[here, column[Rule.TOO_HEAVY]] += heavy * drones
        counts[here, column[Rule.TOO_LARGE]] += large * drones
        counts[here, column[Rule.TOO_WINDY]] += windy * drones
        carriers -= (wrong | heavy | large | windy | blow.unknown) * drones
    return carriers


def _unique_columns(rows: Any) -> tuple[Any, Any]:
    values, counts = np.unique(rows, axis=1, return_counts=True)
    return values.T, counts


def _closest_misses(judged: Verdicts, unserved: Ints, at: datetime) -> dict[int, tuple[Any, int]]:
    """The closest pair (by `_distance`) of each of these trips, as (verdicts, index in them)."""
    drones, trips = judged.drones, judged.trips
    bits = judge.against_drones(drones, judged.rules, judged.winds)
    against = np.bitwise_count(bits)
    found = {}
    for area in np.unique(trips.area[unserved]):
        pool = _fewest_reasons(against, drones.area == area)
        wanted = unserved[trips.area[unserved] == area]
        for block in np.array_split(wanted, 1 + len(wanted) * len(pool) // BLOCK_PAIRS):
            d, t = np.tile(pool, len(block)), np.repeat(block, len(pool))
            verdicts = judge.judge(
                drones, trips, d, t, judged.rules, judged.zones, at, judged.winds
            )
            closest = _distance(verdicts).reshape(len(block), -1).argmin(axis=1)
            for place, trip in enumerate(block):
                found[int(trip)] = (verdicts, place * len(pool) + int(closest[place]))
    return found


def _fewest_reasons(against: Ints, here: Bools) -> Ints:
    """The drones of an area (or of all, if it has none) with the fewest reasons against them."""
    among = here if here.any() else np.ones_like(here)
    return np.flatnonzero(among & (against == against[among].min()))


def _distance(verdicts: Verdicts) -> Any:
    """How far each pair is from being able, as a sort key: first whether the drone can carry the
    parcel at all, then the number of reasons, the missing charge and the time to the door.
    """
    never = verdicts.has(Rule.TOO_HEAVY | Rule.TOO_LARGE | Rule.PAYLOAD_TYPE_UNSUPPORTED)
    reasons = np.bitwise_count(verdicts.reasons).astype(float)
    every = np.arange(len(reasons))
    lacking_pct = np.where(verdicts.has(Rule.NOT_ENOUGH_ENERGY), lacking(verdicts, every), 0.0)
    soon_s = np.minimum(np.nan_to_num(verdicts.delivery_s, nan=1e5), 1e5)
    return never * 1e11 + reasons * 1e9 + np.nan_to_num(lacking_pct, nan=1e3) * 1e5 + soon_s


def lacking(verdicts: Verdicts, pair: Any) -> Any:
    """The charge that the drones of these pairs lack for the flight and the reserve, in percent."""
    has_pct = verdicts.drones.battery_pct[verdicts.d[pair]]
    return verdicts.needed_pct[pair] + verdicts.rules.reserve_pct - has_pct


def _nearest(verdicts: Verdicts, pair: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "drone_id": str(verdicts.drones.drone_id[verdicts.d[pair]]),
        "reasons": [
            {name: getattr(reason, name) for name in Reason.__slots__}
            for reason in verdicts.explain(pair)
        ],
    }
    if verdicts.reasons[pair] & Rule.NOT_ENOUGH_ENERGY:
        short_pct = float(lacking(verdicts, pair))
        charging_s = short_pct * verdicts.rules.full_charge_s / 100
        found |= {"short_pct": round(short_pct, 1), "charging_s": round(charging_s)}
    return found


def _sentence(most: str, nearest: dict[str, Any]) -> str:
    reasons = " ".join(reason["message"] for reason in nearest["reasons"])
    short = ""
    if "short_pct" in nearest:
        short = (
            f" It is {np.ceil(nearest['short_pct']):.0f} % of charge short, "
            f"about {np.ceil(nearest['charging_s'] / 60):.0f} min of charging."
        )
    return f"{most}. The nearest to it is {nearest['drone_id']}: {reasons}{short}"[:MAX_CHARS]
