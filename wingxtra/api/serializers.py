"""Serializer fields for input: strict types, and no unknown fields."""

from collections.abc import Container, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from django.utils.dateparse import parse_datetime
from rest_framework import serializers
from rest_framework.fields import empty

from wingxtra.api.errors import flattened
from wingxtra.api.parsers import NAME_SHOWN
from wingxtra.problems import FieldProblem, Invalid

UNKNOWN_NAMED = 20
# RFC 5321, 4.5.3.1.3, without the angle brackets; also the length of Django's EmailField.
EMAIL_LENGTH = 254


class Number(serializers.FloatField):
    """A JSON number. A string that looks like a number is refused."""

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
    """A JSON string, stripped of surrounding spaces."""

    default_error_messages = {"invalid": "Must be a string."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Email(serializers.EmailField):
    """An e-mail address of at most EMAIL_LENGTH characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=EMAIL_LENGTH, **options)


class Choice(serializers.ChoiceField):
    """One of the choices, in any letter case."""

    default_error_messages = {"invalid_choice": "Must be one of {known}."}

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str):
            wanted = data.strip().casefold()
            for value in self.choices:
                if value.casefold() == wanted:
                    return value
        return self.fail("invalid_choice", known=", ".join(self.choices))


class Flag(serializers.BooleanField):
    """JSON true or false."""

    default_error_messages = {"invalid": "Must be true or false."}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class Timestamp(serializers.DateTimeField):
    """ISO 8601. Input needs an offset; output is UTC with `Z`."""

    default_error_messages = {
        "invalid": "Must be a time in ISO 8601, like 2026-03-01T12:00:00Z.",
        "naive": "Must say its offset from UTC, like 2026-03-01T12:00:00Z or +01:00.",
    }

    def to_internal_value(self, value: Any) -> datetime:
        try:
            moment = parse_datetime(value) if isinstance(value, str) else None
        except ValueError:  # well formed, but there is no such day
            moment = None
        if moment is None:
            self.fail("invalid")
        if moment.tzinfo is None:
            self.fail("naive")
        return self.enforce_timezone(moment)


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that refuses unknown fields by name instead of ignoring them."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        errors: dict[str, Any] = {}
        values: dict[str, Any] = {}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            errors = dict(error.detail)  # type: ignore[arg-type]
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}
            for unknown in _unknown(data, known):
                errors[unknown.field] = [
                    serializers.ErrorDetail(unknown.message, code=unknown.code)
                ]
        if errors:
            raise serializers.ValidationError(errors)
        return values

    @classmethod
    def valid(cls, data: Any) -> dict[str, Any]:
        """The values of a form, outside API views. Raises Invalid with every problem."""
        given = cls(data=data)
        if not given.is_valid():
            errors = given.errors.items()
            raise Invalid([one for name, found in errors for one in flattened(found, name)])
        return dict(given.validated_data)

    @classmethod
    def read(cls, data: Any) -> tuple[dict[str, Any], list[FieldProblem]]:
        """The valid values of the input, and every problem with the rest.

        A field with a problem is None among the values, so that no default takes its place. All
        calls share the fields of one serializer, which saves a copy of each field. So it works only
        for serializers that do nothing beyond their fields; others raise TypeError.
        """
        fields = _fields_of(cls)
        if not isinstance(data, Mapping):
            cls(data=data).is_valid(raise_exception=True)
        values: dict[str, Any] = {}
        problems: list[FieldProblem] = []
        for name, field in fields.items():
            if name not in data and not field.required:
                continue
            try:
                values[name] = field.run_validation(data.get(name, empty))
            except serializers.ValidationError as error:
                values[name] = None
                problems += flattened(error.detail, name)
        return values, problems + _unknown(data, fields)


def _unknown(data: Mapping[str, Any], known: Container[str]) -> list[FieldProblem]:
    """The first unknown fields by name, and how many more there are."""
    names = [name for name in data if name not in known]
    problems = [
        FieldProblem(name[:NAME_SHOWN], "unknown_field", "There is no such field here.")
        for name in names[:UNKNOWN_NAMED]
    ]
    if (more := len(names) - UNKNOWN_NAMED) > 0:
        message = f"And {more} more fields that do not exist here."
        problems.append(FieldProblem("", "unknown_field", message))
    return problems


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
