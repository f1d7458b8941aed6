"""The Fleet API client. The simulator gives valid answers, a raw socket gives invalid ones."""

import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import closing

import pytest

from fleet.live.client import MAX_BYTES, FleetClient, FleetUnavailable
from fleet.simulator.run import Simulator
from fleet.tests.answers import body, entry
from fleet.tests.raw_server import Answer, answering, http
from fleet.tests.simulated import DRONE_ID, sim_drone

MIB = 2**20
GOOD = body(entry("WX-DRN-007"))


@pytest.fixture
def _short_timeout(settings):
    settings.FLEET_API_TIMEOUT_S = 0.5


@pytest.fixture
def simulator(settings):
    with Simulator([sim_drone()], speed=0, fleet_key="open sesame") as running:
        settings.FLEET_API_URL = running.url
        settings.FLEET_API_KEY = "open sesame"
        yield running


@pytest.fixture
def ask(settings) -> Callable[[Answer | bytes], list[str]]:
    """The ids of the drones that the client reads from an answer."""

    def ask(answer: Answer | bytes) -> list[str]:
        with answering(answer) as server:
            settings.FLEET_API_URL = server.url
            return [sample.drone_id for sample in FleetClient().latest().telemetry]

    return ask


def code_of(action: Callable[[], object]) -> str:
    """The code of the FleetUnavailable that the action raises."""
    with pytest.raises(FleetUnavailable) as caught:
        action()
    assert caught.value.detail
    return caught.value.code


def test_the_telemetry_of_all_drones_is_read(simulator):
    decoded = FleetClient().latest()

    assert [sample.drone_id for sample in decoded.telemetry] == [DRONE_ID]
    assert decoded.telemetry[0].battery_pct == 100
    assert decoded.skipped == []


def test_an_answer_401_points_to_the_key(simulator, settings):
    settings.FLEET_API_KEY = "open barley"

    with pytest.raises(FleetUnavailable, match=r"answers 401 .* Check FLEET_API_KEY\.") as caught:
        FleetClient().latest()
    assert caught.value.code == "fleet_api_error"


def test_without_a_key_no_key_header_is_sent(settings):
    with answering(http(GOOD)) as server:
        settings.FLEET_API_URL = server.url
        FleetClient().latest()

    assert b"X-API-Key" not in server.requests[0]


def test_the_base_url_may_have_a_path(settings):
    with answering(http(GOOD)) as server:
        settings.FLEET_API_URL = server.url + "/fleet"
        FleetClient().latest()

    assert server.requests[0].startswith(b"GET /fleet/api/v1/telemetry/latest HTTP/1.1\r\n")


def test_one_invalid_drone_is_skipped(simulator):
    simulator.fault("one_bad_drone", DRONE_ID)

    decoded = FleetClient().latest()

    assert [name for name, _ in decoded.skipped] == [DRONE_ID]


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("non_json", "fleet_api_malformed"),
        ("truncated", "fleet_api_truncated"),
        ("error_500", "fleet_api_error"),
        ("oversized", "fleet_api_too_large"),
        ("redirect", "fleet_api_redirects"),
    ],
)
def test_an_invalid_answer_is_an_error_and_the_next_poll_recovers(simulator, how, code):
    simulator.fault("garbage", how=how, times=1)

    assert code_of(FleetClient().latest) == code
    assert len(FleetClient().latest().telemetry) == 1


@pytest.mark.usefixtures("_short_timeout")
def test_a_slow_body_times_out(simulator):
    simulator.fault("garbage", how="slow", seconds=20)
    started = time.monotonic()

    assert code_of(FleetClient().latest) == "fleet_api_slow"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("drip", [b"H", b"HTTP/1.1 200 OK\r\nX-Slow: ", None], ids=str)
