"""The JSON Schemas of docs/contracts/, whose members are generated from the types of the code.

A type is a TypedDict or a msgspec Struct. It declares each member once: name, type, bounds and
description, in `Annotated` with msgspec's `Meta`. `@published("order")` makes it the source of
docs/contracts/order.schema.json. Title, description and examples are written by hand in that file;
`manage.py contracts` writes the members, and a test fails when they differ.
"""

import json
import types
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

import msgspec
from django.conf import settings
from msgspec import Meta

Schema = dict[str, Any]
T = TypeVar("T", bound=type)
CONTRACTS = Path(settings.BASE_DIR) / "docs" / "contracts"

# Contract name -> function from the committed schema to the expected one.
PUBLISHED: dict[str, Callable[[Schema], Schema]] = {}

SCALARS: dict[Any, Schema] = {
    Any: {},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    UUID: {"type": "string", "format": "uuid"},
    datetime: {"type": "string", "format": "date-time"},
    type(None): {"type": "null"},
}
BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "min_length": "minLength",
    "pattern": "pattern",
}


def published(name: str) -> Callable[[T], T]:
    """Make a type the source of docs/contracts/<name>.schema.json."""

    def publish(kind: T) -> T:
        PUBLISHED[name] = lambda committed: committed | _object(kind)
        return kind

    return publish


def published_values(name: str, member: str, values: Sequence[str]) -> None:
    """Generate the values of one member, in a contract that is otherwise written by hand.

    They are examples: more may be added, and readers must accept them.
    """

    def with_values(committed: Schema) -> Schema:
        members = committed["properties"]
        return committed | {
            "properties": members | {member: members[member] | {"examples": list(values)}}
        }

    PUBLISHED[name] = with_values


def about(description: str, **more: Any) -> Meta:
    """Description of a member. `more`: its bounds, by the names of JSON Schema."""
    return Meta(description=description, extra_json_schema=more or None)


def limits(**more: Any) -> Meta:
    """Bounds of a member that needs no description, by the names of JSON Schema."""
    return Meta(extra_json_schema=more)


def path_of(name: str) -> Path:
    return CONTRACTS / f"{name}.schema.json"


def committed(name: str) -> Schema:
    schema: Schema = json.loads(path_of(name).read_text(encoding="utf-8"))
    return schema


def generated(name: str) -> Schema:
    """The expected content of docs/contracts/<name>.schema.json."""
    return PUBLISHED[name](committed(name))


def members(schema: Schema, prefix: str = "") -> Iterator[tuple[str, Schema, bool]]:
    """Each member as (name, schema, whether it is required); an inner one is named "a.b"."""
    for name, member in schema.get("properties", {}).items():
        yield f"{prefix}{name}", member, name in schema["required"]
        yield from members(member, f"{prefix}{name}.")


# --- from types to schemas -----------------------------------------------------------------------


def schema_of(kind: Any) -> Schema:
    """The JSON Schema of a type. Raises TypeError for one that no contract uses."""
    if kind in SCALARS:
        return dict(SCALARS[kind])
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _annotated(schema_of(arguments[0]), arguments[1:])
    if origin is NotRequired:
        return schema_of(arguments[0])
    if origin in (Union, types.UnionType):
        return _nullable(arguments)
    if origin is Literal:
        return {"const": arguments[0]} if len(arguments) == 1 else {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin is dict:
        return {"type": "object"}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"type": "string", "enum": [member.value for member in kind]}
    if hasattr(kind, "__required_keys__") or issubclass(kind, msgspec.Struct):
        return {"type": "object", **_object(kind)}
    raise TypeError(f"A contract has no member of type {kind!r}.")


def _object(kind: Any) -> Schema:
    """Members of a TypedDict or a Struct. A Struct that forbids unknown fields is closed."""
    hints = get_type_hints(kind, include_extras=True)
    closed = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    optional = _with_default(kind) if closed else getattr(kind, "__optional_keys__", frozenset())
    return {
        **({"additionalProperties": False} if closed else {}),
        "required": [name for name in hints if name not in optional],
        "properties": {name: schema_of(hint) for name, hint in hints.items()},
    }


def _with_default(struct: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(one.name for one in msgspec.structs.fields(struct) if not one.required)


def _annotated(schema: Schema, metas: tuple[Meta, ...]) -> Schema:
    described: Schema = {}
    for meta in metas:
        if meta.description:
            described = {"description": meta.description}
        bounds = {keyword: getattr(meta, name) for name, keyword in BOUNDS.items()}
        schema |= {key: bound for key, bound in bounds.items() if bound is not None}
        schema |= meta.extra_json_schema or {}
    if "null" in schema.get("type", "") and "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return described | schema


def _nullable(kinds: tuple[Any, ...]) -> Schema:
    """Schema of `X | None`. Raises ValueError for any other union."""
    (kind,) = (one for one in kinds if one is not type(None))
    schema = schema_of(kind)
    schema["type"] = [schema["type"], "null"]
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return schema
