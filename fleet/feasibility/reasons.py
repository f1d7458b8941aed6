"""The rules that exclude a drone from a trip, and their messages."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntFlag, auto

from fleet.feasibility.margins import MAX_LAT_DEG
from fleet.feasibility.rules import Rules


class Rule(IntFlag):
    """The rules that can exclude a pair, one bit each. The lower-case name is the API's code."""

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
    TOO_LARGE = auto()
    TAKEOFF_OR_LANDING_IN_ZONE = auto()
    OFF_THE_MAP = auto()

    @property
    def code(self) -> str:
        return str(self.name).lower()


# OPS may override these with a written reason; automatic dispatch never does. All others are hard:
# they cannot be overridden.
SOFT = Rule.TELEMETRY_AGING | Rule.OUTSIDE_AREA | Rule.HUB_FULL
# (bit, rule); plain integers, because an IntFlag takes ten times as long to test.
_HARD_FIRST = [(int(rule), rule) for rule in sorted(Rule, key=lambda rule: bool(rule & SOFT))]


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason against a pair. `needed` and `has` are in the unit that the message names."""

    code: str
    message: str
    overridable: bool = False
    needed: float | None = None
    has: float | None = None


@dataclass(frozen=True, slots=True)
class ReasonInputs:
    """The values of one pair that messages use. NaN if unknown.

    energy_pct, needed_pct: for a delivery and for a drop that fails, both without the reserve.
    in_margin: the flight is too near to the zone, but not in it. wind_measured: where, by whom and
    when wind_mps was measured. wind_gap: where the wind is unknown; empty if there is no fresh
    reading at all. size_cm, max_size_cm: the sides of the parcel and of the largest one, the
    longest side first.
    """

    drone_id: str
    telemetry_age_s: float
    battery_pct: float
    energy_pct: float
    needed_pct: float
    payload_weight_kg: float
    max_payload_kg: float
    payload_type: str
    zone: str
    in_margin: bool
    wind_mps: float
    max_wind_mps: float
    rules: Rules
    wind_measured: str = ""
    wind_gap: str = ""
    size_cm: tuple[float, ...] = (math.nan,) * 3
    max_size_cm: tuple[float, ...] = (math.nan,) * 3


def explain(bits: int, inputs: ReasonInputs) -> list[Reason]:
    """One reason per bit, hard reasons first."""
    return [_reason(rule, inputs) for bit, rule in _HARD_FIRST if bit & bits]


def _reason(rule: Rule, inputs: ReasonInputs) -> Reason:
    needed, has = _NUMBERS.get(rule, _no_numbers)(inputs)
    message = _MESSAGES[rule](inputs, needed, has)
    return Reason(rule.code, message, bool(rule & SOFT), needed, has)


def _no_numbers(inputs: ReasonInputs) -> tuple[None, None]:
    return None, None


def _side_that_does_not_fit(inputs: ReasonInputs) -> tuple[float, float]:
    sides = zip(inputs.size_cm, inputs.max_size_cm, strict=True)
    return next(((side, most) for side, most in sides if not side <= most), (math.nan, math.nan))


def in_cm(size_cm: Iterable[float]) -> str:
    """“40 × 30 × 20 cm”."""
    return " × ".join(f"{side:g}" for side in size_cm) + " cm"


# (needed or allowed, actual)
_NUMBERS: dict[Rule, Callable[[ReasonInputs], tuple[float | None, float | None]]] = {
    Rule.TELEMETRY_OLD: lambda f: (f.rules.telemetry_hard_age_s, f.telemetry_age_s),
    Rule.TELEMETRY_AGING: lambda f: (f.rules.telemetry_max_age_s, f.telemetry_age_s),
    Rule.BATTERY_BELOW_MINIMUM: lambda f: (f.rules.battery_min_pct, f.battery_pct),
    Rule.NOT_ENOUGH_ENERGY: lambda f: (f.needed_pct + f.rules.reserve_pct, f.battery_pct),
    Rule.TOO_HEAVY: lambda f: (f.payload_weight_kg, f.max_payload_kg),
    Rule.TOO_LARGE: _side_that_does_not_fit,
    Rule.TOO_WINDY: lambda f: (f.max_wind_mps, f.wind_mps),
}

_MESSAGES: dict[Rule, Callable[..., str]] = {
    Rule.UNKNOWN_DRONE: lambda f, *_: f"{f.drone_id} is not registered.",
    Rule.INACTIVE: lambda f, *_: f"{f.drone_id} is out of service.",
    Rule.GROUNDED: lambda f, *_: f"{f.drone_id} is grounded.",
    Rule.ON_HOLD: lambda f, *_: f"{f.drone_id} is on hold until a person releases it.",
    Rule.CARRIES_PARCEL: lambda f, *_: f"{f.drone_id} still has a parcel aboard.",
    Rule.BUSY: lambda f, *_: f"{f.drone_id} is on another mission.",
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
    Rule.NOT_ENOUGH_ENERGY: lambda f, _, has: (
        f"Needs {charge_for(f.energy_pct, f.needed_pct, has, f.rules)}, has {_down(has)} %."
    ),
    Rule.TOO_HEAVY: lambda f, needed, has: (
        f"The payload weighs {needed:g} kg, {f.drone_id} carries at most {has:g} kg."
    ),
    Rule.TOO_LARGE: lambda f, *_: (
        f"The parcel measures {in_cm(f.size_cm)}, {f.drone_id} carries at most "
        f"{in_cm(f.max_size_cm)}."
    ),
    Rule.PAYLOAD_TYPE_UNSUPPORTED: lambda f, *_: (
        f"{f.drone_id} does not carry {f.payload_type.replace('_', ' ').lower()}."
    ),
    Rule.OUTSIDE_AREA: lambda f, *_: f"The trip is outside the usual area of {f.drone_id}.",
    Rule.IN_NO_FLY_ZONE: lambda f, *_: f"The pickup or the drop point is {in_zone(f)}.",
    Rule.CROSSES_NO_FLY_ZONE: lambda f, *_: f"The flight would {cross_zone(f)}.",
    Rule.TAKEOFF_OR_LANDING_IN_ZONE: lambda f, *_: (
        f"{f.drone_id} would take off or land {in_zone(f)}."
    ),
    Rule.OFF_THE_MAP: lambda f, *_: (
        "The flight would touch the 180° meridian or go beyond "
        f"{MAX_LAT_DEG:.0f}° of latitude, where zones cannot be checked."
    ),
    Rule.TOO_WINDY: lambda f, needed, has: (
        f"Wind {_tenths(has, math.ceil)} m/s {f.wind_measured}, limit "
        f"{_tenths(needed, math.floor)} m/s for {f.drone_id}."
    ),
    Rule.WEATHER_UNKNOWN: lambda f, *_: (
        f.wind_gap
        or "The wind is unknown: the weather source has given no usable reading for more than "
        f"{f.rules.weather_max_age_s / 60:.0f} min."
    ),
    Rule.HUB_FULL: lambda f, *_: (
        f"The hub of {f.drone_id} has as many drones waiting for take-off as it can launch at once."
    ),
}


def in_zone(inputs: ReasonInputs) -> str:
    """“in Airport” or “within 50 m of Airport”."""
    return _within(inputs) if inputs.in_margin else f"in {inputs.zone}"


def cross_zone(inputs: ReasonInputs) -> str:
    """“cross Airport” or “pass within 50 m of Airport”."""
    return f"pass {_within(inputs)}" if inputs.in_margin else f"cross {inputs.zone}"


def _within(inputs: ReasonInputs) -> str:
    return f"within {inputs.rules.zone_margin_m:g} m of {inputs.zone}"


def charge_for(energy_pct: float, needed_pct: float, has_pct: float, rules: Rules) -> str:
    """What the endings need that `has_pct` does not cover; the reserve comes on top of both."""
    with_reserve = f" % battery with the {rules.reserve_pct:.0f} % reserve for"
    fails = (
        f"a drop that fails ({rules.loiter_timeout_s} s of waiting and the flight back with the "
        "parcel)"
    )
    needed, delivery = _up(needed_pct + rules.reserve_pct), energy_pct + rules.reserve_pct
    if delivery <= has_pct:
        return f"{needed}{with_reserve} {fails}"
    return f"{_up(delivery)}{with_reserve} a delivery and {needed} % for {fails}"


def _age(inputs: ReasonInputs, allowed_s: float, age_s: float) -> str:
    if age_s < 0:
        return (
            f"The telemetry of {inputs.drone_id} is stamped {_up(-age_s)} s in the future, "
            f"at most {allowed_s:.0f} s is allowed: check the clocks."
        )
    return (
        f"The telemetry of {inputs.drone_id} is {_up(age_s)} s old, at most {allowed_s:.0f} s is "
        "allowed."
    )


def _tenths(value: float, rounded: Callable[[float], int]) -> str:
    """12.04 as 12.1 or 12. Rounded first, because 16.1 * 10 is a little more than 161."""
    return f"{rounded(round(value * 10, 6)) / 10:g}"


def _up(value: float) -> int:
    """Rounds up what is needed, `_down` what is there: no message reads "needs 38 %, has 38 %"."""
    return math.ceil(value)


def _down(value: float) -> int:
    return math.floor(value)
