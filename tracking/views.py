"""`/api/v1/tracking/...`: for anyone who holds the link."""

from typing import Any

from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orders.states import PodRequirement, Status
from pod import images, proofs
from pod.serializers import CodeInput, SignatureInput, signature_evidence
from tracking import copies, headers
from wingxtra.accounts.identity import CUSTOMER
from wingxtra.api.serializers import Timestamp
from wingxtra.api.views import PublicView
from wingxtra.problems import Conflict, FieldProblem, Invalid


class TimelineEntry(serializers.Serializer[Any]):
    type = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    at = Timestamp()


class Place(serializers.Serializer[Any]):
    lat = serializers.FloatField()
    lng = serializers.FloatField()


class Position(Place):
    heading_deg = serializers.FloatField(allow_null=True)
    at = Timestamp()


class ProofSummary(serializers.Serializer[Any]):
    method = serializers.CharField()
    created_at = Timestamp()


class TrackingAnswer(serializers.Serializer[Any]):
    """For the schema only: `tracking.public.view` makes it."""

    public_tracking_id = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.choices)
    headline = serializers.CharField()
    milestones = serializers.ListField(child=serializers.CharField())
    timeline = TimelineEntry(many=True)
    eta_seconds = serializers.IntegerField(allow_null=True)
    eta_at = Timestamp(allow_null=True)
    position = Position(allow_null=True)
    dropoff = Place()
    drone = serializers.CharField()
    pod_summary = ProofSummary(allow_null=True)
    updated_at = Timestamp()


class TrackingView(PublicView):
    """Every answer, refusals too, stays out of search engines and referrers."""

    # A wrong code is refused and yet counted: see pod.views.Pod.
    one_transaction = False
    kept_s: int | None = None

    def finalize_response(self, *args: Any, **kwargs: Any) -> Any:
        return headers.add(super().finalize_response(*args, **kwargs), kept_s=self.kept_s)


class Tracking(TrackingView):
    @extend_schema(responses=TrackingAnswer)
    def get(self, request: Request, tracking_id: str) -> HttpResponseBase:
        copy = copies.fetch(tracking_id)
        self.kept_s = copies.KEPT_S
        unchanged = get_conditional_response(request._request, etag=copy.etag)
        answer = unchanged or Response(copy.view)
        answer["ETag"] = copy.etag
        return answer


class EnterCode(TrackingView):
    @extend_schema(request=CodeInput, responses=TrackingAnswer)
    def post(self, request: Request, tracking_id: str) -> Response:
        order = copies.order_of(tracking_id)
        code = self.read(CodeInput)["otp_code"]
        proofs.record_with_code(order.pk, code, by=CUSTOMER)
        return Response(copies.fetch(tracking_id, fresh=True).view)


class Sign(TrackingView):
    @extend_schema(request=SignatureInput, responses=TrackingAnswer)
    def post(self, request: Request, tracking_id: str) -> Response:
        order = copies.order_of(tracking_id)
        strokes = self.read(SignatureInput)["signature"]
        if order.pod_requirement != PodRequirement.SIGNATURE:
            raise Conflict(
                "signature_not_asked_for",
                "This delivery is not received with a signature.",
                current_status=order.status,
            )
        try:
            signed = signature_evidence(strokes)
        except images.BadImage as error:
            raise Invalid([FieldProblem("signature", error.code, str(error))]) from error
        proofs.record(order.pk, signed, by=CUSTOMER)
        return Response(copies.fetch(tracking_id, fresh=True).view)
