"""JSON answers equal those of REST framework's own renderer."""

import json
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from rest_framework.renderers import JSONRenderer
from rest_framework.utils.serializer_helpers import ReturnDict

from fleet.feasibility.rules import Priority
from wingxtra.api.renderers import JsonRenderer

ACCRA = timezone(timedelta(hours=1))

VALUES: list[Any] = [
    {"text": "Ɔsu “Ridge” \u2028 <b>", "none": None, "yes": True, "n": 3, "km": 1.5},
    [datetime(2026, 3, 1, 12, 30, tzinfo=UTC), datetime(2026, 3, 1, 12, 0, 0, 120, UTC)],
    UUID("8aee5435-5136-c817-2a8f-1204fe6e7731"),
    Decimal("0.50"),
    Priority.MEDICAL,
    {Priority.MEDICAL: 1},
    gettext_lazy("Delivered"),
    mark_safe("<b>"),
    (1, 2),
    OrderedDict(a=1),
    ReturnDict({"a": [1]}, serializer=None),
    [],
    "",
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_the_json_equals_that_of_rest_frameworks_renderer(value: Any) -> None:
    own = json.loads(JsonRenderer().render(value))
    assert own == json.loads(JSONRenderer().render(value))


def test_a_time_with_another_offset_is_the_same_instant() -> None:
    noon = datetime(2026, 3, 1, 13, tzinfo=ACCRA)
    assert datetime.fromisoformat(json.loads(JsonRenderer().render(noon))) == noon


def test_other_mappings_are_objects_and_none_is_an_empty_body() -> None:
    assert JsonRenderer().render(MappingProxyType({"a": 1})) == b'{"a":1}'
    assert JsonRenderer().render(None) == b""


def test_a_type_without_json_raises_an_error() -> None:
    with pytest.raises(TypeError, match="set has no JSON"):
        JsonRenderer().render({"a": object.__new__(type("set", (), {}))})
