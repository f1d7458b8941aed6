"""API calls about custody and an order's outcome. Thin: read, call one verb, answer."""

from collections.abc import Mapping
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from fleet.models import Hub
from orders import lifecycle
from orders.api.parcel_serializers import CorrectionInput, CustodyInput
from orders.api.serializers import OrderAnswer, order_json
from orders.loading import access
from orders.models import Order
from orders.states import Holder, ReasonCode, Status
from wingxtra.accounts.identity import Actor, Caller, Role
from wingxtra.api.permissions import IsLoaderOrStaff, IsMerchantLoaderOrStaff, IsStaff
from wingxtra.api.renderers import json_answer
from wingxtra.api.views import ApiView
from wingxtra.problems import FieldProblem, Invalid


class Ready(ApiView):
    """The parcel is ready to be loaded."""

    permission_classes = (IsMerchantLoaderOrStaff,)

    @extend_schema(request=None, responses=OrderAnswer)
    def post(self, request: Request, order_id: UUID) -> HttpResponse:
        """Report that the parcel can be loaded. Idempotent.

        A LOADER may report it for the orders of its hubs; the answer has only what loading needs.
        """
        access.order_to_handle(self.caller, order_id)
        return _answer(lifecycle.ready(order_id, by=self.caller.actor), self.caller)


class Custody(ApiView):
    """Report who has the parcel."""

    permission_classes = (IsLoaderOrStaff,)

    @extend_schema(request=CustodyInput, responses=OrderAnswer)
    def post(self, request: Request, order_id: UUID) -> HttpResponse:
        """Report who has the parcel now. An order on hold for it is released, or ends FAILED.

        A LOADER may report it for the orders of its hubs, and unload only at its own hubs.
        """
        access.order_to_handle(self.caller, order_id)
        report = self.read(CustodyInput)
        if report["hub"] is not None and report["hub"] not in access.hubs_of(self.caller):
            message = "You load at other hubs."
            raise Invalid([FieldProblem("place", "not_yours", message)])
        order = report_holder(
            order_id,
            Holder(report["holder"]),
            hub=report["hub"],
            note=report["note"],
            by=self.caller.actor,
        )
        return _answer(order, self.caller)


def report_holder(
    order_id: UUID, holder: Holder, *, hub: Hub | None, note: str, by: Actor
) -> Order:
    """Call the verb for this holder. `hub`: required with HUB. Raises what the verbs raise."""
    match holder:
        case Holder.DRONE:
            return lifecycle.loaded(order_id, by=by, message=note)
        case Holder.HUB if hub is not None:
            return lifecycle.unloaded(order_id, hub.pk, by=by, note=note)
        case Holder.SENDER:
            return lifecycle.never_left(order_id, by=by, note=note)
        case Holder.RETURNED:
            return lifecycle.given_back(order_id, by=by, received_by=note)
        case Holder.LOST:
            return lifecycle.lost(order_id, by=by, note=note)
    raise ValueError(f"The holder {holder} cannot be reported with hub {hub}.")


class Correct(ApiView):
    """Correct the outcome of an order."""

    permission_classes = (IsStaff,)

    @extend_schema(request=CorrectionInput, responses=OrderAnswer)
    def post(self, request: Request, order_id: UUID) -> HttpResponse:
        """Correct the outcome within 7 days of the end, with a written note. DELIVERED also
        resolves an order on hold that was delivered after all.
        """
        correction = self.read(CorrectionInput)
        order = lifecycle.correct(
            order_id,
            outcome=Status(correction["outcome"]),
            reason=ReasonCode(correction.get("reason_code", ReasonCode.OTHER)),
            by=self.caller.actor,
            why=correction["note"],
        )
        return _answer(order, self.caller)


# The members that a loader gets: nothing about the customer or the drop point.
FOR_LOADERS = ("id", "status", "priority", "payload_weight_kg", "payload_type", "custody", "hold")


def _answer(order: Order, to: Caller) -> HttpResponse:
    body: Mapping[str, object] = order_json(order, to, timezone.now())
    if to.role == Role.LOADER:
        body = {name: body[name] for name in FOR_LOADERS}
    return json_answer(body)
