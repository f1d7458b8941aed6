"""A small API for the tests of the common behaviour of API views."""

import threading
from typing import Any

import redis
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path, re_path
from redis.backoff import NoBackoff
from redis.retry import Retry
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from wingxtra.accounts.models import Merchant
from wingxtra.api.pagination import Envelope
from wingxtra.api.permissions import IsAdmin, IsMerchantOrStaff, IsStaff
from wingxtra.api.serializers import Flag, Number, StrictSerializer, Text, Timestamp, WholeNumber
from wingxtra.api.views import ApiView, NothingHere, PublicView
from wingxtra.observability import health
from wingxtra.problems import Conflict, Unavailable

handler500 = "wingxtra.api.errors.server_error"


class PlaceInput(StrictSerializer):
    lat = Number(min_value=-90, max_value=90)
    lng = Number(min_value=-180, max_value=180)


class ParcelInput(StrictSerializer):
    name = Text(max_length=20)
    weight_kg = Number(min_value=0, max_value=10)
    pieces = WholeNumber(required=False, min_value=1)
    fragile = Flag(required=False)
    at = Timestamp(required=False)
    dropoff = PlaceInput(required=False)


class Parcels(ApiView):
    """Validates a parcel and returns it."""

    permission_classes = (IsMerchantOrStaff,)

    def post(self, request: Request) -> Response:
        return Response(self.read(ParcelInput), status=201)


class Merchants(ApiView):
    """Creates a merchant per POST. `gate` lets a test block a request in the middle."""

    permission_classes = (IsMerchantOrStaff,)
    query_parameters = (*Envelope.query_parameters, "ordering")
    entered = threading.Event()
    gate: threading.Event | None = None
    fails_with: BaseException | None = None

    def get(self, request: Request) -> Response:
        pages = Envelope()
        found = pages.paginate_queryset(Merchant.objects.order_by("-created_at", "-pk"), request)
        return pages.get_paginated_response([one.name for one in found])

    def post(self, request: Request) -> Response:
        merchant = Merchant.objects.create(name=request.data["name"])
        gate = self.gate
        type(self).entered.set()
        if gate is not None and not gate.wait(10):
            raise TimeoutError
        if self.fails_with is not None:
            raise self.fails_with
        return Response({"id": merchant.pk, "name": merchant.name}, status=201)


class MerchantsInSteps(Merchants):
    """A view that calls another system between its transactions, and is idempotent."""

    one_transaction = False

    def post(self, request: Request) -> Response:
        merchant, _ = Merchant.objects.get_or_create(name=request.data["name"])
        gate = self.gate
        type(self).entered.set()
        if gate is not None and not gate.wait(10):
            raise TimeoutError
        if self.fails_with is not None:
            raise self.fails_with
        return Response({"id": merchant.pk, "name": merchant.name}, status=201)


class Links(PublicView):
    """Public, with a link in the path."""

    def post(self, request: Request, link: str) -> Response:
        return Response({"name": Merchant.objects.create(name=request.data["name"]).name})


class Raising(PublicView):
    """Raises the error named in the query."""

    errors: dict[str, Exception] = {
        "conflict": Conflict("too_late", "The order is LAUNCHED.", current_status="LAUNCHED"),
        "unavailable": Unavailable("bridge_down", "The bridge does not answer."),
        "nested": ValidationError({"dropoff": {"lat": ["Too far north."]}, "stops": {1: ["No."]}}),
        "model": ModelValidationError({"name": ModelValidationError("Taken.", code="unique")}),
        "denied": PermissionDenied("Not yours."),
        "missing": Http404(),
        "bug": ZeroDivisionError("the secret is 42"),
    }

    def get(self, request: Request, what: str) -> Response:
        raise self.errors[what]


class ForStaff(ApiView):
    permission_classes = (IsStaff,)

    def get(self, request: Request) -> Response:
        return Response({"role": request.user.role, "live_mode": request.user.live_mode})


class AsksRedis(ForStaff):
    def get(self, request: Request) -> Response:
        with redis.Redis.from_url(settings.REDIS_URL, retry=Retry(NoBackoff(), 0)) as client:
            return Response({"answered": client.ping()})


class ForAdmins(ForStaff):
    permission_classes = (IsAdmin,)


class WithoutRoles(ForStaff):
    permission_classes = ApiView.permission_classes


class Open(PublicView):
    def get(self, request: Request) -> Response:
        return Response({})


class ById(ForStaff):
    def get(self, request: Request, pk: Any) -> Response:
        return Response({"id": pk})


def broken_page(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError("the secret is 42")


def database_page(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("fine")


urlpatterns = [
    path("health", health.health),
    path("ready", health.ready),
    path("ready/dispatch", health.ready_to_dispatch),
    path("api/v1/", include("wingxtra.accounts.urls")),
    path("api/v1/parcels", Parcels.as_view()),
    path("api/v1/merchants", Merchants.as_view()),
    path("api/v1/merchants-in-steps", MerchantsInSteps.as_view()),
    path("api/v1/links/<str:link>", Links.as_view()),
    path("api/v1/redis", AsksRedis.as_view()),
    path("api/v1/raising/<str:what>", Raising.as_view()),
    path("api/v1/staff", ForStaff.as_view()),
    path("api/v1/admins", ForAdmins.as_view()),
    path("api/v1/nobody", WithoutRoles.as_view()),
    path("api/v1/open", Open.as_view()),
    path("api/v1/things/<uuid:pk>", ById.as_view()),
    path("api/v1/broken-page", broken_page),
    re_path(r"^(?:api|gcs)/", NothingHere.as_view()),
    path("page", database_page),
]
