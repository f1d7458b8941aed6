"""What changes after publishing: zones, wind and charge that speak against a live mission.

Every mission that ground control has is judged (flight/outlook.py) every two seconds, each service
area by itself, so a change of a zone, the policy or the wind is usually seen within two seconds. A
doubt is raised once for a person, and ends when its cause ends. No mission is recalled
automatically: a drone in the air may be safer on its route than turned round. Missions without an
order: reposition/watching.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from dispatch.missions import discrepancies
from dispatch.missions.flight.outlook import Concern, LiveMission, Outlook, judge_missions
from dispatch.missions.flight.state import LANDED, FlightState, Phase
from dispatch.missions.intent import lands_at
from dispatch.missions.parcel_doubt import plan_of
from dispatch.models import Discrepancy
from fleet import registry
from fleet.airspace import rulebook
from fleet.airspace.rulebook import Rulebook
from fleet.feasibility.reasons import Reason
from fleet.feasibility.rules import Rules
from fleet.feasibility.tables import Flown
from fleet.models import GeoZone
from orders.models import DeliveryJob
from orders.states import AT_THE_DROP_POINT, IN_FLIGHT, Holder, Status

WATCHED = (Status.MISSION_SUBMITTED, *IN_FLIGHT)
CLEAR_TEXT = {
    Concern.AIRSPACE: "No zone is in the way any more.",
    Concern.WEATHER: "The wind is known and within the limit again.",
    Concern.BATTERY: "The charge is enough for what is left to fly.",
}
Standing = dict[tuple[UUID, str], Discrepancy]


def areas() -> set[UUID]:
    """The service areas with live missions, or with doubts about ended ones."""
    watched = _watched_jobs().select_related(None).order_by()
    doubted = Discrepancy.objects.filter(code__in=CLEAR_TEXT, settled_at__isnull=True).order_by()
    area = "order__service_area"
    found = (rows.values_list(area, flat=True).distinct() for rows in (watched, doubted))
    return {area_id for some in found for area_id in some}


def watch_area(area_id: UUID, now: datetime) -> int:
    """Judge the missions of orders of this service area that ground control has; returns their
    number.

    Two statements while nothing changes, for any number of missions.
    """
    jobs = _under_way(_watched_jobs().filter(order__service_area=area_id))
    doubts = Discrepancy.objects.filter(code__in=CLEAR_TEXT, settled_at__isnull=True)
    standing: Standing = {
        (one.job_id, one.code): one for one in doubts.filter(order__service_area=area_id)
    }
    outlooks = _judged(jobs, rulebook.current(now), now)
    for job, outlook in zip(jobs, outlooks, strict=True):
        for concern, reason in outlook.against.items():
            about = outlook.zone if concern == Concern.AIRSPACE else ""
            _raise_if_new(job, concern, reason.message, standing, about)
    _settle_ended(standing, dict(zip([job.pk for job in jobs], outlooks, strict=True)))
    return len(jobs)


@dataclass(frozen=True, slots=True)
class Cut:
    """A flight that a zone cuts, and why, in words."""

    job: DeliveryJob
    reason: Reason

    @property
    def is_in_the_air(self) -> bool:
        return self.job.order.status in IN_FLIGHT


def cut_by(zone: GeoZone, now: datetime) -> list[Cut]:
    """The live missions that `zone`, saved or not, is in the way of; those in the air first.

    Judged as `watch_area` does, with this zone alone. One statement, and those of the rulebook.
    """
    jobs = _under_way(_watched_jobs())
    alone = rulebook.with_only(zone, rulebook.current(now), now)
    cuts = [
        Cut(job, outlook.against[Concern.AIRSPACE])
        for job, outlook in zip(jobs, _judged(jobs, alone, now), strict=True)
        if Concern.AIRSPACE in outlook.against
    ]
    return sorted(cuts, key=lambda cut: (not cut.is_in_the_air, cut.job.created_at))


def _watched_jobs() -> QuerySet[DeliveryJob]:
    return (
        DeliveryJob.objects.active()
        .filter(part__isnull=False, order__status__in=WATCHED)
        .select_related(
            "order",
            "drone__kind",
            "drone__hub",
            "drone__base",
            "part__mission__return_to",
            "flight",
        )
    )


def _under_way(jobs: QuerySet[DeliveryJob]) -> list[DeliveryJob]:
    """Leaves out the jobs whose drone has landed: the flight is over, even if the order is not."""
    return [job for job in jobs if _phase_of(job) not in LANDED]


def _phase_of(job: DeliveryJob) -> Any:
    flight = getattr(job, "flight", None)
    return flight.state.get("phase") if flight else None


def _judged(jobs: list[DeliveryJob], book: Rulebook, now: datetime) -> list[Outlook]:
    drones = registry.table_of([job.drone for job in jobs if job.drone], {})
    missions = [live_mission(job, book.rules, now) for job in jobs]
    return judge_missions(drones, missions, book, now)


def live_mission(job: DeliveryJob, rules: Rules, now: datetime) -> LiveMission:
    """`job` has its order, drone with hub, mission with hub, and flight if there is one loaded."""
    assert job.drone is not None  # noqa: S101 (a job without a drone has no mission)
    plan, order = plan_of(job), job.order
    hub = job.part.mission.return_to or job.drone.home
    flight = getattr(job, "flight", None)
    state = FlightState.from_dict(flight.state) if flight else FlightState()
    is_heard = flight and (now - flight.heard_at).total_seconds() <= rules.link_lost_after_s
    seen_start = state.start if state.start_is_ground else None
    return LiveMission(
        at=(state.fix.lat, state.fix.lng) if state.fix else None,
        pickup=(plan.pickup_lat, plan.pickup_lng),
        drop=(plan.dropoff_lat, plan.dropoff_lng),
        lands=lands_at(job.part.mission.body) or (hub.lat, hub.lng),
        flown=_flown(job, state),
        payload_kg=0.0 if order.proof_awaited_since else order.payload_weight_kg,
        battery_pct=state.battery_pct,
        battery_age_s=_battery_age_s(state) if is_heard else None,
        start=(seen_start.lat, seen_start.lng) if seen_start else None,
        start_battery_pct=state.ground_battery_pct,
    )


def _flown(job: DeliveryJob, state: FlightState) -> Flown:
    order = job.order
    if order.status not in IN_FLIGHT and state.phase is Phase.GROUND:
        return Flown.NOTHING
    if job.part.mission.recall_mode == "abort" or order.proof_awaited_since:
        return Flown.DROP
    left_pickup = state.left_pickup or order.status in AT_THE_DROP_POINT
    return Flown.PICKUP if left_pickup or order.holder == Holder.DRONE else Flown.TAKE_OFF


def _battery_age_s(state: FlightState) -> float | None:
    """By the drone's clock: from the last reading to the last position."""
    if state.fix is None or state.battery_at is None:
        return None
    return max(0.0, state.fix.at - state.battery_at)


def _raise_if_new(
    job: DeliveryJob, concern: Concern, message: str, standing: Standing, about: str
) -> None:
    """Raise a new doubt; a standing one about another zone is settled."""
    code = Discrepancy.Code(concern)
    known = standing.get((job.pk, code))
    if known is not None and about in known.message:
        return
    if known is not None:
        discrepancies.settle_when_clear([job.pk], [code], CLEAR_TEXT[concern])
    discrepancies.raise_(job, code, message)


def _settle_ended(standing: Standing, outlooks: dict[UUID, Outlook]) -> None:
    for concern, text in CLEAR_TEXT.items():
        clear, over = [], []
        for job_id in _jobs_of(standing, concern):
            outlook = outlooks.get(job_id)
            if outlook is None:
                over.append(job_id)
            elif concern not in outlook.against and concern not in outlook.unsure:
                clear.append(job_id)
        code = Discrepancy.Code(concern)
        if clear:
            discrepancies.settle_when_clear(clear, [code], text)
        if over:
            discrepancies.settle_when_clear(over, [code], "The flight is over.")


def _jobs_of(standing: Standing, code: str) -> Iterable[UUID]:
    return (job_id for job_id, its_code in standing if its_code == code)
