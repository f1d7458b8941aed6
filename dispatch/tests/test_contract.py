"""The contract of missions as types says the same as the JSON Schema that is published."""

import json
from typing import Any

import pytest

from dispatch import contract
from dispatch.tests.support import assigned

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bridge")]

WRONG = [None, True, "", "x", -1, 0, 1, 91, 181, 1001, 2.5, [], {}, ["RTL"], "2026-03-01"]
GONE = object()


def places(body: dict[str, Any]) -> list[tuple[str, ...]]:
    inner = [(key, k) for key, value in body.items() if isinstance(value, dict) for k in value]
    return [(key,) for key in body] + inner


def changed(body: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy with another value at one place, or without it."""
    copy: dict[str, Any] = json.loads(json.dumps(body))
    target = copy if len(place) == 1 else copy[place[0]]
    target[place[-1]] = value
    if value is GONE:
        del target[place[-1]]
    return copy


def test_whatever_the_types_accept_the_schema_accepts_too() -> None:
    body = assigned()[1].body
    assert contract.fits(body), "else every intent of a run would be checked the slow way"
    accepted = 0
    for place in places(body):
        for value in WRONG:
            other = changed(body, place, value)
            if contract.fits(other):
                accepted += 1
                assert list(contract._validator().iter_errors(other)) == [], (place, value)
    assert accepted > 20


def test_what_is_missing_or_too_much_is_refused_by_both() -> None:
    body = assigned()[1].body
    extra = [("more",), *((key, "more") for key in ("pickup", "dropoff", "safety", "metadata"))]
    for other in [changed(body, place, GONE) for place in places(body)] + [
        changed(body, place, 1) for place in extra
    ]:
        assert not contract.fits(other)
        with pytest.raises(contract.InvalidIntent):
            contract.check(other)
