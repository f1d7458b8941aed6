"""Paused dispatch on the dashboard: who paused it, when and why."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import QuerySet
from django.urls import reverse

from fleet import pauses
from fleet.console.shared import rules
from fleet.models import Policy, ServiceArea
from wingxtra.console import actions
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention

WAIT = "Orders wait until it is resumed or they are assigned by hand."


def paused_areas(now: datetime) -> QuerySet[ServiceArea]:
    return ServiceArea.objects.filter(active=True, dispatch_paused=True)


def paused_dispatch(look: Look) -> Iterator[Attention]:
    began = {change.area_id: change for change in look.rows(pauses.newest) if change.paused}
    if look.once(rules).dispatch_paused:
        change = began.get(None)
        yield Attention(
            key="paused",
            level=38,
            text="Dispatch is paused everywhere",
            detail=f"{pauses.said(change)} {WAIT}".strip(),
            since=change.at if change else None,
            remedies=(actions.button(Policy, "resume", 1, next=reverse("admin:index")),),
        )
    for area in look.rows(paused_areas):
        yield Attention(
            key=f"paused:{area.pk}",
            level=30,
            text=f"Dispatch is paused in {area}",
            detail=f"{pauses.said(began.get(area.pk))} {WAIT}".strip(),
            url=reverse("admin:fleet_servicearea_change", args=[area.pk]),
            remedies=(actions.button(ServiceArea, "resume", area.pk, next=reverse("admin:index")),),
            cause="paused-areas",
            many="areas are paused",
            all_url=reverse("admin:dispatch_dispatchrun_changelist"),
        )
