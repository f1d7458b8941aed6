"""The state of a flight between two polls, and its events. Pure."""

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

import msgspec
from msgspec import Struct

from dispatch.missions.flight.altimeter import Altimeter
from fleet.feasibility.geometry import EARTH_RADIUS_M
from fleet.live.telemetry import Telemetry
from orders.states import Status, steps_between


class Phase(StrEnum):
    GROUND = "GROUND"
    LAUNCHED = "LAUNCHED"
    ENROUTE = "ENROUTE"
    ARRIVED = "ARRIVED"
    DELIVERING = "DELIVERING"
    DELIVERED = "DELIVERED"
    RETURNED = "RETURNED"  # landed away from the drop point without a delivery
    UNCLEAR = "UNCLEAR"  # landed away from the drop point; it may have delivered


# A successful flight moves its order through the statuses of the same names. A status without a
# phase is not visible in telemetry: only ground control can report it.
STATUS_OF = {
    Phase.GROUND: Status.MISSION_SUBMITTED,
    **{
        Phase(step.target.value): step.target
        for step in steps_between(Status.MISSION_SUBMITTED, Status.DELIVERED)
        if step.target.value in Phase.__members__
    },
}
PHASE_OF = {status: phase for phase, status in STATUS_OF.items()}
LANDED = (Phase.RETURNED, Phase.UNCLEAR)
OVER = (Phase.DELIVERED, *LANDED)


@dataclass(frozen=True)
class Plan:
    """The planned route and the drone's speeds. Altitudes are above ground."""

    pickup_lat: float
    pickup_lng: float
    dropoff_lat: float
    dropoff_lng: float
    cruise_alt_m: float
    delivery_alt_m: float
    cruise_speed_mps: float
    climb_speed_mps: float
    descent_speed_mps: float

    @cached_property
    def trip_m(self) -> float:
        return between_m(self.pickup_lat, self.pickup_lng, self.dropoff_lat, self.dropoff_lng)

    @property
    def low_m(self) -> float:
        """Halfway between cruise and hand-over altitude: a margin for terrain and barometer."""
        return (self.cruise_alt_m + self.delivery_alt_m) / 2

    @property
    def dip_s(self) -> float:
        """Time to descend from cruise to `low_m` and climb back."""
        depth_m = self.cruise_alt_m - self.low_m
        return depth_m / self.descent_speed_mps + depth_m / self.climb_speed_mps


class Fix(Struct, frozen=True):
    """One measurement with a position. Times are POSIX seconds."""

    at: float
    lat: float
    lng: float
    alt_m: float | None
    speed_mps: float | None
    armed: bool | None

    @classmethod
    def of(cls, sample: Telemetry) -> Self | None:
        """None without a position. A drone clock ahead of ours counts as now."""
        if sample.lat is None or sample.lng is None:
            return None
        return cls(
            at=min(sample.measured_at, sample.seen_at).timestamp(),
            lat=sample.lat,
            lng=sample.lng,
            alt_m=sample.alt_m,
            speed_mps=sample.speed_mps,
            armed=sample.armed,
        )


@dataclass(frozen=True, slots=True)
class FlightEvent:
    """The flight entered `phase` at `at`, in POSIX seconds of the drone's clock."""

    phase: Phase
    at: float
    lat: float | None = None
    lng: float | None = None


@dataclass(frozen=True, slots=True)
class ParcelLoaded:
    """The drone climbed from the pickup at `at`, after it stood or hovered low there."""

    at: float


Event = FlightEvent | ParcelLoaded


