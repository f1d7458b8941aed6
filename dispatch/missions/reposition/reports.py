"""What ground control reports of a flight to the base."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from dispatch.missions.reposition import following, verbs
from dispatch.models import Mission
from fleet import registry
from fleet.models import DroneHold
from orders.states import JobStatus
from wingxtra.accounts.identity import Actor

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
def report(
    mission_id: UUID,
    kind: ReportType,
    *,
    by: Actor,
    message: str = "",
    occurred_at: datetime | None = None,
) -> ReportResult:
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
    if kind == ReportType.LAUNCHED:
        following.launched(mission, occurred_at)
    if kind in ENDS:
        because = message or f"Ground control reports: {kind.value.lower()}."
        verbs.end(
            Mission.objects.filter(pk=mission.pk),
            by=by,
            because=because,
            outcome=_outcome(mission, kind),
        )
        if kind != ReportType.LANDED and not mission.recall_mode:
            why = f"Its flight to its base has {kind.value.lower()}. {message}".strip()
            registry.hold(mission.drone_id, DroneHold.Code.FLIGHT_FAILED, why, by=by)
    return ReportResult(verbs.errand(mission_id))


def _outcome(mission: Mission, kind: ReportType) -> JobStatus:
    """A flight that was called back has not got to its base."""
    if kind == ReportType.FAILED:
        return JobStatus.FAILED
    was_called_back = kind == ReportType.ABORTED or mission.recall_mode == "abort"
    return JobStatus.ABORTED if was_called_back else JobStatus.COMPLETED
