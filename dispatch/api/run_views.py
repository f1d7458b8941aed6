"""Dispatch by API: run it, read its decisions, and assign manually."""

from typing import Any
from uuid import UUID

from django.db.models import prefetch_related_objects
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from dispatch.api.run_serializers import (
    Assigned,
    AssignInput,
    CandidateList,
    DecisionList,
    Run,
    RunAnswer,
    RunInput,
    RunWithDecisions,
    Unassigned,
)
from dispatch.missions import before_launch
from dispatch.models import DispatchDecision, DispatchRun
from dispatch.planning import manual_assignment, runs
from dispatch.planning.candidates import candidates
from orders.models import Order
from wingxtra.api.pagination import Envelope
from wingxtra.api.permissions import IsStaff
from wingxtra.api.schema import NAMES
from wingxtra.api.views import ApiView
from wingxtra.problems import NotFound

LATEST_DECISIONS = 20


class StaffView(ApiView):
    permission_classes = (IsStaff,)


class DispatchRunView(StaffView):
    """Plan all queued orders now, and assign what the plan says."""

    @extend_schema(
        request=RunInput,
        responses={200: RunAnswer, 404: None},
        extensions={NAMES: {"run_id": "$response.body#/run_id"}},
    )
    def post(self, request: Request) -> Response:
        wanted = self.read(RunInput)
        outcome = runs.run(
            trigger=DispatchRun.Trigger.API,
            by=self.caller.actor,
            service_area_id=wanted.get("service_area_id"),
            max_assignments=wanted.get("max_assignments"),
            dry_run=wanted.get("dry_run", False),
        )
        return Response(_outcome(outcome))


class RunPages(Envelope):
    time_field = "started_at"


class RunList(StaffView, ListAPIView[DispatchRun]):
    """Dispatch runs, newest first."""

    queryset = DispatchRun.objects.all()
    serializer_class = Run
    pagination_class = RunPages


class RunDetail(StaffView):
    """One run with what it decided about every order."""

    @extend_schema(responses=RunWithDecisions)
    def get(self, request: Request, run_id: UUID) -> Response:
        run = DispatchRun.objects.prefetch_related("decisions").filter(pk=run_id).first()
        if run is None:
            raise NotFound("dispatch run")
        return Response(RunWithDecisions(run).data)


class Decisions(StaffView):
    """What the latest runs decided about one order, and why, newest first; at most 20."""

    @extend_schema(responses=DecisionList)
    def get(self, request: Request, order_id: UUID) -> Response:
        order = Order.objects.visible_to(self.caller).filter(pk=order_id).first()
        if order is None:
            raise NotFound
        latest = order.decisions.select_related("run").order_by("-id")[:LATEST_DECISIONS]
        return Response(DecisionList({"items": latest}).data)


class Candidates(StaffView):
    """All drones for one order, best first, with what speaks against each."""

    @extend_schema(responses=CandidateList)
    def get(self, request: Request, order_id: UUID) -> Response:
        order = Order.objects.visible_to(self.caller).filter(pk=order_id).first()
        if order is None:
            raise NotFound
        return Response(CandidateList({"items": candidates(order)}).data)


class Assign(StaffView):
    """Assign a queued order to a chosen drone."""

    @extend_schema(
        request=AssignInput,
        responses=Assigned,
        extensions={NAMES: {"job_id": "$response.body#/job_id"}},
    )
    def post(self, request: Request, order_id: UUID) -> Response:
        wanted = self.read(AssignInput)
        order = manual_assignment.assign(order_id, by=self.caller.actor, **wanted)
        return Response(Assigned(order).data)


class Reassign(StaffView):
    """Give an assigned order to another drone."""

    # Ground control may have to be asked first.
    one_transaction = False

    @extend_schema(
        request=AssignInput,
        responses=Assigned,
        extensions={NAMES: {"job_id": "$response.body#/job_id"}},
    )
    def post(self, request: Request, order_id: UUID) -> Response:
        wanted = self.read(AssignInput)
        order = before_launch.reassign(order_id, by=self.caller.actor, **wanted)
        return Response(Assigned(order).data)


def _outcome(outcome: runs.Outcome) -> dict[str, Any]:
    """A dry run shows what would be assigned; nothing has a job then."""
    chosen = [d for d in outcome.decisions if d.outcome == DispatchDecision.Outcome.ASSIGNED]
    done = {order.pk: order for order in outcome.assigned}
    prefetch_related_objects([d for d in chosen if d.order_id not in done], "order")
    return {
        "run_id": outcome.run.pk,
        "dry_run": outcome.run.dry_run,
        "assigned": outcome.run.assigned,
        "note": outcome.run.note,
        "assignments": [
            Assigned(done[decision.order_id]).data
            if decision.order_id in done
            else {
                "order_id": decision.order_id,
                "status": decision.order.status,
                "job_id": None,
                "drone_id": decision.drone_id,
            }
            for decision in chosen
        ],
        "unassigned": [Unassigned(decision).data for decision in outcome.unassigned],
    }
