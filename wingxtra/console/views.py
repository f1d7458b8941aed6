"""The console's first page. Apps provide the content."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from wingxtra.console.dashboard import content


@require_safe
def dashboard(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": "Now",
        **content(request.user),
        **(extra_context or {}),
    }
    return TemplateResponse(request, "console/dashboard.html", context)
