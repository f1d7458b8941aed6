"""`/api/v1/tracking/...`: needs no credentials but the link."""

from typing import Any

from django.http.response import HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orders.api.serializers import Degrees
from orders.models import Order
from orders.states import Holder, Status
from pod.serializers import (
    SIGNATURE_MAX_BYTES,
    SIGNATURE_MAX_VALUES,
    CodeInput,
    SignatureInput,
)
from tracking.page import cache, customer, headers, limits
from tracking.page.limits import Kind
from wingxtra import redis_client
from wingxtra.accounts.identity import Caller
from wingxtra.api import throttling
from wingxtra.api.serializers import Number, StrictSerializer, Text, Timestamp
from wingxtra.api.throttling import Count, Quota, Window
from wingxtra.api.views import PublicView


class TimelineEntry(serializers.Serializer[Any]):
    type = serializers.CharField(help_text="The type of the event.")
    label = serializers.CharField(help_text="For people.")  # type: ignore[assignment]
    at = Timestamp(help_text="When it happened.")


class Place(serializers.Serializer[Any]):
    lat = serializers.FloatField(help_text="Rounded.")
    lng = serializers.FloatField(help_text="Rounded.")


class Position(Place):
    heading_deg = serializers.FloatField(allow_null=True, help_text="Clockwise from north.")
    at = Timestamp(help_text="When the drone was there.")


class ProofSummary(serializers.Serializer[Any]):
    method = serializers.CharField(help_text="How it was received.")
    created_at = Timestamp(help_text="When it was received.")


class CustodyShown(serializers.Serializer[Any]):
    holder = serializers.ChoiceField(choices=Holder.choices, help_text="Who has the parcel.")
    label = serializers.CharField(help_text="The same in words.")  # type: ignore[assignment]
    since = Timestamp(allow_null=True, help_text="Null when that is not known.")


class InLineShown(serializers.Serializer[Any]):
    place = serializers.IntegerField(min_value=1, help_text="1 for the one that is served next.")


class Expected(serializers.Serializer[Any]):
    low = Timestamp(help_text="At the soonest.")
    high = Timestamp(help_text="At the latest.")


@extend_schema_serializer(component_name="Tracking")
class TrackingAnswer(serializers.Serializer[Any]):
    """What the holder of the link may know."""

    public_tracking_id = serializers.CharField(help_text="The id of the link.")
    external_id = serializers.CharField(
        allow_null=True, help_text="The number of the order in the shop, if it has one."
    )
    status = serializers.ChoiceField(choices=Status.choices, help_text="The state of the order.")
    headline = serializers.CharField(help_text="For people: what is going on.")
    milestones = serializers.ListField(
        child=serializers.CharField(), help_text="The steps that were reached, oldest first."
    )
    timeline = TimelineEntry(many=True, help_text="What matters to a customer, oldest first.")
    custody = CustodyShown(allow_null=True, help_text="Null when it has been over for 30 days.")
    queue = InLineShown(allow_null=True, help_text="Null unless it waits for a drone.")
    eta_range = Expected(
        allow_null=True,
        help_text="When a waiting delivery is expected; null when that is not known.",
    )
    eta_seconds = serializers.IntegerField(
        allow_null=True, help_text="Until the parcel is at the door; null when that is not known."
    )
    eta_at = Timestamp(allow_null=True, help_text="The same as a time.")
    opens_at = Timestamp(
        allow_null=True, help_text="When it goes on, while store or service area is closed."
    )
    position = Position(
        allow_null=True, help_text="Of the drone in flight; null when it is not known."
    )
    dropoff = Place(allow_null=True, help_text="Null when it has been over for 30 days.")
    drone = serializers.CharField(help_text="Always “masked”.")
    pod_summary = ProofSummary(allow_null=True, help_text="Null until there is a proof.")
    updated_at = Timestamp(help_text="When the order changed last.")


class TrackingView(PublicView):
    """Every answer, refusals too, stays out of search engines and referrers."""

    # A wrong code must count although the request is refused: see pod.views.Pod.
    one_transaction = False
    max_age_s: int | None = None

    def public_quota(self, request: Request) -> Quota:
        return limits.ceiling(request)

    def note(self, window: Window | None) -> None:
        """The link's window besides that of the address."""
        self.window = throttling.tighter(self.window, window)

    def finalize_response(self, *args: Any, **kwargs: Any) -> Any:
        return headers.add(super().finalize_response(*args, **kwargs), max_age_s=self.max_age_s)


