"""Requests and responses of the missions API."""

from typing import Any
from uuid import UUID

from rest_framework import serializers

from dispatch.missions import identification
from dispatch.missions.reports import MissionEvent, ReportType, report_type
from dispatch.models import Mission, MissionPart
from orders.states import CancelReason, EventType, Status
from wingxtra.api.serializers import FromContract, StrictSerializer, Text, Timestamp
from wingxtra.problems import FieldProblem, Invalid


class CancelInput(StrictSerializer):
    reason = serializers.ChoiceField(
        CancelReason.choices,
        required=False,
        help_text="`MERCHANT_REQUEST` if a merchant gives none.",
    )
    note = Text(
        max_length=300,
        allow_blank=True,
        required=False,
        default="",
        help_text="For our staff; removed with the customer's data.",
    )


class AbortInput(StrictSerializer):
    reason = Text(max_length=300, allow_blank=True, required=False, default="")


class ReportInput(StrictSerializer):
    """A mission event. Senders use several names for its type and its time."""

    event_type = Text(max_length=40, required=False)
    event = Text(max_length=40, required=False)
    type = Text(max_length=40, required=False)
    occurred_at = Timestamp(required=False, allow_null=True)
    timestamp = Timestamp(required=False, allow_null=True)
    # DRF's Field has an attribute `source`.
    source = Text(  # type: ignore[assignment]
        max_length=40, allow_blank=True, required=False, allow_null=True
    )
    event_id = Text(max_length=120, allow_blank=True, required=False, allow_null=True)
    message = Text(max_length=500, allow_blank=True, required=False, allow_null=True)
    payload = serializers.DictField(required=False, allow_null=True)

    @classmethod
    def report(cls, data: Any) -> MissionEvent:
        """Raises Invalid with every problem."""
        values, problems = cls.read(data)
        names = "event_type", "event", "type"
        name = next((values[name] for name in names if values.get(name)), None)
        kind = report_type(name) if name else None
        if kind is None and not any(problem.field in names for problem in problems):
            problems.append(_unknown_event(name))
        intent_id, unreadable = _intent_id(values.get("payload") or {})
        problems += unreadable
        if kind is None or problems:
            raise Invalid(problems)
        return MissionEvent(
            type=kind,
            occurred_at=values.get("occurred_at") or values.get("timestamp"),
            source=values.get("source") or "gcs",
            event_id=values.get("event_id") or "",
            message=values.get("message") or "",
            intent_id=intent_id,
        )


def _unknown_event(name: str | None) -> FieldProblem:
    if not name:
        return FieldProblem("event_type", "required", "Say what happened.")
    known = ", ".join(ReportType)
    return FieldProblem("event_type", "unknown_event", f"“{name}” is not one of {known}.")


def _intent_id(payload: dict[str, Any]) -> tuple[UUID | None, list[FieldProblem]]:
    value = payload.get("intent_id")
    if value is None:
        return None, []
    try:
        return serializers.UUIDField().to_internal_value(value), []
    except serializers.ValidationError:
        return None, [FieldProblem("payload.intent_id", "invalid", "Must be a UUID.")]


class StatusAnswer(serializers.Serializer[Any]):
    order_id = serializers.UUIDField()
    status = serializers.ChoiceField(Status.choices)


class SubmittedAnswer(StatusAnswer):
    mission_intent_id = serializers.UUIDField()


class AbortAnswer(StatusAnswer):
    abort_requested = serializers.BooleanField()


class ReportAnswer(StatusAnswer):
    applied_events = serializers.ListField(
        child=serializers.ChoiceField(EventType.choices),
        help_text="The events that the report caused, in order; empty when it had nothing new.",
    )
    duplicate = serializers.BooleanField(help_text="The same report came before.")
    note = serializers.CharField(allow_null=True, help_text="Why nothing was applied.")


class IntentContract(FromContract):
    contract = "any_mission_intent"


class IntentAnswer(serializers.Serializer[Mission]):
    """The contract as sent, and its publishing state."""

    id = serializers.UUIDField()
    order_id = serializers.UUIDField(
        allow_null=True, help_text="Null for a flight without an order (REPOSITION)."
    )
    job_id = serializers.UUIDField(allow_null=True, help_text="Null without an order.")
    drone_id = serializers.CharField()
    kind = serializers.ChoiceField(Mission.Kind.choices)
    state = serializers.ChoiceField(Mission.State.choices)
    intent = IntentContract()
    not_known = serializers.ListField(
        child=serializers.CharField(),
        help_text="What the intent does not say of the operator and the aircraft: `operator_id`, "
        "`aircraft.registration`, `aircraft.serial`. Version 1 says none of them.",
    )
    tries = serializers.IntegerField()
    next_try_at = Timestamp(allow_null=True)
    bridge_status = serializers.IntegerField(
        allow_null=True, help_text="The HTTP status of the bridge's last answer."
    )
    bridge_answer = serializers.CharField(allow_null=True)
    recall_state = serializers.ChoiceField(
        [choice for choice in Mission.Recall.choices if choice[0]], allow_null=True
    )
    recall_mode = serializers.ChoiceField(["withdraw", "abort"], allow_null=True)
    recall_reason = serializers.CharField(allow_null=True)
    created_at = Timestamp()
    accepted_at = Timestamp(allow_null=True)
    said = serializers.CharField(
        allow_null=True, help_text="What ground control last said of the mission."
    )
    said_at = Timestamp(allow_null=True)
    over_at = Timestamp(allow_null=True, help_text="When the mission was known to be over.")
    over_by = serializers.CharField(allow_null=True, help_text="Who reported it.")
    over_because = serializers.CharField(allow_null=True)


def intent_json(intent: Mission, part: MissionPart | None) -> dict[str, Any]:
    """As IntentAnswer has it. part: None for a mission without an order."""
    return {
        "id": intent.pk,
        "order_id": part.order_id if part else None,
        "job_id": part.job_id if part else None,
        "drone_id": intent.drone_id,
        "kind": intent.kind,
        "state": intent.state,
        "intent": intent.body,
        "not_known": identification.unknown(intent.body),
        "tries": intent.tries,
        "next_try_at": intent.next_try_at if intent.state == Mission.State.PENDING else None,
        "bridge_status": intent.bridge_status,
        "bridge_answer": intent.bridge_answer or None,
        "recall_state": intent.recall_state or None,
        "recall_mode": intent.recall_mode or None,
        "recall_reason": intent.recall_reason or None,
        "created_at": intent.created_at,
        "accepted_at": intent.accepted_at,
        "said": intent.said or None,
        "said_at": intent.said_at,
        "over_at": intent.over_at,
        "over_by": intent.over_by or None,
        "over_because": intent.over_because or None,
    }
