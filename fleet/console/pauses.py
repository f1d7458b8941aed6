"""Paused dispatch on the dashboard: who paused it, when and why."""

from collections.abc import Iterator
from datetime import datetime

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.urls import reverse

from fleet import policy
from fleet.models import Policy, PolicyVersion, ServiceArea
from wingxtra.console import actions
from wingxtra.console.admin import said_by
from wingxtra.console.registry import Attention

WAIT = "Orders wait until it is resumed or they are assigned by hand."


def paused_dispatch(now: datetime) -> Iterator[Attention]:
    if policy.current().dispatch_paused:
        version = PolicyVersion.objects.filter(changes__has_key="dispatch_paused").first()
        words, at = _said(Policy, "1"), version.changed_at if version else None
        if words is None and version:
            words = f"By {said_by(version.changed_by)}."
        yield Attention(
            key="paused",
            level=38,
            text="Dispatch is paused everywhere",
            detail=f"{words or ''} {WAIT}".strip(),
            since=at,
            remedies=(actions.button(Policy, "resume", 1, next=reverse("admin:index")),),
        )
    for area in ServiceArea.objects.filter(active=True, dispatch_paused=True):
        yield Attention(
            key=f"paused:{area.pk}",
            level=30,
            text=f"Dispatch is paused in {area}",
            detail=f"{_said(ServiceArea, str(area.pk)) or ''} {WAIT}".strip(),
            url=reverse("admin:fleet_servicearea_change", args=[area.pk]),
            remedies=(actions.button(ServiceArea, "resume", area.pk, next=reverse("admin:index")),),
            cause="paused-areas",
            many="areas are paused",
            all_url=reverse("admin:dispatch_dispatchrun_changelist"),
        )


def _said(model: type[Model], pk: str) -> str | None:
    """“By ama, 30 Nov 14:05 UTC: Storm.”, from the history; None if it was not paused there."""
    entry = (
        LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(model),
            object_id=pk,
            change_message__startswith="Pause dispatch",
        )
        .select_related("user")
        .order_by("-action_time")
        .first()
    )
    if entry is None:
        return None
    _, _, reason = entry.change_message.partition(" is paused")
    return f"By {entry.user}, {entry.action_time:%d %b %H:%M} UTC: {reason.partition(': ')[2]}"
