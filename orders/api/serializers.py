"""Orders, jobs and events as JSON: strict input, and output that depends on the caller.

The output is built by hand for speed: an order is the hottest read. Its members are those of
`orders.api.contract`; the type checker and the tests report a missing member.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.utils import timezone
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from fleet.feasibility.rules import PayloadType, Priority
from orders.api.contract import EventBody, OrderBody, Size
from orders.api.fields import Degrees, Metadata, ParcelSize, Phone, Weight
from orders.api.parcel_serializers import MASKED, custody_json, hold_json, proof_json, reason_json
from orders.api.queue_serializers import eta_range, queue_json, time_range
from orders.api.reading import ShownOrder, shown
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.models.sla import seconds_until, sla
from orders.personal_data.masking import masked_email, masked_name, masked_phone, masked_text
from orders.states import DropoffSource, EventType, PodRequirement, Scenario
from wingxtra.accounts.identity import STAFF_ROLES, Caller
from wingxtra.api.serializers import (
    Choice,
    Email,
    FromContract,
    Number,
    StrictSerializer,
    Text,
    Timestamp,
)
from wingxtra.database import few_rows

EXTERNAL_ID = RegexValidator(
    r"^[a-zA-Z0-9._~-]+\Z", "May hold letters, digits and “-”, “.”, “_”, “~”."
)

# --- input ---------------------------------------------------------------------------------------


OPTIONAL: dict[str, Any] = {"required": False, "allow_null": True}


class OrderInput(StrictSerializer):
    """A new order, or one to be quoted."""

    merchant_id = serializers.UUIDField(
        help_text="Only for staff: the merchant that the order is for.", **OPTIONAL
    )
    external_id = Text(
        max_length=64,
        validators=[EXTERNAL_ID],
        help_text="Your own reference, unique for you: letters, digits and `-`, `.`, `_`, `~`.",
        **OPTIONAL,
    )
    customer_name = Text(
        max_length=120,
        allow_blank=True,
        help_text="For the person who receives it, in messages and for our staff.",
        **OPTIONAL,
    )
    customer_phone = Phone(
        help_text="With its country code, in any spacing. Who has neither gets no messages.",
        **OPTIONAL,
    )
    customer_email = Email(allow_blank=True, help_text="Also gets the messages.", **OPTIONAL)
    customer_language = Choice(
        settings.LANGUAGES,
        help_text="What messages are written in; the usual one if not given.",
        **OPTIONAL,
    )
    pickup_name = Text(
        max_length=120,
        allow_blank=True,
        help_text="The place in words, for the people who load the drone.",
        **OPTIONAL,
    )
    store_id = serializers.UUIDField(
        help_text="A store of the merchant, instead of pickup_lat, pickup_lng and pickup_name.",
        **OPTIONAL,
    )
    pickup_lat = Degrees(90, help_text="Needed without a store_id.", **OPTIONAL)
    pickup_lng = Degrees(180, help_text="Needed without a store_id.", **OPTIONAL)
    dropoff_lat = Degrees(90, help_text="Where it is delivered, in degrees (WGS 84).")
    dropoff_lng = Degrees(180, help_text="Where it is delivered, in degrees (WGS 84).")
    dropoff_accuracy_m = Number(
        min_value=0,
        help_text="How exactly that was measured, in metres; too inaccurate is refused.",
        **OPTIONAL,
    )
    dropoff_captured_at = Timestamp(help_text="When it was measured.", **OPTIONAL)
    dropoff_source = Choice(
        DropoffSource.choices, required=False, help_text="Who says so; `MERCHANT` if not given."
    )
    dropoff_address = Text(
        max_length=200,
        allow_blank=True,
        help_text="The address in words, for people: we fly to the coordinates.",
        **OPTIONAL,
    )
    dropoff_instructions = Text(
        max_length=300,
        allow_blank=True,
        help_text="Where to put it, and what to look out for.",
        **OPTIONAL,
    )
    payload_weight_kg = Weight(help_text="With its packing, in kilograms.")
    payload_size_cm = ParcelSize(
        help_text="Outer size; without it we do not check whether it fits.", **OPTIONAL
    )
    payload_type = Choice(
        PayloadType.choices, required=False, help_text="What is inside; `PARCEL` if not given."
    )
    priority = Choice(
        Priority.choices,
        required=False,
        help_text="Sets the promise and the order of dispatch; `NORMAL` if not given.",
    )
    pod_requirement = Choice(
        PodRequirement.choices,
        required=False,
        help_text="The proof of delivery that you need; `NONE` if not given.",
    )
    ready_at = Timestamp(help_text="When the parcel is expected to be ready.", **OPTIONAL)
    not_before = Timestamp(
        help_text="The earliest start of work on it; now if not given. At most a year ahead.",
        **OPTIONAL,
    )
    deliver_by = Timestamp(help_text="The promise; from the priority if not given.", **OPTIONAL)
    metadata = Metadata(
        help_text="Your own members, which come back in answers and webhooks.", **OPTIONAL
    )


class NewOrder(OrderInput):
    quote_id = serializers.UUIDField(
        help_text="A quote for this very trip; the order is checked again.", **OPTIONAL
    )
    test_scenario = Choice(
        Scenario.choices,
        required=False,
        help_text="With a test key: how the order proceeds; `delivered` if not given.",
    )


class OrderChange(StrictSerializer):
    """The members that PATCH may change."""

    dropoff_lat = Degrees(
        90, required=False, help_text="Together with dropoff_lng, until a drone is assigned."
    )
    dropoff_lng = Degrees(
        180, required=False, help_text="Together with dropoff_lat, until a drone is assigned."
    )
    dropoff_accuracy_m = Number(
        min_value=0, help_text="How exactly the new point was measured, in metres.", **OPTIONAL
    )
    dropoff_address = Text(
        max_length=200, allow_blank=True, help_text="The address in words.", **OPTIONAL
    )
    dropoff_instructions = Text(
        max_length=300,
        allow_blank=True,
        help_text="Where to put it, and what to look out for.",
        **OPTIONAL,
    )
    customer_name = Text(
        max_length=120, allow_blank=True, help_text="The person who receives it.", **OPTIONAL
    )
    customer_phone = Phone(help_text="A corrected number renews the tracking link.", **OPTIONAL)
    customer_email = Email(
        allow_blank=True, help_text="A corrected address renews the tracking link.", **OPTIONAL
    )
    customer_language = Choice(
        settings.LANGUAGES, help_text="What messages are written in.", **OPTIONAL
    )
    metadata = Metadata(help_text="Replaces the former one.", **OPTIONAL)
    priority = Choice(Priority.choices, required=False, help_text="The promise stays.")


class NewWindow(StrictSerializer):
    """A new window. `not_before` defaults to now, `deliver_by` to the promise of the priority."""

    not_before = Timestamp(help_text="The new start; now if not given.", **OPTIONAL)
    deliver_by = Timestamp(help_text="The new promise; from the priority if not given.", **OPTIONAL)


# Text that is empty in the database and null in the API when it was not given.
TEXTS = (
    "customer_name",
    "customer_phone",
    "customer_email",
    "customer_language",
    "pickup_name",
    "dropoff_address",
    "dropoff_instructions",
)


def stored(name: str, value: Any) -> Any:
    """What the database keeps of an input's value that may be null."""
    if value is None and name == "metadata":
        return {}
    return "" if value is None and name in TEXTS else value


