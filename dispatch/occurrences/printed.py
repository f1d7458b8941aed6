"""The printable page of an occurrence: drone, times, decisions, events, and what was written."""

import base64
import hashlib
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone

from dispatch.missions.following import tracks
from dispatch.models import Occurrence
from orders.console.order_page import actor_name
from orders.models import DeliveryJob
from wingxtra.accounts.identity import said_by

MAX_DECISIONS = 50


def page(occurrence: Occurrence) -> HttpResponse:
    """For those who may see personal data; it is not stored by browsers."""
    style = render_to_string("console/occurrence/print.css")
    content = render_to_string(
        "console/occurrence/print.html", {**_context(occurrence, timezone.now()), "style": style}
    )
    answer = HttpResponse(content)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    answer["Cache-Control"] = "private, no-store"
    answer["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    answer["Referrer-Policy"] = "no-referrer"
    return answer


def _context(occurrence: Occurrence, now: datetime) -> dict[str, Any]:
    order, job = occurrence.order, occurrence.job
    decisions = order.decisions.filter(run__dry_run=False).select_related("run", "drone")
    return {
        "printed_at": now,
        "occurrence": occurrence,
        "written_by": said_by(occurrence.written_by),
        "released_by": said_by(occurrence.released_by),
        "order": order,
        "facts": _facts(job),
        "decisions": list(decisions.order_by("-id")[:MAX_DECISIONS])[::-1],
        "events": [
            {
                "at": event.occurred_at,
                "label": event.get_type_display(),
                "who": actor_name(event),
                "message": event.message,
                "is_its_flight": event.job_id == job.pk,
            }
            for event in order.history().order_by("pk")
        ],
        "notes": [(note, said_by(note.by)) for note in occurrence.notes.all()],
        "files": [(kept, said_by(kept.by)) for kept in occurrence.files.all()],
    }


def _facts(job: DeliveryJob) -> list[tuple[str, Any]]:
    """The flight in rows: label and value, a dash where it is not known."""
    drone, part = job.drone, getattr(job, "part", None)
    flown = tracks.track_of(job)
    rows: list[tuple[str, Any]] = [
        ("Drone", job.drone_id),
        ("Kind", drone and drone.kind),
        ("Hub", drone and drone.hub),
        ("Attempt", job.attempt),
        ("Flight (job)", job.pk),
        ("Assigned", job.created_at),
        ("Ended", job.ended_at),
        ("Ended because", job.ended_because),
        ("Responsible pilot", part and part.mission.pilot_name),
        ("Measured positions", len(flown) or ""),
    ]
    if part is None:
        return rows
    mission = part.mission
    clearance = getattr(mission, "clearance", None)
    return [
        *rows,
        ("Mission", mission.pk),
        ("Accepted by ground control", mission.accepted_at),
        ("Known to be over", mission.over_at),
        ("By whose word", f"{said_by(mission.over_by)} {mission.over_because}".strip()),
        ("Clearance", clearance and clearance.get_state_display()),
    ]
