"""`/track/<id>/position`: what the page asks each second while the drone flies, when it gets no
stream of it (`tracking/stream`). It is the script's own and not a part of the API.
"""

from http import HTTPStatus
from typing import Any

import msgspec
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.urls import re_path
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from fleet.live import picture
from tracking.page import cache, headers, limits, page_context, plan, texts
from wingxtra import redis_client
from wingxtra.api import throttling
from wingxtra.api.throttling import Count
from wingxtra.problems import NotFound

# Without Redis there is no position, and the page is enough.
RETRY_AFTER_S = 10

_encode = msgspec.json.Encoder().encode


@require_safe
def show(request: HttpRequest, tracking_id: str) -> HttpResponse:
    seen = look(request, tracking_id)
    if isinstance(seen, HttpResponse):
        return seen
    with translation.override(texts.language_of(request)):
        found = HttpResponse(answer_of(seen), "application/json")
    patch_vary_headers(found, ["Accept-Language"])
    # For a CDN; the script asks past the browser's own cache.
    return headers.add(found, max_age_s=cache.MAX_AGE_S)


def answer_of(seen: cache.Glimpse) -> bytes:
    """In the active language. `page`: the version of the page, which is asked for when it is
    another. `position`: where the drone is, or null. `at`: when it was there, to the millisecond.
    `left`, `bearing`: texts of the page that follow from it. `expected`: the earliest and the
    latest arrival.
    """
    return _encode(
        {
            "page": seen.version,
            "position": seen.view["position"],
            "at": seen.at.isoformat(timespec="milliseconds") if seen.at else None,
            "eta_seconds": page_context.eta_s(seen.view),
            "expected": seen.arrival and page_context.whole_minutes(*seen.arrival),
            "left": page_context.distance_left(seen.view),
            "bearing": plan.bearing(seen.view),
        }
    )


def look(request: HttpRequest, tracking_id: str) -> cache.Glimpse | HttpResponse:
    """Counts the call. A refusal is an answer."""
    try:
        return _count_and_look(request, tracking_id)
    except NotFound:
        return without(HTTPStatus.NOT_FOUND)
    except throttling.TooManyRequests as refused:
        return without(HTTPStatus.TOO_MANY_REQUESTS, refused.retry_after_s)
    except (redis_client.Away, OperationalError, InterfaceError):  # logged there
        return without(HTTPStatus.SERVICE_UNAVAILABLE, RETRY_AFTER_S)


def _count_and_look(request: HttpRequest, tracking_id: str) -> cache.Glimpse:
    """Usually one round trip to Redis, and nothing else."""
    key = cache.facts_key(tracking_id)
    trip = redis_client.RoundTrip()
    cached: Any = trip.get(key)
    drawn = trip.do("HGET", picture.KEY, picture.NAME)
    # Without facts it is not known whether there is such a delivery.
    counted = Count(limits.of_link(limits.Kind.POSITION, tracking_id), trip, if_exists=key)
    throttling.count(limits.ceiling_of_positions(request), trip)
    if counted.was_counted:
        counted.window()
        return cache.glimpse(tracking_id, cached.value, drawn.value, timezone.now())
    throttling.count(limits.ceiling(request))  # a guess, maybe
    seen = cache.glimpse(tracking_id, None, drawn.value, timezone.now())
    throttling.count(counted.quota)
    return seen


def without(status: HTTPStatus, retry_after_s: int | None = None) -> HttpResponse:
    answer = HttpResponse(status=status)
    if retry_after_s is not None:
        answer["Retry-After"] = str(retry_after_s)
    return headers.add(answer)


urlpatterns = [
    re_path(r"^track/(?P<tracking_id>[^/]+)/position\Z", show, name="track-position"),
]
