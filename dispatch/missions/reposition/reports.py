"""What ground control reports of a flight to the base, and what telemetry shows of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from dispatch.missions.reposition import verbs
from dispatch.missions.standing import CONFIRMED_AFTER_S, LANDED_AFTER_S
from dispatch.models import Mission
from fleet import registry
from fleet.models import DroneHold
from wingxtra.accounts.identity import TELEMETRY, Actor

State = Mission.State


class ReportType(StrEnum):
    ACCEPTED = "ACCEPTED"
    LAUNCHED = "LAUNCHED"
    LANDED = "LANDED"
    FAILED = "FAILED"
    ABORTED = "ABORTED"


ENDS = (ReportType.LANDED, ReportType.FAILED, ReportType.ABORTED)


@dataclass(frozen=True, slots=True)
class ReportResult:
    """`note` says why a report changed nothing; empty if it changed something."""

    mission: Mission
    note: str = ""


@transaction.atomic
def report(mission_id: UUID, kind: ReportType, *, by: Actor, message: str = "") -> ReportResult:
    """Apply a report; a repeated or late one changes nothing. Raises NotFound.

    LANDED ends the mission. Where the drone stands is for telemetry to say.
    """
    verbs.errand(mission_id)
    mission = Mission.objects.select_for_update().get(pk=mission_id)
    if mission.over_at is not None:
        return ReportResult(mission, f"The mission is over: {mission.over_because}")
    if kind == ReportType.ACCEPTED and mission.said:
        return ReportResult(mission, f"Ground control said {mission.said} before.")
    if mission.said == kind:
        return ReportResult(mission, "This was reported before.")
    mission.said, mission.said_at = kind.value, timezone.now()
    if mission.accepted_at is None:
        mission.state, mission.accepted_at = State.ACCEPTED, mission.said_at
    mission.save(update_fields=["said", "said_at", "state", "accepted_at"])
    if kind in ENDS:
        because = message or f"Ground control reports: {kind.value.lower()}."
        verbs.end(Mission.objects.filter(pk=mission.pk), by=by, because=because)
        if kind != ReportType.LANDED and not mission.recall_mode:
            why = f"Its flight to its base has {kind.value.lower()}. {message}".strip()
            registry.hold(mission.drone_id, DroneHold.Code.FLIGHT_FAILED, why, by=by)
    return ReportResult(verbs.errand(mission_id))


def end_landed(area_id: UUID, now: datetime) -> None:
    """End the missions whose drones, of this area, telemetry shows at a hub again. One statement if
    none is.
    """
    landed = Mission.objects.errands().filter(
        drone__base__service_area=area_id,
        tries__gt=0,
        drone__stands_at__isnull=False,
        drone__stands_since__lte=now - timedelta(seconds=LANDED_AFTER_S),
        # It stood at the hub of departure before ground control had the mission.
        drone__stands_since__gt=F("created_at"),
    )
    for mission in landed.select_related("drone__stands_at"):
        drone = mission.drone
        at_base = drone.stands_at_id == mission.return_to_id
        stood_s = (now - (drone.stands_since or now)).total_seconds()
        if at_base or stood_s >= CONFIRMED_AFTER_S:
            because = f"{drone} stands at {drone.stands_at}."
            verbs.end(Mission.objects.filter(pk=mission.pk), by=TELEMETRY, because=because)
