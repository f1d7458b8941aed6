"""The OpenAPI description is complete and correct, and its page loads only our own files."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import jsonschema
import pytest
import yaml
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from drf_spectacular.validation import validate_schema

from wingxtra.api.errors import CONTENT_TYPE
from wingxtra.tests.openapi import Described, described

pytestmark = pytest.mark.django_db

BASE = Path(settings.BASE_DIR)
APPS = ("wingxtra", "fleet", "orders", "dispatch", "pod", "tracking")
# Files and codes for other readers: staff in the console, customers on their pages.
NOT_OF_THE_API = re.compile(
    r"/(tests|simulator|demo|console)/|/(console|admin|pages)\.py$|/fleet/live/client\.py$"
)
CODES_OF_THE_CONSOLE = {
    *("already_grounded", "code_not_sendable", "not_grounded"),
    *("no_live_mission", "not_paused", "settled"),
    *("hub_gone", "no_drones", "nothing_to_fly"),  # what ifs
}


@pytest.fixture(scope="module")
def api() -> Described:
    return described()


def test_the_schema_is_valid_openapi_with_both_authentication_schemes(api):
    response = Client().get("/api/schema")
    assert response.status_code == 200
    schema = yaml.safe_load(response.content)
    validate_schema(schema)
    assert schema["openapi"].startswith("3.1")
    assert {one["type"] for one in schema["components"]["securitySchemes"].values()} == {
        "apiKey",
        "http",
    }


def test_the_generator_gives_no_warnings(tmp_path):
    call_command("spectacular", "--fail-on-warn", file=str(tmp_path / "schema.yml"))


def test_every_call_has_a_description_roles_and_answers(api):
    for call in api.calls:
        about = (call.method, call.path)
        assert call.operation["summary"], about
        assert not call.operation["summary"].startswith("Authenticates"), about
        who = r"For ((MERCHANT|LOADER|OPS|ADMIN)(, )?)+\.|For anyone\."
        assert re.search(who, call.description), about
        answers = {status for status in call.operation["responses"] if status < "400"}
        assert answers, about
        assert {"400", "429", "503"} <= call.operation["responses"].keys(), about


def test_every_body_has_a_valid_example(api):
    for call in api.calls:
        for content in call.contents():
            if content.media_type != "application/json" or not content.schema:
                continue
            assert "example" in content.described, (call.method, call.path)
            api.check(content.described["example"], content.schema)


def test_every_reference_exists(api):
    for reference in api.references():
        assert api.resolve(reference), reference


def test_every_enumeration_has_a_meaningful_name(api):
    named = [
        name for name, schema in api.schema["components"]["schemas"].items() if "enum" in schema
    ]
    assert "OrderStatus" in named
    assert not [name for name in named if re.search(r"Enum|[0-9a-f]{3}$", name)]


def test_every_post_documents_the_idempotency_key(api):
    for call in api.calls:
        key = {"$ref": "#/components/parameters/IdempotencyKey"} in call.operation["parameters"]
        is_token = call.path.startswith("/api/v1/auth/")
        assert key == (call.method == "post" and not is_token), call.path
        assert ("422" in call.operation["responses"]) == key, call.path


def test_webhooks_are_described_too(api):
    sent = api.schema["webhooks"]["event"]["post"]
    assert sent["parameters"][0]["name"] == "webhook-id"
    schema = sent["requestBody"]["content"]["application/json"]["schema"]
    test = {"type": "webhook.test", "timestamp": "2026-03-01T12:00:00Z"}
    api.check({**test, "data": {"webhook_id": str(uuid4()), "message": "A test."}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        api.check({**test, "type": "order.delivered", "data": {"order": {}}}, schema)


def test_an_order_links_to_every_call_about_it(api):
    (place,) = [call for call in api.calls if call.operation["operationId"] == "orders_create"]
    links = place.operation["responses"]["201"]["links"]
    about_one = {call.operation["operationId"] for call in api.calls if "{order_id}" in call.path}
    assert about_one <= links.keys()
    assert "tracking_retrieve" in links


# --- problems ------------------------------------------------------------------------------------


def _listed() -> dict[str, dict[str, str]]:
    contract = BASE / "docs" / "contracts" / "problem.schema.json"
    return json.loads(contract.read_text())["x-codes"]


def _raised() -> Iterator[tuple[str, str]]:
    """(code, file) for every problem that the sources raise with a literal code."""
    for app in APPS:
        for path in (BASE / app).rglob("*.py"):
            if NOT_OF_THE_API.search(str(path)):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    yield from ((code, str(path)) for code in _codes_of(node))


def _codes_of(call: ast.Call) -> Iterator[str]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    candidates: list[ast.expr] = []
    if name in {"Problem", "Conflict", "Unavailable", "BridgeUnavailable"}:
        candidates = call.args[:1] if name != "BridgeUnavailable" else []
    if name in {"Refused", "AuthenticationFailed", "BridgeUnavailable", "Answer", "_away"}:
        candidates += [word.value for word in call.keywords if word.arg == "code"]
    for node in candidates:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_problem_code_is_described():
    listed = {code for codes in _listed().values() for code in codes}
    raised = dict(_raised())
    assert len(raised) > 20
    assert raised.keys() - listed <= CODES_OF_THE_CONSOLE


def test_every_refusal_is_a_problem_with_its_codes(api):
    for status, codes in _listed().items():
        answer = api.resolve(f"#/components/responses/Problem{status}")
        content = answer["content"][CONTENT_TYPE]
        api.check(content["example"], content["schema"])
        assert list(codes) == content["schema"]["properties"]["code"]["enum"]
        assert "X-Request-ID" in answer["headers"]
    assert "Retry-After" in api.resolve("#/components/responses/Problem429")["headers"]
    assert "WWW-Authenticate" in api.resolve("#/components/responses/Problem401")["headers"]


def test_a_problem_matches_its_schema(api):
    answered = Client().post("/api/v1/orders", {}, content_type="application/json").json()
    problem = api.resolve("#/components/responses/Problem401")["content"][CONTENT_TYPE]["schema"]
    api.check(answered, problem)
    with pytest.raises(jsonschema.ValidationError):
        api.check({**answered, "code": "made_up"}, problem)


# --- the pages -----------------------------------------------------------------------------------


def test_the_docs_load_only_our_own_files():
    response = Client().get("/api/docs")
    assert response.status_code == 200
    page = response.content.decode()
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert links
    assert all(link.startswith("/static/") for link in links)
    assert not re.search(r"https?://|//cdn", page)
    for link in links:
        assert Client().get(link).status_code == 200, link


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/", "/gcs/nothing"])
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_unknown_path_below_the_api_is_a_problem(path, method):
    response = getattr(Client(), method)(path, headers={"Idempotency-Key": "once"})
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
