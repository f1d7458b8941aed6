"""Which telemetry values dispatch needs, which drones lack them, and errors in telemetry. Pure.

docs/connect.md describes each value, its use, and the effect when it is missing.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.feasibility.reasons import Reason, Rule
from fleet.live.telemetry import Telemetry

if TYPE_CHECKING:
    from fleet.live.picture import Picture


@dataclass(frozen=True, slots=True)
class Need:
    """A value that dispatch needs. `fields`: its names in the Fleet API.

    `rules_out`: a drone without it gets no order. Without one of the others, the flight is not
    tracked completely.
    """

    name: str
    fields: tuple[str, ...]
    unit: str
    is_given: Callable[[Telemetry], bool]
    rules_out: bool = False

    @property
    def label(self) -> str:
        return " and ".join(self.fields)


NEEDS = (
    Need(
        "position", ("position.lat", "position.lon"), "degrees", lambda t: t.lat is not None, True
    ),
    Need("armed", ("state.armed",), "true or false", lambda t: t.armed is not None, True),
    Need("battery", ("battery.remaining_pct",), "%", lambda t: t.battery_pct is not None, True),
    Need("speed", ("velocity.groundspeed_mps",), "m/s", lambda t: t.speed_mps is not None),
    Need("altitude", ("position.alt_m",), "m", lambda t: t.alt_m is not None),
    Need("mode", ("state.mode",), "text", lambda t: t.mode is not None),
)


@dataclass(frozen=True, slots=True)
class Completeness:
    """How many of `drones` lack each need, in the order of NEEDS. able: how many can get orders."""

    drones: int
    lacking: dict[Need, int]
    able: int

    @property
    def gaps(self) -> dict[str, str]:
        """Need name to text, the most frequent first: "3 of 12 drones lack state.armed"."""
        found = sorted(((n, need) for need, n in self.lacking.items() if n), key=lambda g: -g[0])
        return {need.name: f"{_share(n, self.drones)} {need.label}" for n, need in found}


def completeness(samples: Collection[Telemetry]) -> Completeness:
    lacking = {need: sum(not need.is_given(sample) for sample in samples) for need in NEEDS}
    vital = [need for need in NEEDS if need.rules_out]
    able = sum(all(need.is_given(sample) for need in vital) for sample in samples)
    return Completeness(len(samples), lacking, able)


def problems(picture: "Picture | None", drone_id: str) -> list[str]:
    """The errors in a drone's telemetry, one sentence each."""
    if picture is None:
        return []
    found = [picture.skipped[drone_id]] if drone_id in picture.skipped else []
    sample = picture.telemetry.get(drone_id)
    return found + ([f"{text}." for text in sample.refused.values()] if sample else [])


def with_telemetry_errors(
    reasons: Iterable[Reason], picture: "Picture | None", drone_id: str
) -> list[Reason]:
    """The reasons; those caused by invalid telemetry get the error appended to the message."""
    sample = picture.telemetry.get(drone_id) if picture else None
    skipped = picture.skipped.get(drone_id) if picture else None
    return [_with_error(reason, drone_id, sample, skipped) for reason in reasons]


_SECTIONS = {
    Rule.NO_POSITION.code: ("position", "position.lat", "position.lon"),
    Rule.NO_BATTERY_READING.code: ("battery", "battery.remaining_pct"),
    Rule.ARMING_UNKNOWN.code: ("state", "state.armed"),
}


def _with_error(
    reason: Reason, drone_id: str, sample: Telemetry | None, skipped: str | None
) -> Reason:
    if reason.code == Rule.NO_TELEMETRY.code:
        text = f"The Fleet API sends an unusable entry for {drone_id}: {skipped}"
        never = f"There is no telemetry of {drone_id}."
        return replace(reason, message=text if skipped else never)
    refused = sample.refused if sample else {}
    wrong = [refused[path] for path in _SECTIONS.get(reason.code, ()) if path in refused]
    if not wrong:
        return reason
    return replace(reason, message=f"{reason.message.removesuffix('.')}: {', '.join(wrong)}.")


def _share(n: int, of: int) -> str:
    return f"{n} of {of} drones {'lacks' if n == 1 else 'lack'}"
