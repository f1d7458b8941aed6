"""The contracts of docs/contracts/ as components of the OpenAPI description.

Each object gets a component of its own, so that generated clients have a named type for it. All of
them are answers: members may be added at any time, so none is closed.
"""

import re
from collections.abc import Callable

from wingxtra.api.contracts import Schema, committed

# Takes the schema of an object that needs a component, by the component's name.
Register = Callable[[str, Schema], None]


def component(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}


def component_name(contract: str) -> str:
    """“Delivery event”, the title of delivery_event.schema.json, is the component DeliveryEvent."""
    return _camel(committed(contract)["title"])


def contract(name: str, register: Register) -> Schema:
    """docs/contracts/<name>.schema.json as a component; the objects within go to `register`."""
    schema = committed(name)
    return _open(
        {key: part for key, part in schema.items() if key[0] != "$" and key != "title"},
        _camel(schema["title"]),
        register,
    )


def member(schema: Schema, name: str, register: Register) -> Schema:
    """A part of a contract; `name` is what its component is called if it is an object."""
    if "$ref" in schema:
        return _referred(schema, register)
    kinds = schema.get("type")
    if kinds == ["object", "null"] and "properties" in schema:
        inner = {key: part for key, part in schema.items() if key != "description"}
        one = member({**inner, "type": "object"}, name, register)
        about = {"description": schema["description"]} if "description" in schema else {}
        return {"oneOf": [one, {"type": "null"}], **about}
    if kinds == "object" and "properties" in schema:
        register(name, _open(schema, name, register))
        return component("schemas", name)
    return _open(schema, name, register)


def _open(schema: Schema, name: str, register: Register) -> Schema:
    """What generators do not take, in words that they do."""
    opened = {key: part for key, part in schema.items() if key != "additionalProperties"}
    if "properties" in schema:
        opened["properties"] = {
            key: member(part, f"{name}{_camel(key)}", register)
            for key, part in schema["properties"].items()
        }
    if "items" in schema:
        opened["items"] = member(schema["items"], name.removesuffix("s"), register)
    if "oneOf" in schema:
        # A document of the later version is right by the earlier one, too, now that it is open.
        opened["anyOf"] = [member(one, name, register) for one in reversed(opened.pop("oneOf"))]
    if schema.get("type") == "array" and (lists := _exact_lists(opened)):
        texts = [text for one in lists for text in one]
        opened["items"] = {"type": "string", "enum": list(dict.fromkeys(texts))}
    if schema.get("format") == "date-time":
        opened.pop("pattern", None)  # by then it is no text any more, to those who check patterns
    return opened


def _exact_lists(schema: Schema) -> list[list[str]]:
    """Take out the lists that an array must be one of; generators know such values of text only."""
    lists: list[list[str]] = schema.pop("enum", [])
    return [*lists, schema.pop("const")] if "const" in schema else lists


def _referred(schema: Schema, register: Register) -> Schema:
    other = schema["$ref"].removesuffix(".schema.json")
    name = component_name(other)
    register(name, contract(other, register))
    return component("schemas", name)


def _camel(words: str) -> str:
    return "".join(word[0].upper() + word[1:] for word in re.findall("[A-Za-z0-9]+", words))
