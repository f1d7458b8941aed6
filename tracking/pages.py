"""`/track/<id>/`: the customer's page, useful on any phone without a line of JavaScript."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis
import structlog
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import re_path
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from orders.states import IN_FLIGHT, TERMINAL, EventType, PodRequirement, Status
from tracking import copies, headers
from wingxtra.api import throttling
from wingxtra.problems import NotFound

log = structlog.get_logger(__name__)

STEPS = (
    (EventType.CREATED, "Received"),
    (EventType.ASSIGNED, "Getting ready"),
    (EventType.LAUNCHED, "On its way"),
    (EventType.ARRIVED, "At the drop point"),
    (EventType.DELIVERED, "Delivered"),
)
# What to do, or what it means, in one sentence under the headline.
ADVICE = {
    Status.CREATED: "We are checking it now.",
    Status.VALIDATED: "We will get a drone ready when it is time.",
    Status.QUEUED: "Every drone is busy right now. The next one that fits is yours.",
    Status.ASSIGNED: "It is being loaded and checked.",
    Status.MISSION_SUBMITTED: "It is being loaded and checked.",
    Status.LAUNCHED: "It picks up your parcel and comes straight to you.",
    Status.ENROUTE: "Please keep an open spot at the drop point.",
    Status.ARRIVED: "Please stand back until the parcel is on the ground.",
    Status.DELIVERING: "Please stand back until the parcel is on the ground.",
    Status.DELIVERED: "Thank you. Enjoy what is inside.",
    Status.CANCELED: "No drone is coming. The sender can tell you more.",
    Status.FAILED: "The sender knows and will contact you.",
    Status.ABORTED: "The sender knows and will contact you.",
}
NEEDS: dict[str, str] = {
    PodRequirement.OTP: "Have your six-digit code ready.",
    PodRequirement.SIGNATURE: "You will be asked to sign.",
}
REFRESH_IN_FLIGHT_S = 10
REFRESH_WAITING_S = 30


@dataclass(frozen=True, slots=True)
class Step:
    label: str
    at: datetime | None
    state: str  # done, current or ahead


@require_safe
def track(request: HttpRequest, tracking_id: str) -> HttpResponse:
    try:
        throttling.count(request, None)
        copy = copies.fetch(tracking_id)
    except NotFound:
        return _notice(
            request,
            404,
            "We do not know this delivery",
            "Please check the link in your message. The number of a delivery has 13 letters and "
            "digits, for example 7Q2K-M9XW-4TZ1H.",
        )
    except throttling.TooManyRequests as refused:
        return _notice(
            request,
            429,
            "One moment, please",
            "This page was opened very often from where you are. It comes back by itself.",
            refused.retry_after_s,
        )
    except (redis.RedisError, OperationalError, InterfaceError) as error:
        log.error("tracking_page_unavailable", error=str(error), exc_info=error)
        return _notice(
            request,
            503,
            "We cannot look just now",
            "Your delivery goes on. This page tries again by itself.",
            REFRESH_IN_FLIGHT_S,
        )
    tag = copy.etag.replace('"', '"page-', 1)
    answer = get_conditional_response(request, etag=tag) or render(
        request, "tracking/page.html", _context(copy)
    )
    answer["ETag"] = tag
    return headers.add(answer, kept_s=copies.KEPT_S)


def _notice(
    request: HttpRequest, status: int, title: str, text: str, again_s: int | None = None
) -> HttpResponse:
    shown = {"title": title, "text": text, "refresh_s": again_s}
    answer = render(request, "tracking/notice.html", shown, status=status)
    if again_s is not None:
        answer["Retry-After"] = str(again_s)
    return headers.add(answer)


def _context(copy: copies.Copy) -> dict[str, Any]:
    view = copy.view
    status = Status(view["status"])
    over = status in TERMINAL
    wait_s = REFRESH_IN_FLIGHT_S if status in IN_FLIGHT else REFRESH_WAITING_S
    return {
        "view": view,
        "grouped_id": _grouped(view["public_tracking_id"]),
        "advice": ADVICE[status],
        "need": None if over else NEEDS.get(copy.pod_requirement),
        "tone": {"DELIVERED": "good"}.get(status, "bad" if over else "busy"),
        "steps": steps(view),
        "timeline": [
            {"label": entry["label"], "at": datetime.fromisoformat(entry["at"])}
            for entry in reversed(view["timeline"])
        ],
        "eta_at": datetime.fromisoformat(view["eta_at"]) if view["eta_at"] else None,
        "refresh_s": None if over else wait_s,
        "merchant_name": copy.merchant_name,
        "support_contact": copy.support_contact,
    }


def steps(view: dict[str, Any]) -> list[Step]:
    """The five steps of a delivery; the last one reached is current until it is over."""
    reached_at = {entry["type"]: datetime.fromisoformat(entry["at"]) for entry in view["timeline"]}
    reached = [kind in view["milestones"] for kind, _ in STEPS]
    current = -1 if view["status"] in TERMINAL else reached.count(True) - 1
    return [
        Step(
            label,
            reached_at.get(kind) if reached[index] else None,
            "current" if index == current else "done" if reached[index] else "ahead",
        )
        for index, (kind, label) in enumerate(STEPS)
    ]


def _grouped(tracking_id: str) -> str:
    return "-".join((tracking_id[:4], tracking_id[4:8], tracking_id[8:]))


urlpatterns = [re_path(r"^track/(?P<tracking_id>[^/]+)/?\Z", track, name="track")]
