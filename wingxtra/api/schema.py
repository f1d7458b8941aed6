"""Extensions of the OpenAPI generator.

`ApiSchema` describes one call: its roles, headers, and the problems that it may answer. `complete`
adds the shared components, the examples, and the links between calls. Shapes and texts that other
systems rely on too are in docs/contracts/.
"""

import json
from typing import Any

from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
)
from drf_spectacular.openapi import AutoSchema
from rest_framework.permissions import AllowAny

from wingxtra.api import idempotency, request_id
from wingxtra.api.contracts import CONTRACTS, Schema, committed
from wingxtra.api.errors import CONTENT_TYPE, STATUSES
from wingxtra.api.serializers import StrictSerializer

IDEMPOTENCY_KEY = "IdempotencyKey"
# An operation's extension: {path parameter of other calls: runtime expression of its value in this
# answer}. It becomes links to all calls with that parameter.
NAMES = "x-names"


def contract(name: str) -> Schema:
    """docs/contracts/<name>.schema.json as a component, with every `$ref` resolved."""

    def resolved(part: Any) -> Any:
        if isinstance(part, list):
            return [resolved(one) for one in part]
        if not isinstance(part, dict):
            return part
        rest = {key: resolved(value) for key, value in part.items() if key != "$ref"}
        if "$ref" in part:
            return {**contract(part["$ref"].removesuffix(".schema.json")), **rest}
        return rest

    return {key: resolved(part) for key, part in committed(name).items() if key[0] != "$"}


class ContractInSchema(OpenApiSerializerExtension):
    """Uses the published contract as the component's schema."""

    target_class = "wingxtra.api.serializers.FromContract"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Schema:
        schema = contract(self.target.contract)
        if self.target.more:
            schema["properties"] |= self.target.more
        return schema


class ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = "wingxtra.accounts.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "X-API-Key"}


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "wingxtra.accounts.authentication.JwtAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class ApiSchema(AutoSchema):
    """REST framework's DEFAULT_SCHEMA_CLASS. A call's docstring is its description; the first
    sentence is the summary.
    """

    view: Any  # an ApiView

    def get_operation(self, *args: Any, **kwargs: Any) -> Schema | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        parameters = operation.setdefault("parameters", [])
        parameters.append(_component("parameters", "RequestId"))
        if self._is_idempotent:
            parameters.append(_component("parameters", IDEMPOTENCY_KEY))
        answers = {status: one for status, one in operation["responses"].items() if status < "400"}
        for status, answer in answers.items():
            answer["headers"] = {**_headers(self._headers_of(status)), **answer.get("headers", {})}
        problems = {*self._problems, *(set(operation["responses"]) - set(answers))}
        refusals = {status: _component("responses", f"Problem{status}") for status in problems}
        operation["responses"] = answers | dict(sorted(refusals.items()))
        if self._roles:
            operation["x-roles"] = self._roles
        return operation

    def get_summary(self) -> str:
        return super().get_description().partition(". ")[0].partition("\n")[0].rstrip(".")

    def get_description(self) -> str:  # type: ignore[override]
        described = super().get_description()
        who = f"For {', '.join(self._roles)}." if self._roles else "For anyone."
        return f"{described}\n\n{who}" if described else who

    @property
    def _roles(self) -> list[str]:
        """The roles that may make the call; empty for a public one."""
        (permission,) = self.view.get_permissions()
        return [] if isinstance(permission, AllowAny) else [str(role) for role in permission.roles]

    @property
    def _is_idempotent(self) -> bool:
        return self.method == "POST" and self.view.idempotent

    def _headers_of(self, status: str) -> list[str]:
        replayed = [idempotency.REPLAYED] if self._is_idempotent else []
        location = ["Location"] if status == "201" else []
        return [*COMMON_HEADERS, *replayed, *location]

    @property
    def _problems(self) -> list[str]:
        """Statuses that any such call may answer; a view names its special ones."""
        found = ["400", "429", "503"]
        if self._roles:
            found += ["401", "403"]
        if "{" in self.path:
            found.append("404")
        if self.method in ("POST", "PATCH"):
            found += ["413", "415"]
        if self._is_idempotent:
            found += ["409", "422"]
        return found

    def _get_filter_parameters(self) -> list[Schema]:
        """An empty filter value, as forms send it, is the same as no filter."""
        parameters: list[Schema] = super()._get_filter_parameters()
        for parameter in parameters:
            schema = parameter["schema"]
            if "format" in schema or "enum" in schema:
                parameter["schema"] = {"anyOf": [schema, {"const": ""}]}
        return parameters

    def _postprocess_serializer_schema(
        self, schema: Schema, serializer: Any, direction: Any
    ) -> Any:
        schema = super()._postprocess_serializer_schema(schema, serializer, direction)
        if isinstance(serializer, StrictSerializer):
            schema["additionalProperties"] = False
        return schema


