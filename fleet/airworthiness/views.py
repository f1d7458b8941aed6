"""Airworthiness of drones and the responsible pilots by API, to read."""

from typing import Any

from django.db.models import Prefetch
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.airworthiness import fitness
from fleet.airworthiness.fitness import FIT
from fleet.models import BatteryPack, Defect, Drone, Maintenance, Pilot, Shift
from fleet.serializers import FitnessSerializer
from wingxtra.api.permissions import IsStaffOrReadOnly
from wingxtra.api.serializers import Timestamp
from wingxtra.api.views import ApiView
from wingxtra.problems import NotFound

LATEST = 100


class StandingSerializer(serializers.Serializer[Any]):
    """Where the drone stands with a maintenance rule, by the measure that is nearest to its end."""

    rule = serializers.CharField(source="name")
    due = serializers.CharField(source="due.name", help_text="LATER, SOON or OVERDUE.")
    used = serializers.FloatField(help_text="Since the rule was last fulfilled, in `unit`.")
    every = serializers.FloatField(help_text="The interval, in `unit`.")
    unit = serializers.CharField(help_text="flights, h or days.")


class MaintenanceSerializer(serializers.Serializer[Maintenance]):
    rule = serializers.CharField(source="rule.name")
    done = serializers.CharField(help_text="What was done.")
    done_at = Timestamp()
    flights = serializers.IntegerField(help_text="Counter of the drone at that time.")
    flight_seconds = serializers.IntegerField(help_text="The same.")
    recorded_by = serializers.CharField()


class DefectSerializer(serializers.Serializer[Defect]):
    description = serializers.CharField()
    grounds = serializers.BooleanField(help_text="It keeps the drone out of dispatch.")
    reported_at = Timestamp()
    reported_by = serializers.CharField()
    released_at = Timestamp(allow_null=True)
    released_by = serializers.CharField()
    done = serializers.CharField(help_text="What was done about it.")


class PackSerializer(serializers.Serializer[BatteryPack]):
    serial = serializers.CharField()
    cycles = serializers.IntegerField()


class AirworthinessSerializer(serializers.Serializer[Any]):
    drone_id = serializers.CharField(source="drone.drone_id")
    kind = serializers.CharField(source="drone.kind.name")
    serial = serializers.CharField(source="drone.serial")
    registration = serializers.CharField(source="drone.registration")
    flights = serializers.IntegerField(source="drone.flights")
    flight_seconds = serializers.IntegerField(source="drone.flight_seconds")
    cycles = serializers.IntegerField(source="drone.cycles")
    fitness = FitnessSerializer(help_text="What stands against it now.")
    rules = StandingSerializer(many=True, help_text="The most urgent first.")
    maintenance = MaintenanceSerializer(many=True, help_text=f"The latest {LATEST}.")
    defects = DefectSerializer(many=True, help_text=f"The latest {LATEST}, released or not.")
    packs = PackSerializer(many=True, help_text="Battery packs that it has now.")


class Airworthiness(ApiView):
    """The log of one drone: counters, maintenance, defects and battery packs."""

    permission_classes = (IsStaffOrReadOnly,)

    @extend_schema(responses=AirworthinessSerializer)
    def get(self, request: Request, drone_id: str) -> Response:
        drone = Drone.objects.select_related("kind").filter(pk=drone_id).first()
        if drone is None:
            raise NotFound("drone")
        now = timezone.now()
        found = {
            "drone": drone,
            "fitness": fitness.of(now, [drone.pk]).get(drone.pk, FIT),
            "rules": fitness.standings(drone, now),
            "maintenance": drone.maintenance.select_related("rule")[:LATEST],
            "defects": drone.defects.all()[:LATEST],
            "packs": drone.packs.all(),
        }
        return Response(AirworthinessSerializer(found).data)


class ShiftSerializer(serializers.Serializer[Shift]):
    service_area_id = serializers.UUIDField()
    starts_at = Timestamp()
    ends_at = Timestamp()
    at_once = serializers.IntegerField(
        help_text="How many drones the pilot may supervise at the same time."
    )


class PilotSerializer(serializers.Serializer[Pilot]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    remote_pilot_id = serializers.CharField(help_text="Number of the certificate, if known.")
    active = serializers.BooleanField()
    shifts = ShiftSerializer(many=True, source="next_shifts", help_text="Under way, or later.")


class PilotListSerializer(serializers.Serializer[Any]):
    items = PilotSerializer(many=True)


class Pilots(ApiView):
    """All responsible pilots by name, with their shifts that have not ended."""

    permission_classes = (IsStaffOrReadOnly,)

    @extend_schema(responses=PilotListSerializer)
    def get(self, request: Request) -> Response:
        later = Shift.objects.filter(ends_at__gt=timezone.now()).order_by("starts_at", "pk")
        shifts = Prefetch("shifts", queryset=later, to_attr="next_shifts")
        pilots = Pilot.objects.order_by("name").prefetch_related(shifts)
        return Response(PilotListSerializer({"items": pilots}).data)
