"""What is said of a parcel and of an order's end, by API. Thin: read, call one verb, answer."""

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
        """Say that the parcel can be loaded. Saying so again changes nothing.

        A LOADER says so of the orders of its place, and reads of the order what loading needs.
        """
        access.order_to_handle(self.caller, order_id)
        return _answer(lifecycle.ready(order_id, by=self.caller.actor), self.caller)


class Custody(ApiView):
    """Say who has the parcel."""

    permission_classes = (IsLoaderOrStaff,)

    @extend_schema(request=CustodyInput, responses=OrderAnswer)
    def post(self, request: Request, order_id: UUID) -> HttpResponse:
        """Say who has the parcel now. An order that was on hold for it goes on, or ends FAILED.

        A LOADER says so of the orders of its place, and brings parcels to its own hubs only.
        """
        access.order_to_handle(self.caller, order_id)
        said = self.read(CustodyInput)
        if said["hub"] is not None and said["hub"] not in access.hubs_of(self.caller):
            message = "You load at other hubs."
            raise Invalid([FieldProblem("place", "not_yours", message)])
        order = say_who_holds_it(
            order_id,
            Holder(said["holder"]),
            hub=said["hub"],
            note=said["note"],
            by=self.caller.actor,
        )
        return _answer(order, self.caller)


def say_who_holds_it(
    order_id: UUID, holder: Holder, *, hub: Hub | None, note: str, by: Actor
) -> Order:
    """The verb that stands for this holder. `hub` goes with HUB. Raises what the verbs raise."""
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
    raise ValueError(f"Nobody can say {holder} without more.")


class Correct(ApiView):
    """Correct the outcome of an order."""

    permission_classes = (IsStaff,)

    @extend_schema(request=CorrectionInput, responses=OrderAnswer)
    def post(self, request: Request, order_id: UUID) -> HttpResponse:
        """Correct the outcome, in writing, for 7 days. DELIVERED also answers an order on hold: it
        was delivered after all.
        """
        said = self.read(CorrectionInput)
        order = lifecycle.correct(
            order_id,
            outcome=Status(said["outcome"]),
            reason=ReasonCode(said.get("reason_code", ReasonCode.OTHER)),
            by=self.caller.actor,
            why=said["note"],
        )
        return _answer(order, self.caller)


# What a loader reads of an order: nothing about its customer, and not where it goes.
FOR_LOADERS = ("id", "status", "priority", "payload_weight_kg", "payload_type", "custody", "hold")


def _answer(order: Order, to: Caller) -> HttpResponse:
    shown: Mapping[str, object] = order_json(order, to, timezone.now())
    if to.role == Role.LOADER:
        shown = {name: shown[name] for name in FOR_LOADERS}
    return json_answer(shown)
