"""What the bridge may answer, and what we make of it."""

from uuid import UUID

import pytest
import requests
import responses
from pytest_django import Settings

from dispatch import bridge
from dispatch.bridge import BridgeClient, BridgeNotAsked, BridgeUnavailable

INTENT = UUID("11111111-1111-4111-8111-111111111111")
# Every test has a bridge of its own, or one test's failures would open another one's breaker.
URL = "http://bridge-{}.test"


@pytest.fixture(autouse=True)
def _a_bridge(settings: Settings, request: pytest.FixtureRequest) -> None:
    settings.GCS_BRIDGE_URL = URL.format(abs(hash(request.node.name)))
    settings.GCS_BRIDGE_KEY = "k-123"


def url(settings: Settings, path: str = "") -> str:
    return f"{settings.GCS_BRIDGE_URL}/api/v1/mission-intents{path}"


@responses.activate
def test_an_intent_goes_with_its_own_id_as_the_key(settings: Settings) -> None:
    responses.post(url(settings), json={"status": "ACCEPTED"}, status=201)
    assert BridgeClient().submit(INTENT, {"a": 1}).accepted
    sent = responses.calls[0].request
    assert sent.headers["Idempotency-Key"] == str(INTENT)
    assert sent.headers["X-API-Key"] == "k-123"
    assert sent.body == b'{"a": 1}'


@responses.activate
@pytest.mark.parametrize("status", [200, 201, 202, 204, 409])
def test_2xx_and_409_say_that_it_has_the_mission(settings: Settings, status: int) -> None:
    responses.post(url(settings), body="", status=status)
    assert BridgeClient().submit(INTENT, {}).accepted


@responses.activate
@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_another_4xx_is_a_refusal_in_its_own_words(settings: Settings, status: int) -> None:
    responses.post(url(settings), json={"detail": "Too windy."}, status=status)
    answer = BridgeClient().submit(INTENT, {})
    assert (answer.accepted, answer.words) == (False, "Too windy.")


@responses.activate
@pytest.mark.parametrize("status", [301, 307, 401, 403, 408, 425, 429, 500, 502, 503, 504])
def test_what_is_no_decision_is_tried_again(settings: Settings, status: int) -> None:
    elsewhere = {"Location": "http://elsewhere.test/"}
    responses.post(url(settings), body="Sorry.", status=status, headers=elsewhere)
    with pytest.raises(BridgeUnavailable, match=f"answered {status}") as problem:
        BridgeClient().submit(INTENT, {})
    assert problem.value.bridge_status == status
    assert len(responses.calls) == 1  # and no redirect is followed


@responses.activate
def test_a_refused_connection_is_tried_again(settings: Settings) -> None:
    responses.post(url(settings), body=requests.ConnectionError())
    with pytest.raises(BridgeUnavailable, match="ConnectionError") as problem:
        BridgeClient().submit(INTENT, {})
    assert not isinstance(problem.value, BridgeNotAsked)


@responses.activate
@pytest.mark.parametrize("body", ["<html>hello</html>", "[1]", '"x"', "x" * 100_000, "\xff"])
def test_words_that_are_not_ours_are_kept_short(settings: Settings, body: str) -> None:
    responses.post(url(settings), body=body, status=422)
    answer = BridgeClient().submit(INTENT, {})
    assert answer.words == body[:1000]


@responses.activate
@pytest.mark.parametrize(
    ("status", "body", "mission"),
    [
        (200, {"status": "withdrawn"}, "withdrawn"),
        (202, {"status": "abort_requested"}, "abort_requested"),
        (409, {"status": "launched"}, "launched"),
        (404, {"detail": "What?"}, "unknown"),
    ],
)
def test_a_recall_says_what_became_of_the_mission(
    settings: Settings, status: int, body: dict[str, str], mission: str
) -> None:
    responses.post(url(settings, f"/{INTENT}/cancel"), json=body, status=status)
    assert BridgeClient().recall(INTENT, "withdraw").mission_status == mission
    assert responses.calls[0].request.body == b'{"mode": "withdraw"}'


@responses.activate
@pytest.mark.parametrize(("status", "body"), [(200, {}), (422, {"status": "x"}), (400, {})])
def test_a_recall_that_says_nothing_usable_is_no_answer(
    settings: Settings, status: int, body: dict[str, str]
) -> None:
    responses.post(url(settings, f"/{INTENT}/cancel"), json=body, status=status)
    with pytest.raises(BridgeUnavailable, match=str(status)):
        BridgeClient().recall(INTENT, "withdraw")


@responses.activate
def test_a_bridge_that_keeps_failing_is_left_alone_for_a_while(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "OPEN_FOR_S", 0.2)
    responses.post(url(settings), status=500)
    for _ in range(bridge.FAILURES_TO_OPEN):
        with pytest.raises(BridgeUnavailable, match="answered 500"):
            BridgeClient().submit(INTENT, {})
    with pytest.raises(BridgeNotAsked, match="5 times in a row"):
        BridgeClient().submit(INTENT, {})
    assert len(responses.calls) == bridge.FAILURES_TO_OPEN
    assert bridge.readiness()[0]


@responses.activate
def test_refusals_are_answers_and_no_failures(settings: Settings) -> None:
    responses.post(url(settings), status=422)
    for _ in range(2 * bridge.FAILURES_TO_OPEN):
        assert not BridgeClient().submit(INTENT, {}).accepted


def test_without_a_bridge_nothing_is_sent_and_ready_says_so(settings: Settings) -> None:
    settings.GCS_BRIDGE_URL = ""
    with pytest.raises(BridgeNotAsked, match="GCS_BRIDGE_URL") as problem:
        BridgeClient().submit(INTENT, {})
    assert problem.value.code == "bridge_not_configured"
    assert bridge.readiness() == (
        False,
        "No GCS bridge is configured (GCS_BRIDGE_URL): no mission can be published.",
    )
