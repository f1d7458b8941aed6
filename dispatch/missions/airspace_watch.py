"""Whether airspace and wind still allow the missions that ground control has: the legs ahead of
each are judged like a new trip, every few seconds, and what speaks against one goes to a person.

We take no mission back by ourselves: a drone in the air may be safer on its way than turned round.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import numpy as np

from dispatch.missions import discrepancies
from dispatch.missions.flight.state import State
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
CLEAR = {
    Code.AIRSPACE: "No zone is in the way any more.",
    Code.WEATHER: "The wind is within the limit again.",
}
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a mission has still to fly: to `pickup` (None once it was there) and `drop` (None when
    it was called home), then home. at: where the drone was last believed to be, None for not known.
    """

    at: Place | None
    pickup: Place | None
    drop: Place | None
    home: Place

    def way(self) -> tuple[Place, Place, Place]:
        """The three places that its legs begin at; the last leg ends at home.

        From a place that is not known the way begins at the next one that is.
        """
        places = [place for place in (self.at, self.pickup, self.drop) if place is not None]
        first, *rest = places or [self.home]
        second, *third = rest or [first]
        return first, second, third[0] if third else second


@dataclass(frozen=True, slots=True)
class Spoken:
    """What speaks against a mission, in words; empty for nothing. `about` names the zone.

    wind: None when the wind is not known, and then it is neither over its limit nor within it.
    """

    zone: str
    about: str
    wind: str | None


def ahead_of(job: DeliveryJob) -> Ahead:
    """`job` has its order, drone with home, mission, and flight where there is one."""
    assert job.drone is not None  # noqa: S101 (a job without a drone has no mission)
    plan, order, mission = plan_of(job), job.order, job.part.mission
    seen = getattr(job, "flight", None)
    state = State.from_dict(seen.state) if seen else State()
    was_there = (
        order.holder == Holder.DRONE or state.left_pickup or order.status in AT_THE_DROP_POINT
    )
    is_called_home = mission.recall_mode == "abort"
    drop = (plan.dropoff_lat, plan.dropoff_lng)
    return Ahead(
        at=(state.fix.lat, state.fix.lng) if state.fix else drop if is_called_home else None,
        pickup=None if was_there or is_called_home else (plan.pickup_lat, plan.pickup_lng),
        drop=None if is_called_home else drop,
        home=(job.drone.hub.lat, job.drone.hub.lng),
    )


def judge_flights(
    drones: DroneTable, ways: Sequence[Ahead], book: Rulebook, wind_age_s: float, now: datetime
) -> list[Spoken]:
    """What speaks against each drone's (N,) flight over the rest of its way (N,), from now until it
    has landed. Pure; where detours are allowed, a way around is as good as a way through.
    """
    if not ways:
        return []
    legs = np.array([ahead.way() for ahead in ways])
    homes = np.array([ahead.home for ahead in ways])
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
        payload_weight_kg=np.ones(len(ways)),  # neither speaks for or against a way
        payload_type=np.full(len(ways), payload_bits(["PARCEL"])),
        area=np.full(len(ways), NO_AREA),
    )
    each = np.arange(len(ways))
    found = judge.judge(drones, trips, each, each, book.rules, book.zone_shapes, now, book.wind_mps)
    windy, unknown = found.has(Rule.TOO_WINDY), found.has(Rule.WEATHER_UNKNOWN)
    return [
        Spoken(
            zone=_zone_in_words(found, i, now) if found.zone[i] >= 0 else "",
            about=book.zone_shapes.names[found.zone[i]] if found.zone[i] >= 0 else "",
            wind=None if unknown[i] else _wind_in_words(found, i, wind_age_s) if windy[i] else "",
        )
        for i in range(len(ways))
    ]


def _zone_in_words(found: Verdicts, i: int, now: datetime) -> str:
    zones, zone, drone_id = found.zones, found.zone[i], found.drones.drone_id[i]
    begins_s = zones.starts_s[zone]
    since = ""
    if begins_s > now.timestamp():
        since = f" from {datetime.fromtimestamp(begins_s, UTC):%H:%M} UTC on"
    return (
        f"The no-fly zone {zones.names[zone]} lies across what {drone_id} has still to fly{since}."
    )


def _wind_in_words(found: Verdicts, i: int, age_s: float) -> str:
    limit_mps = min(
        found.drones.max_wind_mps[i],
        found.rules.max_wind_mps,
        found.drones.cruise_speed_mps[i],
    )
    return (
        f"The wind is {found.wind_mps:.1f} m/s, as measured {age_s:.0f} s ago; "
        f"{found.drones.drone_id[i]} may fly up to {limit_mps:.1f} m/s."
    )


# --- all live missions, again and again ----------------------------------------------------------


def watch(now: datetime) -> int:
    """Judge all missions that ground control has; returns how many there are.

    Two statements while nothing changes, however many missions.
    """
    jobs = list(
        DeliveryJob.objects.active()
        .filter(part__isnull=False, order__status__in=WATCHED)
        .select_related("order", "drone__kind", "drone__hub", "part__mission", "flight")
    )
    standing = {
        (one.job_id, one.code): one
        for one in Discrepancy.objects.filter(code__in=CLEAR, settled_at__isnull=True)
    }
    book = rulebook.current(now)
    reading = weather.last() if book.wind_mps is not None else None
    age_s = (now - reading.measured_at).total_seconds() if reading else 0.0
    drones = registry.table_of([job.drone for job in jobs if job.drone], {})
    spoken = judge_flights(drones, [ahead_of(job) for job in jobs], book, age_s, now)
    for job, said in zip(jobs, spoken, strict=True):
        _tell(job, Code.AIRSPACE, said.zone, standing, about=said.about)
        if said.wind is not None:
            _tell(job, Code.WEATHER, said.wind, standing)
    _settle_what_is_clear(standing, dict(zip([job.pk for job in jobs], spoken, strict=True)))
    return len(jobs)


Standing = dict[tuple[UUID, str], Discrepancy]


def _tell(
    job: DeliveryJob, code: Discrepancy.Code, words: str, standing: Standing, about: str = ""
) -> None:
    """Raise what is new; what stands about another zone than this one is over."""
    if not words:
        return
    known = standing.get((job.pk, code))
    if known is not None and about in known.message:
        return
    if known is not None:
        discrepancies.settle_when_clear([job.pk], [code], CLEAR[code])
    discrepancies.raise_(job, code, words)


def _settle_what_is_clear(standing: Standing, spoken: dict[UUID, Spoken]) -> None:
    for code in CLEAR:
        clear, over = [], []
        for job_id in _jobs_of(standing, code):
            said = spoken.get(job_id)
            if said is None:
                over.append(job_id)
            elif (said.zone if code == Code.AIRSPACE else said.wind) == "":
                clear.append(job_id)
        if clear:
            discrepancies.settle_when_clear(clear, [code], CLEAR[code])
        if over:
            discrepancies.settle_when_clear(over, [code], "The flight is over.")


def _jobs_of(standing: Standing, code: str) -> Iterable[UUID]:
    return (job_id for job_id, its_code in standing if its_code == code)
