"""docs/contracts/ is generated from the types of the code."""

import shutil
from datetime import datetime
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict
from uuid import UUID

import pytest
from django.conf import settings
from django.core.management import call_command
from jsonschema import Draft202012Validator
from msgspec import Meta, Struct

from orders.states import HoldCode
from wingxtra.api import contract_page, contracts
from wingxtra.api.contracts import (
    Schema,
    about,
    committed,
    generated,
    limits,
    members,
    schema_of,
)

CONTRACTS = [
    *("delivery_event", "mission_intent", "mission_intent.reposition", "mission_intent.v2"),
    *("order", "webhook"),
]
RUN = "Run `make contracts` and commit docs/contracts/."


@pytest.fixture(autouse=True)
def _published() -> None:
    """The URLs import all modules that publish a contract."""
    import_module(settings.ROOT_URLCONF)


class Inner(Struct, forbid_unknown_fields=True):
    lat: Annotated[float, Meta(ge=-90, le=90)]


class Outer(TypedDict):
    name: Annotated[str | None, about("Who.", enum=["a", "b"])]
    inner: Inner | None
    at: Annotated[datetime, limits(pattern="Z$")]
    code: NotRequired[HoldCode]


def test_the_contracts_of_order_event_intent_and_webhook_are_generated() -> None:
    assert sorted(contracts.PUBLISHED) == CONTRACTS


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_committed_contract_matches_the_code(name: str) -> None:
    assert _names(committed(name)) == _names(generated(name)), RUN
    assert committed(name) == generated(name), RUN
    Draft202012Validator.check_schema(committed(name))


def _names(schema: Schema) -> set[str]:
    return {name for name, _, _ in members(schema)}


def test_the_page_names_every_member() -> None:
    assert contract_page.PAGE.read_text() == contract_page.text(), RUN


def test_a_type_declares_its_members_once() -> None:
    assert schema_of(Outer) == {
        "type": "object",
        "required": ["name", "inner", "at"],
        "properties": {
            "name": {"description": "Who.", "type": ["string", "null"], "enum": ["a", "b", None]},
            "inner": {
                "type": ["object", "null"],
                "additionalProperties": False,
                "required": ["lat"],
                "properties": {"lat": {"type": "number", "minimum": -90, "maximum": 90}},
            },
            "at": {"type": "string", "format": "date-time", "pattern": "Z$"},
            "code": {"type": "string", "enum": ["PARCEL_ABOARD", "PARCEL_UNKNOWN"]},
        },
    }


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (UUID, {"type": "string", "format": "uuid"}),
        (HoldCode | None, {"type": ["string", "null"], "enum": [*HoldCode.values, None]}),
        (Literal[2], {"const": 2}),
        (Literal["RTL", "LAND"], {"enum": ["RTL", "LAND"]}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, Any], {"type": "object"}),
    ],
)
def test_a_type_has_a_schema(kind: Any, schema: dict[str, Any]) -> None:
    assert schema_of(kind) == schema


def test_a_type_that_no_contract_uses_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes"):
        schema_of(bytes)


def test_the_command_reports_stale_files_and_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = contracts.CONTRACTS
    copy = Path(shutil.copytree(folder, tmp_path / "contracts"))
    page, order = copy / "members.md", copy / "order.schema.json"
    page.write_text("By hand.\n")
    order.write_text(order.read_text().replace("dropoff_lat", "dropoff_latitude"))
    monkeypatch.setattr(contracts, "CONTRACTS", copy)
    monkeypatch.setattr(contract_page, "PAGE", page)
    output = StringIO()
    with pytest.raises(SystemExit):
        call_command("contracts", "--check", stderr=output)
    assert "members.md differs from the code" in output.getvalue()
    assert "order.schema.json differs from the code" in output.getvalue()
    call_command("contracts", stdout=StringIO())
    for path in (page, order):
        assert path.read_text() == (folder / path.name).read_text()
