"""Dispatch by API: run it, ask what it decided and why, and assign by hand."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from dispatch import by_hand, runs
from dispatch.candidates import Candidate, candidates
from dispatch.models import DispatchDecision, DispatchRun
from dispatch.run_serializers import AssignInput, Decision, Run, RunInput
from orders.models import Order
from wingxtra.api.pagination import Envelope
from wingxtra.api.permissions import IsStaff
from wingxtra.api.views import ApiView
from wingxtra.problems import NotFound


class StaffView(ApiView):
    permission_classes = (IsStaff,)


class DispatchRunView(StaffView):
    """Plan all queued orders now, and assign what the plan says."""

    def post(self, request: Request) -> Response:
        wanted = self.read(RunInput)
        outcome = runs.run(
            trigger=DispatchRun.Trigger.API,
            by=request.user.actor,
            service_area_id=wanted.get("service_area_id"),
            max_assignments=wanted.get("max_assignments"),
            dry_run=wanted.get("dry_run", False),
        )
        return Response(_outcome(outcome))


class RunPages(Envelope):
    time_field = "started_at"


class RunList(StaffView, ListAPIView[DispatchRun]):
    """Runs, newest first."""

    queryset = DispatchRun.objects.all()
    serializer_class = Run
    pagination_class = RunPages


class RunDetail(StaffView):
    """One run with what it decided about every order."""

    def get(self, request: Request, run_id: UUID) -> Response:
        run = DispatchRun.objects.filter(pk=run_id).first()
        if run is None:
            raise NotFound("dispatch run")
        decisions = run.decisions.select_related("order")
        return Response({**Run(run).data, "decisions": Decision(decisions, many=True).data})


class Candidates(StaffView):
    """All drones for one order, best first, with what speaks against each."""

    def get(self, request: Request, order_id: UUID) -> Response:
        order = Order.objects.visible_to(request.user).filter(pk=order_id).first()
        if order is None:
            raise NotFound
        return Response({"items": [_candidate(found) for found in candidates(order)]})


class Assign(StaffView):
    """Give a queued order to a drone of one's choice."""

    def post(self, request: Request, order_id: UUID) -> Response:
        wanted = self.read(AssignInput)
        order = by_hand.assign(order_id, by=request.user.actor, **wanted)
        return Response(assigned(order))


class Reassign(StaffView):
    """Give an assigned order to another drone."""

    # Ground control may have to be asked first.
    one_transaction = False

    def post(self, request: Request, order_id: UUID) -> Response:
        wanted = self.read(AssignInput)
        order = by_hand.reassign(order_id, by=request.user.actor, **wanted)
        return Response(assigned(order))


def _outcome(outcome: runs.Outcome) -> dict[str, Any]:
    """A dry run shows what would be assigned; nothing has a job then."""
    chosen = [d for d in outcome.decisions if d.outcome == DispatchDecision.Outcome.ASSIGNED]
    done = {order.pk: order for order in outcome.assigned}
    return {
        "run_id": outcome.run.pk,
        "dry_run": outcome.run.dry_run,
        "assigned": outcome.run.assigned,
        "note": outcome.run.note,
        "assignments": [
            assigned(done[decision.order_id])
            if decision.order_id in done
            else {
                "order_id": decision.order_id,
                "status": decision.order.status,
                "job_id": None,
                "drone_id": decision.drone_id,
            }
            for decision in chosen
        ],
        "unassigned": [
            {"order_id": decision.order_id, "why": decision.why, "reasons": decision.ruled_out}
            for decision in outcome.unassigned
        ],
    }


def assigned(order: Order) -> dict[str, Any]:
    """What assigning answers."""
    return {
        "order_id": order.pk,
        "status": order.status,
        "job_id": order.current_job_id,
        "drone_id": order.assigned_drone_id,
    }


def _candidate(found: Candidate) -> dict[str, Any]:
    return {
        "drone_id": found.drone_id,
        "feasible": found.feasible,
        "eta_seconds": found.eta_seconds,
        "energy_needed_pct": found.energy_needed_pct,
        "battery_pct": found.battery_pct,
        "reasons": [asdict(reason) for reason in found.reasons],
    }
