"""Sends what receivers are told: one try of a message, and the plan of its retry."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.utils import timezone

from wingxtra import outbox
from wingxtra.escalation import receivers
from wingxtra.escalation.models import AlertMessage
from wingxtra.escalation.receivers import Outcome
from wingxtra.outbox import Claim, ClaimLost

log = structlog.get_logger(__name__)

Place, State = AlertMessage.Place, AlertMessage.State
PAUSES_S = (5, 10, 30, 60, 120, 300)
GIVE_UP_AFTER = timedelta(hours=24)
CLAIM_MARGIN_S = 60
ATTEMPTS_KEPT = 20
NEVER_ARRIVED = "The receiver never got the alert, so it is not told this either."


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that this process has claimed, to be sent now."""

    claim: Claim[AlertMessage]
    message: AlertMessage


def take(message_id: UUID) -> Taken | None:
    """Claim one message. None if it is not due or another worker has it."""
    now = timezone.now()
    timeout_s = max(settings.WEBHOOK_TIMEOUT_S, settings.EMAIL_TIMEOUT) + CLAIM_MARGIN_S
    until = now + timedelta(seconds=timeout_s)
    claim = outbox.claim(AlertMessage.objects.due(now), message_id, until=until)
    if claim is None:
        return None
    with suppress(ClaimLost):
        return Taken(claim, claim.read(claim.mine().select_related("alert__rule")))
    return None


def send(taken: Taken) -> None:
    """Send what was claimed and write the result. Not inside a transaction."""
    message, now = taken.message, timezone.now()
    if _never_arrived(message):
        outcome = Outcome(arrived=False, refused=True, answer=NEVER_ARRIVED, took_ms=0)
    else:
        outcome = receivers.tell(message, now)
    with suppress(ClaimLost):
        taken.claim.end(**_changes(message, outcome, now))
    log.info(
        "alert_tried",
        alert_id=str(message.alert_id),
        place=Place(message.place).name,
        arrived=outcome.arrived,
        refused=outcome.refused,
        took_ms=outcome.took_ms,
    )


def _never_arrived(message: AlertMessage) -> bool:
    if message.place == Place.TRIGGER:
        return False
    first = AlertMessage.objects.filter(alert=message.alert_id, place=Place.TRIGGER)
    return first.filter(state=State.GIVEN_UP).exists()


def _changes(message: AlertMessage, outcome: Outcome, tried_at: datetime) -> dict[str, Any]:
    now = timezone.now()
    attempt = {
        "at": tried_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "took_ms": outcome.took_ms,
        "answer": outcome.answer,
    }
    changes: dict[str, Any] = {
        "tries": message.tries + 1,
        "attempts": [*message.attempts, attempt][-ATTEMPTS_KEPT:],
    }
    if outcome.arrived:
        return changes | {"state": State.SENT, "sent_at": now, "problem": ""}
    changes["problem"] = outcome.answer[:300]
    if outcome.refused or now >= message.created_at + GIVE_UP_AFTER:
        return changes | {"state": State.GIVEN_UP}
    return changes | {"next_try_at": now + outbox.pause(message.tries + 1, PAUSES_S)}
