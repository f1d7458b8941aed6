"""Why an order has no drone: how many each reason rules out, and the closest miss. Pure.

Only drones of the order's own area are looked at closely, and of those only the ones that nothing
speaks against beforehand are asked about the trip. So the numbers stay small and say something, and
they take no matrix of all drones with all orders.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from fleet.feasibility import judge
from fleet.feasibility.geometry import Ints
from fleet.feasibility.judge import Verdicts
from fleet.feasibility.reasons import Rule
from fleet.feasibility.tables import Bools, DroneTable, TripTable

# In words, how many drones: "9 of 12 …".
PHRASES = {
    Rule.UNKNOWN_DRONE: "not registered",
    Rule.INACTIVE: "out of service",
    Rule.GROUNDED: "grounded",
    Rule.BUSY: "on another delivery",
    Rule.ALREADY_FLYING: "in the air or about to be",
    Rule.ARMING_UNKNOWN: "do not say whether they are armed",
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
    Rule.CROSSES_NO_FLY_ZONE: "would cross a no-fly zone",
    Rule.TOO_WINDY: "not made for this wind",
    Rule.WEATHER_UNKNOWN: "without a word on the wind",
    Rule.HUB_FULL: "at a hub that launches no more at once",
    Rule.ON_HOLD: "on hold until a person releases them",
    Rule.CARRIES_PARCEL: "with a parcel aboard",
}
MOST_PHRASES = 3
LONGEST = 500
BLOCK_PAIRS = 500_000
EVERY_RULE = np.array(list(Rule), np.uint32)


@dataclass(frozen=True, slots=True)
class Against:
    """counts: [{code, drones}], most frequent first. Where no drone is able: words, a sentence with
    the closest miss; and nearest, that drone as data: drone_id, reasons (each a `Reason`), and
    where charge is what it lacks, short_pct and the charging_s that this takes.
    """

    counts: list[dict[str, Any]]
    words: str
    nearest: dict[str, Any] | None = None


def of_all(judged: Verdicts, at: datetime) -> list[Against]:
    """What speaks against each trip; `judged` holds at least all its able pairs (reach.py)."""
    trips = judged.trips
    if not len(judged.drones):
        return [Against([], "No drone lives in this service area.")] * len(trips)
    counts = _counts(judged)
    hopeless = np.ones(len(trips), bool)
    hopeless[judged.t[judged.able]] = False
    misses = _closest_misses(judged, np.flatnonzero(hopeless), at)
    codes = [rule.code for rule in Rule]
    found = []
    for i, row in enumerate(counts.tolist()):
        ranked = sorted(
            ((code, number) for code, number in zip(codes, row, strict=True) if number),
            key=lambda entry: (-entry[1], entry[0]),
        )
        listed = [{"code": code, "drones": number} for code, number in ranked]
        nearest = _nearest(*misses[i]) if i in misses else None
        words = _words(ranked, len(judged.drones), nearest) if nearest else ""
        found.append(Against(listed, words, nearest))
    return found


def _counts(judged: Verdicts) -> Ints:
    """How many drones each rule rules out, per trip (T, rules)."""
    drones, trips = judged.drones, judged.trips
    bits = judge.against_drones(drones, judged.rules, judged.wind_mps)
    counts = np.zeros((len(trips), len(EVERY_RULE)), np.int64)
    column = {rule: place for place, rule in enumerate(Rule)}
    for area in np.unique(trips.area):
        here, trip = drones.area == area, trips.area == area
        counts[trip] += ((bits[here, None] & EVERY_RULE) != 0).sum(axis=0)
        counts[trip, column[Rule.OUTSIDE_AREA]] += np.count_nonzero(~here)
        fit = np.flatnonzero(here & (bits == 0))
        carriers = _not_carrying(counts, column, drones.take(fit), trips, np.flatnonzero(trip))
        likely = np.bincount(judged.t, minlength=len(trips))[trip]
        counts[trip, column[Rule.NOT_ENOUGH_ENERGY]] += carriers - likely
    for rule in (Rule.NOT_ENOUGH_ENERGY, Rule.IN_NO_FLY_ZONE, Rule.CROSSES_NO_FLY_ZONE):
        counts[:, column[rule]] += np.bincount(judged.t[judged.has(rule)], minlength=len(trips))
    return counts


def _not_carrying(
    counts: Ints, column: dict[Rule, int], fit: DroneTable, trips: TripTable, here: Ints
) -> Ints:
    """Counts the fit drones that cannot carry each of these trips; answers how many can."""
    carriers = np.full(len(here), len(fit))
    loads = np.array([fit.payload_types, fit.max_payload_kg], float)
    for (types, most_kg), drones in zip(*_unique_columns(loads), strict=True):
        wrong = (trips.payload_type[here] & int(types)) == 0
        heavy = trips.payload_weight_kg[here] > most_kg
        counts[here, column[Rule.PAYLOAD_TYPE_UNSUPPORTED]] += wrong * drones
        counts[here, column[Rule.TOO_HEAVY]] += heavy * drones
        carriers -= (wrong | heavy) * drones
    return carriers


def _unique_columns(rows: Any) -> tuple[Any, Any]:
    values, counts = np.unique(rows, axis=1, return_counts=True)
    return values.T, counts


def _closest_misses(judged: Verdicts, hopeless: Ints, at: datetime) -> dict[int, tuple[Any, int]]:
    """For each of these trips the pair that comes closest (`_distance`), as the verdicts that hold
    it and its index there.
    """
    drones, trips = judged.drones, judged.trips
    bits = judge.against_drones(drones, judged.rules, judged.wind_mps)
    against = np.bitwise_count(bits)
    found = {}
    for area in np.unique(trips.area[hopeless]):
        pool = _least_unfit(against, drones.area == area)
        wanted = hopeless[trips.area[hopeless] == area]
        for block in np.array_split(wanted, 1 + len(wanted) * len(pool) // BLOCK_PAIRS):
            d, t = np.tile(pool, len(block)), np.repeat(block, len(pool))
            verdicts = judge.judge(
                drones, trips, d, t, judged.rules, judged.zones, at, judged.wind_mps
            )
            closest = _distance(verdicts).reshape(len(block), -1).argmin(axis=1)
            for place, trip in enumerate(block):
                found[int(trip)] = (verdicts, place * len(pool) + int(closest[place]))
    return found


def _least_unfit(against: Ints, here: Bools) -> Ints:
    """The drones of an area, or all where it has none, with the fewest reasons against them."""
    among = here if here.any() else np.ones_like(here)
    return np.flatnonzero(among & (against == against[among].min()))


def _distance(verdicts: Verdicts) -> Any:
    """How far each pair is from being able: first whether the drone could ever carry this, then how
    many reasons stand against it, then the charge that it lacks, then its time to the door.
    """
    never = verdicts.has(Rule.TOO_HEAVY | Rule.PAYLOAD_TYPE_UNSUPPORTED)
    reasons = np.bitwise_count(verdicts.reasons).astype(float)
    every = np.arange(len(reasons))
    lacking_pct = np.where(verdicts.has(Rule.NOT_ENOUGH_ENERGY), lacking(verdicts, every), 0.0)
    soon_s = np.minimum(np.nan_to_num(verdicts.delivery_s, nan=1e5), 1e5)
    return never * 1e11 + reasons * 1e9 + np.nan_to_num(lacking_pct, nan=1e3) * 1e5 + soon_s


def lacking(verdicts: Verdicts, pair: Any) -> Any:
    """The charge, in percent, that these pairs' drones lack for the flight and the reserve."""
    has_pct = verdicts.drones.battery_pct[verdicts.d[pair]]
    return verdicts.energy_pct[pair] + verdicts.rules.reserve_pct - has_pct


def _nearest(verdicts: Verdicts, pair: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "drone_id": str(verdicts.drones.drone_id[verdicts.d[pair]]),
        "reasons": [asdict(reason) for reason in verdicts.explain(pair)],
    }
    if verdicts.reasons[pair] & Rule.NOT_ENOUGH_ENERGY:
        short_pct = float(lacking(verdicts, pair))
        charging_s = short_pct * verdicts.rules.full_charge_s / 100
        found |= {"short_pct": round(short_pct, 1), "charging_s": round(charging_s)}
    return found


def _words(ranked: Sequence[tuple[str, int]], drones: int, nearest: dict[str, Any]) -> str:
    phrases = ", ".join(
        f"{number} of {drones} {PHRASES[Rule[code.upper()]]}"
        for code, number in ranked[:MOST_PHRASES]
    )
    reasons = " ".join(reason["message"] for reason in nearest["reasons"])
    short = ""
    if "short_pct" in nearest:
        short = (
            f" It is {np.ceil(nearest['short_pct']):.0f} % of charge short, "
            f"about {np.ceil(nearest['charging_s'] / 60):.0f} min of charging."
        )
    return f"{phrases}. The nearest to it is {nearest['drone_id']}: {reasons}{short}"[:LONGEST]