@pytest.mark.usefixtures("_short_timeout")
def test_a_head_that_never_ends_times_out(ask, drip):
    def trickle(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(drip or b"")
        while not stop.wait(0.05):
            connection.sendall(b"y" if drip else b"")

    started = time.monotonic()

    assert code_of(lambda: ask(trickle)) == "fleet_api_slow"
    assert time.monotonic() - started < 5


def test_a_redirect_is_not_followed(settings):
    with answering(http(GOOD)) as elsewhere:
        answer = http(b"", f"Location: {elsewhere.url}/", status="307 Temporary Redirect")
        with answering(answer) as server:
            settings.FLEET_API_URL = server.url
            assert code_of(FleetClient().latest) == "fleet_api_redirects"

    assert elsewhere.requests == []


def test_a_refused_connection_says_what_to_check(settings):
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        settings.FLEET_API_URL = f"http://127.0.0.1:{listener.getsockname()[1]}"

    with pytest.raises(FleetUnavailable, match=r"refused.*Check that it runs") as caught:
        FleetClient().latest()
    assert caught.value.code == "fleet_api_unreachable"


def test_an_unknown_host_name_is_unreachable(settings):
    settings.FLEET_API_URL = "http://fleet.invalid"

    assert code_of(FleetClient().latest) == "fleet_api_unreachable"


def test_without_a_url_the_client_is_not_configured(settings):
    settings.FLEET_API_URL = ""

    with pytest.raises(FleetUnavailable, match="FLEET_API_URL is not set") as caught:
        FleetClient().latest()
    assert caught.value.code == "fleet_api_not_configured"


@pytest.mark.parametrize("url", ["fleet.example.com", "ftp://fleet", "http://", "http://a:99999"])
def test_an_invalid_url_is_shown_in_the_error(settings, url):
    settings.FLEET_API_URL = url

    with pytest.raises(FleetUnavailable, match=f"FLEET_API_URL is '{url}'") as caught:
        FleetClient().latest()
    assert caught.value.code == "fleet_api_not_configured"


def test_an_invalid_key_is_an_error_that_does_not_show_it(settings):
    settings.FLEET_API_URL = "http://127.0.0.1:1"
    settings.FLEET_API_KEY = "open sesame\n"

    with pytest.raises(FleetUnavailable, match="not allowed in a header") as caught:
        FleetClient().latest()
    assert "sesame" not in str(caught.value)


# --- wrong lengths -------------------------------------------------------------------------------


def test_an_announced_length_over_the_limit_is_refused_unread(ask):
    assert code_of(lambda: ask(http(b"{", f"Content-Length: {10**12}"))) == "fleet_api_too_large"


def test_an_answer_shorter_than_announced_is_truncated(ask):
    answer = http(GOOD, f"Content-Length: {len(GOOD) + 1}")

    assert code_of(lambda: ask(answer)) == "fleet_api_truncated"


def test_an_answer_longer_than_announced_is_malformed(ask):
    answer = http(GOOD, f"Content-Length: {len(GOOD) - 1}")

    assert code_of(lambda: ask(answer)) == "fleet_api_malformed"


def test_an_answer_without_a_length_ends_with_the_connection(ask):
    assert ask(b"HTTP/1.1 200 OK\r\n\r\n" + GOOD) == ["WX-DRN-007"]


def test_reading_stops_at_the_size_limit(ask):
    sent = 0

    def flood(connection: socket.socket, stop: threading.Event) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 4 * MAX_BYTES:
            connection.sendall(b" " * MIB)
            sent += MIB

    assert code_of(lambda: ask(flood)) == "fleet_api_too_large"
    assert sent < 2 * MAX_BYTES


@pytest.mark.parametrize(
    "chunks", [b"5\r\n{", b"zz\r\n{}\r\n", b"2\r\n{}\r\n"], ids=["cut", "no number", "no end"]
)
def test_truncated_chunks_are_truncated(ask, chunks):
    assert code_of(lambda: ask(http(chunks, "Transfer-Encoding: chunked"))) == "fleet_api_truncated"


# --- compressed answers --------------------------------------------------------------------------


def test_a_gzip_answer_is_decompressed(ask):
    assert ask(http(gzip.compress(GOOD), "Content-Encoding: gzip")) == ["WX-DRN-007"]


def test_a_gzip_answer_without_its_end_is_truncated(ask):
    answer = http(gzip.compress(GOOD)[:-9], "Content-Encoding: gzip")

    assert code_of(lambda: ask(answer)) == "fleet_api_truncated"


@pytest.mark.parametrize("packing", ["gzip", "br"])
def test_a_wrong_content_encoding_is_malformed(ask, packing):
    answer = http(GOOD, f"Content-Encoding: {packing}")

    assert code_of(lambda: ask(answer)) == "fleet_api_malformed"


def test_a_gzip_bomb_is_decompressed_only_up_to_the_limit(ask):
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    head = packer.compress(b" " * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush the same block may be repeated: together this is a terabyte.
    again = packer.compress(b" " * MIB) + packer.flush(zlib.Z_FULL_FLUSH)

    def bomb(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + head)
        for _ in range(MIB):
            connection.sendall(again)

    assert code_of(lambda: ask(bomb)) == "fleet_api_too_large"


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x03\x00\x02\x02\x46", b"HTTP/1.1 abc OK\r\n\r\n"],
    ids=["closes", "ssh", "tls", "no status"],
)
def test_an_answer_that_is_not_http_is_an_error(ask, answer):
    assert code_of(lambda: ask(answer)) in ("fleet_api_malformed", "fleet_api_unreachable")
