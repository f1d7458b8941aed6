"""Who computes a what-if: a worker that claims its row, says while it lives how far it is, and
writes down what came of it. What a dead worker leaves behind is taken up again.
"""

import time
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
from wingxtra.problems import Problem

log = structlog.get_logger(__name__)
State = WhatIf.State

# The worker says that it is alive far more often than that.
CLAIM = timedelta(seconds=60)
BEAT_S = 1.0
MOST_TRIES = 3
TIME_LIMIT = timedelta(minutes=30)
TOO_LONG = (
    f"It was stopped after {TIME_LIMIT.seconds // 60} minutes: far more orders wait than drones "
    "can fly. Take fewer drones away, or choose a day with fewer orders."
)
OUR_FAULT = "Something went wrong that is not your fault; it is in the log. Ask again later."
WORKER_DIED = (
    f"The worker that simulated it stopped {MOST_TRIES} times before it was done. Ask again, or "
    "choose a day with fewer orders."
)


class Overtaken(Exception):
    """The claim is somebody else's by now, or the row is gone."""


def compute(what_if_id: UUID) -> None:
    """Simulate one what-if if it is due and no other is being simulated.

    Call it any number of times, never inside a transaction: it takes seconds to minutes.
    """
    what_if = _claimed(what_if_id)
    if what_if is None:
        return
    try:
        results = questions.results(what_if, _Beat(what_if))
    except Overtaken:
        log.warning("what_if_overtaken", what_if_id=str(what_if_id))
    except Problem as problem:
        _end(what_if, state=State.FAILED, problem=problem.detail)
    except TimeLimitExceeded:
        _end(what_if, state=State.FAILED, problem=TOO_LONG)
    except Shutdown:  # the next worker begins it anew
        _end(what_if, state=State.QUEUED)
    except Exception:
        _end(what_if, state=State.FAILED, problem=OUR_FAULT)
        raise
    else:
        _end(what_if, state=State.DONE, progress_pct=100, results=results)


def next_due(now: datetime) -> UUID | None:
    """What is to be simulated next; None while one is being simulated."""
    if WhatIf.objects.filter(state=State.RUNNING, claimed_until__gt=now).exists():
        return None
    # One that was begun is in the way of the others.
    due = WhatIf.objects.due(now).order_by(F("claimed_until").asc(nulls_last=True), "asked_at")
    return due.values_list("pk", flat=True).first()


def give_up_dead(now: datetime) -> None:
    """Whatever ends the worker each time would end the next one as well."""
    dead = WhatIf.objects.filter(state=State.RUNNING, claimed_until__lte=now, tries__gte=MOST_TRIES)
    if count := dead.update(state=State.FAILED, claimed_until=None, problem=WORKER_DIED):
        log.error("what_ifs_given_up", count=count)


def _claimed(what_if_id: UUID) -> WhatIf | None:
    now = timezone.now()
    due = WhatIf.objects.due(now).filter(pk=what_if_id)
    try:
        with transaction.atomic():
            claimed = due.update(
                state=State.RUNNING,
                claimed_until=now + CLAIM,
                progress_pct=0,
                tries=F("tries") + 1,
            )
    except IntegrityError:  # one at a time; the sweep comes back to it
        return None
    rows = WhatIf.objects.select_related("service_area", "hub", "kind")
    return rows.filter(pk=what_if_id).first() if claimed else None


def _mine(what_if: WhatIf) -> Any:
    """The row as long as the claim is ours: each has its own number."""
    return WhatIf.objects.filter(pk=what_if.pk, state=State.RUNNING, tries=what_if.tries)


def _end(what_if: WhatIf, **values: Any) -> None:
    if _mine(what_if).update(claimed_until=None, **values):
        log.info("what_if_over", what_if_id=str(what_if.pk), state=values["state"].value)


class _Beat:
    """Says how far it is, and by that that the worker lives. Raises Overtaken."""

    def __init__(self, what_if: WhatIf) -> None:
        self.what_if, self._said_at_s = what_if, 0.0

    def __call__(self, share: float) -> None:
        if time.monotonic() - self._said_at_s < BEAT_S:
            return
        self._said_at_s = time.monotonic()
        values = {"progress_pct": int(100 * share), "claimed_until": timezone.now() + CLAIM}
        if not _mine(self.what_if).update(**values):
            raise Overtaken
