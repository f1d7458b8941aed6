"""Each text of a request body has the length that the database keeps: at its limit it is stored, or
refused for another reason, and one character more is refused by name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from django.apps import apps
from django.db.models import CharField, JSONField, TextField

from orders.states import PodRequirement, Status
from wingxtra.tests.openapi import Call, described
from wingxtra.tests.test_contract import (
    ADMIN,
    ALL,
    ANYONE,
    MERCHANT,
    ONE,
    ROWS,
    STAFF,
    Row,
    World,
    _bridge,  # noqa: F401 (a fixture)
    call,
    of_link,
    of_order,
    world,  # noqa: F401 (a fixture)
)

pytestmark = pytest.mark.django_db

OURS = ("accounts", "fleet", "orders", "dispatch", "pod", "tracking")
# Limited in bytes.
FILES = {"photo", "signature"}
# Read, and kept nowhere.
NOT_KEPT = {"quotes", "token", "refresh", "verify", "mission-intents"}
MORE_ROWS = [
    Row("POST", "/auth/token", ANYONE, "", body={"username": "ama", "password": "secret"}),
    Row("POST", "/auth/token/refresh", ANYONE, "", body={"refresh": "token"}),
    Row("POST", "/auth/token/verify", ANYONE, "", body={"token": "token"}),
    Row(
        "POST",
        f"{ONE}/custody",
        STAFF,
        "",
        path=of_order(Status.QUEUED, "/custody"),
        body={"holder": "LOST", "note": "Fell into the lagoon."},
    ),
    Row(
        "POST",
        f"{ONE}/correct",
        STAFF,
        "",
        path=of_order(Status.DELIVERED, "/correct"),
        body={"outcome": "FAILED", "note": "The neighbor has it."},
    ),
    Row(
        "POST",
        "/tracking/{id}/otp",
        ANYONE,
        "",
        path=of_link(Status.ARRIVED, "/otp", pod_requirement=PodRequirement.OTP),
        body={"otp_code": "000000"},
    ),
]


@dataclass(frozen=True)
class Member:
    """`path`: like name, metadata.*, events[]."""

    row: Row
    path: str
    schema: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.row} {self.path}"

    @property
    def limit(self) -> int:
        return int(self.schema["maxLength"])

    def body(self, text: str) -> dict[str, Any]:
        value: Any = text
        name, *rest = re.split(r"\.|(?=\[\])", self.path)
        for piece in reversed(rest):
            value = [value] if piece == "[]" else {piece.replace("*", "till"): value}
        if name == "hours":
            value |= {"weekly": []}
        rest_of_body = dict(self.row.body or {})
        if name in ("event", "type"):  # other names of the same member
            del rest_of_body["event_type"]
        return {**rest_of_body, name: value}


def texts(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each free text of a body, with its path."""
    if "$ref" in schema:
        schema = described().resolve(schema["$ref"])
    for one in [part for name in ("oneOf", "anyOf", "allOf") for part in schema.get(name, [])]:
        yield from texts(one, path)
    kinds = schema.get("type", [])
    if "string" in ([kinds] if isinstance(kinds, str) else kinds) and "enum" not in schema:
        yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from texts(inner, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from texts(schema["items"], f"{path}[]")
    if isinstance(more := schema.get("additionalProperties"), dict):
        yield from texts(more, f"{path}.*")


def body_of(described_call: Call) -> dict[str, Any]:
    content = described_call.operation.get("requestBody", {}).get("content", {})
    found: dict[str, Any] = content.get("application/json", {}).get("schema", {})
    return found


def members() -> Iterator[Member]:
    seen = set()
    for row in [*ROWS, *MORE_ROWS]:
        found = described().call(row.method, "/api/v1" + re.sub(r"\{\w+\}", ONE_ID, row.pattern))
        assert found, str(row)
        for path, schema in texts(body_of(found)):
            if "maxLength" in schema and (found.method, found.path, path) not in seen:
                seen.add((found.method, found.path, path))
                yield Member(row, path, schema)


ONE_ID = "9b420238-ae27-49b1-a496-f018a0394a6d"
MEMBERS = list(members())


def test_each_text_of_each_body_has_a_limit_and_is_tried() -> None:
    tried = {(m.row.method.lower(), described_path(m.row), m.path) for m in MEMBERS}
    for one in described().calls:
        for path, schema in texts(body_of(one)):
            name = f"{one.method} {one.path} {path}"
            if schema.get("format") in ("uuid", "date-time", "date") or path in FILES:
                continue
            if not re.search(r"[+*]", schema.get("pattern", "+")):
                continue  # the pattern says how long it is
            assert "maxLength" in schema, name
            assert (one.method, one.path, path) in tried, name


def described_path(row: Row) -> str:
    found = described().call(row.method, "/api/v1" + re.sub(r"\{\w+\}", ONE_ID, row.pattern))
    assert found
    return found.path


def text_of(member: Member, length: int) -> str:
    """A text that the member accepts, if any of this length is."""
    name = member.path
    if name == "customer_email":
        domain = f"{'b' * 63}.{'c' * 63}."
        return f"{'a' * 64}@{domain}{'d' * (length - 65 - len(domain) - 4)}.com"
    if name == "customer_phone":
        return f"+233{' ' * (length - 13)}241234567"
    if name in ("url", "photo_url"):
        return "https://shop.example.com/".ljust(length, "a")
    is_ascii = "pattern" in member.schema or name in ("token", "refresh")
    return ("a" if is_ascii else "ä") * length


def is_stored(text: str) -> bool:
    wanted = "+233241234567" if text.startswith("+233") else text
    for model in [model for name in OURS for model in apps.get_app_config(name).get_models()]:
        for field in model._meta.get_fields():
            if isinstance(field, JSONField):
                kept = model._default_manager.values_list(field.name, flat=True)
                if any(wanted in str(value) for value in kept):
                    return True
            elif (
                isinstance(field, CharField | TextField)
                and model._default_manager.filter(**{f"{field.name}__contains": wanted}).exists()
            ):
                return True
    return False


def caller_of(row: Row) -> Any:
    """The first of the roles that name no merchant."""
    return next((role for role in (MERCHANT, ADMIN, *sorted(ALL)) if role in row.who), None)


@pytest.mark.usefixtures("_bridge")
@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_a_text_at_its_limit_is_stored_and_one_over_is_refused_by_name(
    member: Member,
    world: World,  # noqa: F811
) -> None:
    role = caller_of(member.row)
    longest, too_long = text_of(member, member.limit), text_of(member, member.limit + 1)
    assert (len(longest), len(too_long)) == (member.limit, member.limit + 1)

    refused = call(replace(member.row, body=member.body(too_long)), role, world)
    assert refused.status_code == 400, refused.content
    named = [error["field"] for error in refused.json()["errors"]]
    assert any(field.startswith(re.split(r"\W", member.path)[0]) for field in named), named

    answer = call(replace(member.row, body=member.body(longest)), role, world)
    assert answer.status_code < 500, answer.content
    if answer.status_code >= 400:
        assert answer.json()["code"]
    elif not NOT_KEPT & set(member.row.pattern.split("/")):
        assert is_stored(longest)
