"""The API's OpenAPI description, for tests to read and to validate answers with."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema
from django.urls import Resolver404, resolve
from drf_spectacular.generators import SchemaGenerator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

METHODS = ("get", "post", "put", "patch", "delete")
ROOT = "urn:openapi"


@dataclass(frozen=True)
class Content:
    media_type: str
    described: dict[str, Any]

    @property
    def schema(self) -> dict[str, Any]:
        return self.described.get("schema", {})


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    operation: dict[str, Any]

    @property
    def description(self) -> str:
        return self.operation.get("description", "")

    @property
    def roles(self) -> list[str]:
        return self.operation.get("x-roles", [])

    def contents(self) -> Iterator[Content]:
        parts = [self.operation.get("requestBody", {}), *self.operation["responses"].values()]
        for part in parts:
            for media_type, described in part.get("content", {}).items():
                yield Content(media_type, described)


@dataclass(frozen=True)
class Described:
    schema: dict[str, Any]

    @property
    def calls(self) -> list[Call]:
        return [
            Call(method, path, operation)
            for path, calls in self.schema["paths"].items()
            for method, operation in calls.items()
            if method in METHODS
        ]

    def call(self, method: str, path: str) -> Call | None:
        """The call that serves this path."""
        try:
            route = resolve(path.partition("?")[0]).route
        except Resolver404:
            return None
        for call in self.calls:
            if call.method == method.lower() and _same(call.path, route):
                return call
        return None

    def resolve(self, reference: str) -> Any:
        found: Any = self.schema
        for name in reference.removeprefix("#/").split("/"):
            found = found[name.replace("~1", "/")]
        return found

    def references(self) -> Iterator[str]:
        yield from _references(self.schema)

    def check(self, value: Any, schema: dict[str, Any]) -> None:
        """Raises jsonschema.ValidationError."""
        self._validator(schema).validate(value)

    def check_answer(self, method: str, path: str, response: Any) -> None:
        """Check that the description allows this response and describes each of its members."""
        call = self.call(method, path)
        assert call, f"{method} {path} is not described"
        answer = call.operation["responses"].get(str(response.status_code))
        about = f"{method} {path}: {response.status_code} {response.content[:500]!r}"
        assert answer, f"not described: {about}"
        answer = self.resolve(answer["$ref"]) if "$ref" in answer else answer
        contents = answer.get("content", {})
        if not contents:
            return
        media_type = response.headers["Content-Type"].partition(";")[0]
        assert media_type in contents, about
        try:
            self.check(response.json(), contents[media_type]["schema"])
        except jsonschema.ValidationError as error:
            raise AssertionError(f"{about}: {error}") from error

    def _validator(self, schema: dict[str, Any]) -> Any:
        resource = Resource.from_contents(_closed(self.schema), default_specification=DRAFT202012)
        registry = Registry().with_resource(ROOT, resource)
        return jsonschema.Draft202012Validator(
            _closed(_rooted(schema)),
            registry=registry,
            format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
        )


def _rooted(part: Any) -> Any:
    """References into the description, made absolute."""
    if isinstance(part, list):
        return [_rooted(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        key: f"{ROOT}{value}" if key == "$ref" else _rooted(value) for key, value in part.items()
    }


def _closed(part: Any) -> Any:
    """The same schema, with only the described members allowed in each object."""
    if isinstance(part, list):
        return [_closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(value) for key, value in part.items()}
    if "properties" in closed and closed.get("type") == "object":
        closed.setdefault("unevaluatedProperties", False)
    return closed


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(part, list):
        for one in part:
            yield from _references(one)


def _same(path: str, route: str) -> bool:
    """“/api/v1/orders/{order_id}” is served by the route “api/v1/orders/<uuid:order_id>”."""
    pieces = [piece if not piece.startswith("<") else "{}" for piece in route.split("/")]
    wanted = [piece if not piece.startswith("{") else "{}" for piece in path[1:].split("/")]
    return pieces == wanted


@functools.cache
def described() -> Described:
    return Described(SchemaGenerator().get_schema(request=None, public=True))
