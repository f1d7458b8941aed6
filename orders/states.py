"""The state machine of an order as data: statuses, events, reasons, transitions. Pure."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.db import models


class Status(models.TextChoices):
    CREATED = "CREATED", "Created"
    VALIDATED = "VALIDATED", "Validated"
    QUEUED = "QUEUED", "Queued"
    ASSIGNED = "ASSIGNED", "Assigned"
    MISSION_SUBMITTED = "MISSION_SUBMITTED", "Mission submitted"
    LAUNCHED = "LAUNCHED", "Launched"
    ENROUTE = "ENROUTE", "En route"
    ARRIVED = "ARRIVED", "Arrived"
    DELIVERING = "DELIVERING", "Delivering"
    DELIVERED = "DELIVERED", "Delivered"
    CANCELED = "CANCELED", "Canceled"
    FAILED = "FAILED", "Failed"
    ABORTED = "ABORTED", "Aborted"


WAITING = (Status.CREATED, Status.VALIDATED, Status.QUEUED)
IN_FLIGHT = (Status.LAUNCHED, Status.ENROUTE, Status.ARRIVED, Status.DELIVERING)
AT_THE_DROP_POINT = (Status.ARRIVED, Status.DELIVERING)
WITH_A_JOB = (Status.ASSIGNED, Status.MISSION_SUBMITTED, *IN_FLIGHT)
TERMINAL = (Status.DELIVERED, Status.CANCELED, Status.FAILED, Status.ABORTED)
CANCELABLE = (*WAITING, Status.ASSIGNED, Status.MISSION_SUBMITTED)


class Holder(models.TextChoices):
    """Who has the parcel; exactly one holder at any time. UNKNOWN: ops must find out."""

    SENDER = "SENDER", "With the sender"
    DRONE = "DRONE", "On a drone"
    HUB = "HUB", "At a hub"
    RECIPIENT = "RECIPIENT", "With the recipient"
    RETURNED = "RETURNED", "Back with the sender"
    LOST = "LOST", "Lost"
    UNKNOWN = "UNKNOWN", "Not known"


# Holders where a drone can pick the parcel up.
FLOWN_FROM = (Holder.SENDER, Holder.HUB)
# Final holders.
AT_REST = (Holder.RECIPIENT, Holder.RETURNED, Holder.LOST)


class WhyHeldUp(models.TextChoices):
    """Why a waiting order has no expected time."""

    PAUSED = "dispatch_paused", "Flights are paused"
    TOO_WINDY = "too_windy", "It is too windy to fly"
    WEATHER_UNKNOWN = "weather_unknown", "The weather is not known"
    NO_DRONE = "no_drone", "No drone can fly it at the moment"
    CLOSED = "closed", "The store or the service area is closed, or closes too early"


class HoldCode(models.TextChoices):
    """Why a queued order stays out of dispatch until ops resolve it."""

    PARCEL_ABOARD = "PARCEL_ABOARD", "The parcel is on a drone whose flight is over"
    PARCEL_UNKNOWN = "PARCEL_UNKNOWN", "It is not known where the parcel is"


class ReasonCode(models.TextChoices):
    """Why an order ended FAILED or ABORTED; the label is what its merchant reads."""

    NO_DRONE = "NO_DRONE", "No drone could take it."
    WEATHER = "WEATHER", "The weather did not allow the flight."
    MISSION_REFUSED = "MISSION_REFUSED", "Ground control refused the flight."
    DRONE_PROBLEM = "DRONE_PROBLEM", "The drone had a problem."
    CUSTOMER_ABSENT = "CUSTOMER_ABSENT", "The customer was not there."
    RETURNED_TO_SENDER = "RETURNED_TO_SENDER", "The parcel went back to the sender."
    LOST = "LOST", "The parcel is lost."
    OTHER = "OTHER", "It could not be delivered."


class JobStatus(models.TextChoices):
    ACTIVE = "ACTIVE", "Active"
    COMPLETED = "COMPLETED", "Completed"
    FAILED = "FAILED", "Failed"
    ABORTED = "ABORTED", "Aborted"
    CANCELED = "CANCELED", "Canceled"


class EventType(models.TextChoices):
    """Types of DeliveryEvents. The first group are transitions, the second are not."""

    CREATED = "CREATED", "Order placed"
    VALIDATED = "VALIDATED", "Checked"
    QUEUED = "QUEUED", "Waiting for a drone"
    ASSIGNED = "ASSIGNED", "Drone assigned"
    REASSIGNED = "REASSIGNED", "Another drone assigned"
    MISSION_SUBMITTED = "MISSION_SUBMITTED", "Mission accepted by ground control"
    LAUNCHED = "LAUNCHED", "Launched"
    ENROUTE = "ENROUTE", "On the way"
    ARRIVED = "ARRIVED", "At the drop point"
    DELIVERING = "DELIVERING", "Handing over"
    DELIVERED = "DELIVERED", "Delivered"
    REQUEUED = "REQUEUED", "Back in the queue"
    RESCHEDULED = "RESCHEDULED", "Rescheduled"
    CANCELED = "CANCELED", "Canceled"
    FAILED = "FAILED", "Failed"
    ABORTED = "ABORTED", "Aborted"

    DROPOFF_CHANGED = "DROPOFF_CHANGED", "Drop point moved"
    DETAILS_CHANGED = "DETAILS_CHANGED", "Details changed"
    TRACKING_RENEWED = "TRACKING_RENEWED", "Tracking link renewed"
    INTENT_FAILED = "INTENT_FAILED", "Ground control not reached"
    CLEARANCE = "CLEARANCE", "Clearance to fly"
    ABORT_REQUESTED = "ABORT_REQUESTED", "Abort asked for"
    LINK_LOST = "LINK_LOST", "Link lost"
    LINK_RESTORED = "LINK_RESTORED", "Link restored"
    PARCEL_READY = "PARCEL_READY", "Ready for pickup"
    PARCEL_LOADED = "PARCEL_LOADED", "Picked up"
    PARCEL_UNLOADED = "PARCEL_UNLOADED", "Back at a hub"
    PARCEL_UNKNOWN = "PARCEL_UNKNOWN", "Looking for the parcel"
    PARCEL_FOUND = "PARCEL_FOUND", "Still with the sender"
    PARCEL_RETURNED = "PARCEL_RETURNED", "Back with the sender"
    PARCEL_LOST = "PARCEL_LOST", "Lost"
    CORRECTED = "CORRECTED", "Outcome corrected"
    CONTRADICTION = "CONTRADICTION", "Reports contradict each other"
    LATE_REPORT = "LATE_REPORT", "Report about an ended attempt"
    MISSION_OVER = "MISSION_OVER", "Mission known to be over"
    DELAY_PREDICTED = "DELAY_PREDICTED", "Predicted to be late"
    PROOF_AWAITED = "PROOF_AWAITED", "Waiting for the proof"
    PROOF_MISSING = "PROOF_MISSING", "Proof missing"
    PROOF_RECORDED = "PROOF_RECORDED", "Proof recorded"
    CODE_REFUSED = "CODE_REFUSED", "Wrong code"
    CASE_OPENED = "CASE_OPENED", "The customer reports a problem"
    CASE_CLOSED = "CASE_CLOSED", "The customer's problem is answered"


class CancelReason(models.TextChoices):
    CUSTOMER_REQUEST = "CUSTOMER_REQUEST", "The customer asked"
    MERCHANT_REQUEST = "MERCHANT_REQUEST", "The merchant asked"
    WEATHER = "WEATHER", "Weather"
    NO_DRONE = "NO_DRONE", "No drone"
    SAFETY = "SAFETY", "Safety"
    ADDRESS_PROBLEM = "ADDRESS_PROBLEM", "Problem with the address"
    OTHER = "OTHER", "Other"


class DropoffSource(models.TextChoices):
    MERCHANT = "MERCHANT", "Merchant"
    CUSTOMER_GPS = "CUSTOMER_GPS", "Customer's GPS"
    CUSTOMER_PIN = "CUSTOMER_PIN", "Customer's pin on the map"
    OPS = "OPS", "Operations"


FROM_THE_CUSTOMER = (DropoffSource.CUSTOMER_GPS, DropoffSource.CUSTOMER_PIN)


class PodRequirement(models.TextChoices):
    NONE = "NONE", "None"
    OTP = "OTP", "One-time code"
    PHOTO = "PHOTO", "Photo"
    SIGNATURE = "SIGNATURE", "Signature"
    OPERATOR_CONFIRM = "OPERATOR_CONFIRM", "Operator's confirmation"


class Scenario(models.TextChoices):
    """How a test order proceeds, as its merchant requested (see dispatch.testmode)."""

    DELIVERED = "delivered", "Delivered"
    STEP_BY_STEP = "step_by_step", "Each step waits for its advance"
    AT_RISK = "at_risk", "Seems to be late, and is in time"
    LATE = "late", "Delivered late"
    NO_DRONE = "no_drone", "No drone is found"
    BRIDGE_REJECTS = "bridge_rejects", "Ground control refuses every mission"
    LINK_LOST = "link_lost", "The link is lost for a while"
    ABORTED = "aborted", "Aborted in flight"
    FAILED_THEN_REDELIVERED = "failed_then_redelivered", "Fails, and a second drone delivers"
    WRONG_OTP = "wrong_otp", "The first code that is given is refused"
    CODE_LOCKED = "code_locked", "The first code that is given locks the code"
    PROOF_MISSING = "proof_missing", "Delivered without the proof that it needs"


@dataclass(frozen=True, slots=True)
class Happened:
    """The event of a transition, or of a change without one; written as a DeliveryEvent.

    `message` and `payload` hold no personal data: events are kept forever.
    """

    type: EventType
    message: str
    payload: dict[str, Any] = field(default_factory=dict)


# --- the state machine ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Transition:
    """An edge of the state machine from each of `sources`, named like the method of Order.

    event: the type it writes. is_forward: it brings the delivery closer to DELIVERED. A transition
    that goes back, starts over, ends the order early or corrects its outcome is not forward.
    """

    name: str
    sources: tuple[Status, ...]
    target: Status
    event: EventType
    is_forward: bool = False


_S, _E = Status, EventType
TRANSITIONS = {
    transition.name: transition
    for transition in (
        Transition("validate", (_S.CREATED,), _S.VALIDATED, _E.VALIDATED, is_forward=True),
        Transition("enqueue", (_S.VALIDATED,), _S.QUEUED, _E.QUEUED, is_forward=True),
        Transition("assign", (_S.QUEUED,), _S.ASSIGNED, _E.ASSIGNED, is_forward=True),
        Transition("reassign", (_S.ASSIGNED,), _S.ASSIGNED, _E.REASSIGNED),
        Transition(
            "submit_mission",
            (_S.ASSIGNED,),
            _S.MISSION_SUBMITTED,
            _E.MISSION_SUBMITTED,
            is_forward=True,
        ),
        Transition("launch", (_S.MISSION_SUBMITTED,), _S.LAUNCHED, _E.LAUNCHED, is_forward=True),
        Transition("go_enroute", (_S.LAUNCHED,), _S.ENROUTE, _E.ENROUTE, is_forward=True),
        Transition("arrive", (_S.ENROUTE,), _S.ARRIVED, _E.ARRIVED, is_forward=True),
        Transition("begin_delivery", (_S.ARRIVED,), _S.DELIVERING, _E.DELIVERING, is_forward=True),
        Transition("deliver", (_S.DELIVERING,), _S.DELIVERED, _E.DELIVERED, is_forward=True),
        Transition("requeue", WITH_A_JOB, _S.QUEUED, _E.REQUEUED),
        Transition(
            "reschedule", (_S.VALIDATED, _S.QUEUED, _S.ASSIGNED), _S.VALIDATED, _E.RESCHEDULED
        ),
        Transition("cancel", CANCELABLE, _S.CANCELED, _E.CANCELED),
        # From QUEUED: an order on hold whose parcel is back with the sender or lost.
        Transition("fail", (_S.QUEUED, *WITH_A_JOB), _S.FAILED, _E.FAILED),
        Transition("abort", WITH_A_JOB, _S.ABORTED, _E.ABORTED),
        # From QUEUED (an order on hold that was delivered after all) it writes DELIVERED.
        Transition(
            "correct_to_delivered",
            (_S.QUEUED, _S.CANCELED, _S.FAILED, _S.ABORTED),
            _S.DELIVERED,
            _E.CORRECTED,
        ),
        Transition(
            "correct_to_failed", (_S.DELIVERED, _S.FAILED, _S.ABORTED), _S.FAILED, _E.CORRECTED
        ),
    )
}


@cache
def steps_between(start: Status, end: Status) -> tuple[Transition, ...]:
    """The fewest forward transitions that lead from `start` to `end`; empty when none do."""
    paths: dict[Status, tuple[Transition, ...]] = {start: ()}
    reached = [start]  # grows during the loop: breadth-first search
    for status in reached:
        for step in TRANSITIONS.values():
            if step.is_forward and status in step.sources and step.target not in paths:
                paths[step.target] = (*paths[status], step)
                reached.append(step.target)
    return paths.get(end, ())


def before(first: Status, second: Status) -> bool:
    """Whether a delivery goes forward from `first` to `second`."""
    return bool(steps_between(first, second))


# The statuses that a mission report can lead to. A report may skip some; the timeline never does.
MISSION_STEPS = tuple(step.target for step in steps_between(Status.ASSIGNED, Status.DELIVERED))
