"""Building blocks for input: exactly the fields named, of exactly the types named."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from django.utils.dateparse import parse_datetime
from rest_framework import serializers
from rest_framework.fields import empty


class Number(serializers.FloatField):
    """A JSON number. A string that looks like one is a mistake somewhere, and we say so."""

    default_error_messages = {"invalid": "Must be a number."}

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class WholeNumber(serializers.IntegerField):
    """A JSON number without a fraction."""

    default_error_messages = {"invalid": "Must be a whole number."}

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class Text(serializers.CharField):
    """A JSON string, with the spaces around it taken off."""

    default_error_messages = {"invalid": "Must be a string."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    """JSON true or false."""

    default_error_messages = {"invalid": "Must be true or false."}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class Timestamp(serializers.DateTimeField):
    """ISO 8601 with an offset, in and out; out it is UTC with `Z`."""

    default_error_messages = {
        "invalid": "Must be a time in ISO 8601, like 2026-03-01T12:00:00Z.",
        "naive": "Must say its offset from UTC, like 2026-03-01T12:00:00Z or +01:00.",
    }

    def to_internal_value(self, value: Any) -> datetime:
        try:
            moment = parse_datetime(value) if isinstance(value, str) else None
        except ValueError:  # well formed, and no such day
            moment = None
        if moment is None:
            self.fail("invalid")
        if moment.tzinfo is None:
            self.fail("naive")
        return self.enforce_timezone(moment)


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that names every field it does not know instead of ignoring it."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        errors: dict[str, Any] = {}
        values: dict[str, Any] = {}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            errors = dict(error.detail)  # type: ignore[arg-type]
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}
            for name in data:
                if name not in known:
                    message = "There is no such field here."
                    errors[name] = [serializers.ErrorDetail(message, code="unknown_field")]
        if errors:
            raise serializers.ValidationError(errors)
        return values

    @classmethod
    def read_quickly(cls, data: Any) -> dict[str, Any] | None:
        """What `validated_data` would be, for input without a fault; None for any other.

        Whoever gets None uses the serializer itself, which says what is wrong. It costs a copy of
        every field; here the fields are those of one serializer that is made once. So it is only
        for serializers that do nothing beyond their fields; others raise TypeError.
        """
        fields = _fields_of(cls)
        if not isinstance(data, dict) or not data.keys() <= fields.keys():
            return None
        if any(field.required and name not in data for name, field in fields.items()):
            return None
        try:
            return {
                name: field.run_validation(data[name])
                for name, field in fields.items()
                if name in data
            }
        except serializers.ValidationError:
            return None


@cache
def _fields_of(kind: type[StrictSerializer]) -> dict[str, Any]:
    whole = kind()
    does_more = kind.validate is not serializers.Serializer.validate or bool(whole.validators)
    for name, field in whole.fields.items():
        does_more |= field.read_only or field.default is not empty or field.source != name
        does_more |= hasattr(whole, f"validate_{name}")
    if does_more:
        raise TypeError(f"{kind.__name__} does more than its fields do.")
    return dict(whole.fields)


class FromContract(serializers.BaseSerializer[Any]):
    """Answers in the shape of docs/contracts/<contract>.schema.json.

    `more`: the schemas of properties beside the contract's.
    """

    contract: str
    more: dict[str, dict[str, Any]] = {}
