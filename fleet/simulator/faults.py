"""Things that go wrong because somebody asked for it: which, for whom, from when, for how long."""

import math
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

GARBAGE = ("non_json", "truncated", "error_500", "oversized", "redirect", "slow")

# Kinds that strike one drone.
OF_A_DRONE = {
    "lose_link": "its telemetry stops, the flight goes on",
    "freeze": "its telemetry repeats the same old moment",
    "mission_fail": "it reports FAILED in mid-flight and returns (parked: on its next mission)",
    "abort": "the operator aborts it in flight (parked: on its next mission)",
    "drain_battery": "its charge falls to `pct` at once (5 when not given)",
    "one_bad_drone": "its entry in the fleet answer is broken",
}
# Kinds that strike an interface.
OF_A_SERVICE = {
    "garbage": f"the fleet API answers badly; `how` is one of {', '.join(GARBAGE)}",
    "bridge_down": "the bridge closes the connection without an answer",
    "bridge_500": "the bridge answers 500",
    "bridge_hang": "the bridge answers only after `seconds` real seconds (30 when not given)",
    "bridge_reject": "the bridge answers 422",
}
KINDS = OF_A_DRONE | OF_A_SERVICE
ONE_SHOT = {"mission_fail", "abort", "drain_battery"}


@dataclass(frozen=True, slots=True)
class Fault:
    """`in_s` and `for_s` are seconds of the world's clock; None lasts until cleared or used up.

    `times`: so many strikes and it is over. `after`: a bridge fault that strikes once the request
    has had its effect (by default only bridge_hang does), as when an answer is lost on the way.
    """

    kind: str
    drone_id: str | None = None
    in_s: float = 0.0
    for_s: float | None = None
    times: int | None = None
    how: str = "non_json"
    seconds: float = 30.0
    pct: float = 5.0
    after: bool | None = None

    def __post_init__(self) -> None:
        """Raises ValueError that says what may be given instead."""
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; there are {', '.join(KINDS)}")
        if (self.kind in OF_A_DRONE) != (self.drone_id is not None):
            needs = "needs a" if self.kind in OF_A_DRONE else "takes no"
            raise ValueError(f"{self.kind} {needs} drone_id")
        if self.how not in GARBAGE:
            raise ValueError(f"unknown garbage {self.how!r}; there are {', '.join(GARBAGE)}")
        for name in ("in_s", "for_s", "times", "seconds", "pct"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value >= 0):
                raise ValueError(f"{name} is {value!r}, not a number from 0 up")

    @property
    def strikes_after(self) -> bool:
        return self.kind == "bridge_hang" if self.after is None else self.after


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def from_dict(values: dict[str, Any]) -> Fault:
    """The body of POST /faults. Raises ValueError."""
    unknown = values.keys() - {field.name for field in fields(Fault)}
    if unknown or "kind" not in values:
        raise ValueError(f"unknown fields {sorted(unknown)}" if unknown else "kind is missing")
    return Fault(**values)


def parse(text: str) -> Fault:
    """`KIND[:DRONE][@IN_S][+FOR_S][,name=value...]`, as the command line has it.

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
    for name in ("in_s", "for_s", "seconds", "pct"):
        if name in values:
            values[name] = float(values[name])
    if "times" in values:
        values["times"] = int(values["times"])
    if "after" in values:
        values["after"] = values["after"] == "true"
    return from_dict(values)


@dataclass(slots=True)
class _Pending:
    fault: Fault
    start_s: float
    end_s: float
    strikes_left: float


class FaultBoard:
    """The faults asked for, oldest first."""

    def __init__(self) -> None:
        self._pending: list[_Pending] = []

    def add(self, fault: Fault, now_s: float) -> None:
        start_s = now_s + fault.in_s
        end_s = math.inf if fault.for_s is None else start_s + fault.for_s
        once = 1 if fault.kind in ONE_SHOT else math.inf
        strikes = once if fault.times is None else fault.times
        self._pending.append(_Pending(fault, start_s, end_s, strikes))

    def clear(self) -> None:
        self._pending.clear()

    def strike(self, kind: str, now_s: float, drone_id: str | None = None) -> Fault | None:
        """The fault of this kind that holds now, if any. Counts as one of its `times`."""
        for pending in self._pending:
            if (
                pending.fault.kind == kind
                and pending.fault.drone_id == drone_id
                and pending.start_s <= now_s < pending.end_s
                and pending.strikes_left > 0
            ):
                pending.strikes_left -= 1
                return pending.fault
        return None

    def listed(self, now_s: float) -> list[dict[str, Any]]:
        """What is asked for and not over yet."""
        return [
            asdict(pending.fault) | {"starts_in_s": max(0.0, round(pending.start_s - now_s, 1))}
            for pending in self._pending
            if now_s < pending.end_s and pending.strikes_left > 0
        ]