class FlightState(Struct, omit_defaults=True):
    """The state of a flight between two polls, stored as JSON without the members that have their
    default.

    The field names are the stored JSON's: a renamed field is lost for flights under way.
    """

    phase: Phase = Phase.GROUND
    fix: Fix | None = None  # the last trusted measurement; disbelieved values are None
    doubt: Fix | None = None  # a fix that the drone cannot have reached, until others agree
    doubt_before: Fix | None = None  # the fix before it, when the two agree
    doubted: int = 0  # untrusted samples in a row
    start: Fix | None = None  # where it stood, or the first position of a flight joined in the air
    start_is_ground: bool = False
    still: Fix | None = None  # where it became stationary
    fresh_at: float | None = None  # when its position last changed
    clear: Fix | None = None  # the last sample that rules a hand-over out
    pickup_clear: Fix | None = None  # the last sample that rules a pickup out
    altimeter: Altimeter = msgspec.field(default_factory=Altimeter)
    disbelieved: str = ""  # text: the latest disbelieved value
    disbelieved_at: float | None = None
    peak_alt_m: float | None = None
    recent_alts: tuple[float, ...] = ()
    speed_mps: float | None = None  # ground speed in cruise, smoothed
    pace: float = 1.0  # the drone's clock against ours, smoothed
    picked_up: bool = False  # it passed the pickup, at any height
    left_pickup: bool = False
    loaded_at: float | None = None  # see ParcelLoaded
    low_at_pickup: bool = False  # some sample does not rule a pickup out
    silent: bool = False  # a gap may hide a delivery
    pickup_hidden: bool = False  # a gap may hide a pickup
    gap: bool = False  # a gap longer than the policy's link_lost_after_s
    arrived_at: float | None = None
    battery_pct: float | None = None  # the last reading, and when; if none came, the first sample
    battery_at: float | None = None
    ground_battery_pct: float | None = None  # the last reading before it launched
    stands_at_drop_since: float | None = None  # disarmed at the drop point; None once it leaves
    # Start of the present run of agreeing samples, and the number of samples per kind of run.
    since: float | None = None
    stood: int = 0
    stood_elsewhere: int = 0
    lifted: int = 0
    away: int = 0
    near: int = 0
    low: int = 0
    high: int = 0
    pickup_low: int = 0
    pickup_high: int = 0
    grazing: int = 0
    disarmed: int = 0  # samples in a row that stand, but for their altitude
    down_since: float | None = None
    down: int = 0
    down_sure: int = 0
    off_drop: int = 0

    @property
    def ground_alt_m(self) -> float | None:
        """The reported altitude where it stood on the ground; None if unknown."""
        return self.start.alt_m if self.start is not None and self.start_is_ground else None

    def disbelieve(self, why: str, at: float) -> None:
        self.disbelieved, self.disbelieved_at = why, at

    def to_dict(self) -> dict[str, Any]:
        stored: dict[str, Any] = msgspec.to_builtins(self)
        return stored

    def to_json(self) -> str:
        return _ENCODER.encode(self).decode()

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Unknown names are dropped: an older version wrote them."""
        state = msgspec.convert(values, cls)
        if values and "altimeter" not in values:  # of a version that did not detect gaps
            state.gap = True
        return state

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The same for the stored JSON."""
        if '"altimeter"' not in text:
            return cls.from_dict(msgspec.json.decode(text))
        return msgspec.json.decode(text, type=cls)


_ENCODER = msgspec.json.Encoder()


def between_m(lat1: float, lng1: float, lat2: float, lng2: float) -> float:
    """`fleet.feasibility.geometry.distance_m` for one pair, without arrays."""
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    half_lng = math.radians(lng2 - lng1) / 2
    haversine = (
        math.sin((phi2 - phi1) / 2) ** 2 + math.cos(phi1) * math.cos(phi2) * math.sin(half_lng) ** 2
    )
    return 2 * float(EARTH_RADIUS_M) * math.asin(math.sqrt(min(haversine, 1.0)))


def fix_distance_m(a: Fix, b: Fix) -> float:
    return between_m(a.lat, a.lng, b.lat, b.lng)


def to_pickup_m(plan: Plan, fix: Fix) -> float:
    return between_m(plan.pickup_lat, plan.pickup_lng, fix.lat, fix.lng)


def to_dropoff_m(plan: Plan, fix: Fix) -> float:
    return between_m(plan.dropoff_lat, plan.dropoff_lng, fix.lat, fix.lng)
