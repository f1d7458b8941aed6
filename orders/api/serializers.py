"""Orders, jobs and events as JSON: strict input, and output that depends on the caller.

The output is built by hand for speed: an order is the hottest read. Its members are those of
`orders.api.contract`; the type checker and the tests report a missing member.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import phonenumbers
from django.conf import settings
from django.core.validators import RegexValidator
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from fleet.feasibility.rules import PayloadType, Priority
from orders.api.contract import EventBody, OrderBody
from orders.api.parcel_serializers import MASKED, custody_json, hold_json, proof_json, reason_json
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.personal_data.masking import masked_email, masked_name, masked_phone
from orders.states import DropoffSource, EventType, PodRequirement, Scenario
from wingxtra.accounts.identity import STAFF_ROLES, Caller
from wingxtra.api.serializers import Choice, FromContract, Number, StrictSerializer, Text, Timestamp

MAX_WEIGHT_KG = 1000  # the limit of the database constraint
EXTERNAL_ID = RegexValidator(
    r"^[a-zA-Z0-9._~-]+\Z", "May hold letters, digits and “-”, “.”, “_”, “~”."
)

# --- input ---------------------------------------------------------------------------------------


class Degrees(Number):
    """A latitude (limit 90) or a longitude (limit 180)."""

    default_error_messages = {"out_of_bounds": "Must be between -{limit} and {limit} degrees."}

    def __init__(self, limit: int, **options: Any) -> None:
        super().__init__(**options)
        self.limit = limit
        self.min_value, self.max_value = -limit, limit  # for the schema

    def to_internal_value(self, data: Any) -> float:
        value = super().to_internal_value(data)
        if abs(value) > self.limit:
            self.fail("out_of_bounds", limit=self.limit)
        return value


@extend_schema_field({"type": "number", "exclusiveMinimum": 0, "maximum": MAX_WEIGHT_KG})
class Weight(Number):
    """In kilograms. Above MAX_WEIGHT_KG the fleet is not checked."""

    default_error_messages = {
        "not_positive": "Must be more than 0 kg.",
        "payload_too_heavy": "{weight_kg:g} kg is too heavy for any drone.",
    }

    def to_internal_value(self, data: Any) -> float:
        weight_kg = super().to_internal_value(data)
        if weight_kg <= 0:
            self.fail("not_positive")
        if weight_kg > MAX_WEIGHT_KG:
            self.fail("payload_too_heavy", weight_kg=weight_kg)
        return weight_kg


class Phone(Text):
    """A phone number with its country code, in any spacing; stored as E.164."""

    default_error_messages = {"invalid_phone": "Must be a phone number like +233241234567."}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            number = phonenumbers.parse(text)
        except phonenumbers.NumberParseException:
            self.fail("invalid_phone")
        if not phonenumbers.is_possible_number(number):
            self.fail("invalid_phone")
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


OPTIONAL: dict[str, Any] = {"required": False, "allow_null": True}


class OrderInput(StrictSerializer):
    """A new order, or one to be quoted."""

    merchant_id = serializers.UUIDField(**OPTIONAL)
    external_id = Text(max_length=64, validators=[EXTERNAL_ID], **OPTIONAL)
    customer_name = Text(max_length=120, allow_blank=True, **OPTIONAL)
    customer_phone = Phone(**OPTIONAL)
    customer_email = serializers.EmailField(allow_blank=True, **OPTIONAL)
    customer_language = Choice(settings.LANGUAGES, **OPTIONAL)
    pickup_name = Text(max_length=120, allow_blank=True, **OPTIONAL)
    pickup_lat = Degrees(90)
    pickup_lng = Degrees(180)
    dropoff_lat = Degrees(90)
    dropoff_lng = Degrees(180)
    dropoff_accuracy_m = Number(min_value=0, **OPTIONAL)
    dropoff_captured_at = Timestamp(**OPTIONAL)
    dropoff_source = Choice(DropoffSource.choices, required=False)
    payload_weight_kg = Weight()
    payload_type = Choice(PayloadType.choices, required=False)
    priority = Choice(Priority.choices, required=False)
    pod_requirement = Choice(PodRequirement.choices, required=False)
    ready_at = Timestamp(help_text="When the parcel is expected to be ready.", **OPTIONAL)
    not_before = Timestamp(**OPTIONAL)
    deliver_by = Timestamp(**OPTIONAL)


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

    dropoff_lat = Degrees(90, required=False)
    dropoff_lng = Degrees(180, required=False)
    dropoff_accuracy_m = Number(min_value=0, **OPTIONAL)
    customer_phone = Phone(**OPTIONAL)
    priority = Choice(Priority.choices, required=False)


class NewWindow(StrictSerializer):
    """A new window. `not_before` defaults to now, `deliver_by` to the promise of the priority."""

    not_before = Timestamp(**OPTIONAL)
    deliver_by = Timestamp(**OPTIONAL)


# Text that is empty in the database and null in the API when it was not given.
TEXTS = ("customer_name", "customer_phone", "customer_email", "customer_language", "pickup_name")


def as_order(values: Mapping[str, Any]) -> Order:
    """An unsaved order with these values; missing ones get the model's defaults."""
    fields = {name: value for name, value in values.items() if name != "merchant_id"}
    return Order(**{**fields, **{name: fields.get(name) or "" for name in TEXTS}})


