"""Missions by API: submit, cancel, abort, report. Each view calls one function."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from dispatch import testmode
from dispatch.api.serializers import (
    AbortAnswer,
    AbortInput,
    CancelInput,
    IntentAnswer,
    ReportAnswer,
    ReportInput,
    SubmittedAnswer,
    intent_json,
)
from dispatch.missions import before_launch, publishing, recalls, reports
from dispatch.models import Mission
from orders.api import views as orders_views
from orders.api.serializers import CanceledOrder, NewWindow, OrderAnswer, order_json
from orders.models import Order
from orders.states import CancelReason
from wingxtra.accounts.identity import Actor, ActorKind, Caller, Role
from wingxtra.api.permissions import IsMerchantOrStaff, IsStaff
from wingxtra.api.renderers import json_answer
from wingxtra.api.schema import NAMES
from wingxtra.api.views import ApiView
from wingxtra.problems import FieldProblem, Invalid, NotFound, Unavailable


@contextmanager
def readable_for(caller: Caller) -> Iterator[None]:
    """Replaces the bridge's answer, which is for staff, by a text for merchants."""
    try:
        yield
    except Unavailable as problem:
        if caller.role != Role.MERCHANT:
            raise
        raise Unavailable(
            problem.code,
            "Ground control does not confirm that the flight is taken back; nothing was changed. "
            "Try again in a minute, or ask operations.",
        ) from problem


class Cancel(ApiView):
    """Cancel an order that has not launched. Its mission is withdrawn from ground control first."""

    permission_classes = (IsMerchantOrStaff,)
    one_transaction = False

    @extend_schema(request=CancelInput, responses=CanceledOrder)
    def post(self, request: Request, order_id: UUID) -> HttpResponse:
        _refuse_unless_visible(order_id, self.caller)
        wanted = self.read(CancelInput)
        usual = (
            CancelReason.MERCHANT_REQUEST
            if self.caller.role == Role.MERCHANT
            else CancelReason.OTHER
        )
        with readable_for(self.caller):
            order = before_launch.cancel(
                order_id,
                by=self.caller.actor,
                reason=CancelReason(wanted.get("reason", usual)),
                note=wanted["note"],
            )
        body = {**order_json(order, self.caller, timezone.now()), "order_id": order.pk}
        return json_answer(body)


class Reschedule(ApiView):
    """Give an order another window. Its mission is withdrawn from ground control first."""

    permission_classes = (IsMerchantOrStaff,)
    one_transaction = False

    @extend_schema(request=NewWindow, responses=OrderAnswer)
    def post(self, request: Request, order_id: UUID) -> HttpResponse:
        """The same window changes nothing."""
        _refuse_unless_visible(order_id, self.caller)
        window = self.read(NewWindow)
        if not any(window.values()):
            message = "Give not_before, deliver_by, or both."
            raise Invalid([FieldProblem("", "required", message)])
        with readable_for(self.caller):
            done = before_launch.reschedule(
                order_id,
                not_before=window.get("not_before"),
                deliver_by=window.get("deliver_by"),
                by=self.caller.actor,
            )
        return json_answer(order_json(done.order, self.caller, timezone.now()))


class SubmitMissionIntent(ApiView):
    """Publish the order's mission now, also one that was held."""

    permission_classes = (IsStaff,)
    one_transaction = False

    @extend_schema(
        request=None,
        responses=SubmittedAnswer,
        extensions={NAMES: {"intent_id": "$response.body#/mission_intent_id"}},
    )
    def post(self, request: Request, order_id: UUID) -> Response:
        part = publishing.submit(order_id, by=self.caller.actor)
        return Response(
            {
                "order_id": part.order_id,
                "mission_intent_id": part.mission_id,
                "status": part.order.status,
            }
        )


class Abort(ApiView):
    """Ask ground control to end a flight; the order is aborted once it confirms."""

    permission_classes = (IsStaff,)

    @extend_schema(request=AbortInput, responses={202: AbortAnswer})
    def post(self, request: Request, order_id: UUID) -> Response:
        reason = self.read(AbortInput)["reason"]
        order = recalls.request_abort(order_id, by=self.caller.actor, reason=reason)
        return Response(
            {"order_id": order.pk, "status": order.status, "abort_requested": True}, status=202
        )


class Advance(ApiView):
    """Take the next step of a test order before its time."""

    permission_classes = (IsMerchantOrStaff,)

    @extend_schema(request=None, responses=OrderAnswer)
    def post(self, request: Request, order_id: UUID) -> HttpResponse:
        """The later steps keep their times. A step that depends on the clock (late, at risk) comes
        out as it would at this moment.
        """
        _refuse_unless_visible(order_id, self.caller)
        return json_answer(order_json(testmode.advance(order_id), self.caller, timezone.now()))


class OrderEvents(orders_views.OrderEvents):
    """What happened to an order, oldest first."""

    def get_permissions(self) -> Any:
        return [IsStaff()] if self.request.method == "POST" else super().get_permissions()

    @extend_schema(request=ReportInput, responses=ReportAnswer)
    def post(self, request: Request, order_id: UUID) -> HttpResponse:
        """Report mission events as ground control. A repeated event is applied once; one that would
        move the order backwards changes nothing, and `note` says why.
        """
        event = ReportInput.report(request.data)
        by = self.caller.actor
        if event.source == "gcs":
            by = Actor(ActorKind.GCS, by.ref)
        done = reports.report(order_id, event, by=by)
        return json_answer(
            {
                "order_id": done.order.pk,
                "status": done.order.status,
                "applied_events": done.applied,
                "duplicate": done.duplicate,
                "note": done.note or None,
            }
        )


class OneMissionIntent(ApiView):
    """One mission intent: the contract as sent, and its publishing state."""

    permission_classes = (IsStaff,)

    @extend_schema(responses=IntentAnswer)
    def get(self, request: Request, intent_id: UUID) -> Response:
        mission = Mission.objects.prefetch_related("parts").filter(pk=intent_id).first()
        if mission is None:
            raise NotFound("mission intent")
        return Response(intent_json(mission, next(iter(mission.parts.all()), None)))


def _refuse_unless_visible(order_id: UUID, caller: Caller) -> None:
    if not Order.objects.visible_to(caller).filter(pk=order_id).exists():
        raise NotFound
