"""How the values of a row's fields are sent by psycopg. Worked out once for each model."""

import json
import math
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import DateField, Field, JSONField, Model, TextChoices, TimeField
from psycopg.types.json import Jsonb

# The types whose values psycopg takes as they are, and the function for a value of another type.
Encoder = tuple[Set[type], Callable[[Any], Any]]
_PLAIN: set[type] = {type(None), bool, int, float, str, UUID, datetime}


def _plain(value: Any) -> Any:
    """A text or number of a type of its own, which msgspec does not know."""
    return json.loads(json.dumps(value))


_encode = msgspec.json.Encoder(enc_hook=_plain).encode


def _json(value: Any) -> bytes:
    """Raises ValueError for a number that is not finite: JSON has none, and msgspec writes null."""
    text = _encode(value)
    if b"null" in text:
        _refuse_not_finite(value)
    return text


def _refuse_not_finite(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"JSON has no number {value}.")
    if isinstance(value, dict | list | tuple):
        for one in value.values() if isinstance(value, dict) else value:
            _refuse_not_finite(one)


def encoder_of(field: Any) -> Encoder:
    if type(field) is JSONField and field.encoder is None:
        return frozenset({type(None)}), partial(Jsonb, dumps=_json)
    return _PLAIN, partial(_encoded, field)


def _encoded(field: Any, value: Any) -> Any:
    if isinstance(value, TextChoices):
        _PLAIN.add(type(value))  # psycopg sends it as its text
        return value
    return field.get_db_prep_save(value, connection)


def sent(encoders: Iterable[Encoder], values: Iterable[Any]) -> list[Any]:
    """The values, one for each encoder, as psycopg takes them."""
    return [
        value if type(value) in plain else encode(value)
        for (plain, encode), value in zip(encoders, values, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Inserted:
    """The fields of a new row. read: takes their values from it. set_on_save: those that set their
    value themselves then. encoders: see `encoder_of`.
    """

    fields: list[Any]
    read: Callable[[Model], tuple[Any, ...]]
    set_on_save: list[Any]
    encoders: list[Encoder]


@cache
def inserted_of(model: type[Model]) -> Inserted:
    meta = model._meta
    returned = meta.db_returning_fields
    fields: list[Any] = [f for f in meta.concrete_fields if not (f.primary_key and f in returned)]
    return Inserted(
        fields,
        attrgetter(*(field.attname for field in fields)),
        [f for f in fields if type(f).pre_save is not Field.pre_save and not _is_given(f)],
        [encoder_of(field) for field in fields],
    )


def _is_given(field: Any) -> bool:
    is_time = isinstance(field, DateField | TimeField)
    return is_time and not (field.auto_now or field.auto_now_add)


def values_of(row: Model) -> list[Any]:
    """The values of a new row, in the order of `Inserted.fields`."""
    inserted = inserted_of(type(row))
    for field in inserted.set_on_save:
        field.pre_save(row, add=True)
    return sent(inserted.encoders, inserted.read(row))
