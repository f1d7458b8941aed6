"""`/orders/{id}/pod`, its pictures behind short-lived links, and the printable record."""

import base64
import hashlib
from io import BytesIO
from uuid import UUID

from django.http import FileResponse, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from orders.models import Order
from pod import proofs
from pod.evidence import record_context
from pod.pictures import images
from pod.serializers import (
    SIGNATURE_MAX_VALUES,
    ProofAnswer,
    ProofInput,
    evidence,
    proof_json,
)
from wingxtra.accounts.identity import Caller
from wingxtra.api.parsers import StrictJsonParser
from wingxtra.api.permissions import IsMerchantOrStaff, IsStaff
from wingxtra.api.views import ApiView, PublicView
from wingxtra.console.entry.second_factor import VerifiedSession
from wingxtra.problems import NotFound

# The multipart overhead around an uploaded file.
FORM_OVERHEAD_BYTES = 64 * 1024


class Pod(ApiView):
    parser_classes = (StrictJsonParser, MultiPartParser)
    # A wrong code is refused but counted, so a refusal must not roll back. A retry is safe: it
    # creates no second proof.
    one_transaction = False
    max_values = SIGNATURE_MAX_VALUES

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        if request.content_type.startswith("multipart/"):
            self.max_body_bytes = images.MAX_BYTES + FORM_OVERHEAD_BYTES
        super().initial(request, *args, **kwargs)

    def get_permissions(self) -> list[BasePermission]:
        return [IsStaff() if self.request.method == "POST" else IsMerchantOrStaff()]

    @extend_schema(responses=ProofAnswer)
    def get(self, request: Request, order_id: UUID) -> Response:
        """The proof of delivery. All members but `order_id` are null while there is none."""
        visible = Order.objects.visible_to(self.caller).select_related("proof")
        order = visible.filter(pk=order_id).first()
        if order is None:
            raise NotFound
        proof = getattr(order, "proof", None)
        no_proof = dict.fromkeys(ProofAnswer().fields) | {"order_id": str(order_id)}
        return Response(proof_json(proof) if proof else no_proof)

    @extend_schema(request=ProofInput, responses={201: ProofAnswer, 200: ProofAnswer})
    def post(self, request: Request, order_id: UUID) -> Response:
        """Record the proof. At the drop point it completes the delivery, after it only the record;
        the same proof again is a 200.
        """
        recorded = proofs.record(order_id, evidence(self.read(ProofInput)), by=self.caller.actor)
        answer = proof_json(recorded.proof)
        if not recorded.is_new:
            return Response(answer)
        return Response(answer, status=201, headers={"Location": request.path})


class OrderRecord(ApiView):
    """The record of a delivery on one printable page. Staff can also open it from the console."""

    authentication_classes = (*ApiView.authentication_classes, VerifiedSession)
    permission_classes = (IsMerchantOrStaff,)

    @extend_schema(responses={(200, "text/html"): OpenApiTypes.STR})
    def get(self, request: Request, order_id: UUID) -> HttpResponse:
        return record_of(order_id, self.caller)


class PodImage(PublicView):
    """The picture of a proof, for anyone with the link, until the link expires."""

    @extend_schema(responses={(200, "image/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, token: str) -> FileResponse:
        proof = proofs.proof_of_token(token)
        if proof.image:
            name = str(proof.image.name).rpartition("/")[2]
            answer = FileResponse(proof.image.open("rb"), filename=name)
        else:
            drawing = BytesIO(images.drawn(proof.strokes or []))
            answer = FileResponse(drawing, filename="signature.svg", content_type="image/svg+xml")
        answer["Cache-Control"] = "private, no-store"
        answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
        answer["Referrer-Policy"] = "no-referrer"
        return answer


def record_of(order_id: UUID, caller: Caller) -> HttpResponse:
    """The printable record as `caller` may see it. Raises NotFound."""
    visible = Order.objects.visible_to(caller)
    order = visible.select_related("proof", "merchant", "current_job").filter(pk=order_id).first()
    if order is None:
        raise NotFound
    style = render_to_string("pod/record.css")
    context = {**record_context(order, caller, timezone.now()), "style": style}
    answer = HttpResponse(render_to_string("pod/record.html", context))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    answer["Cache-Control"] = "private, no-store"
    answer["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    answer["Referrer-Policy"] = "no-referrer"
    return answer
