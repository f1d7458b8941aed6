"""The outbox: rows of work for later, claimed by one worker at a time and retried until done.

A worker claims a row for a limited time, works outside of any transaction, and writes the result.
A worker that stalls for longer than its claim may resume after another one has claimed the row. So
each claim has its own id, the fence: a worker's write has the condition, in the same statement,
that the row still holds this id. An expired claim may still write if no other worker has claimed
the row.
"""

import random
from collections.abc import Callable, Sequence
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

from wingxtra.database import few_rows
from wingxtra.database.statements import Update

# The next sweep sends the rest.
SWEEP_AT_MOST = 200
# Jitter: pauses are longer by a random share of up to this, so that retries spread out.
JITTER = 0.1
# Ends the claim on a row: its worker can write nothing.
REVOKED: dict[str, Any] = {"claimed_until": None, "claim_id": None}

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
        """Write `values` and end the claims on these rows: their workers can write nothing."""
        return self.update(**REVOKED, **values)


class Outgoing(models.Model):
    """A row of an outbox. Each model counts its tries in its own way."""

    next_try_at = models.DateTimeField(default=timezone.now, db_default=Now())
    claimed_until = models.DateTimeField(null=True)
    claim_id = models.UUIDField(null=True, editable=False, help_text="The fence.")

    class Meta:
        abstract = True


class ClaimLost(Exception):
    """Another worker has claimed the row since, or the claim was revoked, or the row is deleted.

    Raised inside a transaction, which rolls back. The worker stops; the loss is logged.
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
        """The first of `rows`, a query that filters by `mine` or by the claim's id.

        Without that filter, a worker could read what the next one has written. Raises ClaimLost.
        """
        return self.found(rows.first())

    def found(self, row: R | None) -> R:
        """The same for a row that a Statement has read: None if it found none."""
        return self._lose() if row is None else row

    def update(self, **values: Any) -> None:
        """A foreign key is given by its id: `hub_id`, not `hub`.

        Raises ClaimLost, which rolls back the transaction around it.
        """
        if any(hasattr(value, "resolve_expression") for value in values.values()):
            changed = self.mine().update(**values)
        else:
            mine = {"pk": self.pk, "claim_id": self.id}
            changed = few_rows.update_where(self.model, mine, **values)
        if not changed:
            self._lose()

    def end(self, **values: Any) -> None:
        """`update`, and release the row for other claims. Raises ClaimLost."""
        self.update(claimed_until=None, **values)

    def _lose(self) -> NoReturn:
        log.warning("claim_lost", row=self.model._meta.label_lower, id=str(self.pk))
        raise ClaimLost


class Claims(Generic[M]):
    """`claim` for rows that are claimed often, compiled once.

    claimable(now): the rows, as `rows` of `claim`. values(now): what is written as well. Both are
    called once, with a stand-in for the time, so they must not depend on it.
    """

    def __init__(
        self,
        model: type[M],
        claimable: Callable[[datetime], OutgoingQuerySet[M]],
        values: Callable[[datetime], dict[str, Any]] = lambda now: {},
    ) -> None:
        self._model = model
        self._claiming = Update(
            lambda pk, now, until, claim_id: (
                claimable(now).filter(pk=pk),
                {"claimed_until": until, "claim_id": claim_id, **values(now)},
            ),
            pk=UUID,
            now=datetime,
            until=datetime,
            claim_id=UUID,
        )

    def claim(self, pk: UUID, *, now: datetime, until: datetime) -> Claim[M] | None:
        mine = uuid4()
        if not self._claiming.run(pk=pk, now=now, until=until, claim_id=mine):
            return None
        return Claim(self._model, pk, mine)


def claim(
    rows: OutgoingQuerySet[M], pk: UUID, *, until: datetime, **values: Any
) -> Claim[M] | None:
    """Claim the row `pk` of `rows` in one statement, and write `values` as well.

    None if it is not among `rows` or another worker was first. `until` must be later than the work
    can end: after it, others may claim the row.
    """
    # Random, not a counter: a counter would have to be read back, and could be the next worker's.
    mine = uuid4()
    if not rows.filter(pk=pk).update(claimed_until=until, claim_id=mine, **values):
        return None
    return Claim(rows.model, pk, mine)


def pause(tries: int, pauses_s: Sequence[float]) -> timedelta:
    """The pause after `tries` (from 1) failed tries; the last of `pauses_s` repeats."""
    pause_s = pauses_s[min(tries, len(pauses_s)) - 1]
    return timedelta(seconds=pause_s * random.uniform(1, 1 + JITTER))  # noqa: S311 (no secret)


def sweep(
    rows: models.QuerySet[Any], actor: dramatiq.Actor[[str], Any], *, at_most: int = SWEEP_AT_MOST
) -> None:
    """Send the actor the ids of these rows, in their order."""
    for pk in rows.values_list("pk", flat=True)[:at_most]:
        actor.send(str(pk))
