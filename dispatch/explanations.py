"""Why an order has no drone: how many each reason rules out, and the closest miss. Pure."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fleet.feasibility import Verdicts
from fleet.reasons import Rule

# In words, how many drones: "9 of 12 …".
PHRASES = {
    Rule.UNKNOWN_DRONE: "not registered",
    Rule.INACTIVE: "out of service",
    Rule.GROUNDED: "grounded",
    Rule.BUSY: "on another delivery",
    Rule.ALREADY_FLYING: "flying for somebody else",
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
}
MOST_PHRASES = 3


@dataclass(frozen=True, slots=True)
class Against:
    """counts: [{code, drones}], most frequent first; words: a sentence with the closest miss."""

    counts: list[dict[str, Any]]
    words: str


def of_all(verdicts: Verdicts, drone_count: int) -> list[Against]:
    """What speaks against each trip of `verdicts`, whose pairs are every drone with every trip."""
    if not drone_count:
        nobody = Against([], "No drone lives in this service area.")
        return [nobody] * len(verdicts.trips)
    by_code = verdicts.ruled_out()
    closest = _closest_misses(verdicts, drone_count)
    return [
        _against(
            {code: int(counts[i]) for code, counts in by_code.items() if counts[i]},
            drone_count,
            verdicts,
            int(closest[i]),
        )
        for i in range(len(verdicts.trips))
    ]


def _closest_misses(verdicts: Verdicts, drone_count: int) -> np.ndarray:
    """For each trip the pair with the fewest reasons against it, the soonest among equals."""
    bits = np.array([1 << n for n in range(len(Rule))], np.uint32)
    number = ((verdicts.reasons[:, None] & bits) != 0).sum(axis=1)
    soon = np.nan_to_num(verdicts.delivery_s, nan=1e9)
    # An able pair is no miss.
    rank = np.where(number == 0, np.inf, number * 1e10 + soon).reshape(-1, drone_count)
    return np.asarray(rank.argmin(axis=1) + np.arange(len(rank)) * drone_count)


def _against(counts: dict[str, int], drone_count: int, verdicts: Verdicts, closest: int) -> Against:
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    listed = [{"code": code, "drones": number} for code, number in ranked]
    if not ranked or not verdicts.reasons[closest]:
        return Against(listed, "")
    phrases = ", ".join(
        f"{number} of {drone_count} {PHRASES[Rule[code.upper()]]}"
        for code, number in ranked[:MOST_PHRASES]
    )
    reasons = verdicts.explain(closest)
    drone_id = verdicts.drones.drone_id[verdicts.d[closest]]
    nearest = " ".join(reason.message for reason in reasons)
    return Against(listed, f"{phrases}. The nearest to it is {drone_id}: {nearest}"[:500])
