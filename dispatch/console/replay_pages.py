"""Replay: a flight, or the last day of an area, with its events and decisions beside it."""

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_safe

from dispatch.console.presentation import OUTCOME_TONE
from dispatch.missions.replay import recording
from dispatch.missions.replay.recording import Recording
from dispatch.models import DispatchDecision, Mission
from fleet.console.map_pages import surroundings
from fleet.models import ServiceArea
from orders import presentation
from orders.console import order_page
from orders.console.pages import features_of
from orders.models import DeliveryEvent, DeliveryJob
from orders.states import EventType
from wingxtra.console import registry
from wingxtra.console.registry import Feature, MapLink, Page, Section, Tone, add_section
from wingxtra.console.widgets import tiles

PERMISSION = "orders.view_order"
SPEEDS = (1, 2, 5, 10, 30, 60)


def _check(request: HttpRequest) -> None:
    user: Any = request.user
    if not user.has_perm(PERMISSION):
        raise PermissionDenied


# --- one flight ----------------------------------------------------------------------------------


@require_safe
def flight(request: HttpRequest, job_id: UUID) -> HttpResponse:
    _check(request)
    job = _job(job_id)
    now = timezone.now()
    context = {
        "title": f"Replay of {job.drone_id or 'a test flight'}, order {job.order}",
        "data_url": (data_url := reverse("admin:replay-flight-data", args=[job.pk])),
        "first_url": data_url,
        "back": {
            "label": f"Order {job.order}",
            "url": reverse("admin:orders_order_change", args=[job.order_id]),
        },
        "start": round(job.created_at.timestamp()),
        "end": round((job.ended_at or now).timestamp()),
        "features": [plain(one) for one in features_of(job.order, now) if one.look != "line"],
    }
    return _page(request, context)


@require_safe
def flight_data(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """The recording of one job as JSON, see `as_json`."""
    _check(request)
    return _json(recording.of_flight(_job(job_id), timezone.now()))


def _job(job_id: UUID) -> DeliveryJob:
    return get_object_or_404(DeliveryJob.objects.select_related("order"), pk=job_id)


def url_of(job_id: UUID) -> str:
    return reverse("admin:replay-flight", args=[job_id])


# --- the last day of an area ---------------------------------------------------------------------


@require_safe
def any_area(request: HttpRequest) -> HttpResponse:
    """Leads to the chosen area, or to the first one."""
    _check(request)
    served = ServiceArea.objects.filter(active=True)
    try:
        first = (served.filter(pk=request.GET["area"]) if "area" in request.GET else served).first()
    except (ValueError, ValidationError) as error:
        raise Http404("There is no such area.") from error
    if first is None:
        raise Http404("There is no such area.")
    return HttpResponseRedirect(reverse("admin:replay-area", args=[first.pk]))


@require_safe
def area(request: HttpRequest, area_id: UUID) -> HttpResponse:
    _check(request)
    shown = get_object_or_404(ServiceArea, pk=area_id)
    now = timezone.now()
    starts = recording.windows(now)
    data_url = reverse("admin:replay-area-data", args=[shown.pk])
    first = quote(f"{starts[-2]:%Y-%m-%dT%H:%M:%S}.000Z")
    context = {
        "title": f"Replay of {shown}, last 24 hours",
        "data_url": data_url,
        "first_url": "" if "at" in request.GET else f"{data_url}?from={first}",
        "back": {"label": "Live map", "url": reverse("admin:map")},
        "start": round(max(starts[0], now - recording.KEPT).timestamp()),
        "end": round(now.timestamp()),
        "windows": [round(start.timestamp()) for start in starts],
        "areas": ServiceArea.objects.filter(active=True),
        "shown": shown,
        "features": [plain(one) for one in surroundings(shown, now)],
    }
    return _page(request, context)


@require_safe
def area_data(request: HttpRequest, area_id: UUID) -> HttpResponse:
    """The recording of the hour from `?from=` on, which is a full hour of the last 24 (UTC)."""
    _check(request)
    shown = get_object_or_404(ServiceArea, pk=area_id)
    start = _moment(request.GET.get("from", ""))
    if start not in recording.windows(timezone.now()):
        detail = "“from” is a full hour (UTC) of the last 24, as in 2026-11-30T09:00:00Z."
        return JsonResponse({"code": "bad_window", "detail": detail}, status=400)
    assert start is not None  # noqa: S101 (None is in no list of windows)
    return _json(recording.of_area(shown, start))


def _moment(text: str) -> datetime | None:
    """None without a time zone, too: which hour is meant would be a guess."""
    try:
        at = parse_datetime(text)
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None


# --- both ----------------------------------------------------------------------------------------


def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    frame = {
        **admin.site.each_context(request),
        "is_fullwidth": "1",
        "tiles": tiles(),
        "speeds": SPEEDS,
    }
    return TemplateResponse(request, "console/replay.html", {**frame, **context})


def plain(feature: Feature) -> dict[str, Any]:
    """A fixed feature of the map, without what is true of it only now."""
    return asdict(replace(feature, facts=[], mark="", is_alert=False))


def _json(shown: Recording) -> HttpResponse:
    body = msgspec.json.encode(as_json(shown))
    return HttpResponse(body, content_type="application/json")


def as_json(shown: Recording) -> dict[str, Any]:
    """Times are POSIX seconds. notes: events and decisions, oldest first."""
    notes = [_event_note(event) for event in shown.events]
    notes += [_decision_note(decision) for decision in shown.decisions]
    return {
        "start": shown.start.timestamp(),
        "end": shown.end.timestamp(),
        "tracks": shown.tracks,
        "notes": sorted(notes, key=lambda note: note["t"]),
        "notes_left_out": shown.notes_left_out,
    }


def _event_note(event: DeliveryEvent) -> dict[str, Any]:
    return {
        "t": event.occurred_at.timestamp(),
        "kind": "event",
        "label": EventType(event.type).label,
        "text": order_page.added_message(event),
        "who": order_page.actor_name(event),
        "order": str(event.order),
        "drone": (event.job.drone_id if event.job else None) or "",
        "tone": presentation.EVENT_TONE.get(event.type, Tone.IDLE),
    }


def _decision_note(decision: DispatchDecision) -> dict[str, Any]:
    return {
        "t": decision.run.started_at.timestamp(),
        "kind": "decision",
        "label": f"Dispatch decided: {decision.get_outcome_display().lower()}",
        "text": decision.why,
        "who": "",
        "order": str(decision.order),
        "drone": decision.drone_id or "",
        "tone": OUTCOME_TONE[decision.outcome],
    }


def of_mission(mission: Mission, request: HttpRequest) -> Section | None:
    user: Any = request.user
    parts = list(mission.parts.select_related("order"))
    if not parts or not user.has_perm(PERMISSION):
        return None
    links = [(str(part.order), url_of(part.job_id)) for part in parts]
    return Section("Replay", "console/replay_links.html", {"links": links})


add_section(Mission, 10, of_mission)
registry.map_links.append(MapLink("Replay of the last 24 hours", "admin:replay", PERMISSION))
registry.pages += [
    Page("replay/flight/<uuid:job_id>/", flight, "replay-flight"),
    Page("replay/flight/<uuid:job_id>/data/", flight_data, "replay-flight-data"),
    Page("replay/area/", any_area, "replay"),
    Page("replay/area/<uuid:area_id>/", area, "replay-area"),
    Page("replay/area/<uuid:area_id>/data/", area_data, "replay-area-data"),
]
