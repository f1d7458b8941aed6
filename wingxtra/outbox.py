"""The outbox: rows of work for later, claimed by one worker at a time and tried until it is done.

A worker claims a row for a limited time, works outside of any transaction, and writes down how it
went. A worker that stood still for longer than its claim may wake up after another one has claimed
the row. So each claim has an id of its own, the fence: what a worker writes is written only while
that id is in the row, in the same statement. A claim that expired and that no other one followed
may still write.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, NoReturn, Self, TypeVar
from uuid import UUID, uuid4

import dramatiq
import structlog
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

# What one sweep does not send, the next one does.
SWEEP_AT_MOST = 200
# Pauses are up to this share longer by chance, never shorter, so that not all tries come at once.
LONGER_BY = 0.1

log = structlog.get_logger(__name__)

M = TypeVar("M", bound="Outgoing")
R = TypeVar("R", bound=models.Model)


class OutgoingQuerySet(models.QuerySet[M]):
    def unclaimed(self, now: datetime) -> Self:
        return self.filter(Q(claimed_until__isnull=True) | Q(claimed_until__lte=now))

    def due(self, now: datetime) -> Self:
        """Rows whose time has come and that no worker holds, in the order in which to take them."""
        return self.unclaimed(now).filter(next_try_at__lte=now).order_by("next_try_at")

    def revoke(self, **values: Any) -> int:
        """Write this and end the claims on these rows: workers that hold one write nothing."""
        return self.update(claimed_until=None, claim_id=None, **values)


class Outgoing(models.Model):
    """A row of an outbox. How tries are counted differs, so each model does that itself."""

    next_try_at = models.DateTimeField(default=timezone.now, db_default=Now())
    claimed_until = models.DateTimeField(null=True)
    claim_id = models.UUIDField(null=True, editable=False, help_text="The fence.")

    class Meta:
        abstract = True


class ClaimLost(Exception):
    """Another worker has claimed the row since, or the claim was revoked, or the row is gone.

    Raised inside a transaction, so that nothing of it is written. A worker has nothing to do then
    but to stop; it is in the log.
    """


@dataclass(frozen=True, slots=True)
class Claim(Generic[M]):
    """One worker's right to write one row."""

    model: type[M]
    pk: UUID
    id: UUID

    def mine(self) -> models.QuerySet[M]:
        """The row; none once the claim is lost."""
        return self.model._default_manager.filter(pk=self.pk, claim_id=self.id)

    def read(self, rows: models.QuerySet[R]) -> R:
        """The one of these rows, which are found by `mine` or by the claim's id. Raises ClaimLost.

        Without the id in the question, a worker could work with what the next one has written.
        """
        row = rows.first()
        return self._lose() if row is None else row

    def update(self, **values: Any) -> None:
        """Raises ClaimLost, which undoes what else was written in the same transaction."""
        if not self.mine().update(**values):
            self._lose()

    def end(self, **values: Any) -> None:
        """The same, and others may claim the row. Raises ClaimLost."""
        self.update(claimed_until=None, **values)

    def _lose(self) -> NoReturn:
        log.warning("claim_lost", row=self.model._meta.label_lower, id=str(self.pk))
        raise ClaimLost


def claim(
    rows: OutgoingQuerySet[M], pk: UUID, *, until: datetime, **values: Any
) -> Claim[M] | None:
    """Claim one row, in one statement, if it is among `rows`; writes `values` as well.

    None when it is not, or when another worker was first. `until` must be later than the work can
    take: after it, others may claim the row.
    """
    # An id that is drawn, not counted: what has to be read back could be the next worker's.
    mine = uuid4()
    if not rows.filter(pk=pk).update(claimed_until=until, claim_id=mine, **values):
        return None
    return Claim(rows.model, pk, mine)


def pause(tries: int, pauses_s: Sequence[float]) -> timedelta:
    """Before the next try, after `tries` (from 1) that failed; the last pause comes again."""
    pause_s = pauses_s[min(tries, len(pauses_s)) - 1]
    return timedelta(seconds=pause_s * random.uniform(1, 1 + LONGER_BY))  # noqa: S311 (no secret)


def sweep(
    rows: OutgoingQuerySet[Any], actor: dramatiq.Actor[[str], Any], *, at_most: int = SWEEP_AT_MOST
) -> None:
    """Send the actor the ids of these rows, in their order."""
    for pk in rows.values_list("pk", flat=True)[:at_most]:
        actor.send(str(pk))
