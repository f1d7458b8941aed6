"""Reports of ground control about flights without an order."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from dispatch.missions.reposition import reports
from dispatch.missions.reposition.reports import ReportType
from dispatch.models import Mission
from wingxtra.accounts.identity import Actor, ActorKind
from wingxtra.api.permissions import IsStaff
from wingxtra.api.serializers import StrictSerializer, Text, Timestamp
from wingxtra.api.views import ApiView


class RepositionReportInput(StrictSerializer):
    """An event of a flight without an order."""

    event_type = Text(max_length=40, help_text=f"One of {', '.join(ReportType)}.")
    message = Text(max_length=300, allow_blank=True, required=False, default="")
    occurred_at = Timestamp(required=False, allow_null=True)
    event_id = Text(max_length=120, allow_blank=True, required=False, allow_null=True)
    # DRF's Field has an attribute `source`.
    source = Text(  # type: ignore[assignment]
        max_length=40, allow_blank=True, required=False, allow_null=True
    )
    payload = serializers.DictField(required=False, allow_null=True)

    def validate_event_type(self, name: str) -> ReportType:
        short = name.upper().removeprefix("MISSION_")
        if short not in ReportType.__members__:
            message = f"“{name}” is not one of {', '.join(ReportType)}."
            raise serializers.ValidationError(message, code="unknown_event")
        return ReportType(short)


class RepositionReportAnswer(serializers.Serializer[Any]):
    intent_id = serializers.UUIDField()
    drone_id = serializers.CharField()
    state = serializers.ChoiceField(Mission.State.choices)
    over = serializers.BooleanField(help_text="The mission is over for us.")
    note = serializers.CharField(allow_null=True, help_text="Why nothing was changed.")


class MissionEvents(ApiView):
    """What ground control reports of a flight without an order."""

    permission_classes = (IsStaff,)

    @extend_schema(request=RepositionReportInput, responses=RepositionReportAnswer)
    def post(self, request: Request, intent_id: UUID) -> Response:
        """Report an event of a REPOSITION mission. A repeated or late one changes nothing, and
        `note` says why.
        """
        event = self.read(RepositionReportInput)
        by = Actor(ActorKind.GCS, self.caller.actor.ref)
        kind, message = event["event_type"], event["message"]
        done = reports.report(
            intent_id, kind, by=by, message=message, occurred_at=event.get("occurred_at")
        )
        mission = done.mission
        return Response(
            {
                "intent_id": mission.pk,
                "drone_id": mission.drone_id,
                "state": mission.state,
                "over": mission.over_at is not None,
                "note": done.note or None,
            }
        )
