"""What one person did: the entries of timelines and of the history with this name."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from dispatch.shift import pages
from dispatch.shift.spans import Span
from orders.console.order_page import added_message
from orders.models import DeliveryEvent
from orders.states import EventType
from wingxtra.accounts.identity import ActorKind
from wingxtra.accounts.models import User
from wingxtra.console.times import moment

PERMISSION = "dispatch.add_shiftnote"  # OPS and ADMIN
MAX_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """`source`: where it is kept."""

    at: datetime
    source: str
    what: str
    about: str
    url: str
    detail: str


def entries(user: User, span: Span) -> tuple[list[Entry], bool]:
    """The newest entries of the span, newest first, and whether some are left out.

    Two statements.
    """
    found = [*_in_timelines(user, span), *_in_the_history(user, span)]
    found.sort(key=lambda entry: entry.at, reverse=True)
    return found[:MAX_ENTRIES], len(found) > MAX_ENTRIES


def _in_timelines(user: User, span: Span) -> Iterator[Entry]:
    events = DeliveryEvent.objects.filter(
        actor_kind=ActorKind.USER,
        actor_ref=user.actor.ref,
        created_at__gte=span.start,
        created_at__lt=span.end,
    )
    for event in events.select_related("order").order_by("-created_at")[: MAX_ENTRIES + 1]:
        yield Entry(
            event.created_at,
            "Order",
            str(EventType(event.type).label),
            str(event.order),
            reverse("admin:orders_order_change", args=[event.order_id]),
            added_message(event),
        )


def _in_the_history(user: User, span: Span) -> Iterator[Entry]:
    kept = LogEntry.objects.filter(user=user, action_time__gte=span.start, action_time__lt=span.end)
    for entry in kept.select_related("content_type").order_by("-action_time")[: MAX_ENTRIES + 1]:
        kind = str(entry.content_type.name).capitalize() if entry.content_type else ""
        yield Entry(
            entry.action_time,
            "Console",
            kind,
            entry.object_repr,
            entry.get_admin_url() or "",
            str(entry.get_change_message()),
        )


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """`user=` is a user name; without it the page asks for one."""
    pages.may_see(request, PERMISSION)
    wanted = pages.asked(request)
    name = request.GET.get("user", "")
    user = User.objects.filter(username=name).first() if name else None
    if name and user is None:
        raise Http404(f"There is no user “{name[:40]}”.")
    found, has_more = entries(user, wanted.span) if user else ([], False)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": f"What {user} did" if user else "Who did what",
        **pages.choice(wanted),
        "user_shown": user,
        "names": User.objects.filter(is_staff=True).values_list("username", flat=True),
        "rows": [
            {"entry": entry, "at": moment(entry.at, seconds=True, zone=wanted.span.zone)}
            for entry in found
        ],
        "most": MAX_ENTRIES if has_more else 0,
    }
    return TemplateResponse(request, "console/shift/people.html", context)