# --- shared components ---------------------------------------------------------------------------

HEADERS: dict[str, Schema] = {
    request_id.HEADER: {
        "description": "The id of the request; quote it when you ask us about the request.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
        "example": "b2f7c1d4e5a6478f9a0b1c2d3e4f5a6b",
    },
    "RateLimit-Limit": {
        "description": "How many calls are allowed; also as X-RateLimit-Limit.",
        "schema": {"type": "integer"},
        "example": 6000,
    },
    "RateLimit-Remaining": {
        "description": "How many of them are left; also as X-RateLimit-Remaining.",
        "schema": {"type": "integer"},
        "example": 5999,
    },
    "RateLimit-Reset": {
        "description": "In how many seconds there is one more; also as X-RateLimit-Reset.",
        "schema": {"type": "integer"},
        "example": 60,
    },
    idempotency.REPLAYED: {
        "description": "Present when this is the stored answer of an earlier request.",
        "schema": {"const": "true"},
        "example": "true",
    },
    "Location": {
        "description": "Address of the created object.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": "/api/v1/orders/0b6f0c1e-6d0f-4a3a-9a51-3b8f3f6f2a10",
    },
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 5,
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "schema": {"type": "string"},
        "example": 'Bearer realm="api"',
    },
}
COMMON_HEADERS = [request_id.HEADER, "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]
PROBLEM_HEADERS = {401: ["WWW-Authenticate"], 409: ["Retry-After"], 429: ["Retry-After"]}
PROBLEM_HEADERS[503] = ["Retry-After"]

PARAMETERS: dict[str, Schema] = {
    "RequestId": {
        "name": request_id.HEADER,
        "in": "header",
        "description": (
            "Your own id of the request: up to 128 letters, digits, “.”, “_” and “-”. It is "
            "echoed, and it is in our logs; for anything else we make one."
        ),
        "schema": {"type": "string"},
    },
    IDEMPOTENCY_KEY: {
        "name": idempotency.HEADER,
        "in": "header",
        "description": (
            "Any text of yours that names this request. Sent again with the same key and body "
            "within 24 hours, it is not carried out again: you get the first answer."
        ),
        "schema": {"type": "string", "minLength": 1, "maxLength": idempotency.MAX_LENGTH},
    },
}


def complete(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """A POSTPROCESSING_HOOK: adds the shared components, examples, and links between calls."""
    components = result.setdefault("components", {})
    components["headers"] = HEADERS
    components["parameters"] = PARAMETERS
    components["schemas"]["Problem"] = problem = contract("problem")
    codes = problem.pop("x-codes")
    components["responses"] = {
        f"Problem{status}": _problem(int(status), group) for status, group in codes.items()
    }
    operations = [operation for calls in result["paths"].values() for operation in calls.values()]
    examples = json.loads((CONTRACTS / "examples.json").read_text())
    for operation in operations:
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in part.get("content", {}).values():
                _show(content, examples)
        for parameter, value in operation.pop(NAMES, {}).items():
            _link(operation, parameter, value, operations)
    result["webhooks"] = {"event": {"post": _webhook()}}
    return result


def _webhook() -> Schema:
    """The request that we send to merchants' endpoints."""
    headers = ("webhook-id", "webhook-timestamp", "webhook-signature")
    message = contract("webhook")
    return {
        "summary": message["title"],
        "description": message["description"],
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
            for name in headers
        ],
        "requestBody": {"content": {"application/json": {"schema": message}}},
        "responses": {
            "2XX": {"description": "Taken. After anything else it is sent again."},
            "410": {"description": "The endpoint is gone: we switch the webhook off."},
        },
    }


def _show(content: Schema, examples: Schema) -> None:
    """Add the example of this component, or of the component that this is a list of."""
    name = content["schema"].get("$ref", "").rpartition("/")[2]
    item = name.removeprefix("Paginated").removesuffix("List")
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
    """The response component for all problems of one status. `codes`: the meaning of each."""
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
    schema = {
        "allOf": [_component("schemas", "Problem")],
        "properties": {"status": {"const": status}, "code": {"enum": list(codes)}},
    }
    return {
        "description": f"{title}.\n\n{listed}",
        "headers": _headers([*COMMON_HEADERS, *PROBLEM_HEADERS.get(status, [])]),
        "content": {CONTENT_TYPE: {"schema": schema, "example": example}},
    }


def _headers(names: list[str]) -> Schema:
    return {name: _component("headers", name) for name in names}


def _component(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}
