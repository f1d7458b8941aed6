"""The wind as somebody measures it; what is not known counts against every flight."""

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
    """A file that says what the wind is."""
    path = tmp_path / "wind.json"
    settings.WEATHER_SOURCE = str(path)
    return path


def wind_after(path: Path, said: Any) -> float | None:
    path.write_text(said if isinstance(said, str) else json.dumps(said))
    weather.renew()
    return weather.wind_mps(RULES, now())


def test_without_a_source_the_wind_is_not_asked_about():
    assert weather.renew() is None
    assert weather.wind_mps(RULES, now()) is None


def test_the_wind_is_what_the_source_says_and_gusts_count(source):
    assert wind_after(source, reading()) == 5.5
    assert wind_after(source, reading(gust_mps=9.0)) == 9.0
    assert wind_after(source, reading(gust_mps=2.0, station="Kotoka")) == 5.5


@pytest.mark.parametrize(
    ("age_s", "known"), [(0, True), (890, True), (910, False), (-30, True), (-90, False)]
)
def test_a_reading_that_is_old_or_from_the_future_is_no_reading(source, age_s, known):
    assert math.isnan(wind_after(source, reading(age_s)) or 0) != known


def test_a_source_that_never_said_anything_leaves_the_wind_unknown(source):
    weather.redis_client.client().delete(weather.KEY)
    assert math.isnan(weather.wind_mps(RULES, now()) or 0)


@pytest.mark.parametrize(
    "said",
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
def test_what_is_no_reading_is_said_and_the_former_one_stays(source, said):
    assert wind_after(source, reading()) == 5.5
    with pytest.raises(WeatherUnavailable):
        wind_after(source, said)
    assert weather.wind_mps(RULES, now()) == 5.5


def test_a_file_that_is_gone_and_an_address_that_is_nobodys(source, settings):
    with pytest.raises(WeatherUnavailable, match="No such file"):
        weather.renew()
    settings.WEATHER_SOURCE = "http://127.0.0.1:9/wind"
    with pytest.raises(WeatherUnavailable):
        weather.renew()
    actors.watch_weather.fn()  # logs, and goes on


@pytest.fixture
def station(settings: Settings) -> Iterator[dict[str, Any]]:
    """A weather station over HTTP; what it answers can be set."""
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


def test_a_station_is_asked_over_http(station):
    station["body"] = reading(wind_mps=7)
    weather.renew()
    assert weather.wind_mps(RULES, now()) == 7
    station["status"] = 500
    with pytest.raises(WeatherUnavailable, match="500"):
        weather.renew()


def test_an_address_may_have_a_query_and_a_password(settings):
    with answering(http(json.dumps(reading(wind_mps=7)).encode())) as server:
        at = server.url.removeprefix("http://")
        settings.WEATHER_SOURCE = f"http://ops:se%40cret@{at}/wind?station=3"
        weather.renew()
    (request,) = server.requests
    assert request.startswith(b"GET /wind?station=3 HTTP/1.1\r\n")
    assert b"Authorization: Basic b3BzOnNlQGNyZXQ=\r\n" in request


def test_an_answer_that_trickles_in_is_given_up_in_time(settings):
    def trickle(connection: socket.socket, stop: Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not stop.wait(0.05):
            connection.sendall(b" ")

    settings.WEATHER_TIMEOUT_S = 0.4
    began = time.monotonic()
    with answering(trickle) as server:
        settings.WEATHER_SOURCE = server.url
        with pytest.raises(WeatherUnavailable, match=r"no complete answer within 0\.4 s"):
            weather.renew()
    assert time.monotonic() - began < 2


def test_an_address_that_cannot_be_is_said(settings):
    settings.WEATHER_SOURCE = "http://ops:secret@:80/wind"
    with pytest.raises(WeatherUnavailable, match="not an address like https://") as problem:
        weather.renew()
    assert "secret" not in str(problem.value)


@pytest.mark.django_db
class TestUnknown:
    @pytest.fixture(autouse=True)
    def _old(self, source: Path) -> None:
        source.write_text(json.dumps(reading(3600)))
        weather.renew()

    def test_the_rulebook_says_so(self):
        assert math.isnan(rulebook.load(now()).wind_mps or 0)

    def test_no_drone_is_ready_and_each_says_why(self):
        drone = DroneFactory()
        show(TelemetryFactory(drone_id=drone.pk))
        (seen,) = drone_status.look(list(Drone.objects.with_home()), now())
        assert (seen.readiness, [r.code for r in seen.reasons]) == (
            drone_status.Readiness.NOT_READY,
            ["weather_unknown"],
        )
        assert seen.reasons[0].message.startswith("Nobody knows the wind")

    def test_the_console_wants_attention_until_it_is_known_again(self, source):
        (item,) = unknown_wind(now())
        assert "so nothing is dispatched" in item.text
        wind_after(source, reading())
        assert list(unknown_wind(now())) == []

    def test_how_long_a_reading_counts_is_policy(self):
        policy.change(by=SYSTEM, weather_max_age_s=4000)
        assert rulebook.load(now()).wind_mps == 5.5
