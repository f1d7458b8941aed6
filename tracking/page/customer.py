"""A customer's actions: receive the parcel, move the drop point, give instructions.

The page and the API both call these functions. Each is idempotent: a second call, from another tab
or a second tap, changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from orders import lifecycle
from orders.changes import details, dropoff
from orders.models import Order
from orders.states import AT_THE_DROP_POINT, DropoffSource, PodRequirement, Status
from pod import cases, proofs
from pod.pictures import images
from pod.serializers import read_signature, signature_evidence
from wingxtra.accounts.identity import CUSTOMER
from wingxtra.problems import Conflict, FieldProblem, Invalid

FIX_MAX_AGE = timedelta(minutes=5)
FIX_MAX_CLOCK_SKEW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Fix:
    """The new drop point: measured by a phone, or put on the map (then only `lat` and `lng`)."""

    lat: float
    lng: float
    accuracy_m: float | None = None
    captured_at: datetime | None = None


def enter_code(order: Order, code: str) -> None:
    """Receive with the one-time code. Raises WrongCode, Conflict and Invalid."""
    proofs.record(order.pk, proofs.Evidence.code(code), by=CUSTOMER)


def may_sign(order: Order) -> None:
    """Raises Conflict for a delivery that is received in another way, or not now."""
    if order.pod_requirement != PodRequirement.SIGNATURE:
        raise Conflict(
            "signature_not_asked_for",
            "This delivery is not received with a signature.",
            current_status=order.status,
        )
    proofs.refuse_unless_at_the_drop_point(order)


def sign(order: Order, body: bytes, explained: Callable[[], dict[str, Any]]) -> None:
    """Receive with a signature. `body`: the JSON of a SignatureInput; `explained` reads the same
    and says what is wrong. Raises Conflict, and Invalid for strokes that cannot be drawn.
    """
    may_sign(order)
    try:
        signed = read_signature(body) or signature_evidence(explained()["signature"])
    except images.BadImage as error:
        raise Invalid([FieldProblem("signature", error.code, str(error))]) from error
    proofs.record(order.pk, signed, by=CUSTOMER)


def confirm(order: Order) -> None:
    """“I have it”: completes a delivery at the drop point that needs no proof. Raises Conflict."""
    if order.pod_requirement != PodRequirement.NONE:
        raise Conflict(
            "proof_needed",
            f"This delivery is received with {order.get_pod_requirement_display().lower()}.",
            current_status=order.status,
        )
    if order.status not in (*AT_THE_DROP_POINT, Status.DELIVERED):
        raise lifecycle.Refused(
            order,
            f"The order is {order.status}. It can be confirmed when the drone is at the drop point "
            "(ARRIVED, DELIVERING).",
            code="not_at_the_drop_point",
        )
    lifecycle.advance(
        order.pk,
        Status.DELIVERED,
        by=CUSTOMER,
        job_id=order.current_job_id,
        message="The customer has it.",
    )


def instruct(order: Order, instructions: str) -> None:
    """Replace the instructions for the delivery. Raises Refused once the drone has launched."""
    details.change_details(order.pk, {"dropoff_instructions": instructions}, by=CUSTOMER)


def complain(order: Order, complaint: cases.Complaint) -> lifecycle.Done:
    """“It is not here”, “it is damaged”: opens a case. Raises Conflict, and Invalid for a photo."""
    return cases.open_case(order.pk, complaint, by=CUSTOMER)


def move_dropoff(order: Order, fix: Fix) -> lifecycle.Done:
    """Move the drop point.

    Raises Refused once a drone is assigned, and Invalid for a place that is too far from the given
    address, outside of the service area, or measured too inaccurately or too long ago.
    """
    now = timezone.now()
    if fix.captured_at and not now - FIX_MAX_AGE <= fix.captured_at <= now + FIX_MAX_CLOCK_SKEW:
        minutes = (now - fix.captured_at).total_seconds() / 60
        message = (
            f"This position was taken {minutes:.0f} minutes ago; at most "
            f"{FIX_MAX_AGE.total_seconds() / 60:.0f} are accepted. Take a new one."
            if minutes > 0
            else "This position was taken in the future. Correct the clock of the phone."
        )
        raise Invalid([FieldProblem("captured_at", "dropoff_too_old", message)])
    # Only a measured position has an accuracy.
    is_a_pin = fix.accuracy_m is None
    source = DropoffSource.CUSTOMER_PIN if is_a_pin else DropoffSource.CUSTOMER_GPS
    drop: dict[str, Any] = {"lat": fix.lat, "lng": fix.lng, "accuracy_m": fix.accuracy_m}
    return dropoff.move_dropoff(
        order.pk,
        dropoff.Drop(**drop, captured_at=fix.captured_at, source=source),
        by=CUSTOMER,
    )
