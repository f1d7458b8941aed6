"""The console's own pages: dashboard and live map. Apps provide the content."""

from dataclasses import asdict
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from wingxtra.console import registry
from wingxtra.console.dashboard import content
from wingxtra.console.widgets import tiles


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
def live_map(request: HttpRequest) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": "Live map",
        "is_fullwidth": "1",
        "layers": _layers(request),
        "groups": {layer.name: layer.group for layer in _layers(request) if layer.group},
        "drone_tones": registry.drone_tones,
        "tiles": tiles(),
    }
    return TemplateResponse(request, "console/map.html", context)


@require_safe
def map_data(request: HttpRequest) -> JsonResponse:
    """`{at, layers: {name: [feature]}}`; static layers only with `?all`."""
    at = timezone.now()
    wanted = [layer for layer in _layers(request) if "all" in request.GET or not layer.is_static]
    features = {layer.name: [asdict(f) for f in layer.features(at)] for layer in wanted}
    return JsonResponse({"at": at, "layers": features})


def _layers(request: HttpRequest) -> list[registry.Layer]:
    user: Any = request.user
    return [layer for layer in registry.layers if user.has_perm(layer.permission)]
