"""The console's own pages: dashboard and acknowledgement. Apps provide the content."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from wingxtra.console import actions
from wingxtra.console.dashboard import content, items
from wingxtra.console.models import Acknowledgement


@require_safe
def dashboard(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": "Now",
        **content(request.user),
        **(extra_context or {}),
    }
    return TemplateResponse(request, "console/dashboard.html", context)


@require_safe
def now(request: HttpRequest) -> HttpResponse:
    """The changing parts of the dashboard, which the page polls every few seconds."""
    return TemplateResponse(request, "console/dashboard_parts.html", content(request.user))


class AcknowledgeForm(forms.Form):
    note = forms.CharField(
        max_length=300,
        label="What are you doing about it?",
        widget=forms.Textarea(attrs={"rows": 2, "autofocus": True}),
    )


def acknowledge(request: HttpRequest) -> HttpResponse:
    """Acknowledge the item `key`. It is open again when it gets worse."""
    user: Any = request.user
    if not user.has_perm("console.add_acknowledgement"):
        raise PermissionDenied
    key = request.GET.get("key", "")
    item = next((item for item in items(timezone.now()) if item.key == key), None)
    if item is None:
        messages.info(request, "This item is not in the list any more: it has been dealt with.")
        return HttpResponseRedirect(reverse("admin:index"))
    form = AcknowledgeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        mark, _ = Acknowledgement.objects.update_or_create(
            key=item.key,
            defaults={
                "level": item.level,
                "text": item.text[:300],
                "note": form.cleaned_data["note"],
                "by": user,
                "at": timezone.now(),
            },
        )
        actions.log(user, mark, f"Acknowledged: {mark.note}")
        return HttpResponseRedirect(reverse("admin:index"))
    context = {
        **admin.site.each_context(request),
        "title": "Acknowledge",
        "item": item,
        "form": form,
    }
    return TemplateResponse(request, "console/acknowledge.html", context)
