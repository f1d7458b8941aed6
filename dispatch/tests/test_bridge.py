"""All answers that the bridge may give, from a raw socket, and how we read them."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from uuid import UUID

import pytest
from pytest_django import Settings

from dispatch.missions import bridge
from dispatch.missions.bridge import BridgeClient, BridgeNotAsked, BridgeUnavailable
from fleet.tests.raw_server import Answer, RawServer, answering, http

INTENT = UUID("11111111-1111-4111-8111-111111111111")
PATH = "/api/v1/mission-intents"


@pytest.fixture(autouse=True)
def _a_key(settings: Settings) -> None:
    settings.GCS_BRIDGE_KEY = "k-123"


@contextmanager
def a_bridge(settings: Settings, answer: Answer | bytes) -> Iterator[RawServer]:
    # Each server has its own port: the breakers are per URL.
    with answering(answer) as server:
        settings.GCS_BRIDGE_URL = server.url
        yield server


def http_answer(body: Any, status: int, *headers: str) -> bytes:
    """An HTTP answer with a JSON or text body."""
    text = body if isinstance(body, str) else json.dumps(body)
    return http(text.encode(), *headers, status=f"{status} {HTTPStatus(status).phrase}")


def parts_of(request: bytes) -> tuple[str, set[str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    return line, set(headers), body


def test_the_intent_id_is_the_idempotency_key(settings: Settings) -> None:
    with a_bridge(settings, http_answer({"status": "ACCEPTED"}, 201)) as server:
        assert BridgeClient().submit(INTENT, {"a": 1}).accepted
    line, headers, body = parts_of(server.requests[0])
    assert line == f"POST {PATH} HTTP/1.1"
    assert headers >= {
        f"Idempotency-Key: {INTENT}",
        "X-API-Key: k-123",
        "Content-Type: application/json",
    }
    assert body == b'{"a": 1}'


def test_the_bridge_url_may_have_a_path(settings: Settings) -> None:
    with a_bridge(settings, http_answer({}, 201)) as server:
        settings.GCS_BRIDGE_URL += "/gcs/"
        BridgeClient().submit(INTENT, {})
    assert parts_of(server.requests[0])[0] == f"POST /gcs{PATH} HTTP/1.1"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 409])
def test_status_2xx_and_409_mean_that_the_bridge_has_the_mission(
    settings: Settings, status: int
) -> None:
    with a_bridge(settings, http_answer("", status)):
        assert BridgeClient().submit(INTENT, {}).accepted


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_another_4xx_is_a_refusal_with_the_bridges_text(settings: Settings, status: int) -> None:
    with a_bridge(settings, http_answer({"detail": "Too windy."}, status)):
        answer = BridgeClient().submit(INTENT, {})
    assert (answer.accepted, answer.text) == (False, "Too windy.")


@pytest.mark.parametrize("status", [301, 307, 401, 403, 408, 425, 429, 500, 502, 503, 504])
def test_an_answer_that_is_no_decision_is_retried(settings: Settings, status: int) -> None:
    with (
        a_bridge(settings, http_answer("Sorry.", status, "Location: /elsewhere")) as server,
        pytest.raises(BridgeUnavailable, match=f"answered {status}") as problem,
    ):
        BridgeClient().submit(INTENT, {})
    assert problem.value.bridge_status == status
    assert len(server.requests) == 1  # and no redirect is followed


def test_a_refused_connection_is_retried(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings.GCS_BRIDGE_URL = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(BridgeUnavailable, match="not reached: Connection refused") as problem:
        BridgeClient().submit(INTENT, {})
    assert not isinstance(problem.value, BridgeNotAsked)


def test_an_answer_that_is_not_http_is_retried(settings: Settings) -> None:
    with (
        a_bridge(settings, b"SSH-2.0-OpenSSH_9.2\r\n"),
        pytest.raises(BridgeUnavailable, match="not reached: SSH"),
    ):
        BridgeClient().submit(INTENT, {})


@pytest.mark.parametrize(
    "before", [b"", b"HTTP/1.1 200 OK\r\n", http_answer("x" * 9999, 200)[:200]]
)
def test_a_slow_answer_costs_one_timeout(settings: Settings, before: bytes) -> None:
    """Each byte arrives in time, but the whole answer does not."""

    def trickle(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(before)
        while not stop.wait(0.05):
            connection.sendall(b"x")

    settings.GCS_BRIDGE_TIMEOUT_S = 0.5
    began = time.monotonic()
    with (
        a_bridge(settings, trickle),
        pytest.raises(BridgeUnavailable, match=r"not answered in full after 0\.5 s"),
    ):
        BridgeClient().submit(INTENT, {})
    assert time.monotonic() - began < 20  # and not for ever


@pytest.mark.parametrize("body", ["<html>hello</html>", "[1]", '"x"', "x" * 100_000, "\xff"])
def test_the_bridges_text_is_truncated(settings: Settings, body: str) -> None:
    with a_bridge(settings, http_answer(body, 422)):
        answer = BridgeClient().submit(INTENT, {})
    assert answer.text == body[:1000]


@pytest.mark.parametrize(
    ("status", "body", "mission"),
    [
        (200, {"status": "withdrawn"}, "withdrawn"),
        (202, {"status": "abort_requested"}, "abort_requested"),
        (409, {"status": "launched"}, "launched"),
        (404, {"status": "unknown"}, "unknown"),
        (404, {"code": "unknown_intent", "detail": "No mission of this id."}, "unknown"),
        (404, {"code": "UNKNOWN", "detail": "No mission of this id."}, "unknown"),
    ],
)
def test_a_recall_returns_the_status_of_the_mission(
    settings: Settings, status: int, body: dict[str, str], mission: str
) -> None:
    with a_bridge(settings, http_answer(body, status)) as server:
        assert BridgeClient().recall(INTENT, "withdraw").mission_status == mission
    line, _, sent = parts_of(server.requests[0])
    assert line == f"POST {PATH}/{INTENT}/cancel HTTP/1.1"
    assert sent == b'{"mode": "withdraw"}'


@pytest.mark.parametrize(
    "body",
    [
        {"detail": "Not Found"},
        {"code": "not_found", "detail": "There is no POST /cancel here."},
        {"detail": [{"loc": ["path"], "msg": "unknown route"}]},
        {"detail": "The mission is unknown."},
        "<html>404 Not Found</html>",
        "unknown",
        "",
    ],
)
def test_a_missing_route_is_no_answer_about_the_mission(settings: Settings, body: Any) -> None:
    with (
        a_bridge(settings, http_answer(body, 404)),
        pytest.raises(BridgeUnavailable, match="look whether the bridge has this route") as problem,
    ):
        BridgeClient().recall(INTENT, "withdraw")
    assert (problem.value.code, problem.value.bridge_status) == ("bridge_confused", 404)


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        (
            [
                {"type": "missing", "loc": ["body", "schema_version"], "msg": "Field required"},
                {"loc": ["body", "constraints", "geofence_id"], "msg": "Not permitted"},
            ],
            "schema_version: Field required; constraints.geofence_id: Not permitted",
        ),
        (
            [{"loc": ["body", "actions", 3], "msg": "Not one of these"}],
            "actions.3: Not one of these",
        ),
        ([{"loc": ["body"], "msg": "Not an object"}], "Not an object"),
        ([{"loc": "body", "msg": "Odd"}, {"msg": ""}, "x"], "Odd; {'msg': ''}; x"),
        ({"dropoff": "too far"}, "{'dropoff': 'too far'}"),
    ],
)
def test_a_validation_error_names_each_member(settings: Settings, detail: Any, words: str) -> None:
    with a_bridge(settings, http_answer({"detail": detail}, 422)):
        assert BridgeClient().submit(INTENT, {}).text == words


@pytest.mark.parametrize(("status", "body"), [(200, {}), (422, {"status": "x"}), (400, {})])
def test_a_recall_answer_without_a_status_is_no_answer(
    settings: Settings, status: int, body: dict[str, str]
) -> None:
    with (
        a_bridge(settings, http_answer(body, status)),
        pytest.raises(BridgeUnavailable, match=str(status)),
    ):
        BridgeClient().recall(INTENT, "withdraw")


def test_a_truncated_recall_answer_is_no_answer(settings: Settings) -> None:
    with (
        a_bridge(settings, http_answer({"status": "withdrawn"}, 200)[:-5]),
        pytest.raises(BridgeUnavailable, match="answered 200"),
    ):
        BridgeClient().recall(INTENT, "withdraw")


def test_repeated_failures_open_the_circuit_breaker(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "OPEN_FOR_S", 0.2)
    with a_bridge(settings, http_answer("", 500)) as server:
        for _ in range(bridge.FAILURES_TO_OPEN):
            with pytest.raises(BridgeUnavailable, match="answered 500"):
                BridgeClient().submit(INTENT, {})
        with pytest.raises(BridgeNotAsked, match="5 times in a row"):
            BridgeClient().submit(INTENT, {})
    assert len(server.requests) == bridge.FAILURES_TO_OPEN
    assert bridge.readiness() == (False, "Does not answer; missions wait in the outbox.")


def test_refusals_do_not_count_as_failures(settings: Settings) -> None:
    with a_bridge(settings, http_answer("", 422)):
        for _ in range(2 * bridge.FAILURES_TO_OPEN):
            assert not BridgeClient().submit(INTENT, {}).accepted


def test_without_a_bridge_nothing_is_sent_and_readiness_fails(settings: Settings) -> None:
    settings.GCS_BRIDGE_URL = ""
    with pytest.raises(BridgeNotAsked, match="GCS_BRIDGE_URL") as problem:
        BridgeClient().submit(INTENT, {})
    assert problem.value.code == "bridge_not_configured"
    assert bridge.readiness() == (
        False,
        "No GCS bridge is configured, so no mission can be published. Set GCS_BRIDGE_URL.",
    )


@pytest.mark.parametrize(
    "url",
    ["gcs.example.com", "ftp://gcs.example.com", "http://", "http://x:0", "http://ops:secret@:80"],
)
def test_an_invalid_url_is_an_error_in_calls_and_readiness(settings: Settings, url: str) -> None:
    settings.GCS_BRIDGE_URL = url
    with pytest.raises(BridgeNotAsked, match="GCS_BRIDGE_URL is no address") as problem:
        BridgeClient().submit(INTENT, {})
    assert problem.value.code == "bridge_not_configured"
    assert bridge.readiness() == (False, problem.value.detail)


def test_a_key_with_a_line_end_is_an_error_that_does_not_show_it(settings: Settings) -> None:
    settings.GCS_BRIDGE_URL, settings.GCS_BRIDGE_KEY = "http://gcs.test", "secret\n"
    with pytest.raises(BridgeNotAsked, match="GCS_BRIDGE_KEY") as problem:
        BridgeClient().submit(INTENT, {})
    assert "secret" not in problem.value.detail
    assert not bridge.readiness()[0]