def as_order(values: Mapping[str, Any]) -> Order:
    """An unsaved order with these values; missing ones get the model's defaults."""
    return few_rows.new(
        Order,
        **{name: stored(name, value) for name, value in values.items() if name != "merchant_id"},
    )


# --- output --------------------------------------------------------------------------------------


def order_json(
    order: Order | ShownOrder, to: Caller, now: datetime, *, in_full: bool = True
) -> OrderBody:
    """The order as `to` may see it. Without `in_full`, as in lists, customer data is masked.

    Takes no SQL statement when an Order was fetched with its `current_job` and `holder_hub`.
    """
    if isinstance(order, Order):
        order = shown(order)
    name, phone, email = order.customer_name, order.customer_phone, order.customer_email
    address, instructions = order.dropoff_address, order.dropoff_instructions
    if not in_full:
        name, phone, email = masked_name(name), masked_phone(phone), masked_email(email)
        address, instructions = masked_text(address), masked_text(instructions)
    return {
        "id": order.pk,
        "public_tracking_id": order.public_tracking_id,
        "tracking_url": f"{settings.PUBLIC_BASE_URL}/track/{order.public_tracking_id}/",
        "merchant_id": order.merchant_id,
        "external_id": order.external_id,
        "live_mode": order.live_mode,
        "test_scenario": order.test_scenario or None,
        "quote_id": order.quote_id,
        "status": order.status,
        "sla": sla(order, order.eta_at, now),
        "customer_name": name or None,
        "customer_phone": phone or None,
        "customer_email": email or None,
        "customer_language": order.customer_language or None,
        "store_id": order.store_id,
        "pickup_name": order.pickup_name or None,
        "pickup_lat": order.pickup_lat,
        "pickup_lng": order.pickup_lng,
        "dropoff_lat": order.dropoff_lat,
        "dropoff_lng": order.dropoff_lng,
        "dropoff_accuracy_m": order.dropoff_accuracy_m,
        "dropoff_captured_at": order.dropoff_captured_at,
        "dropoff_source": order.dropoff_source,
        "dropoff_address": address or None,
        "dropoff_instructions": instructions or None,
        "service_area_id": order.service_area_id,
        "payload_weight_kg": order.payload_weight_kg,
        "payload_type": order.payload_type,
        "payload_size_cm": _size(order.payload_size_cm),
        "priority": order.priority,
        "pod_requirement": order.pod_requirement,
        "proof": proof_json(order),
        "ready_at": order.ready_at,
        "not_before": order.not_before,
        "deliver_by": order.deliver_by,
        "cancel_reason": order.cancel_reason or None,
        "reason": reason_json(order),
        "custody": custody_json(order, to),
        "hold": hold_json(order, to),
        "assigned_drone_id": _drone_id(order.drone_id, to),
        "job_id": order.job_id,
        "mission_intent_id": order.mission_intent_id,
        "quoted": time_range(order.quoted_low_at, order.quoted_high_at),
        "queue": queue_json(order),
        "eta_range": eta_range(order),
        "eta_seconds": seconds_until(order.eta_at, now),
        "eta_at": order.eta_at,
        "promised_at": order.promised_at,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        "delivered_at": order.delivered_at,
        "metadata": order.metadata,
    }


