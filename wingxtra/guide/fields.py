"""Every member of the merchants' API as tables, from its OpenAPI description. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wingxtra.api.contracts import Schema

REFERENCE = "#/components/schemas/"
# What most readers look for; the others follow by name.
FIRST = ("NewOrder", "Order", "DeliveryEvent", "Quote", "OrderMessage", "Problem")


@dataclass(frozen=True, slots=True)
class Member:
    """`limits` are for people, such as “at most 64 characters”. `types`: names of other bodies are
    keys of the table that describes them.
    """

    name: str
    type: str
    body: str
    limits: str
    is_required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Body:
    name: str
    description: str
    members: list[Member]


def bodies(description: Schema) -> list[Body]:
    """The request and answer bodies of an OpenAPI 3.1 description, the most wanted first."""
    schemas: Schema = description["components"]["schemas"]
    names = [name for name, schema in schemas.items() if "properties" in schema]
    ordered = [*FIRST, *sorted(set(names) - set(FIRST))]
    return [
        Body(name, schemas[name].get("description", ""), list(_members(schemas[name], schemas)))
        for name in ordered
    ]


def _members(body: Schema, schemas: Schema) -> Iterator[Member]:
    for name, schema in body["properties"].items():
        whole = _resolved(schema, schemas)
        yield Member(
            name=name,
            type=_type(whole),
            body=_body(schema, schemas),
            limits=_limits(whole),
            is_required=name in body.get("required", []),
            description=schema.get("description", whole.get("description", "")),
        )


def _resolved(schema: Schema, schemas: Schema) -> Schema:
    """With references and alternatives to null put in their place."""
    if reference := schema.get("$ref"):
        return _resolved(schemas[reference.removeprefix(REFERENCE)], schemas) | {
            name: value for name, value in schema.items() if name != "$ref"
        }
    for word in ("oneOf", "anyOf", "allOf"):
        if word not in schema:
            continue
        parts = [_resolved(part, schemas) for part in schema[word]]
        types = [one for part in parts for one in _types(part)]
        merged = {name: value for part in parts for name, value in part.items() if value}
        own = {name: value for name, value in schema.items() if name != word}
        return merged | own | {"type": list(dict.fromkeys(types))}
    return schema


def _types(schema: Schema) -> list[str]:
    kind = schema.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)


def _type(schema: Schema) -> str:
    named = {"uuid": "UUID", "date-time": "time", "date": "date", "uri": "URL", "email": "e-mail"}
    words = []
    for kind in _types(schema):
        if kind == "string":
            words.append(named.get(schema.get("format", ""), "text"))
        elif kind == "array":
            words.append("list")
        else:
            words.append(kind)
    return " or ".join(words)


def _body(schema: Schema, schemas: Schema) -> str:
    """The name of the body that a member holds, or of the items of its list; "" for none."""
    candidates = [schema, schema.get("items", {})]
    candidates += [part for word in ("oneOf", "anyOf", "allOf") for part in schema.get(word, [])]
    for one in candidates:
        name = str(one.get("$ref", "")).removeprefix(REFERENCE)
        if name and "properties" in schemas[name]:
            return name
    return ""


def _limits(schema: Schema) -> str:
    items = schema.get("items", {})
    values = schema.get("enum") or schema.get("examples") or items.get("enum") or []
    said: list[str] = []
    if values:
        said.append(", ".join(str(value) for value in values if value is not None))
    for key, words in (
        ("minLength", "at least {} characters"),
        ("maxLength", "at most {} characters"),
        ("minimum", "from {}"),
        ("exclusiveMinimum", "more than {}"),
        ("maximum", "up to {}"),
        ("minItems", "at least {} items"),
        ("maxItems", "at most {} items"),
        ("minProperties", "at least {} members"),
        ("maxProperties", "at most {} members"),
    ):
        if key in schema:
            said.append(words.format(_number(schema[key])))
    if "default" in schema:
        said.append(f"default {schema['default']}")
    return "; ".join(said)


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value}"
