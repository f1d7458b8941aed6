"""What completes the document: shared parts, problems, webhooks, examples, links between calls."""

import json
from collections.abc import Iterator
from typing import Any

from wingxtra.api.contracts import CONTRACTS, Schema, committed
from wingxtra.api.errors import CONTENT_TYPE, STATUSES
from wingxtra.api.pagination import PAGINATION
from wingxtra.api.schema import NAMES
from wingxtra.api.schema.components import Register, component, contract, member
from wingxtra.api.schema.shared import (
    COMMON_HEADERS,
    HEADERS,
    PARAMETERS,
    PROBLEM_HEADERS,
    headers,
)

# The component that the generator makes for what may be null as well.
NULL = component("schemas", "Null")


def complete(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """A POSTPROCESSING_HOOK: adds the shared components, webhooks, examples, and links."""
    components = result.setdefault("components", {})
    components["headers"] = HEADERS
    components["parameters"] = PARAMETERS
    schemas = components["schemas"]
    register: Register = schemas.setdefault
    schemas["Problem"] = problem = contract("problem", register)
    schemas["Pagination"] = PAGINATION
    components["responses"] = {
        f"Problem{status}": _problem(int(status), codes)
        for status, codes in problem.pop("x-codes").items()
    }
    result["webhooks"] = _webhooks(register)
    _write_null_out(result)
    schemas.pop("Null", None)
    operations = [operation for calls in result["paths"].values() for operation in calls.values()]
    examples = json.loads((CONTRACTS / "examples.json").read_text())
    for operation in operations:
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in part.get("content", {}).values():
                _show(content, examples)
        for parameter, value in operation.pop(NAMES, {}).items():
            _link(operation, parameter, value, operations)
    return without_unused(result)


def without_unused(result: Schema) -> Schema:
    """The document with the components and tags that its calls and webhooks need, and no other."""
    components: dict[str, Schema] = result["components"]
    reached: set[str] = set()
    waiting = [*references(result["paths"]), *references(result["webhooks"])]
    while waiting:
        reference = waiting.pop()
        if reference in reached:
            continue
        reached.add(reference)
        _, _, kind, name = reference.split("/")
        waiting += references(components[kind][name])
    for kind in components.keys() - {"securitySchemes"}:
        components[kind] = {
            name: one
            for name, one in components[kind].items()
            if component(kind, name)["$ref"] in reached
        }
    items = [*result["paths"].values(), *result["webhooks"].values()]
    named = {tag for calls in items for call in calls.values() for tag in call["tags"]}
    result["tags"] = [tag for tag in result["tags"] if tag["name"] in named]
    return result


def references(part: Any) -> Iterator[str]:
    """All that this part of the document refers to."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from references(one)


def _write_null_out(part: Any) -> None:
    for key, one in part.items() if isinstance(part, dict) else enumerate(part):
        if one == NULL:
            part[key] = {"type": "null"}
        elif isinstance(one, dict | list):
            _write_null_out(one)


# --- webhooks ------------------------------------------------------------------------------------


def _webhooks(register: Register) -> Schema:
    """What we send to merchants' endpoints: of an order, and to try an endpoint out."""
    message = committed("webhook")
    test_type = message["if"]["properties"]["type"]["const"]
    types = [one for one in message["properties"]["type"]["examples"] if one != test_type]
    kinds = {
        "OrderMessage": (message["else"], {**message["properties"]["type"], "examples": types}),
        "TestMessage": (
            message["then"],
            {"description": "Always this.", "type": "string", "const": test_type},
        ),
    }
    for name, (rest, kind) in kinds.items():
        data = {"type": "object", **rest["properties"]["data"]}
        properties = {**message["properties"], "type": kind, "data": data}
        shape = {"type": "object", "required": message["required"], "properties": properties}
        member(shape, name, register)
    told = message["description"]
    return {
        "order": {"post": _sent("OrderMessage", "Something happened to an order", told)},
        "test": {"post": _sent("TestMessage", "A test that you asked for", told)},
    }


def _sent(name: str, summary: str, description: str) -> Schema:
    names = ("WebhookId", "WebhookTimestamp", "WebhookSignature")
    body = {"application/json": {"schema": component("schemas", name)}}
    return {
        "operationId": f"receive_{name}",
        "tags": ["webhook-messages"],
        "summary": summary,
        "description": description,
        "security": [],
        # openapi-generator would make a client of it, which sends what we send, and in Python one
        # that does not compile. It generates the types of the messages anyway.
        "x-internal": True,
        "parameters": [component("parameters", one) for one in names],
        "requestBody": {"required": True, "content": body},
        "responses": {
            "204": {"description": "Taken, as by any other 2xx. Otherwise it is sent again."},
            "410": {"description": "The endpoint is gone: we switch the webhook off."},
        },
    }


# --- examples, links, problems -------------------------------------------------------------------


def _show(content: Schema, examples: Schema) -> None:
    """Add the example of this component, or of the component that this is a list of."""
    name = content["schema"].get("$ref", "").rpartition("/")[2]
    item = name.removesuffix("List")
    if name in examples:
        content["example"] = examples[name]
    elif item in examples:
        place = {"page": 1, "page_size": 20, "total": 1}
        content["example"] = {"items": [examples[item]], **place, "pagination": place}


def _link(operation: Schema, parameter: str, value: str, others: list[Schema]) -> None:
    """Link `operation` to all calls whose path parameter is `value` of its answer."""
    links = {
        other["operationId"]: {
            "operationId": other["operationId"],
            "parameters": {parameter: value},
        }
        for other in others
        if any(one.get("name") == parameter for one in other["parameters"])
    }
    for status, answer in operation["responses"].items():
        if status < "300":
            answer.setdefault("links", {}).update(links)


def _problem(status: int, codes: dict[str, str]) -> Schema:
    """The response component for all problems of one status. `codes`: the meaning of each.

    The schema is the same for all, and has no list of codes: a client must take one that is new.
    """
    _, title = STATUSES[status]
    code, meaning = next(iter(codes.items()))
    example: Schema = {
        "type": f"urn:wingxtra:problem:{code}",
        "title": title,
        "status": status,
        "detail": meaning,
        "code": code,
        "request_id": "b2f7c1d4e5a6478f9a0b1c2d3e4f5a6b",
    }
    if status == 400:
        message = "Must be between -90 and 90 degrees."
        example["errors"] = [{"field": "dropoff_lat", "code": "out_of_bounds", "message": message}]
        example["detail"] = f"dropoff_lat: {message}"
    if status == 409:
        example["current_status"] = "DELIVERED"
    listed = "\n".join(f"- `{one}`: {text}" for one, text in codes.items())
    return {
        "description": f"{title}.\n\n{listed}",
        "headers": headers([*COMMON_HEADERS, *PROBLEM_HEADERS.get(status, [])]),
        "content": {
            CONTENT_TYPE: {"schema": component("schemas", "Problem"), "example": example},
        },
        "x-codes": list(codes),
    }
