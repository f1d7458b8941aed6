"""API of the drones, for staff and READONLY."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.live import drone_status
from fleet.models import Drone
from fleet.serializers import LiveDroneSerializer
from wingxtra.api.permissions import IsStaffOrReadOnly
from wingxtra.api.views import ApiView
from wingxtra.problems import NotFound


class DroneList(ApiView, ListAPIView[Any]):
    """All registered drones with their live state, by id."""

    permission_classes = (IsStaffOrReadOnly,)
    queryset = Drone.objects.with_home()
    serializer_class = LiveDroneSerializer

    def paginate_queryset(self, queryset: QuerySet[Any] | Any) -> list[Any]:
        page = super().paginate_queryset(queryset)
        return [*drone_status.live_drones(page or [], timezone.now())]


class DroneDetail(ApiView):
    """One registered drone with its live state."""

    permission_classes = (IsStaffOrReadOnly,)

    @extend_schema(responses=LiveDroneSerializer)
    def get(self, request: Request, drone_id: str) -> Response:
        drones = list(Drone.objects.with_home().filter(pk=drone_id))
        if not drones:
            raise NotFound("drone")
        (live,) = drone_status.live_drones(drones, timezone.now())
        return Response(LiveDroneSerializer(live).data)