# --- output --------------------------------------------------------------------------------------


def order_json(order: Order, to: Caller, now: datetime, *, in_full: bool = True) -> OrderBody:
    """The order as `to` may see it. Without `in_full`, as in lists, customer data is masked.

    Takes no SQL statement when the order was fetched with its `current_job` and `holder_hub`.
    """
    job = order.current_job
    name, phone, email = order.customer_name, order.customer_phone, order.customer_email
    if not in_full:
        name, phone, email = masked_name(name), masked_phone(phone), masked_email(email)
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
        "sla": order.sla(now),
        "customer_name": name or None,
        "customer_phone": str(phone) if phone else None,
        "customer_email": email or None,
        "customer_language": order.customer_language or None,
        "pickup_name": order.pickup_name or None,
        "pickup_lat": order.pickup_lat,
        "pickup_lng": order.pickup_lng,
        "dropoff_lat": order.dropoff_lat,
        "dropoff_lng": order.dropoff_lng,
        "dropoff_accuracy_m": order.dropoff_accuracy_m,
        "dropoff_captured_at": order.dropoff_captured_at,
        "dropoff_source": order.dropoff_source,
        "service_area_id": order.service_area_id,
        "payload_weight_kg": order.payload_weight_kg,
        "payload_type": order.payload_type,
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
        "assigned_drone_id": _drone_id(job, to),
        "job_id": job.pk if job else None,
        "mission_intent_id": job.mission_intent_id if job else None,
        "eta_seconds": job.eta_seconds(now) if job else None,
        "eta_at": job.eta_at if job else None,
        "promised_at": job.promised_at if job else None,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        "delivered_at": order.delivered_at,
    }


def _drone_id(job: DeliveryJob | None, to: Caller) -> str | None:
    if job is None or job.drone_id is None:
        return None
    return job.drone_id if to.role in STAFF_ROLES else MASKED


# The members of an event's payload that name no staff and no drone.
FOR_MERCHANTS = {
    "attempt",
    "case",
    "deliver_by",
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
    contract = "order"

    def to_representation(self, instance: Order) -> OrderBody:
        caller = self.context["request"].user
        return order_json(instance, caller, timezone.now(), in_full=self.parent is None)


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
    code = serializers.CharField()
    message = serializers.CharField()


class EtaRange(serializers.Serializer[Any]):
    low = serializers.IntegerField(allow_null=True)
    high = serializers.IntegerField(allow_null=True)


@extend_schema_serializer(component_name="Quote")
class QuoteAnswer(serializers.Serializer[Any]):
    """A quote. Figures are null when they are not known or the trip is not serviceable.

    Until `expires_at` an order may name `id` as its `quote_id`.
    """

    id = serializers.UUIDField()
    expires_at = Timestamp()
    serviceable = serializers.BooleanField()
    reasons = Why(many=True)
    distance_m = serializers.IntegerField(allow_null=True)
    eta_seconds = EtaRange()
    service_area_id = serializers.UUIDField(allow_null=True)
