"""A bulk action is chosen, confirmed with its form, and perhaps stopped."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.http import QueryDict
from django.utils import timezone

from wingxtra.console import watches
from wingxtra.console.actions import Action, ActionForm
from wingxtra.console.models import BulkAction, BulkRow

MAX_CHOSEN = 10_000
AT_ONCE = 500


@transaction.atomic
def choose(action: Action, pks: Sequence[Any], user: Any) -> BulkAction:
    """Write down these objects with their present state. Nothing is done before `confirm`."""
    label = action.model._meta.label_lower
    bulk = BulkAction.objects.create(label=label, name=action.name, by=user)
    for start in range(0, len(pks), AT_ONCE):
        some = pks[start : start + AT_ONCE]
        found = action.model._default_manager.in_bulk(some)
        seen = watches.tokens(action.model, list(found.values()), action.name)
        BulkRow.objects.bulk_create(
            BulkRow(
                bulk=bulk,
                position=position,
                object_id=str(pk),
                about=str(found[pk])[:200],
                seen=seen.get(pk, ""),
            )
            for position, pk in enumerate(some, start + 1)
            if pk in found
        )
    return bulk


def form_of(bulk: BulkAction, action: Action, posted: QueryDict | None) -> ActionForm:
    """The form of an action in the background gets no targets: there may be thousands."""
    return action.form(posted, targets=(), user=bulk.by)


def stored(bulk: BulkAction) -> QueryDict:
    """What `confirm` stored."""
    posted = QueryDict(mutable=True)
    for name, values in bulk.form.items():
        posted.setlist(name, values)
    return posted


def confirm(bulk: BulkAction, form: ActionForm, posted: QueryDict) -> bool:
    """Hand it to the workers. False if that was done before."""
    values = {name: posted.getlist(name) for name in form.fields}
    chosen = BulkAction.objects.filter(pk=bulk.pk, state=BulkAction.State.CHOSEN)
    return bool(
        chosen.update(state=BulkAction.State.RUNNING, form=values, next_try_at=timezone.now())
    )


def stop(bulk: BulkAction) -> None:
    """Its worker stops before the next object; what is done stays done."""
    BulkAction.objects.filter(pk=bulk.pk).update(stop=True)
