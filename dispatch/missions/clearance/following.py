"""Follows the clearances of missions: checked while the mission is live, given back after it. The
service is told how the drone flies (see `conforming`).

A grant that is withdrawn in flight stops nothing by itself: ground control flies, and a person
decides whether an abort is safer. It is an attention item at once.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db.models import Case, DateTimeField, F, Q, Value, When
from django.utils import timezone

from dispatch.missions.clearance import port
from dispatch.missions.clearance.gate import CHECK_EVERY, PAUSES_S
from dispatch.missions.clearance.timeline import note
from dispatch.models import Clearance
from wingxtra import outbox
from wingxtra.outbox import Claim, ClaimLost

# The service ends a declaration by itself when its time is over; so we stop telling it then.
TOLD_FOR = timedelta(hours=1)

State = Clearance.State
Flown = Clearance.Flown
log = structlog.get_logger(__name__)


def follow(mission_id: UUID, *, now: datetime | None = None) -> None:
    """Check or give back one clearance that is due and not claimed. Idempotent."""
    now = now or timezone.now()
    until = now + timedelta(seconds=settings.CLEARANCE_TIMEOUT_S + 5)
    claim = outbox.claim(Clearance.objects.to_follow(now), mission_id, until=until)
    if claim is None:
        return
    with suppress(ClaimLost):
        row = claim.read(claim.mine().select_related("mission"))
        service = port.service()
        if service is None:
            why = "CLEARANCE is none now: the service was not told of the end."
            claim.end(state=State.ENDED, answer=why)
            return
        try:
            if Clearance.objects.of_ended_missions().filter(pk=row.pk).exists():
                _give_back(claim, row, service)
            else:
                _check(claim, row, service, now)
        except port.ClearanceUnavailable as problem:
            _try_later(claim, row, problem, now)


def _give_back(claim: Claim[Clearance], row: Clearance, service: port.Service) -> None:
    """Raises ClearanceUnavailable and ClaimLost."""
    flown = row.mission.accepted_at is not None and row.mission.state == row.mission.State.ACCEPTED
    if row.known_as or row.state == State.ASKED:
        service.ended(row.pk, row.known_as, flown=flown)
    claim.end(state=State.ENDED, failures=0)
    log.info("clearance_given_back", intent_id=str(row.pk), flown=flown)


def _check(claim: Claim[Clearance], row: Clearance, service: port.Service, now: datetime) -> None:
    """Ask whether it is still granted, then tell how the drone flies if that is news. What we tell
    must not cover a withdrawal, so a clearance that is not granted is told nothing.

    Raises ClearanceUnavailable and ClaimLost.
    """
    answer = service.check(row.known_as, conforms=not _may_be_told_nonconforming(row))
    if not isinstance(answer, port.Granted):
        _withdrawn(claim, row, answer, now)
        return
    ends_at = answer.ends_at or row.ends_at
    found = {"state": State.GRANTED, "code": "", "answer": "", "lost_at": None, "ends_at": ends_at}
    if row.flown_as == row.told_as:
        claim.end(**found, failures=0, answered_at=now, next_try_at=_next(now, row.flown_as))
    else:
        claim.update(**found, answered_at=now)  # `failures` counts on, so that pauses grow
    if row.state != State.GRANTED:
        note(row.mission, "clearance_granted", f"{service.name} clears the flight again.")
    if row.flown_as != row.told_as:
        _tell(claim, row, service, now)


def _may_be_told_nonconforming(row: Clearance) -> bool:
    """We have told that it is outside, or tell it now, or had no answer to what we told last."""
    is_unclear = bool(row.flown_as) and not row.told_as and row.failures > 0
    return is_unclear or Flown.NONCONFORMING in (row.flown_as, row.told_as)


def _withdrawn(
    claim: Claim[Clearance], row: Clearance, answer: port.Wait | port.Refused, now: datetime
) -> None:
    """Raises ClaimLost."""
    claim.end(
        state=State.WITHDRAWN,
        code=answer.code,
        answer=answer.why,
        lost_at=row.lost_at or now,
        failures=0,
        answered_at=now,
        next_try_at=_next(now, row.flown_as),
    )
    if row.state == State.GRANTED:
        note(row.mission, "clearance_withdrawn", f"The clearance was withdrawn. {answer.why}")
        log.warning("clearance_withdrawn", intent_id=str(row.pk), code=answer.code)


def _tell(claim: Claim[Clearance], row: Clearance, service: port.Service, now: datetime) -> None:
    """Tell the service how the drone flies. The grant is checked as often while that fails.

    Raises ClaimLost.
    """
    try:
        service.flies(row.known_as, conforms=row.flown_as != Flown.NONCONFORMING)
    except port.ClearanceUnavailable as problem:
        pause = min(outbox.pause(row.failures + 1, PAUSES_S), CHECK_EVERY)
        # It may have been told: what it was told is not known.
        claim.end(**_failed(problem), told_as=Flown.NOT_YET, next_try_at=now + pause)
        return
    told = {"told_as": row.flown_as, "told_at": timezone.now(), "failures": 0}
    claim.end(**told, next_try_at=_next(now, row.flown_as))
    log.info("clearance_told", intent_id=str(row.pk), flown_as=row.flown_as)


def _next(now: datetime, seen_as: str) -> Case:
    """At once if a look has found news during the calls, else after the usual time."""
    later = Value(now + CHECK_EVERY, output_field=DateTimeField())
    return Case(When(~Q(flown_as=seen_as), then=Value(now)), default=later)


def _failed(problem: port.ClearanceUnavailable) -> dict[str, Any]:
    return {
        "code": problem.code,
        "answer": problem.detail[:1000],
        "failures": F("failures") + 1,
    }


def _try_later(
    claim: Claim[Clearance], row: Clearance, problem: port.ClearanceUnavailable, now: datetime
) -> None:
    is_over = row.ends_at is not None and now > row.ends_at + TOLD_FOR
    if is_over and Clearance.objects.of_ended_missions().filter(pk=row.pk).exists():
        why = f"The service was not told of the end: {problem.detail}"
        claim.end(state=State.ENDED, code=problem.code, answer=why[:1000])
        log.warning("clearance_end_not_told", intent_id=str(row.pk), code=problem.code)
        return
    claim.end(
        **_failed(problem),
        next_try_at=now + outbox.pause(row.failures + 1, PAUSES_S),
    )
