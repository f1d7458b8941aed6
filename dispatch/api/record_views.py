"""Flight records by API."""

from django.http.response import HttpResponseBase
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request

from dispatch.missions.records import exports
from dispatch.missions.records.filters import FlightRecordFilter
from dispatch.models import FlightRecord
from wingxtra.api.permissions import IsStaffOrReadOnly
from wingxtra.api.views import ApiView
from wingxtra.problems import FieldProblem, Invalid


class FlightRecords(ApiView, GenericAPIView[FlightRecord]):
    """All flight records that match, oldest first, as one file that is sent while it is read."""

    permission_classes = (IsStaffOrReadOnly,)
    queryset = FlightRecord.objects.all()
    filter_backends = (DjangoFilterBackend,)
    filterset_class = FlightRecordFilter
    query_parameters = ("format",)

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "format",
                str,
                enum=list(exports.FORMATS),
                description="csv (without one): a line for each. jsonl: a JSON object on each "
                "line, with its track. geojson: a FeatureCollection of tracks.",
            )
        ],
        examples=[
            OpenApiExample(
                "One flight",
                value='{"id": "0b6f0c1e-6d0f-4a3a-9a51-3b8f3f6f2a10", "drone_id": "WX-ACC-03", '
                '"took_off_at": "2026-11-01T08:00:00Z", "outcome": "COMPLETED", "track": null}',
                description="Some members of a line; docs/flight-records.md has all of them.",
                media_type="application/x-ndjson",
                response_only=True,
            )
        ],
        responses={
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "application/x-ndjson"): OpenApiTypes.STR,
            (200, "application/geo+json"): OpenApiTypes.OBJECT,
        },
    )
    def get(self, request: Request) -> HttpResponseBase:
        wanted = request.query_params.get("format", "csv")
        if wanted not in exports.FORMATS:
            hint = f"“{wanted[:100]}” is no format. Use one of {', '.join(exports.FORMATS)}."
            raise Invalid([FieldProblem("format", "invalid_choice", hint)])
        return exports.download(self.filter_queryset(self.get_queryset()), wanted)
