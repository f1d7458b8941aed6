"""The fields of an order's input that have rules of their own."""

from collections.abc import Iterator
from typing import Any, cast

import msgspec
import phonenumbers
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from fleet.models import MAX_SIDE_CM
from wingxtra.api.serializers import Number, StrictSerializer, Text

MAX_WEIGHT_KG = 1000  # the limit of the database constraint
METADATA_MEMBERS, METADATA_NAME, METADATA_VALUE = 20, 40, 500
# An order is in each of its webhooks, whose bodies should stay below 20 kB.
METADATA_BYTES = 8_000


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


@extend_schema_field({"type": "number", "exclusiveMinimum": 0, "maximum": MAX_SIDE_CM})
class Side(Number):
    """In centimetres. Above MAX_SIDE_CM the fleet is not checked."""

    default_error_messages = {
        "not_positive": "Must be more than 0 cm.",
        "payload_too_large": "{side_cm:g} cm is too large for any drone.",
    }

    def to_internal_value(self, data: Any) -> float:
        side_cm = super().to_internal_value(data)
        if not side_cm > 0:
            self.fail("not_positive")
        if side_cm > MAX_SIDE_CM:
            self.fail("payload_too_large", side_cm=side_cm)
        return side_cm


class ParcelSize(StrictSerializer):
    """The outer size of the parcel in centimetres: length, width, height. It may be turned."""

    l = Side(help_text="Length in centimetres.")  # noqa: E741 (the name in the API)
    w = Side(help_text="Width in centimetres.")
    h = Side(help_text="Height in centimetres.")

    def to_internal_value(self, data: Any) -> Any:
        """The three numbers, as the database keeps them."""
        size = super().to_internal_value(data)
        return [size["l"], size["w"], size["h"]]


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


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": METADATA_VALUE},
        "maxProperties": METADATA_MEMBERS,
    }
)
class Metadata(serializers.Field[Any, Any, Any, Any]):
    """Short texts by name, kept exactly as they are sent. Every problem is named."""

    default_error_messages = {"not_an_object": "Must be an object of texts."}

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if not isinstance(data, dict):
            self.fail("not_an_object")
        if problems := list(_problems(data)):
            raise serializers.ValidationError(problems)
        return data

    def to_representation(self, value: dict[str, str]) -> dict[str, str]:
        return value


_name = Text(max_length=METADATA_NAME, trim_whitespace=False)
_value = Text(max_length=METADATA_VALUE, trim_whitespace=False, allow_blank=True)


def _problems(members: dict[str, Any]) -> Iterator[ErrorDetail]:
    if len(members) > METADATA_MEMBERS:
        message = f"Has {len(members)} members; at most {METADATA_MEMBERS} are possible."
        yield ErrorDetail(message, code="max_length")
        return
    wrong = False
    for name, value in members.items():
        for field, content, what in ((_name, name, "The name"), (_value, value, "The value of")):
            try:
                field.run_validation(content)
            except serializers.ValidationError as error:
                wrong = True
                shown = f"{name[:METADATA_NAME]}…" if len(name) > METADATA_NAME else name
                for one in cast(list[ErrorDetail], error.detail):
                    yield ErrorDetail(f"{what} “{shown}”: {one}", code=one.code)
    size = 0 if wrong else len(msgspec.json.encode(members))
    if size > METADATA_BYTES:
        message = f"Takes {size} bytes as JSON; at most {METADATA_BYTES} are possible."
        yield ErrorDetail(message, code="max_length")
