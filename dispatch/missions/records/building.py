"""A flight record from what is known when a job ends. Nothing here asks the database."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from dispatch.missions.flight.state import FlightState, Phase, Plan, between_m
from dispatch.missions.parcel_doubt import plan_of
from dispatch.missions.records import track
from dispatch.missions.records.conformance import Place, conformance
from dispatch.models import Flight, FlightRecord, Missing
from fleet.models import Drone, Hub
from orders.models import DeliveryJob, Order
from orders.personal_data.retention import DROPOFF_DECIMALS
from orders.states import EventType, JobStatus

PICKUP_DECIMALS = 4  # about 10 m: names the shop, and is no more exact than its pad
# Nothing here knows them.
NEVER_KNOWN = (
    Missing.AUTHORISATION,
    Missing.SITE_ASSESSMENT,
    Missing.RECTIFICATIONS,
    Missing.REPAIRS,
    Missing.CERTIFIED_EQUIPMENT,
)


@dataclass(frozen=True)
class Known:
    """What is known of one job at its end.

    job: with its part, mission, flight (if any), drone, kind and hub loaded. happened: its events,
    each {type, at, inferred}. pieces: the points of its TrackPieces. corridor_m: None when the
    planned route is not known. preflight: attested at the drone's hub, each {checklist, at, day},
    with days by the clock of the hub. defects, packs: see FlightRecord.
    """

    job: DeliveryJob
    order: Order
    happened: list[dict[str, Any]]
    pieces: list[list[Any]]
    preflight: list[dict[str, Any]]
    defects: list[dict[str, Any]]
    packs: list[str]
    corridor_m: float | None
    operator_id: str
    flight: Flight | None = field(init=False)
    state: FlightState = field(init=False)
    legs: list[track.Leg] = field(init=False)

    def __post_init__(self) -> None:
        flight = getattr(self.job, "flight", None)
        points = [point for piece in self.pieces for point in piece]
        points += flight.recent if flight else []
        samples = (track.Sample(*point[:4]) for point in points)
        found = {
            "flight": flight,
            "state": FlightState.from_dict(flight.state if flight else {}),
            "legs": track.legs_of(samples),
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)

    @property
    def left_the_ground(self) -> bool:
        """By any report or telemetry, unless telemetry shows that the drone stands at a hub and
        never lifted.
        """
        if self.job.status == JobStatus.COMPLETED:
            return True
        stands = self.job.part.mission.stands_since is not None
        if stands and self.state.phase is Phase.GROUND:
            return False
        return self.launch is not None or bool(self.legs)

    @property
    def launch(self) -> dict[str, Any] | None:
        launches = (one for one in self.happened if one["type"] == EventType.LAUNCHED)
        return next(launches, None)

    @property
    def took_off_at(self) -> datetime | None:
        """As reported; else the first point of the track."""
        launch = self.launch
        if launch is not None and not launch["inferred"]:
            return datetime.fromisoformat(launch["at"])
        return datetime.fromtimestamp(self.legs[0][0].at, UTC) if self.legs else None

    @property
    def took_off_from(self) -> Place | None:
        """Where telemetry saw it stand before; else the first point of the track."""
        start = self.state.start
        if start is not None and self.state.start_is_ground:
            return start.lat, start.lng
        return (self.legs[0][0].lat, self.legs[0][0].lng) if self.legs else None

    def attested(self, at: datetime) -> list[dict[str, Any]]:
        assert self.job.drone is not None  # noqa: S101 (it has a mission)
        return attested(self.preflight, self.job.drone.hub, at)


def attested(checks: list[dict[str, Any]], hub: Hub, at: datetime) -> list[dict[str, Any]]:
    """Those of a hub's checks that were attested for the day of `at`, before it."""
    day = f"{at.astimezone(ZoneInfo(hub.service_area.time_zone)):%Y-%m-%d}"
    return [
        {"checklist": one["checklist"], "at": one["at"]}
        for one in checks
        if one["day"] == day and datetime.fromisoformat(one["at"]) <= at
    ]


def airframe(drone: Drone, duration_s: float | None) -> dict[str, Any]:
    """The drone of a record, with its totals after a flight of this duration."""
    return {
        "drone": drone,
        "kind": drone.kind.name,
        "serial": drone.serial,
        "registration": drone.registration,
        "duration_s": duration_s,
        "flights_total": drone.flights + 1,
        "seconds_total": drone.flight_seconds + (duration_s or 0.0),
    }


