"""Pauses of automatic dispatch. Each change is kept: who paused what, when and why."""

from django.db import transaction

from fleet import policy
from fleet.airspace import rulebook
from fleet.models import PauseChange, Policy, ServiceArea
from wingxtra.accounts.identity import Actor, said_by
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
    """The newest change in this area, or of dispatch everywhere. None: paused before they were
    kept.
    """
    return PauseChange.objects.filter(area=area).first()


def said(change: PauseChange | None) -> str:
    """“By ama, 30 Nov 14:05 UTC: Storm.”; empty without a change."""
    if change is None:
        return ""
    return f"By {said_by(change.by)}, {change.at:%d %b %H:%M} UTC: {sentence(change.reason)}"
