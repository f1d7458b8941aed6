"""Input is accepted as specified, or refused with all its problems."""

import io
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError

from wingxtra.accounts.tests.factories import UserFactory, api_client
from wingxtra.api.parsers import BodyTooLarge, bound_body, decode
from wingxtra.tests.test_api_errors import problem

PATH = "/api/v1/parcels"
GOOD = {"name": "tea", "weight_kg": 1.5}


def send(body: object, **headers: str):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    client = api_client(UserFactory())
    return client.post(PATH, raw, content_type="application/json", **headers)


@pytest.mark.urls("wingxtra.tests.api_probe")
@pytest.mark.django_db
class TestFields:
    def test_valid_input_passes_and_times_are_returned_in_utc(self):
        body = {**GOOD, "pieces": 2, "fragile": True, "at": "2026-03-01T12:00:00+01:00"}
        response = send(body)
        assert response.status_code == 201
        assert response.json() == {**body, "at": "2026-03-01T11:00:00Z"}

    def test_all_problems_are_reported_at_once(self):
        body = {"weight_kg": "1", "wieght_kg": 1, "dropoff": {"lat": 91, "lgn": 0}}
        errors = problem(send(body), 400, "invalid")["errors"]
        assert {(error["field"], error["code"]) for error in errors} == {
            ("name", "required"),
            ("weight_kg", "invalid"),
            ("wieght_kg", "unknown_field"),
            ("dropoff.lat", "max_value"),
            ("dropoff.lng", "required"),
            ("dropoff.lgn", "unknown_field"),
        }

    @pytest.mark.parametrize(
        ("field", "value", "code"),
        [
            ("weight_kg", "1.5", "invalid"),
            ("weight_kg", True, "invalid"),
            ("weight_kg", None, "null"),
            ("weight_kg", -1, "min_value"),
            ("weight_kg", 10**400, "overflow"),
            ("pieces", 1.5, "invalid"),
            ("pieces", True, "invalid"),
            ("pieces", "1", "invalid"),
            ("fragile", "true", "invalid"),
            ("fragile", 1, "invalid"),
            ("name", 7, "invalid"),
            ("name", "", "blank"),
            ("name", "a\0b", "null_characters_not_allowed"),
            ("at", "2026-03-01T12:00:00", "naive"),
            ("at", "2026-02-30T12:00:00Z", "invalid"),
            ("at", "tomorrow", "invalid"),
            ("at", 1772366400, "invalid"),
            ("at", "0001-01-01T00:00:00+14:00", "overflow"),
            ("dropoff", [], "invalid"),
        ],
    )
    def test_only_the_right_type_is_accepted(self, field, value, code):
        [error] = problem(send({**GOOD, field: value}), 400, "invalid")["errors"]
        assert (error["field"], error["code"]) == (field, code)

    @pytest.mark.parametrize(
        ("body", "detail"),
        [
            (b'{"name": "\xff"}', "not UTF-8: see byte 10"),
            (b'{"name": ', "line 1, column 10"),
            (b'{"weight_kg": NaN}', "NaN"),
            (b'{"weight_kg": -Infinity}', "-Infinity"),
            (b'{"weight_kg": 1e999}', "too large"),
            (b'{"weight_kg": ' + b"9" * 5000 + b"}", "too large"),
            (b'{"name": "a", "name": "b"}', "“name” twice"),
            (b'{"name": "\\ud800"}', "surrogate"),
            (b"[]", "must be a JSON object"),
            (b'"tea"', "must be a JSON object"),
            (b'{"a":' * 40 + b"1" + b"}" * 40, "nested deeper than 32"),
            (b"[" * 4_000, "nested deeper than 32"),
            (b'{"a":' + b"[" * 4_000 + b"]" * 4_000 + b"}", "nested deeper than 32"),
            (json.dumps({"list": [[]] * 5000}).encode(), "has 10,001 values; at most 5,000"),
            (json.dumps({f"{n}": 1 for n in range(70_000)}).encode(), "has 70,000 members"),
            (json.dumps({"list": [{"a": 1}] * 1000}).encode(), "has 1,001 members; at most 1,000"),
        ],
    )
    def test_invalid_json_is_refused_with_its_position(self, body, detail):
        assert detail in problem(send(body), 400, "parse_error")["detail"]

    def test_the_first_20_unknown_fields_are_named_and_the_others_counted(self):
        body = {**GOOD, **{f"unknown_{n}": n for n in range(25)}, "x" * 5000: 1}
        errors = problem(send(body), 400, "invalid")["errors"]
        assert [error["field"] for error in errors] == [*(f"unknown_{n}" for n in range(20)), ""]
        assert errors[-1]["message"] == "And 6 more fields that do not exist here."
        (long,) = problem(send({**GOOD, "x" * 5000: 1}), 400, "invalid")["errors"]
        assert long["field"] == "x" * 80

    def test_a_body_of_two_megabytes_is_refused_unread(self):
        problem(send({**GOOD, "name": "x" * 2_000_000}), 413, "body_too_large")


class TestBodySize:
    def test_a_chunked_body_is_read_no_further_than_the_limit(self, rf, settings):
        settings.API_MAX_BODY_BYTES = 100
        request = rf.post("/", HTTP_TRANSFER_ENCODING="chunked")
        endless = request.META["wsgi.input"] = io.BytesIO(b"x" * 10_000)
        with pytest.raises(BodyTooLarge):
            bound_body(request)
        assert endless.tell() == 101

    def test_a_chunked_body_within_the_limit_is_accepted(self, rf):
        request = rf.post("/", HTTP_TRANSFER_ENCODING="chunked")
        request.META["wsgi.input"] = io.BytesIO(b"{}")
        bound_body(request)
        assert request.body == b"{}"

    @pytest.mark.parametrize("declared", ["", "-1", "nonsense", "²"])
    def test_a_content_length_that_is_not_a_number_is_harmless(self, rf, declared):
        bound_body(rf.post("/", CONTENT_LENGTH=declared))

    def test_a_body_is_cut_at_its_content_length(self, rf):
        request = rf.post("/", data=b"{}" * 1000, content_type="application/json")
        request = type(request)({**request.META, "CONTENT_LENGTH": "2"})
        bound_body(request)
        assert request.body == b"{}"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=1) | st.dictionaries(st.text(), JSON))
def test_every_json_object_is_parsed(data):
    assert decode(json.dumps(data).encode()) == data


@given(st.binary())
def test_any_bytes_are_an_object_or_a_parse_error(body):
    with suppress(ParseError):
        assert isinstance(decode(body), dict)
