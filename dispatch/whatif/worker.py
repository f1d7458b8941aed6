"""Computes what-ifs: a worker claims a row, renews the claim with its progress, and writes the
results. When a worker dies, its claim expires and another worker starts again.
"""

import time
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from dramatiq.middleware import Shutdown, TimeLimitExceeded

from dispatch.models import WhatIf
from dispatch.whatif import questions
from wingxtra import outbox
from wingxtra.outbox import Claim, ClaimLost
from wingxtra.problems import Problem

log = structlog.get_logger(__name__)
State = WhatIf.State

# Must be far longer than HEARTBEAT_S.
CLAIM = timedelta(seconds=60)
HEARTBEAT_S = 1.0
MAX_TRIES = 3
TIME_LIMIT = timedelta(minutes=30)
TOO_LONG = (
    f"It was stopped after {TIME_LIMIT.seconds // 60} minutes: far more orders wait than drones "
    "can fly. Take fewer drones away, or choose a day with fewer orders."
)
INTERNAL_ERROR = "The simulation failed with an internal error; it is in the log. Ask again later."
WORKER_DIED = (
    f"The worker that simulated it stopped {MAX_TRIES} times before it was done. Ask again, or "
    "choose a day with fewer orders."
)


def compute(what_if_id: UUID) -> None:
    """Simulate one what-if if it is due and no other is being simulated.

    May be called any number of times, but not inside a transaction: it takes seconds to minutes.
    """
    claim = _claimed(what_if_id)
    if claim is None:
        return
    with suppress(ClaimLost):
        _simulate(claim)


def give_up_dead(now: datetime) -> None:
    """Fail what-ifs whose workers died MAX_TRIES times: the next worker would die as well."""
    dead = WhatIf.objects.filter(state=State.RUNNING, claimed_until__lte=now, tries__gte=MAX_TRIES)
    if count := dead.revoke(state=State.FAILED, problem=WORKER_DIED):
        log.error("what_ifs_given_up", count=count)


def _claimed(what_if_id: UUID) -> Claim[WhatIf] | None:
    now = timezone.now()
    try:
        with transaction.atomic():
            return outbox.claim(
                WhatIf.objects.due(now),
                what_if_id,
                until=now + CLAIM,
                state=State.RUNNING,
                progress_pct=0,
                tries=F("tries") + 1,
            )
    except IntegrityError:  # another one is running; the sweep tries again
        return None


def _simulate(claim: Claim[WhatIf]) -> None:
    """Raises ClaimLost."""
    what_if = claim.read(claim.mine().select_related("service_area", "hub", "kind"))
    try:
        results = questions.results(what_if, _Heartbeat(claim))
    except ClaimLost:
        raise
    except Problem as problem:
        _end(claim, state=State.FAILED, problem=problem.detail)
    except TimeLimitExceeded:
        _end(claim, state=State.FAILED, problem=TOO_LONG)
    except Shutdown:  # the next worker starts again
        _end(claim, state=State.QUEUED)
    except Exception:
        with suppress(ClaimLost):
            _end(claim, state=State.FAILED, problem=INTERNAL_ERROR)
        raise
    else:
        _end(claim, state=State.DONE, progress_pct=100, results=results)


def _end(claim: Claim[WhatIf], **values: Any) -> None:
    claim.end(**values)
    log.info("what_if_over", what_if_id=str(claim.pk), state=values["state"].value)


class _Heartbeat:
    """Writes the progress and renews the claim, at most every HEARTBEAT_S. Raises ClaimLost."""

    def __init__(self, claim: Claim[WhatIf]) -> None:
        self._claim, self._written_at_s = claim, 0.0

    def __call__(self, share: float) -> None:
        if time.monotonic() - self._written_at_s < HEARTBEAT_S:
            return
        self._written_at_s = time.monotonic()
        until = timezone.now() + CLAIM
        self._claim.update(progress_pct=int(100 * share), claimed_until=until)
