"""Stores as JSON: strict input, and output. `orders.stores` checks what their values mean."""

import re
from contextlib import suppress
from datetime import date
from typing import Any

from django.core.validators import RegexValidator
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from orders.api.serializers import Degrees
from orders.models import Store
from wingxtra.api.serializers import Choice, Flag, StrictSerializer, Text, Timestamp
from wingxtra.opening_hours import WEEKDAYS

MAX_ENTRIES = 100  # of a list in the hours
DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
OPENS = RegexValidator(r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z", "Must be a time like 08:00.")
CLOSES = RegexValidator(
    r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)\Z", "Must be a time like 20:00, at most 24:00."
)
OPTIONAL: dict[str, Any] = {"required": False}


def _list_of(kind: type[serializers.Serializer[Any]], **options: Any) -> serializers.ListField:
    return serializers.ListField(child=kind(), max_length=MAX_ENTRIES, **options)


@extend_schema_field({"type": "string", "format": "date"})
class Day(Text):
    default_error_messages = {"invalid_date": "Must be a date like 2026-12-25."}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        with suppress(ValueError):  # well formed, but there is no such day
            if DATE.fullmatch(text):
                return date.fromisoformat(text).isoformat()
        return self.fail("invalid_date")


# --- hours: open in answers, strict in requests --------------------------------------------------


class OpenInterval(serializers.Serializer[Any]):
    """By the clock on the wall. An interval that closes at or before its opening ends on the next
    day.
    """

    opens = Text(validators=[OPENS], help_text="A time of day like 08:00.")
    closes = Text(validators=[CLOSES], help_text="A day ends at 24:00.")


class WeeklyInterval(OpenInterval):
    weekday = Choice(
        [(day, day.title()) for day in WEEKDAYS], help_text="The day on which the interval begins."
    )


class HoursException(serializers.Serializer[Any]):
    """What replaces the hours that begin on a date."""

    date = Day(help_text="In the store's time zone.")
    intervals = _list_of(OpenInterval, help_text="Empty: closed.")


class Hours(serializers.Serializer[Any]):
    """When a store is open."""

    timezone = Text(max_length=64, help_text="IANA name, like Africa/Accra.")
    weekly = _list_of(WeeklyInterval, help_text="Empty: open, but for the exceptions.")
    exceptions = _list_of(HoursException, help_text="Single days that differ from the week.")


class OpenIntervalInput(StrictSerializer, OpenInterval):
    pass


class WeeklyIntervalInput(StrictSerializer, WeeklyInterval):
    pass


class HoursExceptionInput(StrictSerializer, HoursException):
    intervals = _list_of(OpenIntervalInput, help_text="Empty: closed.")


class HoursInput(StrictSerializer, Hours):
    weekly = _list_of(WeeklyIntervalInput, help_text="Empty: open, but for the exceptions.")
    exceptions = _list_of(HoursExceptionInput, help_text="Single days that differ from the week.")


# --- stores --------------------------------------------------------------------------------------


class StoreChange(StrictSerializer):
    name = Text(max_length=120, help_text="Unique for the merchant.", **OPTIONAL)
    lat = Degrees(90, help_text="Together with lng.", **OPTIONAL)
    lng = Degrees(180, help_text="Together with lat.", **OPTIONAL)
    instructions = Text(
        max_length=300, allow_blank=True, help_text="For the people who load the drone.", **OPTIONAL
    )
    hours = HoursInput(
        allow_null=True, help_text="Replaces the former ones; null: always open.", **OPTIONAL
    )
    active = Flag(help_text="False: it takes no orders.", **OPTIONAL)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        missing = {"lat", "lng"} - attrs.keys()
        if len(missing) == 1:
            error = serializers.ErrorDetail("Give lat and lng together.", "required")
            raise serializers.ValidationError({missing.pop(): [error]})
        return attrs


class StoreInput(StrictSerializer):
    merchant_id = serializers.UUIDField(
        allow_null=True, help_text="Only for ADMIN: whose store it is.", **OPTIONAL
    )
    name = Text(max_length=120, help_text="Unique for the merchant.")
    lat = Degrees(90, help_text="Where drones pick up, in degrees (WGS 84).")
    lng = Degrees(180, help_text="Where drones pick up, in degrees (WGS 84).")
    instructions = Text(
        max_length=300, allow_blank=True, help_text="For the people who load the drone.", **OPTIONAL
    )
    hours = HoursInput(allow_null=True, help_text="Null: always open.", **OPTIONAL)


@extend_schema_serializer(component_name="Store")
class StoreAnswer(serializers.ModelSerializer[Store]):
    merchant_id = serializers.UUIDField(help_text="Whose store it is.")
    hours = Hours(allow_null=True, help_text="Null: always open.")
    active = serializers.BooleanField(help_text="False: it takes no orders.")
    created_at = Timestamp(help_text="When it was made.")

    class Meta:
        model = Store
        fields = [
            "id",
            "merchant_id",
            "live_mode",
            "name",
            "lat",
            "lng",
            "instructions",
            "hours",
            "active",
            "created_at",
        ]
        extra_kwargs = {
            "id": {"help_text": "What orders name as `store_id`."},
            "live_mode": {"help_text": "False: a store for test orders."},
            "name": {"help_text": "Unique for the merchant."},
            "lat": {"help_text": "Where drones pick up, in degrees (WGS 84)."},
            "lng": {"help_text": "Where drones pick up, in degrees (WGS 84)."},
        }