def _size(size_cm: Sequence[float] | None) -> Size | None:
    if size_cm is None:
        return None
    length, width, height = size_cm
    return {"l": length, "w": width, "h": height}


def _drone_id(drone_id: str | None, to: Caller) -> str | None:
    return drone_id if drone_id is None or to.role in STAFF_ROLES else MASKED


# The members of an event's payload that name no staff and no drone.
FOR_MERCHANTS = {
    "attempt",
    "case",
    "deliver_by",
    "expected_at",
    "fields",
    "hold",
    "hub",
    "inferred",
    "method",
    "moved_m",
    "needed",
    "not_before",
    "on_time",
    "outcome",
    "promised_at",
    "reason",
    "source",
    "tries_left",
    "was",
}


def event_json(event: DeliveryEvent, to: Caller) -> EventBody:
    """The event as `to` may see it.

    Messages are written for staff and may name drones and people. A merchant gets the label of the
    event's type instead, and only the kind of the actor.
    """
    staff = to.role in STAFF_ROLES
    payload = (
        event.payload
        if staff
        else {k: event.payload[k] for k in FOR_MERCHANTS & event.payload.keys()}
    )
    return {
        "id": event.pk,
        "order_id": event.order_id,
        "job_id": event.job_id,
        "type": event.type,
        "message": event.message if staff else EventType(event.type).label,
        "actor": event.actor if staff else event.actor_kind,
        "payload": payload,
        "created_at": event.created_at,
        "occurred_at": event.occurred_at,
    }


