"""Every error is a problem with a readable detail and a stable code."""

import json
import uuid

import pytest
from django.test import Client
from rest_framework.test import APIClient

from wingxtra.accounts.tests.factories import UserFactory, api_client

pytestmark = [pytest.mark.urls("wingxtra.tests.api_probe"), pytest.mark.django_db]


@pytest.fixture
def staff() -> APIClient:
    return api_client(UserFactory())


def problem(response, status: int, code: str) -> dict:
    """The body of the response, checked to be a complete problem of this status and code."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    body = json.loads(response.content)
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"urn:wingxtra:problem:{code}"
    assert body["title"]
    assert isinstance(body["detail"], str)
    assert body["detail"]
    assert body["request_id"] == response.headers["X-Request-ID"]
    return body


def test_a_conflict_names_the_status_that_the_order_has():
    body = problem(api_client().get("/api/v1/raising/conflict"), 409, "too_late")
    assert body["current_status"] == "LAUNCHED"
    assert body["detail"] == "The order is LAUNCHED."


def test_a_503_has_a_retry_after():
    response = api_client().get("/api/v1/raising/unavailable")
    problem(response, 503, "bridge_down")
    assert int(response.headers["Retry-After"]) > 0


def test_nested_names_are_joined_by_dots():
    body = problem(api_client().get("/api/v1/raising/nested"), 400, "invalid")
    assert body["errors"] == [
        {"field": "dropoff.lat", "code": "invalid", "message": "Too far north."},
        {"field": "stops.1", "code": "invalid", "message": "No."},
    ]


def test_a_models_own_checks_are_bad_input_too():
    body = problem(api_client().get("/api/v1/raising/model"), 400, "invalid")
    assert body["errors"] == [{"field": "name", "code": "unique", "message": "Taken."}]


def test_refusals_by_django_are_problems():
    problem(api_client().get("/api/v1/raising/denied"), 403, "permission_denied")
    problem(api_client().get("/api/v1/raising/missing"), 404, "not_found")


def test_a_bug_is_a_500_without_details_and_is_logged_with_its_traceback(caplog):
    response = api_client().get("/api/v1/raising/bug")
    problem(response, 500, "internal_error")
    assert b"is 42" not in response.content
    [line] = [record.msg for record in caplog.records if record.name == "wingxtra.api.errors"]
    assert isinstance(line["exc_info"], ZeroDivisionError)


def test_a_bug_in_a_plain_view_below_the_api_is_a_problem_too():
    response = Client(raise_request_exception=False).get("/api/v1/broken-page")
    problem(response, 500, "internal_error")
    assert b"is 42" not in response.content


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nothing",
        "/api/nothing",
        "/gcs/nothing",
        "/api/v1/things/not-a-uuid",
        "/api/v1/a%00",
    ],
)
def test_an_unknown_address_or_a_malformed_uuid_is_a_404(staff, path):
    problem(staff.get(path), 404, "not_found")
    problem(staff.post(path, {}), 404, "not_found")


def test_the_wrong_method_is_a_405_that_names_the_right_ones(staff):
    response = staff.delete("/api/v1/staff")
    problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_an_unknown_media_type_is_a_415(staff):
    response = staff.post("/api/v1/parcels", "<parcel/>", content_type="application/xml")
    problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("accept", ["application/problem+json", "text/html", "*/*", "nonsense"])
def test_the_answer_is_json_for_any_accept_header(staff, accept):
    response = staff.get("/api/v1/staff", HTTP_ACCEPT=accept)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"


def test_no_nul_reaches_the_database(staff):
    body = problem(staff.get("/api/v1/staff?q=a%00b"), 400, "invalid")
    assert body["errors"][0]["field"] == "q"


def test_an_unknown_host_is_a_problem_below_the_api():
    problem(api_client().get("/api/v1/raising/x", HTTP_HOST="a b"), 400, "invalid")


# --- request ids ---------------------------------------------------------------------------------


def test_a_request_id_is_echoed_and_is_in_the_log(caplog):
    response = api_client().get("/api/v1/raising/bug", HTTP_X_REQUEST_ID="till-3.order_7")
    assert response.headers["X-Request-ID"] == "till-3.order_7"
    [line] = [record.msg for record in caplog.records if record.name == "wingxtra.api.errors"]
    assert line["request_id"] == "till-3.order_7"


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "ä", "a\tb"])
def test_a_request_id_that_cannot_be_trusted_in_a_log_is_replaced(given):
    response = api_client().get("/api/v1/staff", HTTP_X_REQUEST_ID=given)
    own = response.headers["X-Request-ID"]
    assert own != given
    assert uuid.UUID(own)
    assert json.loads(response.content)["request_id"] == own
