"""The definitions of faults, and the board of requested faults."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

GARBAGE = ("non_json", "truncated", "error_500", "oversized", "redirect", "slow")

IN_FLIGHT = {
    "mission_fail": "it reports FAILED in mid-flight and returns (parked: on its next mission)",
    "abort": "the operator aborts it in flight (parked: on its next mission)",
    "drain_battery": "its charge falls to `pct` at once (5 when not given)",
    "land_short": "it lands `metres` before the drop (400) and stays there; `report`: says FAILED; "
    "`drop`: the parcel falls out",
    "motor_failure": "like land_short, with a FAILED report of a failed motor",
    "carry_home": "it turns back `metres` before the drop (400) with the parcel; `report`: says "
    "FAILED",
    "stay_at_drop": "it lands at the drop and stays for `seconds` (no limit); `drop`=false: the "
    "parcel stays aboard; `report`=false: it is not reported",
}
IN_TELEMETRY = {
    "lose_link": "its telemetry stops, the flight continues",
    "freeze": "its telemetry repeats one measurement",
    "one_bad_drone": "its entry in the fleet answer is broken",
    "glitch_armed": "a sample has `armed` inverted",
    "glitch_altitude": "its altitude is `metres` off (60)",
    "datum_change": "its altitude is sent above sea level, `metres` more (61)",
    "null_position": "no position from `metres` before the drop (60) until as far on the way back",
    "bad_value": "the value at `field`, like battery.remaining_pct, is `value`, any JSON",
    "production_plugin": "only position and yaw; altitude is the GPS accuracy in millimetres",
}
IN_REPORTS = {
    "lie_delivered": "DELIVERED is reported of a mission whose parcel stays aboard",
    "lie_failed": "FAILED is reported after loading, but the flight continues and delivers; "
    "`report`: its other reports continue as well",
    "silent_reports": "nothing more is reported of its mission",
    "late_report": "each report of its mission comes `seconds` late (30)",
    "clock": "reports of its mission are dated `seconds` ahead (360; negative: back), or all `at` "
    "one ISO time",
    "duplicate_reports": "each report of its mission is sent twice",
    "swapped_reports": "reports of its mission are swapped in pairs",
}
# Faults of one drone.
OF_A_DRONE = IN_FLIGHT | IN_TELEMETRY | IN_REPORTS
# Faults of an interface.
OF_A_SERVICE = {
    "garbage": f"the Fleet API's answer is invalid; `how` is one of {', '.join(GARBAGE)}",
    "weather_garbage": "the weather service's answer is invalid; `how` as for garbage",
    "weather_lie": "each mast says `value`, any JSON or NaN, at `field`, like wind_mps or at; one "
    "mast: Mast 2.wind_mps",
    "bridge_down": "the bridge closes the connection without an answer",
    "bridge_500": "the bridge answers 500",
    "bridge_hang": "the bridge answers only after `seconds` real seconds (30 when not given)",
    "bridge_reject": "the bridge answers 422",
    "no_cancel_route": "a cancel is answered by a framework's 404",
    "cancel_word": "a cancel is answered with `status` (200) and the status `word` (none: an empty "
    "object), and has no effect unless `after`",
    "clearance_down": "the airspace service closes the connection without an answer",
    "clearance_500": "the airspace service answers 500",
    "clearance_change_500": "the airspace service answers 500 to a new state of a declaration",
    "clearance_hang": "the airspace service answers only after `seconds` real seconds (30)",
    "clearance_garbage": "the airspace service answers `value`, any JSON; none: no JSON",
    "clearance_refuse": "the airspace service answers 400 to what is asked",
    "clearance_slow": "a new declaration stays in processing",
    "clearance_wgs84": "a declaration with heights of another datum than WGS84 is a 400",
    "clearance_reject": "a new declaration is rejected",
    "strict_members": "422 for each member of an intent that version 1 does not have",
    "refuse_form": "422 to every intent: a member is missing",
    "accept_silently": "an intent is accepted after `seconds` real seconds (30); no answer comes",
}
KINDS = OF_A_DRONE | OF_A_SERVICE
# These strike once unless `times` is given: one flight, or one mission's reports.
ONE_SHOT = IN_FLIGHT.keys() | IN_REPORTS.keys()
DEFAULTS: dict[str, dict[str, Any]] = {
    "drain_battery": {"pct": 5.0},
    "land_short": {"metres": 400.0, "report": False, "drop": False},
    "motor_failure": {"metres": 400.0, "report": True, "drop": False},
    "carry_home": {"metres": 400.0, "report": False},
    "stay_at_drop": {"report": True, "drop": True},
    "glitch_altitude": {"metres": 60.0},
    "datum_change": {"metres": 61.0},
    "null_position": {"metres": 60.0},
    "lie_failed": {"report": False},
    "late_report": {"seconds": 30.0},
    "clock": {"seconds": 360.0},
    "garbage": {"how": "non_json", "seconds": 30.0},
    "weather_garbage": {"how": "non_json", "seconds": 30.0},
    "bridge_hang": {"seconds": 30.0, "after": True},
    "accept_silently": {"seconds": 30.0},
    "clearance_hang": {"seconds": 30.0, "after": True},
    "cancel_word": {"status": 200},
}
NEED_A_FIELD = {"bad_value": "battery.remaining_pct", "weather_lie": "wind_mps"}
SIGNED = {("glitch_altitude", "metres"), ("datum_change", "metres"), ("clock", "seconds")}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `KINDS` describes each kind and its members; `DEFAULTS` has the defaults.

    `in_s`, `for_s`: start and duration in seconds of the world's clock; without `for_s` it lasts
    until it is cleared or used up. `times`: the number of strikes. `after`: a bridge fault strikes
    after the request has had its effect, like a lost answer; the default only for bridge_hang.
    `phase`: strikes only in this phase of the flight. `seconds`: of the world's clock, unless the
    kind says real.
    """

    kind: str
    drone_id: str | None = None
    in_s: float = 0.0
    for_s: float | None = None
    times: int | None = None
    phase: str | None = None
    how: str | None = None
    seconds: float | None = None
    pct: float | None = None
    metres: float | None = None
    report: bool | None = None
    drop: bool | None = None
    after: bool | None = None
    field: str | None = None
    value: Any = None
    at: str | None = None
    word: str | None = None
    status: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError with the allowed values."""
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; there are {', '.join(KINDS)}")
        if (self.kind in OF_A_DRONE) != (self.drone_id is not None):
            needs = "needs a" if self.kind in OF_A_DRONE else "takes no"
            raise ValueError(f"{self.kind} {needs} drone_id")
        for name, value in DEFAULTS.get(self.kind, {}).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.how not in (None, *GARBAGE):
            raise ValueError(f"unknown garbage {self.how!r}; there are {', '.join(GARBAGE)}")
        if self.kind in NEED_A_FIELD and not self.field:
            raise ValueError(f"{self.kind} needs a field, like {NEED_A_FIELD[self.kind]}")
        if self.at is not None:
            datetime.fromisoformat(self.at)
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in ("in_s", "for_s", "times", "seconds", "pct", "metres", "status"):
            value = getattr(self, name)
            if value is None or (_is_number(value) and (self.kind, name) in SIGNED):
                continue
            if not (_is_number(value) and value >= 0):
                raise ValueError(f"{name} is {value!r}, not a number from 0 up")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def from_dict(values: dict[str, Any]) -> Fault:
    """The body of POST /faults. Raises ValueError."""
    unknown = values.keys() - {field.name for field in fields(Fault)}
    if unknown or "kind" not in values:
        raise ValueError(f"unknown fields {sorted(unknown)}" if unknown else "kind is missing")
    return Fault(**values)


def _is_true(text: str) -> bool:
    return text == "true"


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


# Parsers of the command line's settings; all others are text.
PARSERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("in_s", "for_s", "seconds", "pct", "metres"), float),
    **dict.fromkeys(("times", "status"), int),
    **dict.fromkeys(("after", "report", "drop"), _is_true),
    "value": _json_or_text,
}


def parse(text: str) -> Fault:
    """Parses `KIND[:DRONE][@IN_S][+FOR_S][,name=value...]` of the command line.

    lose-link:WX-DRN-003@30+60 or bridge-500@10,times=3 or garbage,how=truncated. Raises ValueError.
    """
    head, *settings = text.split(",")
    match = re.fullmatch(
        r"(?P<kind>[a-z0-9_-]+)(:(?P<drone_id>[\w-]+))?(@(?P<in_s>[\d.]+))?(\+(?P<for_s>[\d.]+))?",
        head,
    )
    if match is None:
        raise ValueError(f"{text!r} is not KIND[:DRONE][@IN_S][+FOR_S][,name=value]")
    values: dict[str, Any] = {k: v for k, v in match.groupdict().items() if v is not None}
    values |= dict(setting.partition("=")[::2] for setting in settings)
    values["kind"] = values["kind"].replace("-", "_")
    return from_dict({name: PARSERS.get(name, str)(value) for name, value in values.items()})


@dataclass(slots=True)
class _Pending:
    """`end_s`, `strikes_left`: None for no limit."""

    fault: Fault
    start_s: float
    end_s: float | None
    strikes_left: int | None

    def is_over(self, now_s: float) -> bool:
        return self.strikes_left == 0 or (self.end_s is not None and now_s >= self.end_s)


class FaultBoard:
    """The requested faults, oldest first. `changes` increases with every change to be saved."""

    def __init__(self) -> None:
        self._pending: list[_Pending] = []
        self.changes = 0

    def add(self, fault: Fault, now_s: float) -> None:
        start_s = now_s + fault.in_s
        end_s = None if fault.for_s is None else start_s + fault.for_s
        once = 1 if fault.kind in ONE_SHOT else None
        strikes = once if fault.times is None else fault.times
        self._pending.append(_Pending(fault, start_s, end_s, strikes))
        self.changes += 1

    def clear(self) -> None:
        self._pending.clear()
        self.changes += 1

    def waiting(
        self, kind: str, now_s: float, drone_id: str | None = None, phase: str | None = None
    ) -> Fault | None:
        """The fault of this kind that would strike now, if any. Does not count as a strike."""
        pending = self._find(kind, now_s, drone_id, phase)
        return pending.fault if pending else None

    def strike(
        self, kind: str, now_s: float, drone_id: str | None = None, phase: str | None = None
    ) -> Fault | None:
        """The fault of this kind that strikes now, if any. Counts as one of its `times`."""
        pending = self._find(kind, now_s, drone_id, phase)
        if pending is None:
            return None
        if pending.strikes_left is not None:
            pending.strikes_left -= 1
            self.changes += 1
        return pending.fault

    def _find(
        self, kind: str, now_s: float, drone_id: str | None, phase: str | None
    ) -> _Pending | None:
        for pending in self._pending:
            fault = pending.fault
            if (
                (fault.kind, fault.drone_id) == (kind, drone_id)
                and fault.phase in (None, phase)
                and pending.start_s <= now_s
                and not pending.is_over(now_s)
            ):
                return pending
        return None

    def listed(self, now_s: float) -> list[dict[str, Any]]:
        """All faults that are not over."""
        return [
            asdict(pending.fault) | {"starts_in_s": max(0.0, round(pending.start_s - now_s, 1))}
            for pending in self._pending
            if not pending.is_over(now_s)
        ]

    def to_list(self) -> list[dict[str, Any]]:
        """For the state file."""
        return [asdict(pending) for pending in self._pending]

    def restore(self, kept: list[dict[str, Any]]) -> None:
        self._pending = [_Pending(**one | {"fault": from_dict(one["fault"])}) for one in kept]
