"""Who paused what, when and why: dispatch, by area or everywhere, and publishing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dispatch.models import PublishingPause
from dispatch.shift import pages
from fleet.models import PauseChange
from wingxtra.console.admin import duration, said_by
from wingxtra.console.times import house_zone, moment

PERMISSION = "fleet.view_pausechange"
MAX_CHANGES = 400


@dataclass(frozen=True, slots=True)
class Pause:
    """`ended_at` is None while it lasts. `began_at` is None if it began before the kept history."""

    what: str
    began_at: datetime | None
    by: str
    why: str
    ended_at: datetime | None = None
    ended_by: str = ""
    end_why: str = ""


def of_dispatch(changes: Iterable[PauseChange]) -> list[Pause]:
    """Pairs each pause with the next change of the same area. `changes`: in order of time."""
    open_ones: dict[Any, Pause] = {}
    found = []
    for change in changes:
        what = f"Dispatch in {change.area}" if change.area else "Dispatch everywhere"
        if change.paused:
            pause = Pause(what, change.at, said_by(change.by), change.reason)
            open_ones.setdefault(change.area_id, pause)
            continue
        begun = open_ones.pop(change.area_id, Pause(what, None, "", ""))
        who, why = said_by(change.by), change.reason
        found.append(replace(begun, ended_at=change.at, ended_by=who, end_why=why))
    return found + list(open_ones.values())


def of_publishing(rows: Iterable[PublishingPause]) -> list[Pause]:
    return [
        Pause(
            "Missions to ground control",
            row.began_at,
            "the system",
            row.because,
            row.ended_at,
            said_by(row.ended_by),
        )
        for row in rows
    ]


def latest() -> list[Pause]:
    """The latest pauses: those that last first, then the newest. Two statements."""
    changes = list(PauseChange.objects.select_related("area")[:MAX_CHANGES])
    found = of_dispatch(reversed(changes))
    found += of_publishing(PublishingPause.objects.all()[:MAX_CHANGES])
    return ordered(found)


def ordered(found: Sequence[Pause]) -> list[Pause]:
    def newest(pause: Pause) -> tuple[bool, float]:
        at = pause.began_at or pause.ended_at
        return pause.ended_at is not None, -(at.timestamp() if at else 0)

    return sorted(found, key=newest)


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    pages.may_see(request, PERMISSION)
    now, zone = timezone.now(), house_zone()
    rows = [
        {
            "pause": pause,
            "began": moment(pause.began_at, zone=zone),
            "ended": moment(pause.ended_at, zone=zone),
            "lasted": duration((pause.ended_at or now) - pause.began_at) if pause.began_at else "",
        }
        for pause in latest()
    ]
    context = {**admin.site.each_context(request), "title": "Pauses", "rows": rows}
    return TemplateResponse(request, "console/shift/pauses.html", context)