# --- output for views and the OpenAPI schema -----------------------------------------------------


class OrderAnswer(FromContract):
    """For the schema: `order_json` makes the answers."""

    contract = "order"


class PlacedOrder(OrderAnswer):
    more = {
        "otp_code": {
            "description": "For pod_requirement OTP: what the customer receives with; only here.",
            "type": "string",
            "pattern": "^[0-9]{6}$",
        }
    }


class CanceledOrder(OrderAnswer):
    more = {
        "order_id": {
            "description": "The same as `id`, for older clients.",
            "type": "string",
            "format": "uuid",
        }
    }


class EventAnswer(FromContract):
    contract = "delivery_event"

    def to_representation(self, instance: DeliveryEvent) -> EventBody:
        return event_json(instance, self.context["request"].user)


@extend_schema_serializer(component_name="Job")
class JobAnswer(serializers.ModelSerializer[DeliveryJob]):
    assigned_drone_id = serializers.CharField(source="drone_id", allow_null=True)
    eta_seconds = serializers.SerializerMethodField()

    class Meta:
        model = DeliveryJob
        fields = [
            "id",
            "order_id",
            "assigned_drone_id",
            "attempt",
            "status",
            "mission_intent_id",
            "eta_seconds",
            "created_at",
            "updated_at",
        ]

    def get_eta_seconds(self, job: DeliveryJob) -> int | None:
        return job.eta_seconds(timezone.now())


class Why(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="One of the codes of the guide.")
    message = serializers.CharField(help_text="For people, with the numbers.")
    until = Timestamp(allow_null=True, help_text="When it is over by itself, if that is known.")


class EtaRange(serializers.Serializer[Any]):
    low = serializers.IntegerField(allow_null=True, help_text="At the soonest, in seconds.")
    high = serializers.IntegerField(allow_null=True, help_text="At the latest, in seconds.")


class EtaTimes(serializers.Serializer[Any]):
    low = Timestamp(allow_null=True, help_text="At the soonest.")
    high = Timestamp(allow_null=True, help_text="At the latest.")


@extend_schema_serializer(component_name="Quote")
class QuoteAnswer(serializers.Serializer[Any]):
    """A quote. Figures are null when they are not known or the trip is not serviceable.

    Until `expires_at` an order may name `id` as its `quote_id`.
    """

    id = serializers.UUIDField(help_text="What an order names as `quote_id`.")
    expires_at = Timestamp(help_text="No order may name it after this.")
    serviceable = serializers.BooleanField(help_text="Whether we fly this.")
    reasons = Why(many=True, help_text="Why not; empty if we do.")
    distance_m = serializers.IntegerField(
        allow_null=True, help_text="From pickup to drop point on a straight line, in metres."
    )
    eta_seconds = EtaRange(
        help_text="From the start of work until it is delivered; the range holds for 90 % of "
        "deliveries."
    )
    eta_at = EtaTimes(help_text="The same range as times.")
    busy = serializers.BooleanField(
        help_text="Whether it would wait for a drone, or how long it would wait is not known."
    )
    held_up = Why(
        allow_null=True,
        help_text="Why no time is named although we fly this: `dispatch_paused`, `too_windy`, "
        "`weather_unknown`, `no_drone`, or `closed` if its turn comes after a closing.",
    )
    service_area_id = serializers.UUIDField(
        allow_null=True, help_text="The area in which it is flown."
    )
