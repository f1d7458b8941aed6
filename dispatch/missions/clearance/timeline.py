"""What the clearance service said, in the timeline of the mission's orders."""

import structlog

from dispatch.models import Mission, MissionPart
from orders import lifecycle
from orders.states import EventType, Happened
from wingxtra.accounts.identity import SYSTEM

log = structlog.get_logger(__name__)


def note(mission: Mission, code: str, message: str) -> None:
    """An event of each order of the mission whose job is not over; none for a flight to a base."""
    happened = Happened(EventType.CLEARANCE, message, {"code": code})
    for part in MissionPart.objects.filter(mission=mission.pk):
        try:
            lifecycle.note(part.order_id, happened, by=SYSTEM, job_id=part.job_id)
        except lifecycle.Refused:
            log.info("clearance_not_needed_any_more", intent_id=str(mission.pk), code=code)
