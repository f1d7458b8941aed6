"""Custody, hold, proof and reason of an order as JSON; input of custody and correction calls."""

from typing import Any

from django.db.models import Q
from rest_framework import serializers

from fleet.models import Hub
from orders.api.contract import Custody, Hold, Proof, Reason
from orders.api.reading import ShownOrder
from orders.states import CancelReason, HoldCode, Holder, PodRequirement, ReasonCode, Status
from wingxtra.accounts.identity import STAFF_ROLES, Caller
from wingxtra.api.serializers import StrictSerializer, Text

MASKED = "masked"
# The holders that a caller can report, and those that need a note.
NEEDS_A_NOTE = (Holder.SENDER, Holder.RETURNED, Holder.LOST)
REPORTABLE = (Holder.DRONE, Holder.HUB, *NEEDS_A_NOTE)
OUTCOMES = [Status.DELIVERED.value, Status.FAILED.value]

# --- input ---------------------------------------------------------------------------------------


def hub_named(text: str) -> Hub | None:
    """The hub with this name or id."""
    matches = Q(name__iexact=text)
    if text.isascii() and text.isdecimal() and len(text) < 10:
        matches |= Q(pk=int(text))
    return Hub.objects.filter(matches).first()


class CustodyInput(StrictSerializer):
    """Who has the parcel now."""

    holder = serializers.ChoiceField(
        [(holder.value, holder.label) for holder in REPORTABLE],
        help_text=(
            "DRONE: loaded. HUB: unloaded at `place`. SENDER: never left. RETURNED: the sender has "
            "it again; `note` says who received it. LOST."
        ),
    )
    place = Text(
        max_length=80, required=False, allow_null=True, help_text="The hub's id or name, with HUB."
    )
    note = Text(
        max_length=200,
        required=False,
        allow_blank=True,
        default="",
        help_text="Needed for SENDER, RETURNED and LOST. Kept for good: no personal data.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Adds the `hub`."""
        holder, place = attrs["holder"], attrs.get("place")
        hub = hub_named(place) if place else None
        problems: dict[str, serializers.ErrorDetail] = {}
        if holder == Holder.HUB and place is None:
            problems["place"] = serializers.ErrorDetail("Name the hub.", "required")
        elif holder == Holder.HUB and hub is None:
            problems["place"] = serializers.ErrorDetail("There is no such hub.", "does_not_exist")
        if holder != Holder.HUB and place is not None:
            problems["place"] = serializers.ErrorDetail("Only with holder HUB.", "not_allowed")
        if holder in NEEDS_A_NOTE and not attrs["note"]:
            text = "Say who received it." if holder == Holder.RETURNED else "Say how it is known."
            problems["note"] = serializers.ErrorDetail(text, "required")
        if problems:
            raise serializers.ValidationError(problems)
        return {**attrs, "hub": hub}


class CorrectionInput(StrictSerializer):
    """The corrected outcome of an order."""

    outcome = serializers.ChoiceField(OUTCOMES)
    reason_code = serializers.ChoiceField(
        ReasonCode.choices, required=False, help_text="With FAILED; OTHER when not given."
    )
    note = Text(max_length=300, help_text="How it is known. Kept for good: no personal data.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["outcome"] != Status.FAILED and "reason_code" in attrs:
            error = serializers.ErrorDetail("Only with outcome FAILED.", "not_allowed")
            raise serializers.ValidationError({"reason_code": error})
        return attrs


# --- output --------------------------------------------------------------------------------------


def custody_json(order: ShownOrder, to: Caller) -> Custody:
    drone_id = order.holder_drone_id
    place = order.pickup_name if order.holder == Holder.SENDER else ""
    return {
        "holder": order.holder,
        "drone": drone_id if drone_id is None or to.role in STAFF_ROLES else MASKED,
        "place": order.hub or place or None,
        "since": order.holder_since,
    }


def hold_json(order: ShownOrder, to: Caller) -> Hold | None:
    """Merchants get the label of the code instead of the internal message."""
    if not order.hold_code or order.hold_since is None:
        return None
    label = HoldCode(order.hold_code).label
    return {
        "code": order.hold_code,
        "message": order.hold_message if to.role in STAFF_ROLES else f"{label}.",
        "since": order.hold_since,
    }


def proof_json(order: ShownOrder) -> Proof:
    return {
        "required": order.pod_requirement != PodRequirement.NONE,
        "received": bool(order.proof_method),
        "method": order.proof_method or None,
        "at": order.proof_at,
    }


def reason_json(order: ShownOrder) -> Reason | None:
    if order.status == Status.CANCELED and order.cancel_reason:
        label = CancelReason(order.cancel_reason).label
        return {"code": order.cancel_reason, "message": f"{label}."}
    if order.status in (Status.FAILED, Status.ABORTED) and order.reason_code:
        return {"code": order.reason_code, "message": ReasonCode(order.reason_code).label}
    return None
