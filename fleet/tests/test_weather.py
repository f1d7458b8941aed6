"""The measured wind. If it is unknown, no drone may fly."""

import json
import math
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from pytest_django import Settings

from fleet import actors, policy
from fleet.airspace import rulebook
from fleet.console.pages import unknown_wind
from fleet.live import drone_status, weather
from fleet.live.weather import WeatherUnavailable
from fleet.models import Drone
from fleet.policy import Policy
from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from fleet.tests.raw_server import answering, http
from wingxtra.accounts.identity import SYSTEM

RULES = Policy().rules()


def now() -> datetime:
    return datetime.now(UTC)


def reading(age_s: float = 0, **values: Any) -> dict[str, Any]:
    measured_at = now() - timedelta(seconds=age_s)
    return {"measured_at": measured_at.isoformat(), "wind_mps": 5.5, **values}


@pytest.fixture
def source(tmp_path: Path, settings: Settings) -> Path:
    """A file as weather source."""
    path = tmp_path / "wind.json"
    settings.WEATHER_SOURCE = str(path)
    return path


def wind_after(path: Path, content: Any) -> float | None:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    weather.refresh()
    return weather.wind_mps(RULES, now())


def test_without_a_source_the_wind_is_not_checked():
    assert weather.refresh() is None
    assert weather.wind_mps(RULES, now()) is None


def test_the_wind_is_the_larger_of_wind_and_gust(source):
    assert wind_after(source, reading()) == 5.5
    assert wind_after(source, reading(gust_mps=9.0)) == 9.0
    assert wind_after(source, reading(gust_mps=2.0, station="Kotoka")) == 5.5


@pytest.mark.parametrize(
    ("age_s", "known"), [(0, True), (890, True), (910, False), (-30, True), (-90, False)]
)
def test_a_stale_or_future_reading_is_not_used(source, age_s, known):
    assert math.isnan(wind_after(source, reading(age_s)) or 0) != known


def test_without_any_reading_the_wind_is_unknown(source):
    weather.redis_client.client().delete(weather.KEY)
    assert math.isnan(weather.wind_mps(RULES, now()) or 0)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "calm",
        "[]",
        "{}",
        {"wind_mps": 3},
        {"measured_at": "2026-03-01T12:00:00", "wind_mps": 3},
        reading(wind_mps=None),
        reading(wind_mps=-1),
        reading(wind_mps=400),
        reading(wind_mps="5"),
    ],
)
def test_an_invalid_reading_is_an_error_and_the_previous_one_stays(source, content):
    assert wind_after(source, reading()) == 5.5
    with pytest.raises(WeatherUnavailable):
        wind_after(source, content)
    assert weather.wind_mps(RULES, now()) == 5.5


def test_a_missing_file_and_a_closed_port_are_errors(source, settings):
    with pytest.raises(WeatherUnavailable, match="No such file"):
        weather.refresh()
    settings.WEATHER_SOURCE = "http://127.0.0.1:9/wind"
    with pytest.raises(WeatherUnavailable):
        weather.refresh()
    actors.watch_weather.fn()  # logs the error and does not raise


@pytest.fixture
def station(settings: Settings) -> Iterator[dict[str, Any]]:
    """A weather station over HTTP with a configurable answer."""
    answer: dict[str, Any] = {"status": 200, "body": {}}

    class Station(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answer["body"]).encode()
            self.send_response(answer["status"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Station)
    Thread(target=server.serve_forever, daemon=True).start()
    settings.WEATHER_SOURCE = f"http://127.0.0.1:{server.server_port}/wind"
    yield answer
    server.shutdown()
    server.server_close()


def test_the_source_can_be_an_http_address(station):
    station["body"] = reading(wind_mps=7)
    weather.refresh()
    assert weather.wind_mps(RULES, now()) == 7
    station["status"] = 500
    with pytest.raises(WeatherUnavailable, match="500"):
        weather.refresh()


def test_an_address_may_have_a_query_and_a_password(settings):
    with answering(http(json.dumps(reading(wind_mps=7)).encode())) as server:
        at = server.url.removeprefix("http://")
        settings.WEATHER_SOURCE = f"http://ops:se%40cret@{at}/wind?station=3"
        weather.refresh()
    (request,) = server.requests
    assert request.startswith(b"GET /wind?station=3 HTTP/1.1\r\n")
    assert b"Authorization: Basic b3BzOnNlQGNyZXQ=\r\n" in request


def test_a_slow_answer_times_out(settings):
    def trickle(connection: socket.socket, stop: Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not stop.wait(0.05):
            connection.sendall(b" ")

    settings.WEATHER_TIMEOUT_S = 0.4
    started = time.monotonic()
    with answering(trickle) as server:
        settings.WEATHER_SOURCE = server.url
        with pytest.raises(WeatherUnavailable, match=r"no complete answer within 0\.4 s"):
            weather.refresh()
    assert time.monotonic() - started < 2


def test_an_invalid_address_is_an_error_without_the_password(settings):
    settings.WEATHER_SOURCE = "http://ops:secret@:80/wind"
    with pytest.raises(WeatherUnavailable, match="not an address like https://") as problem:
        weather.refresh()
    assert "secret" not in str(problem.value)


@pytest.mark.django_db
class TestUnknown:
    @pytest.fixture(autouse=True)
    def _old(self, source: Path) -> None:
        source.write_text(json.dumps(reading(3600)))
        weather.refresh()

    def test_the_rulebook_has_an_unknown_wind(self):
        assert math.isnan(rulebook.load(now()).wind_mps or 0)

    def test_no_drone_is_ready_and_the_reason_is_given(self):
        drone = DroneFactory()
        show(TelemetryFactory(drone_id=drone.pk))
        (live,) = drone_status.live_drones(list(Drone.objects.with_home()), now())
        assert (live.readiness, [r.code for r in live.reasons]) == (
            drone_status.Readiness.NOT_READY,
            ["weather_unknown"],
        )
        assert live.reasons[0].message.startswith("The wind is unknown")

    def test_the_console_shows_an_attention_line_until_the_wind_is_known(self, source):
        (item,) = unknown_wind(now())
        assert "so nothing is dispatched" in item.text
        wind_after(source, reading())
        assert list(unknown_wind(now())) == []

    def test_the_policy_sets_the_maximum_age_of_a_reading(self):
        policy.change(by=SYSTEM, weather_max_age_s=4000)
        assert rulebook.load(now()).wind_mps == 5.5
