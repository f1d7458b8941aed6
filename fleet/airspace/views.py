"""The airspace as GeoJSON, for ground control and staff."""

from typing import Any

from django.http import HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.airspace import rulebook
from fleet.airspace.areas import ServiceArea
from fleet.airspace.zones import GeoZone
from wingxtra.api.permissions import IsStaffOrReadOnly
from wingxtra.api.serializers import Timestamp
from wingxtra.api.views import ApiView


class HeightsSerializer(serializers.Serializer[GeoZone]):
    lower_m = serializers.FloatField(allow_null=True, help_text="Null: from the ground.")
    lower_datum = serializers.CharField(help_text="AGL, AMSL or WGS84.")
    upper_m = serializers.FloatField(allow_null=True, help_text="Null: no limit.")
    upper_datum = serializers.CharField(help_text="AGL, AMSL or WGS84.")


class AirspacePlaceSerializer(HeightsSerializer):
    """What a feature is. An area has neither heights nor times: they are null or empty."""

    kind = serializers.CharField(
        help_text="SERVICE_AREA, PROHIBITED, REQ_AUTHORISATION, CONDITIONAL or NO_RESTRICTION."
    )
    name = serializers.CharField(help_text="As staff or the file name it.")
    starts_at = Timestamp(allow_null=True, help_text="Null: no start.")
    ends_at = Timestamp(allow_null=True, help_text="Null: no end.")
    allowed_until = Timestamp(allow_null=True, help_text="Until then our flights may enter it.")
    time_zone = serializers.CharField(help_text="The clock of the weekly hours.")
    schedule = serializers.ListField(
        child=serializers.DictField(),
        help_text="Weekly hours in which it is closed; empty: at all times.",
    )


class FeatureSerializer(serializers.Serializer[Any]):
    type = serializers.CharField(help_text="Feature")
    id = serializers.UUIDField(help_text="Of the area or zone.")
    geometry = serializers.DictField(help_text="A GeoJSON Polygon.")
    properties = AirspacePlaceSerializer(help_text="What it is, at which heights and times.")


class AirspaceSerializer(serializers.Serializer[Any]):
    """A GeoJSON FeatureCollection."""

    type = serializers.CharField(help_text="FeatureCollection")
    airspace_version = serializers.CharField(help_text="The one that mission intents name.")
    features = FeatureSerializer(many=True, help_text="Areas first, then zones.")


class AirspaceMap(ApiView):
    """The active service areas and geographical zones as GeoJSON, with their version.

    Ask again with `If-None-Match`: the answer is 304 as long as nothing has changed.
    """

    permission_classes = (IsStaffOrReadOnly,)

    @extend_schema(
        parameters=[
            OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER),
            OpenApiParameter("ETag", str, OpenApiParameter.HEADER, response=[200, 304]),
        ],
        responses={200: AirspaceSerializer, 304: None},
    )
    def get(self, request: Request) -> Response | HttpResponseBase:
        version = rulebook.airspace_version()
        tag = f'"{version}"'
        unchanged = get_conditional_response(request._request, etag=tag)
        if unchanged is not None:
            return unchanged
        features = [*map(_area, ServiceArea.objects.filter(active=True))]
        features += map(_zone, GeoZone.objects.filter(active=True))
        collection = {
            "type": "FeatureCollection",
            "airspace_version": version,
            "features": features,
        }
        return Response(AirspaceSerializer(collection).data, headers={"ETag": tag})


def _area(area: ServiceArea) -> dict[str, Any]:
    heights = {"lower_m": None, "lower_datum": "AGL", "upper_m": None, "upper_datum": "AGL"}
    always: dict[str, Any] = {
        "starts_at": None,
        "ends_at": None,
        "allowed_until": None,
        "schedule": [],
    }
    about = {"kind": "SERVICE_AREA", "name": area.name, "time_zone": area.time_zone}
    return _feature(area, {**about, **heights, **always})


def _zone(zone: GeoZone) -> dict[str, Any]:
    return _feature(zone, zone)


def _feature(place: ServiceArea | GeoZone, properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": place.pk,
        "geometry": place.polygon,
        "properties": properties,
    }