class Tracking(TrackingView):
    """A delivery as its customer may see it."""

    def add_to_round_trip(self, trip: redis_client.RoundTrip, caller: Caller | None) -> None:
        tracking_id = self.kwargs["tracking_id"]
        copy = cache.key_of(tracking_id)
        self.cached = trip.get(copy)
        # Without a copy it is not known whether there is such a delivery.
        self.counted = Count(limits.of_link(Kind.READ, tracking_id), trip, if_exists=copy)

    @extend_schema(
        parameters=[
            OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER),
            OpenApiParameter("ETag", str, OpenApiParameter.HEADER, response=[200, 304]),
        ],
        responses={200: TrackingAnswer, 304: OpenApiResponse(description="Nothing is new.")},
    )
    def get(self, request: Request, tracking_id: str) -> HttpResponseBase:
        found = cache.api_answer(tracking_id, self.cached.value)
        on_the_way = self.counted.was_counted
        self.note(self.counted.window() if on_the_way else throttling.count(self.counted.quota))
        self.max_age_s = cache.MAX_AGE_S
        unchanged = get_conditional_response(request._request, etag=found.etag)
        answer = unchanged or HttpResponse(bytes(found.view), content_type="application/json")
        answer["ETag"] = found.etag
        return answer


class CustomersPost(TrackingView):
    """A customer's action. The answer is the delivery after it."""

    def order(self, tracking_id: str, kind: Kind = Kind.WRITE) -> Order:
        """Counts the call. Raises NotFound and TooManyRequests."""
        order = cache.order_of(tracking_id)
        self.note(throttling.count(limits.of_link(kind, tracking_id)))
        return order

    def answer(self, tracking_id: str) -> Response:
        return Response(cache.fetch(tracking_id, fresh=True).view)


class EnterCode(CustomersPost):
    """Receive with the one-time code. After five wrong ones it is locked."""

    @extend_schema(request=CodeInput, responses=TrackingAnswer)
    def post(self, request: Request, tracking_id: str) -> Response:
        order = self.order(tracking_id, Kind.CODE)
        customer.enter_code(order, self.read(CodeInput)["otp_code"])
        return self.answer(tracking_id)


class Sign(CustomersPost):
    """Receive with a signature, as the strokes of a finger."""

    max_body_bytes = SIGNATURE_MAX_BYTES
    max_values = SIGNATURE_MAX_VALUES

    @extend_schema(request=SignatureInput, responses=TrackingAnswer)
    def post(self, request: Request, tracking_id: str) -> Response:
        order = self.order(tracking_id)
        customer.may_sign(order)  # before a large body is read
        is_json = request.content_type.partition(";")[0].strip().lower() == "application/json"
        body = request._request.body if is_json else b""
        customer.sign(order, body, lambda: self.read(SignatureInput))
        return self.answer(tracking_id)


class Confirm(CustomersPost):
    """Say “I have it”, for deliveries that need no proof."""

    @extend_schema(request=None, responses=TrackingAnswer)
    def post(self, request: Request, tracking_id: str) -> Response:
        customer.confirm(self.order(tracking_id))
        return self.answer(tracking_id)


class InstructionsInput(StrictSerializer):
    """Where to put the parcel, and what to look out for; empty for nothing."""

    instructions = Text(max_length=300, allow_blank=True, help_text="Empty for none.")


class Instruct(CustomersPost):
    """Give instructions for the delivery, until launch. They replace the former ones."""

    @extend_schema(request=InstructionsInput, responses=TrackingAnswer)
    def post(self, request: Request, tracking_id: str) -> Response:
        order = self.order(tracking_id)
        customer.instruct(order, self.read(InstructionsInput)["instructions"])
        return self.answer(tracking_id)


class DropoffInput(StrictSerializer):
    """A position measured by the phone, or a place on the map (only `lat` and `lng`)."""

    lat = Degrees(90, help_text="In degrees (WGS 84).")
    lng = Degrees(180, help_text="In degrees (WGS 84).")
    accuracy_m = Number(
        min_value=0,
        required=False,
        allow_null=True,
        help_text="As the phone says, in metres; not for a place that was tapped.",
    )
    captured_at = Timestamp(
        required=False,
        allow_null=True,
        help_text="When the phone measured it; not for a place that was tapped.",
    )


class MoveDropoff(CustomersPost):
    """Move the drop point by a limited distance, until a drone is assigned."""

    @extend_schema(request=DropoffInput, responses=TrackingAnswer)
    def post(self, request: Request, tracking_id: str) -> Response:
        order = self.order(tracking_id)
        customer.move_dropoff(order, customer.Fix(**self.read(DropoffInput)))
        return self.answer(tracking_id)
