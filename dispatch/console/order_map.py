"""The map of one order: its own drone only, for the order's page, which polls it."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe
from redis import RedisError

from fleet.console.map_pages import drone_feature, fleet_picture
from fleet.live import drone_status
from fleet.models import Drone
from orders.models import Order
from wingxtra.console import registry
from wingxtra.console.livemap.pages import AWAY, ages
from wingxtra.console.registry import Page


@require_safe
def order_map(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """`{at, sources, drone}`: the drone that has the order now, as a Feature; None without one.

    None, too, while its position is unknown. `{problem}` while Redis is away.
    """
    user: Any = request.user
    if not user.has_perm("orders.view_order"):
        raise PermissionDenied
    order = get_object_or_404(Order.objects.select_related("current_job"), pk=order_id)
    now = timezone.now()
    drone_id = None if order.is_terminal else order.assigned_drone_id
    drones = list(Drone.objects.with_home().filter(pk=drone_id)) if drone_id else []
    try:
        seen = drone_status.live_drones(drones, now) if drones else []
        sources = ages([fleet_picture(now)], now)
    except RedisError:
        return JsonResponse({"problem": AWAY})
    feature = drone_feature(seen[0], now) if seen else None
    return JsonResponse({"at": now, "sources": sources, "drone": feature and asdict(feature)})


registry.pages.append(Page("map/order/<uuid:order_id>/", order_map, "map-order"))
