"""The JSON members of an order and its events, for API, webhooks and pages.

`manage.py contracts` generates docs/contracts/order.schema.json and delivery_event.schema.json from
these types; the OpenAPI description uses those. `orders.api.serializers` fills the types.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, NotRequired, TypedDict
from uuid import UUID

from django.conf import settings
from django.db.models import TextChoices
from msgspec import Meta

from fleet.feasibility.rules import PayloadType, Priority
from orders.states import (
    CancelReason,
    DropoffSource,
    EventType,
    HoldCode,
    Holder,
    PodRequirement,
    ReasonCode,
    Scenario,
    Status,
    WhyHeldUp,
)
from wingxtra.api.contracts import about, limits, published


def one_of(*choices: type[TextChoices], description: str | None = None) -> Meta:
    """An enum of the values of these choices."""
    return Meta(description=description, extra_json_schema={"enum": _values(choices)})


def one_of_a_growing_list(*choices: type[TextChoices], description: str) -> Meta:
    """The same where readers must take a value that is new to them."""
    grows = f"{description} More values may be added at any time."
    return Meta(description=grows, extra_json_schema={"examples": _values(choices)})


def _values(choices: Iterable[type[TextChoices]]) -> list[str]:
    return list(dict.fromkeys(value for one in choices for value in one.values))


Utc = Annotated[datetime, limits(pattern="^.+Z$")]
OptionalUtc = Annotated[datetime | None, limits(pattern="^.+Z$")]
Latitude = Annotated[float, limits(minimum=-90, maximum=90)]
Longitude = Annotated[float, limits(minimum=-180, maximum=180)]


class Reason(TypedDict):
    code: Annotated[str, one_of_a_growing_list(ReasonCode, CancelReason, description="Why.")]
    message: Annotated[str, about("For people.")]


class HeldUp(TypedDict):
    code: Annotated[str, one_of_a_growing_list(WhyHeldUp, description="Why.")]
    message: Annotated[str, about("For people.")]


Centimetres = Annotated[float, limits(exclusiveMinimum=0)]


class Size(TypedDict):
    l: Annotated[Centimetres, about("Length.")]  # noqa: E741 (the name in the API)
    w: Annotated[Centimetres, about("Width.")]
    h: Annotated[Centimetres, about("Height.")]


class Custody(TypedDict):
    holder: Annotated[str, one_of(Holder, description="UNKNOWN: our staff look for it.")]
    drone: Annotated[str | None, about("The drone that carries it; “masked” for merchants.")]
    place: Annotated[str | None, about("The hub's name, or the pickup's while the sender has it.")]
    since: Annotated[Utc, about("Since when.")]


class Hold(TypedDict):
    code: Annotated[str, one_of_a_growing_list(HoldCode, description="What is asked.")]
    message: Annotated[str, about("For people.")]
    since: Annotated[Utc, about("Since when.")]


class Proof(TypedDict):
    required: Annotated[bool, about("Whether it needs one; `pod_requirement` says which.")]
    received: Annotated[
        bool,
        about("Whether there is one. If it is required, not there after the delivery: missing."),
    ]
    method: Annotated[
        str | None, one_of_a_growing_list(PodRequirement, description="Of the proof received.")
    ]
    at: Annotated[OptionalUtc, about("When it was received.")]


class TimeRange(TypedDict):
    low: Annotated[Utc, about("At the soonest.")]
    high: Annotated[Utc, about("At the latest.")]


class Queue(TypedDict):
    place: Annotated[
        int | None, about("1 for the order that is served next; null when held up.", minimum=1)
    ]
    of: Annotated[int, about("How many orders wait in its area.", minimum=0)]
    held_up: Annotated[HeldUp | None, about("Why no time is named; null when it moves on.")]


@published("order")
class OrderBody(TypedDict):
    id: Annotated[UUID, about("Names the order in all calls.")]
    public_tracking_id: Annotated[
        str,
        about(
            "Names the order to the customer; can be read aloud.",
            pattern="^[0-9A-HJKMNP-TV-Z]{13}$",
        ),
    ]
    tracking_url: Annotated[str, about("The customer's page.", format="uri")]
    merchant_id: Annotated[UUID, about("Whose order it is.")]
    external_id: Annotated[
        str | None,
        about(
            "The merchant's own reference, unique for the merchant.",
            pattern="^[a-zA-Z0-9._~-]{1,64}$",
        ),
    ]
    live_mode: Annotated[bool, about("False for a test order, which no real drone ever flies.")]
    test_scenario: Annotated[
        str | None,
        one_of(
            Scenario,
            description=(
                "How a test order proceeds, as requested by the merchant; null for a live order."
            ),
        ),
    ]
    quote_id: Annotated[UUID | None, about("The quote that was named when it was placed.")]
    status: Annotated[str, one_of(Status, description="How far it is; the guide has the states.")]
    sla: Annotated[
        str | None,
        about(
            "Against deliver_by: as delivered, or as it looks now; null for an order that ended "
            "without a delivery.",
            enum=["on_time", "at_risk", "late"],
        ),
    ]
    customer_name: Annotated[str | None, about("Masked in lists, as are phone and e-mail.")]
    customer_phone: Annotated[str | None, about("E.164.")]
    customer_email: Annotated[str | None, about("Also gets the messages.")]
    customer_language: Annotated[
        str | None,
        about(
            "What messages to the customer are written in; null: the usual one.",
            enum=[code for code, _ in settings.LANGUAGES],
        ),
    ]
    store_id: Annotated[
        UUID | None, about("The store that the merchant named; null for a pickup by coordinates.")
    ]
    pickup_name: Annotated[str | None, about("The place in words.")]
    pickup_lat: Annotated[Latitude, about("Where the drone picks it up, in degrees (WGS 84).")]
    pickup_lng: Annotated[Longitude, about("Where the drone picks it up, in degrees (WGS 84).")]
    dropoff_lat: Annotated[Latitude, about("Where it is delivered, in degrees (WGS 84).")]
    dropoff_lng: Annotated[Longitude, about("Where it is delivered, in degrees (WGS 84).")]
    dropoff_accuracy_m: Annotated[
        float | None, about("How exactly the drop point is known, in metres.", minimum=0)
    ]
    dropoff_captured_at: Annotated[OptionalUtc, about("When the drop point was measured.")]
    dropoff_source: Annotated[
        str,
        one_of(
            DropoffSource,
            description="Who named the drop point. CUSTOMER_GPS: a phone measured it; "
            "CUSTOMER_PIN: tapped on the map.",
        ),
    ]
    dropoff_address: Annotated[
        str | None, about("In words, for people; masked in lists, as are the instructions.")
    ]
    dropoff_instructions: Annotated[
        str | None, about("Where to put it, as merchant or customer say.")
    ]
    service_area_id: Annotated[UUID, about("The area in which it is flown.")]
    payload_weight_kg: Annotated[
        float, about("With its packing, in kilograms.", exclusiveMinimum=0)
    ]
    payload_type: Annotated[str, one_of(PayloadType, description="What is inside.")]
    payload_size_cm: Annotated[
        Size | None, about("The outer size of the parcel, which may be turned.")
    ]
    priority: Annotated[
        str, one_of(Priority, description="Sets the promise and the order of dispatch.")
    ]
    pod_requirement: Annotated[
        str, one_of(PodRequirement, description="The proof of delivery that it needs.")
    ]
    proof: Annotated[Proof, about("The proof of delivery, in short; `GET …/pod` has all of it.")]
    ready_at: Annotated[OptionalUtc, about("When the sender expects the parcel to be ready.")]
    not_before: Annotated[OptionalUtc, about("The earliest start of work on it.")]
    deliver_by: Annotated[Utc, about("The promise.")]
    cancel_reason: Annotated[
        str | None, one_of(CancelReason, description="Null unless it is canceled.")
    ]
    reason: Annotated[
        Reason | None,
        about("Why it ended FAILED, ABORTED or CANCELED; null for any other order."),
    ]
    custody: Annotated[
        Custody, about("Who has the parcel. There is exactly one holder at every moment.")
    ]
    hold: Annotated[
        Hold | None,
        about(
            "Why a queued order gets no drone until our staff resolve it; null when it is not on "
            "hold."
        ),
    ]
    assigned_drone_id: Annotated[
        str | None, about("“masked” for merchants, null while there is no drone.")
    ]
    job_id: Annotated[UUID | None, about("The attempt under way, or the one that ended the order.")]
    mission_intent_id: Annotated[UUID | None, about("The mission at ground control.")]
    quoted: Annotated[
        TimeRange | None,
        about("When it was expected at the door as it was placed; holds for 90 % of orders."),
    ]
    queue: Annotated[
        Queue | None,
        about(
            "Its place in line while it waits for a drone; null when it is not in line, and in "
            "webhooks."
        ),
    ]
    eta_range: Annotated[
        TimeRange | None,
        about("When a waiting order is expected at the door; null like `queue`, or if held up."),
    ]
    eta_seconds: Annotated[
        int | None,
        about("Until the parcel is at the door; null when that is not known.", minimum=0),
    ]
    eta_at: Annotated[
        OptionalUtc, about("When the parcel is expected at the door; kept current in flight.")
    ]
    promised_at: Annotated[
        OptionalUtc, about("When it was expected at the door as its drone was assigned.")
    ]
    created_at: Annotated[Utc, about("When it was placed.")]
    updated_at: Annotated[Utc, about("When it changed last.")]
    delivered_at: Annotated[OptionalUtc, about("Null unless it was delivered.")]
    metadata: Annotated[dict[str, str], about("The merchant's own short texts, by name.")]
    otp_code: NotRequired[
        Annotated[
            str,
            about(
                "The recipient's code: only in the answer to the request that placed the order.",
                pattern="^[0-9]{6}$",
            ),
        ]
    ]


@published("delivery_event")
class EventBody(TypedDict):
    id: Annotated[int, about("Grows in the order of writing.")]
    order_id: Annotated[UUID, about("The order that it is about.")]
    job_id: Annotated[UUID | None, about("The attempt that it is about, if any.")]
    type: Annotated[str, one_of_a_growing_list(EventType, description="What happened.")]
    message: Annotated[
        str,
        about("For people; a merchant reads what happened, and not who did it with which drone."),
    ]
    actor: Annotated[
        str,
        about(
            "Who or what caused it: a kind, and for our staff also which one, as in “user:ama”.",
            pattern="^(user|api_key|dispatcher|gcs|telemetry|customer|system)(:.+)?$",
        ),
    ]
    payload: Annotated[dict[str, Any], about("Particulars; they depend on the type.")]
    created_at: Annotated[Utc, about("When we wrote it down.")]
    occurred_at: Annotated[Utc, about("When it happened, as the sender says.")]
