"""The label by API, for merchants who print it themselves."""

from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from orders.loading import access, label
from orders.models import Order
from wingxtra.api.permissions import IsMerchantLoaderOrStaff
from wingxtra.api.views import ApiView
from wingxtra.console.second_factor import VerifiedSession


class Label(ApiView):
    """The label of a parcel, to be printed: an SVG picture of 100 mm by 62 mm."""

    # Sessions too: loaders and staff open the label from their pages.
    authentication_classes = (*ApiView.authentication_classes, VerifiedSession)
    permission_classes = (IsMerchantLoaderOrStaff,)

    @extend_schema(responses={(200, "image/svg+xml"): OpenApiTypes.STR})
    def get(self, request: Request, order_id: UUID) -> HttpResponse:
        return label_of(access.order_to_handle(self.caller, order_id))


def label_of(order: Order) -> HttpResponse:
    scan_url = settings.PUBLIC_BASE_URL + reverse("loading-scan", args=[order.pk])
    answer = HttpResponse(label.svg(order, scan_url), content_type="image/svg+xml")
    answer["Cache-Control"] = "private, no-store"
    return answer
