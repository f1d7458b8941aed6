"""What dispatch is asked, and what it tells, by API."""

from rest_framework import serializers

from dispatch.models import DispatchDecision, DispatchRun
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


class Decision(serializers.ModelSerializer[DispatchDecision]):
    reasons = serializers.JSONField(source="ruled_out")

    class Meta:
        model = DispatchDecision
        fields = ["order_id", "outcome", "drone_id", "why", "figures", "runners_up", "reasons"]
