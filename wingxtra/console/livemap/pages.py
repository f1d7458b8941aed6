"""The live map's page and its data. Apps provide the layers (`registry.layers`)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from redis import RedisError

from wingxtra.console import registry
from wingxtra.console.livemap import snapshot, store
from wingxtra.console.livemap.snapshot import SourceAt
from wingxtra.console.registry import Layer
from wingxtra.console.widgets import tiles
from wingxtra.database import together

AWAY = {
    "code": "redis_away",
    "detail": "Redis does not answer, so no position is known. What you see is old.",
}


@require_safe
def live_map(request: HttpRequest) -> HttpResponse:
    layers = _layers(request)
    user: Any = request.user
    context = {
        **admin.site.each_context(request),
        "title": "Live map",
        "is_fullwidth": "1",
        "layers": layers,
        "groups": {layer.name: layer.group for layer in layers if layer.group},
        "drone_tones": registry.drone_tones,
        "links": [link for link in registry.map_links if user.has_perm(link.permission)],
        "tiles": tiles(),
    }
    return TemplateResponse(request, "console/map.html", context)


@require_safe
def map_data(request: HttpRequest) -> HttpResponse:
    """What has changed since the version `?since=`, or everything, with the static layers.

    `{version, at, sources, left_out, is_full, layers, moves, gone}`, see `snapshot.difference`.
    `?layers=` asks for some layers only, by name, with commas between. `{problem}` while Redis is
    away.
    """
    now = timezone.now()
    layers = _layers(request)
    if "layers" in request.GET:
        wanted = request.GET["layers"].split(",")
        layers = [layer for layer in layers if layer.name in wanted]
    try:
        latest = store.current(now)
    except RedisError:
        return JsonResponse({"problem": AWAY})
    version = snapshot.since(latest, request.GET.get("since", ""))
    moving = {layer.name for layer in layers if not layer.is_static}
    answer = snapshot.difference(latest, version, moving)
    if version is None:
        still = [layer for layer in layers if layer.is_static]
        answer["layers"] |= {layer.name: [] for layer in still}
        for name, feature in store.features_of(still, now)[0]:
            answer["layers"][name].append(feature)
    answer["left_out"] = [text for name, text in latest.left_out.items() if name in moving]
    answer |= {"version": latest.name, "at": latest.at, "sources": ages(latest.sources, now)}
    return HttpResponse(msgspec.json.encode(answer), content_type="application/json")


def ages(sources: Iterable[registry.Source | SourceAt], now: datetime) -> list[dict[str, Any]]:
    """For each source its age in seconds (None: it was never heard), and whether it is stale."""
    found = []
    for source in sources:
        age_s = None if source.at is None else round((now - source.at).total_seconds(), 1)
        is_stale = age_s is None or age_s > source.stale_after_s
        found.append({"name": source.name, "age_s": age_s, "is_stale": is_stale})
    return found


@require_safe
def map_feature(request: HttpRequest) -> HttpResponse:
    """The facts of the feature `?id=` of the layer `?layer=`, as they are now."""
    wanted, name = request.GET.get("id", ""), request.GET.get("layer", "")
    layer = next((layer for layer in _layers(request) if layer.name == name), None)
    if layer is None or not wanted:
        raise Http404("There is no such feature.")
    now = timezone.now()
    try:
        rows = together.read(*layer.reads(now, wanted))
        features = list(layer.features(now, wanted, *rows))
    except (ValueError, ValidationError) as error:
        raise Http404("There is no such feature.") from error
    except RedisError:
        return JsonResponse({"problem": AWAY})
    feature = next((one for one in features if one.id == wanted), None)
    if feature is None:
        raise Http404("There is no such feature.")
    return JsonResponse({"facts": feature.facts})


def _layers(request: HttpRequest) -> list[Layer]:
    user: Any = request.user
    return [layer for layer in registry.layers if user.has_perm(layer.permission)]
