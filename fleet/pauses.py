"""Pauses of automatic dispatch. Each change is kept: who paused what, when and why."""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from fleet import policy
from fleet.airspace import rulebook
from fleet.models import PauseChange, Policy, ServiceArea
from wingxtra.accounts.identity import Actor, said_by
from wingxtra.console.times import in_words
from wingxtra.problems import Conflict
from wingxtra.sentences import sentence


def set_area(area: ServiceArea, *, paused: bool, by: Actor, reason: str) -> None:
    """Raises Conflict if the area is paused, or running, already."""
    with transaction.atomic():
        other = ServiceArea.objects.filter(pk=area.pk).exclude(dispatch_paused=paused)
        if not other.update(dispatch_paused=paused):
            state = "paused" if paused else "running"
            raise Conflict("nothing_to_do", f"Dispatch in {area} is {state} already.")
        PauseChange.objects.create(area=area, paused=paused, reason=reason, by=str(by)[:180])
    rulebook.VERSION.bump()


@transaction.atomic
def set_everywhere(*, paused: bool, by: Actor, reason: str) -> None:
    """Without a change, nothing is written."""
    before = Policy.objects.select_for_update().get(pk=1).dispatch_paused
    policy.change(by=by, dispatch_paused=paused)
    if before != paused:
        PauseChange.objects.create(paused=paused, reason=reason, by=str(by)[:180])


def latest(area: ServiceArea | None = None) -> PauseChange | None:
    """How the pause of this area, or of dispatch everywhere, began. None where that was not kept;
    what is kept of an earlier pause, which has ended, tells nothing about this one.
    """
    last = PauseChange.objects.filter(area=area).select_related("area").first()
    return last if last and last.paused else None


def newest(now: datetime) -> QuerySet[PauseChange]:
    """The newest change of each area, and of everywhere."""
    each = PauseChange.objects.select_related("area").order_by("area_id", "-at", "-id")
    return each.distinct("area_id")


def said(pause: PauseChange | None) -> str:
    """“By ama, 30 Nov 14:05 GMT: Storm.”, by the clock of its area; empty without a pause."""
    if pause is None:
        return ""
    at = in_words(pause.at, pause.area.zone if pause.area else None)
    return f"By {said_by(pause.by)}, {at}: {sentence(pause.reason)}"
