"""The label by API, for merchants who print it themselves."""

from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from orders.loading import access, label, label_pdf
from orders.models import Order
from wingxtra.api.permissions import IsMerchantLoaderOrStaff
from wingxtra.api.views import ApiView
from wingxtra.console.entry.second_factor import VerifiedSession
from wingxtra.problems import FieldProblem, Invalid

SVG, PDF = "image/svg+xml", "application/pdf"
FORMATS = {"svg": SVG, "pdf": PDF}


class Label(ApiView):
    """The label of a parcel, to be printed: 100 mm by 62 mm."""

    # Sessions too: loaders and staff open the label from their pages.
    authentication_classes = (*ApiView.authentication_classes, VerifiedSession)
    permission_classes = (IsMerchantLoaderOrStaff,)
    query_parameters = ("format",)

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "format", str, enum=list(FORMATS), description="Without it, as `Accept` says."
            )
        ],
        responses={(200, SVG): OpenApiTypes.STR, (200, PDF): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, order_id: UUID) -> HttpResponse:
        """The label as SVG, or as PDF where only that is accepted or asked for."""
        order = access.order_to_handle(self.caller, order_id)
        answer = label_of(order, _media_type(request))
        answer["Vary"] = "Accept"
        return answer


def label_of(order: Order, media_type: str = SVG) -> HttpResponse:
    scan_url = settings.PUBLIC_BASE_URL + reverse("loading-scan", args=[order.pk])
    composed = label.compose(order, scan_url)
    content = label_pdf.pdf(composed) if media_type == PDF else label.svg(composed)
    answer = HttpResponse(content, content_type=media_type)
    if media_type == PDF:
        answer["Content-Disposition"] = f'inline; filename="label-{order.short_id}.pdf"'
    answer["Cache-Control"] = "private, no-store"
    return answer


def _media_type(request: Request) -> str:
    """Raises Invalid for a format that there is not."""
    asked = request.query_params.get("format")
    if asked is None:
        return request._request.get_preferred_type([SVG, PDF]) or SVG
    if asked not in FORMATS:
        message = f"Must be one of {', '.join(FORMATS)}."
        raise Invalid([FieldProblem("format", "invalid_choice", message)])
    return FORMATS[asked]
