"""Drones as JSON, read-only. Staff edit the registry in the console."""

from typing import Any

from rest_framework import serializers

from fleet.airworthiness.fitness import Fitness
from fleet.live.drone_status import LiveDrone, Readiness
from wingxtra.api.serializers import Timestamp


class ReasonSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()


class FitnessSerializer(serializers.Serializer[Fitness]):
    """A clause for each thing, for people. All but `due_soon` keep the drone out of dispatch."""

    due_soon = serializers.ListField(
        child=serializers.CharField(), help_text="Maintenance that is due soon: a warning."
    )
    overdue = serializers.ListField(child=serializers.CharField(), help_text="Maintenance.")
    defects = serializers.ListField(
        child=serializers.CharField(), help_text="Defects that ground it, until their release."
    )
    unattested = serializers.ListField(
        child=serializers.CharField(), help_text="Pre-flight checks that today lacks."
    )


class LiveDroneSerializer(serializers.Serializer[LiveDrone]):
    """A value that telemetry lacks is null. Figures are the last known, as of `last_seen_at`.

    `telemetry_problems`: the errors in the drone's telemetry, one sentence each.
    """

    drone_id = serializers.CharField(source="drone.drone_id")
    readiness = serializers.ChoiceField(choices=[(one.value, one.value) for one in Readiness])
    reasons = ReasonSerializer(many=True)
    lat = serializers.FloatField(source="telemetry.lat", allow_null=True)
    lng = serializers.FloatField(source="telemetry.lng", allow_null=True)
    alt_m = serializers.FloatField(source="telemetry.alt_m", allow_null=True)
    battery_pct = serializers.FloatField(source="telemetry.battery_pct", allow_null=True)
    mode = serializers.CharField(source="telemetry.mode", allow_null=True)
    armed = serializers.BooleanField(source="telemetry.armed", allow_null=True)
    last_seen_at = Timestamp(source="telemetry.seen_at", allow_null=True)
    telemetry_problems = serializers.ListField(child=serializers.CharField(), source="problems")
    active_job_id = serializers.UUIDField(allow_null=True)
    fitness = FitnessSerializer(help_text="What stands against its airworthiness.")
