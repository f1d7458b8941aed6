"""Requests and responses of the dispatch API."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from dispatch.models import DispatchDecision, DispatchRun
from dispatch.planning.candidates import Candidate
from orders.models import Order
from orders.states import Status
from wingxtra.api.serializers import Flag, StrictSerializer, Text, Timestamp, WholeNumber


class RunInput(StrictSerializer):
    max_assignments = WholeNumber(required=False, min_value=1, max_value=10_000)
    service_area_id = serializers.UUIDField(required=False)
    dry_run = Flag(required=False)


class AssignInput(StrictSerializer):
    drone_id = Text(max_length=64)
    override_reason = Text(required=False, allow_blank=True, max_length=300)


class Run(serializers.ModelSerializer[DispatchRun]):
    started_at = Timestamp()
    picture_at = Timestamp()

    class Meta:
        model = DispatchRun
        fields = [
            "id",
            "trigger",
            "actor",
            "dry_run",
            "service_area_id",
            "policy_version",
            "picture_at",
            "orders_considered",
            "drones_considered",
            "assigned",
            "value",
            "bound",
            "note",
            "started_at",
            "duration_ms",
        ]


class Assigned(serializers.Serializer[Order]):
    """Who flies the order. In a dry run there is no job."""

    order_id = serializers.UUIDField(source="pk")
    status = serializers.ChoiceField(Status.choices)
    job_id = serializers.UUIDField(source="current_job_id", allow_null=True)
    drone_id = serializers.CharField(source="assigned_drone_id")


class RuledOut(serializers.Serializer[Any]):
    code = serializers.CharField()
    drones = serializers.IntegerField(help_text="How many it rules out.")


class Unassigned(serializers.Serializer[DispatchDecision]):
    order_id = serializers.UUIDField()
    why = serializers.CharField()
    reasons = RuledOut(many=True, source="ruled_out")


class RunAnswer(serializers.Serializer[Any]):
    run_id = serializers.UUIDField()
    dry_run = serializers.BooleanField()
    assigned = serializers.IntegerField()
    note = serializers.CharField(help_text="Why nothing was planned, if nothing was.")
    assignments = Assigned(many=True)
    unassigned = Unassigned(many=True)


class ReasonAgainst(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    overridable = serializers.BooleanField()
    needed = serializers.FloatField(
        allow_null=True, help_text="In the unit that the message names, like `has`."
    )
    has = serializers.FloatField(allow_null=True)


class CandidateAnswer(serializers.Serializer[Candidate]):
    """Figures are null where the drone's position is not known."""

    drone_id = serializers.CharField()
    feasible = serializers.BooleanField()
    eta_seconds = serializers.IntegerField(allow_null=True)
    energy_needed_pct = serializers.FloatField(allow_null=True)
    battery_pct = serializers.FloatField(allow_null=True)
    lands_at = serializers.CharField(
        allow_null=True,
        source="landing.hub.name",
        help_text="The hub that would receive it; null without a network.",
    )
    reasons = ReasonAgainst(many=True)


class CandidateList(serializers.Serializer[Any]):
    items = CandidateAnswer(many=True)


class Figures(serializers.Serializer[Any]):
    drone_id = serializers.CharField()
    wait_s = serializers.FloatField(
        required=False, help_text="Until the drone is expected to be able; 0 for now."
    )
    delivery_s = serializers.FloatField(help_text="From now to the customer's door.")
    busy_s = serializers.FloatField(help_text="Until the drone is home again.")
    energy_pct = serializers.FloatField()
    distance_m = serializers.IntegerField()
    cost = serializers.FloatField(help_text="In weighted seconds (docs/dispatch.md).")
    lands_at = serializers.CharField(
        required=False, help_text="The hub that receives the drone, in a network."
    )
    alternate = serializers.CharField(
        required=False,
        allow_null=True,
        help_text="A second hub that it can reach from the drop point with the parcel.",
    )


class RunnerUp(Figures):
    regret = serializers.FloatField(
        required=False,
        allow_null=True,
        help_text="What choosing it would have cost the plan at least, in weighted seconds; "
        "null where an order as urgent or more would lose its drone.",
    )


class Nearest(serializers.Serializer[Any]):
    """The closest miss of an order that no drone could fly."""

    drone_id = serializers.CharField()
    reasons = ReasonAgainst(many=True)
    short_pct = serializers.FloatField(required=False, help_text="The charge that it lacks.")
    charging_s = serializers.IntegerField(required=False, help_text="What that takes at its hub.")


class Decision(serializers.ModelSerializer[DispatchDecision]):
    figures = serializers.SerializerMethodField(help_text="Of the drone that was chosen.")
    runners_up = RunnerUp(many=True)
    nearest = Nearest(allow_null=True)
    reasons = RuledOut(many=True, source="ruled_out")
    able_at = Timestamp(
        allow_null=True, help_text="When the drone that it waits for is expected to be able."
    )

    class Meta:
        model = DispatchDecision
        fields = [
            "order_id",
            "outcome",
            "drone_id",
            "able_at",
            "why",
            "figures",
            "runners_up",
            "reasons",
            "nearest",
        ]

    @extend_schema_field(Figures(allow_null=True))
    def get_figures(self, decision: DispatchDecision) -> Any:
        return decision.figures or None


class DecisionOfOrder(Decision):
    """What one run decided about the order, with the run that did."""

    run_id = serializers.UUIDField()
    decided_at = Timestamp(source="run.started_at")
    dry_run = serializers.BooleanField(source="run.dry_run")

    class Meta(Decision.Meta):
        fields = ["run_id", "decided_at", "dry_run", *Decision.Meta.fields]


class DecisionList(serializers.Serializer[Any]):
    items = DecisionOfOrder(many=True)


class RunWithDecisions(Run):
    decisions = Decision(many=True)

    class Meta(Run.Meta):
        fields = [*Run.Meta.fields, "decisions"]
