"""Whether airspace and wind still allow the missions that ground control has.

The remaining legs of each are checked like a new trip, every few seconds; a violation raises a
discrepancy for a person. No mission is recalled automatically: a drone in the air may be safer on
its route than turned round.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import numpy as np

from dispatch.missions import discrepancies
from dispatch.missions.flight.state import FlightState
from dispatch.missions.parcel_doubt import plan_of
from dispatch.models import Discrepancy
from fleet import registry
from fleet.airspace import rulebook
from fleet.airspace.rulebook import Rulebook
from fleet.feasibility import judge
from fleet.feasibility.judge import Verdicts
from fleet.feasibility.reasons import Rule
from fleet.feasibility.tables import DroneTable, TripTable, payload_bits
from fleet.live import weather
from orders.models import DeliveryJob
from orders.placement import NO_AREA
from orders.states import AT_THE_DROP_POINT, IN_FLIGHT, Holder, Status

Code = Discrepancy.Code
WATCHED = (Status.MISSION_SUBMITTED, *IN_FLIGHT)
CLEAR_TEXT = {
    Code.AIRSPACE: "No zone is in the way any more.",
    Code.WEATHER: "The wind is within the limit again.",
}
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class RemainingRoute:
    """What a mission still has to fly: to `pickup` (None once visited), to `drop` (None once an
    abort is requested), then home. at: the drone's last trusted position, None if unknown.
    """

    at: Place | None
    pickup: Place | None
    drop: Place | None
    home: Place

    def legs(self) -> tuple[Place, Place, Place]:
        """The start of each of its three legs; the last leg ends at home.

        An unknown place is replaced by the next known one.
        """
        places = [place for place in (self.at, self.pickup, self.drop) if place is not None]
        first, *rest = places or [self.home]
        second, *third = rest or [first]
        return first, second, third[0] if third else second


@dataclass(frozen=True, slots=True)
class Findings:
    """The violations of a mission as text, empty for none. zone_name: the zone of `zone`.

    wind: None when the wind is unknown; then it is neither above its limit nor within it.
    """

    zone: str
    zone_name: str
    wind: str | None


def remaining_route(job: DeliveryJob) -> RemainingRoute:
    """`job` has its order, drone with hub, mission, and flight if there is one loaded."""
    assert job.drone is not None  # noqa: S101 (a job without a drone has no mission)
    plan, order, mission = plan_of(job), job.order, job.part.mission
    flight = getattr(job, "flight", None)
    state = FlightState.from_dict(flight.state) if flight else FlightState()
    was_there = (
        order.holder == Holder.DRONE or state.left_pickup or order.status in AT_THE_DROP_POINT
    )
    is_called_home = mission.recall_mode == "abort"
    drop = (plan.dropoff_lat, plan.dropoff_lng)
    return RemainingRoute(
        at=(state.fix.lat, state.fix.lng) if state.fix else drop if is_called_home else None,
        pickup=None if was_there or is_called_home else (plan.pickup_lat, plan.pickup_lng),
        drop=None if is_called_home else drop,
        home=(job.drone.hub.lat, job.drone.hub.lng),
    )


def judge_flights(
    drones: DroneTable,
    routes: Sequence[RemainingRoute],
    book: Rulebook,
    wind_age_s: float,
    now: datetime,
) -> list[Findings]:
    """The violations of each drone (N,) on its remaining route (N,), from now until landing. Pure.

    Where detours are allowed, a route around a zone violates nothing. The margin to zones is for
    planning: a flight that passes beside a zone violates nothing, and a drone that drifts into the
    margin raises no alarm.
    """
    if not routes:
        return []
    legs = np.array([route.legs() for route in routes])
    homes = np.array([route.home for route in routes])
    drones = replace(
        drones,
        lat=legs[:, 0, 0],
        lng=legs[:, 0, 1],
        home_lat=homes[:, 0],
        home_lng=homes[:, 1],
    )
    trips = TripTable(
        pickup_lat=legs[:, 1, 0],
        pickup_lng=legs[:, 1, 1],
        dropoff_lat=legs[:, 2, 0],
        dropoff_lng=legs[:, 2, 1],
        payload_weight_kg=np.ones(len(routes)),  # weight and type do not affect the route
        payload_type=np.full(len(routes), payload_bits(["PARCEL"])),
        area=np.full(len(routes), NO_AREA),
    )
    each = np.arange(len(routes))
    rules = replace(book.rules, zone_margin_m=0.0)
    found = judge.judge(drones, trips, each, each, rules, book.zone_shapes, now, book.wind_mps)
    windy, unknown = found.has(Rule.TOO_WINDY), found.has(Rule.WEATHER_UNKNOWN)
    return [
        Findings(
            zone=_zone_text(found, i, now) if found.zone[i] >= 0 else "",
            zone_name=book.zone_shapes.names[found.zone[i]] if found.zone[i] >= 0 else "",
            wind=None if unknown[i] else _wind_text(found, i, wind_age_s) if windy[i] else "",
        )
        for i in range(len(routes))
    ]


def _zone_text(found: Verdicts, i: int, now: datetime) -> str:
    zones, zone, drone_id = found.zones, found.zone[i], found.drones.drone_id[i]
    starts_s = zones.starts_s[zone]
    since = ""
    if starts_s > now.timestamp():
        since = f" from {datetime.fromtimestamp(starts_s, UTC):%H:%M} UTC on"
    return (
        f"The no-fly zone {zones.names[zone]} lies across what {drone_id} has still to fly{since}."
    )


def _wind_text(found: Verdicts, i: int, age_s: float) -> str:
    limit_mps = min(
        found.drones.max_wind_mps[i],
        found.rules.max_wind_mps,
        found.drones.cruise_speed_mps[i],
    )
    return (
        f"The wind is {found.wind_mps:.1f} m/s, as measured {age_s:.0f} s ago; "
        f"{found.drones.drone_id[i]} may fly up to {limit_mps:.1f} m/s."
    )


# --- all live missions, on every tick ------------------------------------------------------------


def watch(now: datetime) -> int:
    """Check all missions that ground control has; returns their number.

    Two statements while nothing changes, for any number of missions.
    """
    jobs = list(
        DeliveryJob.objects.active()
        .filter(part__isnull=False, order__status__in=WATCHED)
        .select_related("order", "drone__kind", "drone__hub", "part__mission", "flight")
    )
    standing = {
        (one.job_id, one.code): one
        for one in Discrepancy.objects.filter(code__in=CLEAR_TEXT, settled_at__isnull=True)
    }
    book = rulebook.current(now)
    reading = weather.last() if book.wind_mps is not None else None
    age_s = (now - reading.measured_at).total_seconds() if reading else 0.0
    drones = registry.table_of([job.drone for job in jobs if job.drone], {})
    findings = judge_flights(drones, [remaining_route(job) for job in jobs], book, age_s, now)
    for job, found in zip(jobs, findings, strict=True):
        _raise_if_new(job, Code.AIRSPACE, found.zone, standing, zone_name=found.zone_name)
        if found.wind is not None:
            _raise_if_new(job, Code.WEATHER, found.wind, standing)
    _settle_ended(standing, dict(zip([job.pk for job in jobs], findings, strict=True)))
    return len(jobs)


Standing = dict[tuple[UUID, str], Discrepancy]


def _raise_if_new(
    job: DeliveryJob, code: Discrepancy.Code, message: str, standing: Standing, zone_name: str = ""
) -> None:
    """Raise a new violation; a standing one about another zone is settled."""
    if not message:
        return
    known = standing.get((job.pk, code))
    if known is not None and zone_name in known.message:
        return
    if known is not None:
        discrepancies.settle_when_clear([job.pk], [code], CLEAR_TEXT[code])
    discrepancies.raise_(job, code, message)


def _settle_ended(standing: Standing, findings: dict[UUID, Findings]) -> None:
    for code in CLEAR_TEXT:
        clear, over = [], []
        for job_id in _jobs_of(standing, code):
            found = findings.get(job_id)
            if found is None:
                over.append(job_id)
            elif (found.zone if code == Code.AIRSPACE else found.wind) == "":
                clear.append(job_id)
        if clear:
            discrepancies.settle_when_clear(clear, [code], CLEAR_TEXT[code])
        if over:
            discrepancies.settle_when_clear(over, [code], "The flight is over.")


def _jobs_of(standing: Standing, code: str) -> Iterable[UUID]:
    return (job_id for job_id, its_code in standing if its_code == code)
