"""Requests about the list of what needs attention: its parts, one whole line, acknowledgement."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from wingxtra.console import dashboard
from wingxtra.console.attention import acknowledging
from wingxtra.console.attention.groups import Group, groups
from wingxtra.console.models import LASTS

ITEMS_ON_A_PAGE = 50
# Set by the script of the dashboard; without it an answer is a page.
IN_PLACE = "X-In-Place"
NEWS = "This line has changed since your page showed it: look at it again. Nothing was done."
GONE = "This line is not in the list any more: it has been dealt with."


@require_safe
def now(request: HttpRequest) -> HttpResponse:
    """The changing parts of the dashboard, which the page polls every few seconds.

    `open`: the causes whose items are shown. `told`: with the messages of an action, which has
    redirected to here.
    """
    told = " ".join(str(m) for m in messages.get_messages(request)) if "told" in request.GET else ""
    return _parts(request, told)


def _parts(request: HttpRequest, told: str) -> HttpResponse:
    opened = request.GET.getlist("open")
    context = {**dashboard.content(request.user), "polled": True, "opened": opened, "told": told}
    return TemplateResponse(request, "console/dashboard_parts.html", context)


@require_safe
def line(request: HttpRequest) -> HttpResponse:
    """All items of the line with this `cause`, the worst first; `page=` counts from 1."""
    found = dashboard.board(timezone.now()).line(request.GET.get("cause", ""))
    if found is None:
        messages.info(request, GONE)
        return HttpResponseRedirect(reverse("admin:index"))
    user: Any = request.user
    page = Paginator(found.items, ITEMS_ON_A_PAGE).get_page(request.GET.get("page"))
    context = {
        **admin.site.each_context(request),
        **dashboard.how_to_acknowledge(user),
        "title": "Needs attention",
        "group": found,
        "page": page,
        "items": [dashboard.item_for(item, user) for item in page],
    }
    return TemplateResponse(request, "console/attention_all.html", context)


class AcknowledgeForm(forms.Form):
    key = forms.CharField(required=False)
    cause = forms.CharField(required=False)
    shown = forms.RegexField(r"^\d{1,9}-[0-9a-f]{16}$", required=False)  # with `cause`
    note = forms.CharField(max_length=300, required=False)
    minutes = forms.TypedChoiceField(
        choices=list(dashboard.SNOOZES.items()), coerce=int, empty_value=None, required=False
    )


@require_POST
def acknowledge(request: HttpRequest) -> HttpResponse:
    """Acknowledge the item `key`, or all items of the line `cause` as it was `shown`, for `minutes`
    or LASTS.
    """
    user: Any = request.user
    if not user.has_perm("console.add_acknowledgement"):
        raise PermissionDenied
    form = AcknowledgeForm(request.POST)
    if not form.is_valid() or (form.cleaned_data["cause"] and not form.cleaned_data["shown"]):
        raise Http404("There is no such choice, or the note is longer than 300 characters.")
    data, at = form.cleaned_data, timezone.now()
    found = _named(data["key"], data["cause"], dashboard.board(at))
    if found is None:
        told = GONE
    elif not data["key"] and found.has_news(data["shown"]):
        told = NEWS
    else:
        minutes = data["minutes"]
        lasts = timedelta(minutes=minutes) if minutes else LASTS
        acknowledging.acknowledge(found, at=at, by=user, note=data["note"], lasts=lasts)
        told = _told(found, minutes)
    if IN_PLACE in request.headers:
        return _parts(request, told)
    messages.info(request, told)
    return HttpResponseRedirect(reverse("admin:index"))


def _named(key: str, cause: str, board: dashboard.Board) -> Group | None:
    if not key:
        return board.line(cause)
    item = board.item(key)
    return groups([item])[0] if item else None


def _told(group: Group, minutes: int | None) -> str:
    if group.until_seen:
        return f"Seen: {group.text}."
    if minutes:
        return f"Back in {dashboard.SNOOZES[minutes]}: {group.text}."
    return f"Acknowledged: {group.text}."