def lasted_s(took_off_at: datetime | None, ended_at: datetime) -> float | None:
    """None if the take-off is not known, or later than the end: a flight that was reported late."""
    if took_off_at is None or took_off_at > ended_at:
        return None
    return (ended_at - took_off_at).total_seconds()


def build(known: Known) -> FlightRecord:
    """The record, with a name in `missing` for each thing that is not known. Its landing is not."""
    job, mission, plan = known.job, known.job.part.mission, plan_of(known.job)
    assert job.drone is not None  # noqa: S101 (it has a mission)
    assert job.ended_at is not None  # noqa: S101 (see `writing`)
    at, place = known.took_off_at, known.took_off_from
    record = FlightRecord(
        job=job,
        order=known.order,
        mission=mission,
        **airframe(job.drone, lasted_s(at, job.ended_at)),
        operator_id=known.operator_id,
        pilot=mission.pilot_name,
        preflight=known.attested(at or job.ended_at),
        defects=known.defects,
        packs=known.packs,
        service_area_id=known.order.service_area_id,
        hub=job.drone.hub.name,
        activity=mission.kind,
        took_off_at=at,
        took_off_lat=place[0] if place else None,
        took_off_lng=place[1] if place else None,
        ended_at=job.ended_at,
        pickup_lat=round(plan.pickup_lat, PICKUP_DECIMALS),
        pickup_lng=round(plan.pickup_lng, PICKUP_DECIMALS),
        drop_lat=round(plan.dropoff_lat, DROPOFF_DECIMALS),
        drop_lng=round(plan.dropoff_lng, DROPOFF_DECIMALS),
        outcome=job.status,
        reason_code=known.order.reason_code,
        airspace_version=mission.body.get("airspace_version", ""),
        events=[{"type": one["type"], "at": one["at"]} for one in known.happened],
        **_path(known, plan),
        **energy(job.drone, known.state.ground_battery_pct, known.state.battery_pct),
    )
    record.missing = sorted(missing(record))
    return record


def _path(known: Known, plan: Plan) -> dict[str, Any]:
    """Lengths, track and conformance. The drone is planned to fly straight to the pickup and on."""
    start = known.took_off_from
    pickup, drop = (plan.pickup_lat, plan.pickup_lng), (plan.dropoff_lat, plan.dropoff_lng)
    found = None
    if start is not None and known.corridor_m is not None:
        found = conformance(known.legs, [start, pickup, drop], known.corridor_m)
    return {
        "planned_m": round(between_m(*start, *pickup) + plan.trip_m, 1) if start else None,
        "distance_m": round(track.length_m(known.legs), 1) if known.legs else None,
        "track": track.stored(known.legs),
        "conformance": found and found.as_json(),
    }


def energy(drone: Drone, before: float | None, after: float | None) -> dict[str, Any]:
    """By the readings of its battery before the take-off and the last one, in percent."""
    used = None if before is None or after is None else max(before - after, 0.0) / 100
    return {
        "battery_before_pct": before,
        "battery_after_pct": after,
        "energy_wh": None if used is None else used * drone.kind.battery_wh,
    }


def missing(record: FlightRecord) -> Iterator[str]:
    """The codes of what it lacks. A record without an order ends with its mission."""
    absent = {
        Missing.SERIAL: not record.serial,
        Missing.REGISTRATION: not record.registration,
        Missing.OPERATOR_ID: not record.operator_id,
        Missing.TAKE_OFF_TIME: record.took_off_at is None,
        Missing.TAKE_OFF_PLACE: record.took_off_lat is None,
        Missing.LANDING: True,  # see `landing`
        Missing.DURATION: True,
        Missing.PILOT: not record.pilot,
        Missing.PREFLIGHT: not record.preflight,
        Missing.PACKS: not record.packs,
        Missing.TRACK: record.track is None,
        Missing.RETURN_TRACK: True,  # a job's telemetry ends with the job
        Missing.ENERGY: record.energy_wh is None,
        Missing.AIRSPACE_VERSION: not record.airspace_version,
        Missing.CONFORMANCE: record.conformance is None,
    }
    yield from (code.value for code, is_absent in absent.items() if is_absent)
    yield from (code.value for code in NEVER_KNOWN)
