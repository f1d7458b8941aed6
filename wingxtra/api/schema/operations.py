"""One call in the OpenAPI description, and how serializers and credentials appear in it."""

import inspect
from typing import Any

from django.conf import settings
from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
)
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from rest_framework.permissions import AllowAny

from wingxtra.api import idempotency
from wingxtra.api.contracts import Schema
from wingxtra.api.schema import IDEMPOTENCY_KEY
from wingxtra.api.schema.components import Register, component, component_name, contract
from wingxtra.api.schema.shared import COMMON_HEADERS, headers
from wingxtra.api.serializers import StrictSerializer


class ContractInSchema(OpenApiSerializerExtension):
    """Uses the published contract as the component's schema."""

    target_class = "wingxtra.api.serializers.FromContract"
    match_subclasses = True

    def get_name(self, auto_schema: Any, direction: Any) -> str | None:
        return None if self.target.more else component_name(self.target.contract)

    def map_serializer(self, auto_schema: Any, direction: Any) -> Schema:
        schema = contract(self.target.contract, _registered_in(auto_schema.registry))
        if self.target.more:
            schema["properties"] |= self.target.more
        return schema


def _registered_in(registry: Any) -> Register:
    def register(name: str, schema: Schema) -> None:
        kind = ResolvedComponent.SCHEMA
        registry.register_on_missing(ResolvedComponent(name, kind, schema, object=name))

    return register


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


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = "wingxtra.console.entry.second_factor.VerifiedSession"
    name = "cookieAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


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
        parameters.append(component("parameters", "RequestId"))
        if self._is_idempotent:
            parameters.append(component("parameters", IDEMPOTENCY_KEY))
        answers = {status: one for status, one in operation["responses"].items() if status < "400"}
        for status, answer in answers.items():
            answer["headers"] = {**headers(self._headers_of(status)), **answer.get("headers", {})}
        problems = {*self._problems, *(set(operation["responses"]) - set(answers))}
        refusals = {status: component("responses", f"Problem{status}") for status in problems}
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

    def get_operation_id(self) -> str:
        """“orders_cancel”: a POST to a path that has nothing to read is an action."""
        name = str(super().get_operation_id())
        is_action = self.method == "POST" and not hasattr(self.view, "get")
        return name.removesuffix("_create") if is_action and name.count("_") > 1 else name

    def get_paginated_name(self, serializer_name: str) -> str:
        return f"{serializer_name}List"

    def _insert_field_validators(self, field: Any, schema: Schema) -> None:
        """An empty text, where it may be empty, is not told apart from one of its format: what
        generators make of two kinds of text cannot be filled in.
        """
        super()._insert_field_validators(field, schema)
        if {"type": "string", "maxLength": 0} in schema.get("oneOf", []):
            schema |= schema.pop("oneOf")[0]

    def _postprocess_serializer_schema(
        self, schema: Schema, serializer: Any, direction: Any
    ) -> Any:
        schema = super()._postprocess_serializer_schema(schema, serializer, direction)
        if isinstance(serializer, StrictSerializer):
            schema["additionalProperties"] = False
            for member in schema.get("properties", {}).values():
                member.pop("default", None)  # openapi-typescript would ask for it
            if inspect.getdoc(serializer) == inspect.getdoc(StrictSerializer):
                del schema["description"]
        return schema
