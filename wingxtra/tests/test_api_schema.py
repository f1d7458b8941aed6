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
from wingxtra.api.schema.document import references
from wingxtra.tests.openapi import Described, described

pytestmark = pytest.mark.django_db

BASE = Path(settings.BASE_DIR)
APPS = ("wingxtra", "fleet", "orders", "dispatch", "pod", "tracking")
# Files and codes for other readers: staff in the console, customers on their pages.
NOT_OF_THE_API = re.compile(
    r"/(tests|simulator|demo|console|merchant)/|/(console|admin|pages)\.py$|/fleet/live/client\.py$"
)
CODES_OF_PAGES = {
    *("airspace_changed", "already_grounded", "used_before", "code_not_sendable", "not_grounded"),
    *("case_closed", "no_live_mission", "not_paused", "settled"),
    *("hub_gone", "no_drones", "nothing_to_fly"),  # what ifs
    *("at_its_base", "hub_full", "mission_over", "needs_intent_version_2"),  # flights to a base
    *("nothing_to_hand_over", "same_pilot", "pilot_on_two_shifts", "pilot_supervises"),
    *("shift_begun", "shift_not_on"),
    *("forgotten", "note_exists", "too_many_notes", "read_already"),  # notes
    *("not_flown", "nothing_to_do", "order_changed"),
    *("already_released", "nothing_to_attest"),  # fit to fly
    *("data_held", "not_closed", "occurrence_released", "same_state", "too_many_files"),
    *("already_revoked", "form_not_ours", "live_keys_not_allowed", "too_many_keys"),
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
        who = r"For ((MERCHANT|LOADER|READONLY|OPS|ADMIN)(, )?)+\.|For anyone\."
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
    schemas = {}
    for name, calls in api.schema["webhooks"].items():
        sent = calls["post"]
        assert api.resolve(sent["parameters"][0]["$ref"])["name"] == "webhook-id"
        schemas[name] = sent["requestBody"]["content"]["application/json"]["schema"]
    message = {"type": "webhook.test", "timestamp": "2026-03-01T12:00:00Z"}
    of_test = {"webhook_id": str(uuid4()), "message": "A test."}
    api.check({**message, "data": of_test}, schemas["test"])
    examples = json.loads((BASE / "docs" / "contracts" / "examples.json").read_text())
    data = {"order": examples["Order"], "event": examples["DeliveryEvent"]}
    api.check({**message, "type": "order.launched", "data": data}, schemas["order"])
    with pytest.raises(jsonschema.ValidationError):
        api.check({**message, "type": "order.launched", "data": of_test}, schemas["order"])


def test_answers_may_gain_members_and_requests_may_not(api):
    schemas = api.schema["components"]["schemas"]
    closed = {name for name, one in schemas.items() if one.get("additionalProperties") is False}
    asked, answered = set(), set()
    for call in api.calls:
        asked |= _components_of(api, call.operation.get("requestBody", {}))
        answered |= _components_of(api, call.operation["responses"])
    answered |= _components_of(api, api.schema["webhooks"])
    assert {"NewOrder", "OrderChange", "CancelInput"} <= closed <= asked
    assert {"Order", "OrderList", "OrderMessage", "Problem"} <= answered
    assert not closed & answered


def _components_of(api: Described, part: object) -> set[str]:
    """The names of the schemas that this part needs, however indirectly."""
    found: set[str] = set()
    waiting = list(references(part))
    while waiting:
        reference = waiting.pop()
        name = reference.removeprefix("#/components/schemas/")
        if name not in found:
            waiting += references(api.resolve(reference))
            found.add(name)
    return found


def test_generators_find_nothing_that_they_stumble_over(api):
    """Each of these made one of them refuse the description, or its client refuse an answer."""
    for part in _parts(api.schema["paths"], api.schema["components"]["schemas"]):
        const, pattern = part.get("const"), part.get("pattern", "^")
        assert not isinstance(const, list), part
        assert True not in part.get("enum", []), part
        if isinstance(pattern, str) and part.get("type") == "string":
            assert pattern.startswith("^"), part  # Python's re.match begins at the start
            assert part.get("format") != "date-time" or "pattern" not in part, part
        assert {"type": "string", "maxLength": 0} not in part.get("oneOf", []), part
    lists = {name for name in api.schema["components"]["schemas"] if name.endswith("List")}
    assert "OrderList" in lists
    for name in lists:
        schema = api.schema["components"]["schemas"][name]
        assert "anyOf" not in schema, name
        assert schema["properties"]["items"]["items"].keys() == {"$ref"}, name
    for call in api.calls:
        for parameter in call.operation["parameters"]:
            assert parameter.get("name") != "page" or "default" not in parameter["schema"]


def _parts(*roots: object) -> Iterator[dict]:
    for root in roots:
        if isinstance(root, dict):
            yield root
            yield from _parts(*root.values())
        elif isinstance(root, list):
            yield from _parts(*root)


def test_every_tag_is_told_about(api):
    told = {tag["name"]: tag["description"] for tag in api.schema["tags"]}
    used = {tag for call in api.calls for tag in call.operation["tags"]}
    assert used <= told.keys()
    assert all(told.values())


def test_text_that_looks_like_a_number_is_quoted():
    described = Client().get("/api/schema").content.decode()
    assert "otp_code: '042917'" in described
    assert not re.search(r"otp_code: \d", described)


# --- what merchants may call ---------------------------------------------------------------------


def test_merchants_have_a_reference_of_their_own(api):
    whole, mine = api.schema, yaml.safe_load(Client().get("/api/schema/merchant").content)
    validate_schema(mine)
    wanted = {
        (call.path, call.method) for call in api.calls if not call.roles or "MERCHANT" in call.roles
    }
    assert wanted == {(path, method) for path, calls in mine["paths"].items() for method in calls}
    assert ("/api/v1/orders", "post") in wanted
    assert ("/api/v1/dispatch/run", "post") not in wanted
    for path, calls in mine["paths"].items():
        for method, call in calls.items():
            same = whole["paths"][path][method]
            assert call["operationId"] == same["operationId"]
            assert call.get("requestBody") == same.get("requestBody")


def test_their_reference_speaks_of_nothing_that_is_not_in_it():
    mine = yaml.safe_load(Client().get("/api/schema/merchant").content)
    here = Described(mine)
    assert {here.resolve(one) is not None for one in here.references()} == {True}
    ids = {call.operation["operationId"] for call in here.calls}
    for call in here.calls:
        for answer in call.operation["responses"].values():
            assert answer.get("links", {}).keys() <= ids
    assert not mine["components"]["schemas"].keys() & {"RunAnswer", "LiveDrone", "MissionIntent"}
    assert mine["webhooks"].keys() == {"order", "test"}


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
            if NOT_OF_THE_API.search(f"/{path.relative_to(BASE)}"):
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
    assert raised.keys() - listed <= CODES_OF_PAGES


def test_every_refusal_is_a_problem_with_its_codes(api):
    # 405 is the answer to calls that are not described.
    for status in _listed().keys() - {"405"}:
        codes = _listed()[status]
        answer = api.resolve(f"#/components/responses/Problem{status}")
        content = answer["content"][CONTENT_TYPE]
        api.check(content["example"], content["schema"])
        assert list(codes) == answer["x-codes"]
        assert "X-Request-ID" in answer["headers"]
    assert "Retry-After" in api.resolve("#/components/responses/Problem429")["headers"]
    assert "WWW-Authenticate" in api.resolve("#/components/responses/Problem401")["headers"]


def test_a_problem_matches_its_schema(api):
    answered = Client().post("/api/v1/orders", {}, content_type="application/json").json()
    problem = api.resolve("#/components/responses/Problem401")["content"][CONTENT_TYPE]["schema"]
    api.check(answered, problem)
    with pytest.raises(jsonschema.ValidationError):
        api.check({**answered, "made_up": 1}, problem)


# --- the pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/docs", "/api/docs/merchant"])
def test_the_docs_load_only_our_own_files(path):
    response = Client().get(path)
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
