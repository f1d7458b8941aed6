"""The words of a delivery's life: statuses, events, reasons. No behaviour, no database."""

from dataclasses import dataclass, field
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
# What a mission goes through, in order. A report may skip steps; the timeline never does.
MISSION_PATH = (
    Status.ASSIGNED,
    Status.MISSION_SUBMITTED,
    Status.LAUNCHED,
    Status.ENROUTE,
    Status.ARRIVED,
    Status.DELIVERING,
    Status.DELIVERED,
)
IN_FLIGHT = (Status.LAUNCHED, Status.ENROUTE, Status.ARRIVED, Status.DELIVERING)
WITH_A_JOB = (Status.ASSIGNED, Status.MISSION_SUBMITTED, *IN_FLIGHT)
TERMINAL = (Status.DELIVERED, Status.CANCELED, Status.FAILED, Status.ABORTED)
CANCELABLE = (*WAITING, Status.ASSIGNED, Status.MISSION_SUBMITTED)


class Holder(models.TextChoices):
    """Who has the parcel, exactly one at every moment. UNKNOWN: a person is asked."""

    SENDER = "SENDER", "With the sender"
    DRONE = "DRONE", "On a drone"
    HUB = "HUB", "At a hub"
    RECIPIENT = "RECIPIENT", "With the recipient"
    RETURNED = "RETURNED", "Back with the sender"
    LOST = "LOST", "Lost"
    UNKNOWN = "UNKNOWN", "Not known"


# A drone can be sent to pick the parcel up there.
FLOWN_FROM = (Holder.SENDER, Holder.HUB)
# The last word about a parcel.
AT_REST = (Holder.RECIPIENT, Holder.RETURNED, Holder.LOST)


class HoldCode(models.TextChoices):
    """Why a queued order stays out of dispatch until a person has answered."""

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
    """What a DeliveryEvent tells. The first group are transitions, the second are not."""

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
    INTENT_FAILED = "INTENT_FAILED", "Ground control not reached"
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
    PROOF_RECORDED = "PROOF_RECORDED", "Proof recorded"
    CODE_REFUSED = "CODE_REFUSED", "Wrong code"


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
    OPS = "OPS", "Operations"


class PodRequirement(models.TextChoices):
    NONE = "NONE", "None"
    OTP = "OTP", "One-time code"
    PHOTO = "PHOTO", "Photo"
    SIGNATURE = "SIGNATURE", "Signature"
    OPERATOR_CONFIRM = "OPERATOR_CONFIRM", "Operator's confirmation"


class Scenario(models.TextChoices):
    """What becomes of a test order, as its merchant asked (see dispatch.testmode)."""

    DELIVERED = "delivered", "Delivered"
    NO_DRONE = "no_drone", "No drone is found"
    BRIDGE_REJECTS = "bridge_rejects", "Ground control refuses every mission"
    LINK_LOST = "link_lost", "The link is lost for a while"
    ABORTED = "aborted", "Aborted in flight"
    FAILED_THEN_REDELIVERED = "failed_then_redelivered", "Fails, and a second drone delivers"
    WRONG_OTP = "wrong_otp", "The first code that is given is refused"


@dataclass(frozen=True, slots=True)
class Happened:
    """What a transition (or a change without one) did, in words; becomes a DeliveryEvent.

    `message` and `payload` hold no personal data: events are kept for good.
    """

    type: EventType
    message: str
    payload: dict[str, Any] = field(default_factory=dict)
