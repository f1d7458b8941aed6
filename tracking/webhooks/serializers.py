"""Webhooks as JSON: strict input, and output."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from tracking.models import WebhookDelivery, WebhookEndpoint
from tracking.webhooks.events import EVENT_TYPES
from wingxtra.api.serializers import Flag, StrictSerializer, Text, Timestamp
from wingxtra.webhooks import sender

URL_LENGTH = 2000


class Url(Text):
    """A URL that passes `sender.check_url`. It is not resolved or contacted."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=URL_LENGTH, **options)

    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data)
        if len(url) <= URL_LENGTH:
            try:
                sender.check_url(url)
            except sender.BadUrl as error:
                raise serializers.ValidationError(str(error), code=error.code) from error
        return url


class EventTypes(serializers.ListField):
    """The wanted event types. An empty list means all."""

    child = Text(max_length=40)
    default_error_messages = {"unknown_event": "There is no event “{name}”. There are: {known}."}

    def to_internal_value(self, data: Any) -> list[str]:
        wanted = super().to_internal_value(data)
        for name in wanted:
            if name not in EVENT_TYPES:
                self.fail("unknown_event", name=name, known=", ".join(EVENT_TYPES))
        return [name for name in EVENT_TYPES if name in wanted]


class WebhookChange(StrictSerializer):
    url = Url(required=False, help_text="Where events are sent.")
    description = Text(max_length=200, allow_blank=True, required=False, help_text="For you.")
    events = EventTypes(required=False, help_text="The wanted types; empty: all.")
    enabled = Flag(required=False, help_text="False: nothing is sent.")


class WebhookInput(StrictSerializer):
    merchant_id = serializers.UUIDField(
        required=False, allow_null=True, help_text="Only for ADMIN: whose webhook it is."
    )
    url = Url(help_text="Starts with https://, and leads to a public address.")
    description = Text(max_length=200, allow_blank=True, required=False, help_text="For you.")
    events = EventTypes(required=False, help_text="The wanted types; empty: all.")


class ReplaySince(StrictSerializer):
    since = Timestamp(help_text="Events from this time on.")


class ReplayedSince(serializers.Serializer[Any]):
    webhook_id = serializers.UUIDField(help_text="The webhook.")
    replayed = serializers.IntegerField(help_text="How many messages are sent again.")


class Webhook(serializers.ModelSerializer[WebhookEndpoint]):
    merchant_id = serializers.UUIDField(help_text="Whose webhook it is.")
    switched_off_at = Timestamp(allow_null=True, help_text="Null while it is on.")
    switched_off_because = serializers.SerializerMethodField()
    former_secret_until = Timestamp(
        allow_null=True, help_text="After a rotation: until then the former secret signs too."
    )
    last_success_at = Timestamp(
        allow_null=True, help_text="When an event arrived last; to the minute."
    )
    created_at = Timestamp(help_text="When it was made.")
    updated_at = Timestamp(help_text="When it changed last.")

    class Meta:
        model = WebhookEndpoint
        fields = [
            "id",
            "merchant_id",
            "live_mode",
            "url",
            "description",
            "events",
            "enabled",
            "switched_off_at",
            "switched_off_because",
            "former_secret_until",
            "last_success_at",
            "created_at",
            "updated_at",
        ]
        extra_kwargs = {
            "id": {"help_text": "Names it in all calls."},
            "live_mode": {"help_text": "False: it gets the events of test orders."},
            "url": {"help_text": "Where events are sent."},
            "description": {"help_text": "For you."},
            "enabled": {"help_text": "False: nothing is sent."},
        }

    @extend_schema_field(
        {"type": ["string", "null"], "description": "Why we or you switched it off."}
    )
    def get_switched_off_because(self, endpoint: WebhookEndpoint) -> str | None:
        return endpoint.switched_off_because or None


class WebhookWithSecret(Webhook):
    """The two answers that contain the secret: after creation and after a rotation."""

    secret = serializers.CharField(help_text="Shown this once. Signs what is sent.")

    class Meta(Webhook.Meta):
        fields = [*Webhook.Meta.fields, "secret"]


@extend_schema_serializer(component_name="DeliveryAttempt")
class Attempt(serializers.Serializer[Any]):
    at = Timestamp(help_text="When it was sent.")
    status = serializers.IntegerField(allow_null=True, help_text="Null when there was no answer.")
    took_ms = serializers.IntegerField(help_text="How long the answer took.")
    answer = serializers.CharField(help_text="How it began, or why there was none.")


@extend_schema_serializer(component_name="WebhookDelivery")
class Delivery(serializers.ModelSerializer[WebhookDelivery]):
    webhook_id = serializers.UUIDField(source="endpoint_id", help_text="The webhook.")
    order_id = serializers.UUIDField(allow_null=True, help_text="Null for a test event.")
    given_up_because = serializers.SerializerMethodField()
    next_try_at = serializers.SerializerMethodField()
    attempts = Attempt(many=True, help_text="The latest 20.")
    created_at = Timestamp(help_text="When the event happened.")
    delivered_at = Timestamp(allow_null=True, help_text="When it arrived.")

    class Meta:
        model = WebhookDelivery
        fields = [
            "id",
            "webhook_id",
            "order_id",
            "type",
            "state",
            "given_up_because",
            "tries",
            "next_try_at",
            "attempts",
            "created_at",
            "delivered_at",
        ]
        extra_kwargs = {
            "id": {"help_text": "The header `webhook-id` of each attempt."},
            "type": {"help_text": "What happened."},
            "state": {"help_text": "Whether it arrived, waits or was given up."},
        }

    def get_given_up_because(self, delivery: WebhookDelivery) -> str | None:
        """Null unless it was given up."""
        return delivery.given_up_because or None

    def get_next_try_at(self, delivery: WebhookDelivery) -> Any:
        """Null when there will be none."""
        waiting = delivery.state == WebhookDelivery.State.WAITING
        return Timestamp().to_representation(delivery.next_try_at) if waiting else None
