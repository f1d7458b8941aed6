"""Carries out bulk actions, each object once.

A worker writes that it starts with an object, acts, and writes the result. If it dies in between,
the next worker cannot know whether the verb was done. It does not try again: the row says so, and
a person looks.
"""

import time
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.http import Http404
from django.utils import timezone
from django.utils.html import strip_tags

from wingxtra import outbox
from wingxtra.console import actions
from wingxtra.console.actions import Action
from wingxtra.console.bulk import choosing
from wingxtra.console.models import BulkAction, BulkRow
from wingxtra.outbox import Claim, ClaimLost

log = structlog.get_logger(__name__)
State = BulkRow.State

# Longer than any verb takes; after a worker's death the rest waits for so long.
CLAIM = timedelta(seconds=60)
# Short, so that other work comes in between and a worker can stop.
SLICE_S = 5.0
KEPT = timedelta(days=30)
UNCONFIRMED_KEPT = timedelta(days=1)
INTERRUPTED = "The worker was stopped in the middle of it: it may be done or not. Please look."
INTERNAL_ERROR = "An internal error, which is in the log: it may be done or not. Please look."
CHANGED = "Changed since it was chosen; nothing was done."
GONE = "It does not exist any more."
NOT_ALLOWED = "The person who started this may not do it any more."


def work(bulk_id: UUID) -> bool:
    """Work on it for SLICE_S, if it is due. True if more is to be done.

    Not inside a transaction: each object has its own.
    """
    now = timezone.now()
    claim = outbox.claim(BulkAction.objects.due(now), bulk_id, until=now + CLAIM)
    if claim is None:
        return False
    with suppress(ClaimLost):
        return _slice(claim)
    return False


def forget_old() -> int:
    now = timezone.now()
    old = BulkAction.objects.filter(chosen_at__lt=now - KEPT).exclude(state="RUNNING")
    never = BulkAction.objects.filter(chosen_at__lt=now - UNCONFIRMED_KEPT, state="CHOSEN")
    return int((old | never).delete()[1].get("console.BulkAction", 0))


def _slice(claim: Claim[BulkAction]) -> bool:
    """Raises ClaimLost."""
    bulk = claim.read(claim.mine().select_related("by"))
    with transaction.atomic():
        _renew(claim)
        bulk.rows.filter(state=State.STARTED).update(state=State.UNKNOWN, result=INTERRUPTED)
    action = actions.named(bulk.label, bulk.name)
    refusal, data = _input(bulk, action)
    ends_at = time.monotonic() + SLICE_S
    while (row := _start_next(claim, bulk)) is not None:
        state, result = (State.REFUSED, refusal)
        if action is not None and not refusal:
            state, result = _carry_out(action, row, dict(data), bulk.by)
        with transaction.atomic():
            _renew(claim)
            BulkRow.objects.filter(pk=row.pk).update(state=state, result=result)
        if time.monotonic() > ends_at:
            claim.end(next_try_at=timezone.now())
            return True
    stopped = bulk.rows.filter(state=State.WAITING).exists()
    after = BulkAction.State.STOPPED if stopped else BulkAction.State.DONE
    claim.end(state=after, form={})
    log.info("bulk_action_over", bulk_action_id=str(bulk.pk), state=after.value)
    return False


def _renew(claim: Claim[BulkAction]) -> None:
    claim.update(claimed_until=timezone.now() + CLAIM)


def _input(bulk: BulkAction, action: Action | None) -> tuple[str, dict[str, Any]]:
    """(why nothing can be done, "" if it can; the form's values)."""
    if action is None or not bulk.by.is_active or not bulk.by.has_perm(action.permission):
        return NOT_ALLOWED, {}
    form = choosing.form_of(bulk, action, choosing.stored(bulk))
    if not form.is_valid():
        wrong = " ".join(str(error) for errors in form.errors.values() for error in errors)
        return f"The form is not valid any more. {wrong}", {}
    return "", form.cleaned_data


def _start_next(claim: Claim[BulkAction], bulk: BulkAction) -> BulkRow | None:
    """The next object, marked as started; None if there is none or a person asked to stop."""
    with transaction.atomic():
        _renew(claim)
        if BulkAction.objects.filter(pk=bulk.pk, stop=True).exists():
            return None
        row = bulk.rows.filter(state=State.WAITING).order_by("position").first()
        if row is not None:
            BulkRow.objects.filter(pk=row.pk).update(state=State.STARTED)
        return row


def _carry_out(
    action: Action, row: BulkRow, data: dict[str, Any], user: Any
) -> tuple[BulkRow.State, str]:
    try:
        target = actions.carry_out(action, row.object_id, row.seen, data, user)
    except Http404:
        return State.REFUSED, GONE
    except Exception:
        log.exception("bulk_row_failed", bulk_row_id=row.pk, action=action.name)
        return State.UNKNOWN, INTERNAL_ERROR
    if target.changes:
        return State.REFUSED, " ".join([CHANGED, *target.changes])
    if target.problem:
        return State.REFUSED, target.problem
    return State.DONE, strip_tags(target.result)
