"""The console's own pages: what needs me now, and the live map. The apps fill both."""

from dataclasses import asdict
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from wingxtra.console import registry
from wingxtra.console.widgets import tiles


@require_safe
def dashboard(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": "Now",
        **_now(),
        **(extra_context or {}),
    }
    return TemplateResponse(request, "console/dashboard.html", context)


@require_safe
def now(request: HttpRequest) -> HttpResponse:
    """The changing part of the dashboard, which the page fetches again every few seconds."""
    return TemplateResponse(request, "console/now.html", _now())


def _now() -> dict[str, Any]:
    at = timezone.now()
    items = [item for source in registry.attention_sources for item in source(at)]
    return {
        "at": at,
        "items": sorted(items, key=lambda item: (-item.level, item.since or at)),
        "numbers": [number for source in registry.number_sources for number in source(at)],
        "charts": [_bars(source(at)) for source in registry.chart_sources],
    }


def _bars(chart: registry.Chart) -> dict[str, Any]:
    """The chart as heights in percent of its highest value, for the template."""
    highest = max((max(values) for values in chart.series.values()), default=0)
    hours = zip(*chart.series.values(), strict=True)
    return {
        "title": chart.title,
        "names": list(chart.series),
        "highest": f"{highest:g}",
        "bars": [
            {
                "label": label[:2] if i % 3 == 0 else "",
                "title": f"{label}: "
                + ", ".join(
                    f"{value:g} {name.lower()}"
                    for name, value in zip(chart.series, values, strict=True)
                ),
                "heights": [round(100 * value / highest) if highest else 0 for value in values],
            }
            for i, (label, values) in enumerate(zip(chart.labels, hours, strict=True))
        ],
    }


@require_safe
def live_map(request: HttpRequest) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": "Live map",
        "is_fullwidth": "1",
        "layers": _layers(request),
        "tiles": tiles(),
    }
    return TemplateResponse(request, "console/map.html", context)


@require_safe
def map_data(request: HttpRequest) -> JsonResponse:
    """`{at, layers: {name: [feature]}}`; still layers only with `?all`."""
    at = timezone.now()
    wanted = [layer for layer in _layers(request) if "all" in request.GET or not layer.still]
    features = {layer.name: [asdict(f) for f in layer.features(at)] for layer in wanted}
    return JsonResponse({"at": at, "layers": features})


def _layers(request: HttpRequest) -> list[registry.Layer]:
    user: Any = request.user
    return [layer for layer in registry.layers if user.has_perm(layer.permission)]
