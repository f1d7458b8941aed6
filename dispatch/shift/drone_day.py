"""Everything about a drone on one day."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dispatch.models import Flight, Mission, TrackPiece
from dispatch.shift import pages, presentation, spans
from dispatch.shift.spans import Span
from fleet import policy
from fleet.models import Drone, DroneHold
from orders.console.order_page import actor_name, added_message
from orders.models import DeliveryEvent, DeliveryJob
from orders.states import EventType
from wingxtra.console.admin import duration, said_by
from wingxtra.console.times import moment

PERMISSION = "fleet.view_drone"
# Longer than any job lasts, from its assignment on.
LONGEST_JOB = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """`kind`: what it is about. `url`: of its page."""

    at: datetime
    kind: str
    what: str
    detail: str = ""
    who: str = ""
    url: str = ""


def entries(drone: Drone, span: Span) -> list[Entry]:
    """Jobs with their events, missions, holds, gaps and what staff did, the oldest first.

    Eight statements.
    """
    jobs = list(
        DeliveryJob.objects.filter(
            drone=drone, created_at__gte=span.start - LONGEST_JOB, created_at__lt=span.end
        ).select_related("order")
    )
    found = [
        *_events(jobs, span),
        *_missions(drone, span),
        *_holds(drone, span),
        *_gaps_of(jobs, span),
        *_history(drone, span),
    ]
    return sorted(found, key=lambda entry: entry.at)


def _events(jobs: Sequence[DeliveryJob], span: Span) -> Iterator[Entry]:
    events = DeliveryEvent.objects.since(span.start).filter(
        job__in=jobs, occurred_at__gte=span.start, occurred_at__lt=span.end
    )
    for event in events.select_related("order").order_by("id"):
        is_gap = event.type in (EventType.LINK_LOST, EventType.LINK_RESTORED)
        yield Entry(
            event.occurred_at,
            "Telemetry" if is_gap else f"Order {event.order}",
            str(EventType(event.type).label),
            added_message(event),
            actor_name(event),
            reverse("admin:orders_order_change", args=[event.order_id]),
        )


def _missions(drone: Drone, span: Span) -> Iterator[Entry]:
    """Each mission, when it was made, landed and known to be over."""
    within: Any = Q()
    for name in ("created_at", "landed_at", "over_at"):
        within |= Q(**{f"{name}__gte": span.start, f"{name}__lt": span.end})
    for mission in Mission.objects.filter(within, drone=drone):
        url = reverse("admin:dispatch_mission_change", args=[mission.pk])
        kind = str(mission.get_kind_display())
        state = str(mission.get_state_display())
        over = f"{mission.over_because}".strip()
        for at, what, detail, who in (
            (mission.created_at, f"Mission made: {kind}", state, ""),
            (mission.landed_at, "Seen at a hub after its mission", kind, "Telemetry"),
            (mission.over_at, "Mission over", over, said_by(mission.over_by)),
        ):
            if at and span.start <= at < span.end:
                yield Entry(at, "Mission", what, detail, who, url)


def _holds(drone: Drone, span: Span) -> Iterator[Entry]:
    for hold in DroneHold.objects.filter(drone=drone, held_at__lt=span.end):
        if hold.held_at >= span.start:
            what = f"On hold: {hold.get_code_display()}"
            yield Entry(hold.held_at, "Hold", what, hold.message, said_by(hold.held_by))
        if hold.released_at and span.start <= hold.released_at < span.end:
            who = said_by(hold.released_by)
            yield Entry(hold.released_at, "Hold", "Released", hold.release_note, who)


def _gaps_of(jobs: Sequence[DeliveryJob], span: Span) -> Iterator[Entry]:
    """Gaps in the kept tracks; tracks are removed with the customers' personal data."""
    points: dict[UUID, list[float]] = {job.pk: [] for job in jobs}
    for job_id, piece in TrackPiece.objects.filter(job__in=jobs).values_list("job", "points"):
        points[job_id] += [point[0] for point in piece]
    for job_id, recent in Flight.objects.filter(job__in=jobs).values_list("pk", "recent"):
        points[job_id] += [point[0] for point in recent]
    longest_s = policy.current().link_lost_after_s
    for times in points.values():
        for start, end in gaps(times, longest_s):
            at = datetime.fromtimestamp(start, span.zone)
            if span.start <= at < span.end:
                lasted = duration(timedelta(seconds=end - start))
                yield Entry(at, "Telemetry", f"No position for {lasted}", "In its kept track.")


def gaps(times: Sequence[float], longest_s: float) -> list[tuple[float, float]]:
    """Pairs of neighbouring times (POSIX seconds, any order) more than `longest_s` apart."""
    ordered = sorted(times)
    return [(one, other) for one, other in pairwise(ordered) if other - one > longest_s]


def _history(drone: Drone, span: Span) -> Iterator[Entry]:
    kept = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(Drone),
        object_id=drone.pk,
        action_time__gte=span.start,
        action_time__lt=span.end,
    )
    for entry in kept.select_related("user"):
        yield Entry(
            entry.action_time, "Console", str(entry.get_change_message()), "", str(entry.user)
        )


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """`drone=` is its id, `day=` a day by the clock of its base's area, today without it."""
    pages.may_see(request, PERMISSION)
    name = request.GET.get("drone", "")
    drones = Drone.objects.select_related("base__service_area")
    drone = drones.filter(pk=name).first() if name else None
    if name and drone is None:
        raise Http404(f"There is no drone “{name[:40]}”.")
    zone = drone.base.service_area.zone if drone else pages.house_zone()
    latest = spans.today(timezone.now(), zone)
    try:
        day = spans.day_of(request.GET.get("day") or latest.isoformat(), latest)
    except ValueError as problem:
        raise Http404(str(problem)) from problem
    span = Span(day, 1, zone)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": f"{drone} on {span}" if drone else "A drone's day",
        "drone": drone,
        "drones": drones.values_list("pk", flat=True),
        "span": span,
        "zone_words": presentation.zone_words(span),
        "day": day.isoformat(),
        "latest": latest.isoformat(),
        "rows": [
            {"entry": entry, "at": moment(entry.at, seconds=True, zone=zone)}
            for entry in (entries(drone, span) if drone else [])
        ],
    }
    return TemplateResponse(request, "console/shift/drone.html", context)
