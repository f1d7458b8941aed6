"""The named reasons for which a drone may not fly a trip, and their words."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag, auto

from fleet.feasibility.rules import Rules


class Rule(IntFlag):
    """What can rule a pair out, one bit each. The lower-case name is the stable code of the API."""

    UNKNOWN_DRONE = auto()
    INACTIVE = auto()
    GROUNDED = auto()
    BUSY = auto()
    ALREADY_FLYING = auto()
    ARMING_UNKNOWN = auto()
    NO_TELEMETRY = auto()
    TELEMETRY_OLD = auto()
    TELEMETRY_AGING = auto()
    NO_POSITION = auto()
    NO_BATTERY_READING = auto()
    BATTERY_BELOW_MINIMUM = auto()
    NOT_ENOUGH_ENERGY = auto()
    TOO_HEAVY = auto()
    PAYLOAD_TYPE_UNSUPPORTED = auto()
    OUTSIDE_AREA = auto()
    IN_NO_FLY_ZONE = auto()
    CROSSES_NO_FLY_ZONE = auto()
    TOO_WINDY = auto()
    WEATHER_UNKNOWN = auto()
    HUB_FULL = auto()
    ON_HOLD = auto()
    CARRIES_PARCEL = auto()

    @property
    def code(self) -> str:
        return str(self.name).lower()


# OPS may override these with a written reason; automatic dispatch takes them as a no.
# All the others are hard: nobody overrides them.
SOFT = Rule.TELEMETRY_AGING | Rule.OUTSIDE_AREA | Rule.HUB_FULL


@dataclass(frozen=True, slots=True)
class Reason:
    """One "no" in words. `needed` and `has` are its numbers, in the unit that the message names."""

    code: str
    message: str
    overridable: bool = False
    needed: float | None = None
    has: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the words need to know of one pair. NaN where it is not known."""

    drone_id: str
    telemetry_age_s: float
    battery_pct: float
    energy_pct: float
    payload_weight_kg: float
    max_payload_kg: float
    payload_type: str
    zone: str
    wind_mps: float
    max_wind_mps: float
    rules: Rules


def explain(bits: int, facts: Facts) -> list[Reason]:
    """A sentence for every bit, hard reasons first."""
    against = sorted((rule for rule in Rule if rule & bits), key=lambda rule: bool(rule & SOFT))
    return [_reason(rule, facts) for rule in against]


def _reason(rule: Rule, facts: Facts) -> Reason:
    needed, has = _NUMBERS.get(rule, _no_numbers)(facts)
    message = _MESSAGES[rule](facts, needed, has)
    return Reason(rule.code, message, bool(rule & SOFT), needed, has)


def _no_numbers(facts: Facts) -> tuple[None, None]:
    return None, None


# What is needed or allowed, and what is there.
_NUMBERS: dict[Rule, Callable[[Facts], tuple[float | None, float | None]]] = {
    Rule.TELEMETRY_OLD: lambda f: (f.rules.telemetry_hard_age_s, f.telemetry_age_s),
    Rule.TELEMETRY_AGING: lambda f: (f.rules.telemetry_max_age_s, f.telemetry_age_s),
    Rule.BATTERY_BELOW_MINIMUM: lambda f: (f.rules.battery_min_pct, f.battery_pct),
    Rule.NOT_ENOUGH_ENERGY: lambda f: (f.energy_pct + f.rules.reserve_pct, f.battery_pct),
    Rule.TOO_HEAVY: lambda f: (f.payload_weight_kg, f.max_payload_kg),
    Rule.TOO_WINDY: lambda f: (f.max_wind_mps, f.wind_mps),
}

_MESSAGES: dict[Rule, Callable[..., str]] = {
    Rule.UNKNOWN_DRONE: lambda f, *_: f"{f.drone_id} is not registered.",
    Rule.INACTIVE: lambda f, *_: f"{f.drone_id} is out of service.",
    Rule.GROUNDED: lambda f, *_: f"{f.drone_id} is grounded.",
    Rule.ON_HOLD: lambda f, *_: f"{f.drone_id} is on hold until a person releases it.",
    Rule.CARRIES_PARCEL: lambda f, *_: f"{f.drone_id} still has a parcel aboard.",
    Rule.BUSY: lambda f, *_: f"{f.drone_id} is on another delivery.",
    Rule.ALREADY_FLYING: lambda f, *_: f"{f.drone_id} is armed: it is in the air or about to be.",
    Rule.ARMING_UNKNOWN: lambda f, *_: f"Telemetry does not say whether {f.drone_id} is armed.",
    Rule.NO_TELEMETRY: lambda f, *_: f"There is no usable telemetry of {f.drone_id}.",
    Rule.NO_POSITION: lambda f, *_: f"Telemetry has no position of {f.drone_id}.",
    Rule.NO_BATTERY_READING: lambda f, *_: f"Telemetry has no battery reading of {f.drone_id}.",
    Rule.TELEMETRY_OLD: lambda f, needed, has: _age(f, needed, has),
    Rule.TELEMETRY_AGING: lambda f, needed, has: _age(f, needed, has),
    Rule.BATTERY_BELOW_MINIMUM: lambda f, needed, has: (
        f"Take-off needs {_up(needed)} % battery, {f.drone_id} has {_down(has)} %."
    ),
    Rule.NOT_ENOUGH_ENERGY: lambda f, needed, has: (
        f"Needs {_up(needed)} % battery with the {f.rules.reserve_pct:.0f} % reserve, "
        f"has {_down(has)} %."
    ),
    Rule.TOO_HEAVY: lambda f, needed, has: (
        f"The payload weighs {needed:g} kg, {f.drone_id} carries at most {has:g} kg."
    ),
    Rule.PAYLOAD_TYPE_UNSUPPORTED: lambda f, *_: (
        f"{f.drone_id} does not carry {f.payload_type.replace('_', ' ').lower()}."
    ),
    Rule.OUTSIDE_AREA: lambda f, *_: f"The trip is outside the usual area of {f.drone_id}.",
    Rule.IN_NO_FLY_ZONE: lambda f, *_: f"The pickup or the drop point is in {f.zone}.",
    Rule.CROSSES_NO_FLY_ZONE: lambda f, *_: f"The flight would cross {f.zone}.",
    Rule.TOO_WINDY: lambda f, needed, has: (
        f"The wind is {has:.1f} m/s, {f.drone_id} may fly in at most {needed:.1f} m/s."
    ),
    Rule.WEATHER_UNKNOWN: lambda f, *_: (
        "Nobody knows the wind: the weather source has said nothing for more than "
        f"{f.rules.weather_max_age_s / 60:.0f} min, or nothing that can be used."
    ),
    Rule.HUB_FULL: lambda f, *_: (
        f"The hub of {f.drone_id} has as many drones waiting for take-off as it can launch at once."
    ),
}


def _age(facts: Facts, allowed_s: float, age_s: float) -> str:
    if age_s < 0:
        return (
            f"The telemetry of {facts.drone_id} is stamped {_up(-age_s)} s in the future, "
            f"at most {allowed_s:.0f} s is allowed: check the clocks."
        )
    return (
        f"The telemetry of {facts.drone_id} is {_up(age_s)} s old, at most {allowed_s:.0f} s is "
        "allowed."
    )


def _up(value: float) -> int:
    """Rounded against the pair, so that no message reads "needs 38 %, has 38 %"."""
    return math.ceil(value)


def _down(value: float) -> int:
    return math.floor(value)
