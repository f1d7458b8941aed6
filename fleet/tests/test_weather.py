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

import numpy as np
import pytest
from pytest_django import Settings

from fleet import actors, policy
from fleet.airspace import rulebook
from fleet.console.wind import too_much_wind, unknown_wind
from fleet.live import drone_status, weather
from fleet.live.weather import WeatherUnavailable
from fleet.models import Drone
from fleet.policy import Policy
from fleet.simulator.run import Simulator
from fleet.tests.factories import DroneFactory, HubFactory, TelemetryFactory, show
from fleet.tests.raw_server import answering, http
from fleet.tests.simulated import sim_drone
from wingxtra.accounts.identity import SYSTEM
from wingxtra.console.look import Look

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
    return known_mps()


def known_mps(lat: float = 5.6, lng: float = -0.19) -> float | None:
    """The wind at a place; None without a source, NaN if it is unknown."""
    winds = weather.winds(RULES, now())
    if winds is None:
        return None
    blow = winds.at(np.array([lat]), np.array([lng]))
    return math.nan if blow.unknown[0] else float(blow.mps[0])


def test_without_a_source_the_wind_is_not_checked():
    assert weather.refresh() is None
    assert known_mps() is None


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
    assert math.isnan(known_mps() or 0)


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
    assert known_mps() == 5.5


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
    assert known_mps() == 7
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
    assert time.monotonic() - started < 20  # and not for ever


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

    def test_the_rulebook_has_no_reading(self):
        assert len(rulebook.load(now()).winds) == 0

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
        (item,) = unknown_wind(Look(now()))
        assert "so nothing is dispatched" in item.text
        wind_after(source, reading())
        assert list(unknown_wind(Look(now()))) == []

    def test_the_policy_sets_the_maximum_age_of_a_reading(self):
        policy.change(by=SYSTEM, weather_max_age_s=4000)
        assert rulebook.load(now()).winds.wind_mps.tolist() == [5.5]


# --- places --------------------------------------------------------------------------------------

OSU, TEMA = (5.55, -0.18), (5.67, 0.0)  # 24 km apart


def place(name: str, where: tuple[float, float], wind_mps: Any, age_s: float = 0, **values: Any):
    at = (now() - timedelta(seconds=age_s)).isoformat()
    lat, lng = where
    return {"name": name, "lat": lat, "lng": lng, "wind_mps": wind_mps, "at": at} | values


def measured(path: Path, *places: Any, **values: Any) -> list[float]:
    """The wind at Osu and at Tema when the source names these places; NaN if unknown."""
    wind_after(path, {"places": places, **values})
    return [known_mps(*OSU) or 0.0, known_mps(*TEMA) or 0.0]


def test_the_wind_of_the_nearest_place_counts(source):
    assert measured(source, place("Osu", OSU, 4), place("Tema", TEMA, 9)) == [4, 9]
    assert measured(source, place("Osu", OSU, 4, gust_mps=7.5), place("Tema", TEMA, 9)) == [7.5, 9]


def test_a_place_further_away_than_15_km_says_nothing(source):
    here, there = measured(source, place("Osu", OSU, 4))
    assert (here, math.isnan(there)) == (4, True)


@pytest.mark.parametrize(
    "wrong",
    [
        place("Tema", TEMA, 9, age_s=1000),
        place("Tema", TEMA, 9, age_s=-9000),
        place("Tema", TEMA, 400),
        place("Tema", TEMA, -1),
        place("Tema", TEMA, math.nan),
        place("Tema", TEMA, math.inf),
        place("Tema", TEMA, None),
        place("Tema", TEMA, "9"),
        place("Tema", TEMA, 9, gust_mps=math.nan),
        place("Tema", TEMA, 9, at="2026-03-01T12:00:00"),
        place("Tema", TEMA, 9, lat=91),
        place("Tema", TEMA, 9, lat=math.nan),
        place("Tema", TEMA, 9, lng=None),
        place("", TEMA, 9),
        place("T\ud800ma", (48.1, 11.5), 9),
        {"name": "Tema"},
        "Tema",
        None,
    ],
)
def test_a_place_with_a_bad_reading_is_unknown_and_the_others_count(source, wrong):
    here, there = measured(source, place("Osu", OSU, 4), wrong)
    assert (here, math.isnan(there)) == (4, True)


@pytest.mark.parametrize("places", [[], [{}], "Osu", None, {"Osu": 4}])
def test_a_list_without_a_usable_place_is_an_error_and_the_previous_one_stays(source, places):
    assert measured(source, place("Osu", OSU, 4))[0] == 4
    with pytest.raises(WeatherUnavailable):
        wind_after(source, {"places": places})
    assert known_mps(*OSU) == 4


def test_the_source_is_named_by_itself_its_host_or_its_file(source, station, settings):
    station["body"] = {"places": [place("Osu", OSU, 4)]}
    settings.WEATHER_SOURCE = settings.WEATHER_SOURCE.replace("//", "//ops:secret@")
    assert weather.refresh().source == "127.0.0.1"
    station["body"]["source"] = "Open-Meteo"
    assert weather.refresh().source == "Open-Meteo"
    settings.WEATHER_SOURCE = str(source)
    source.write_text(json.dumps(reading()))
    assert weather.refresh().source == "wind.json"


# --- a weather service that lies -----------------------------------------------------------------


@pytest.fixture
def masts(settings: Settings) -> Iterator[Simulator]:
    """Two drones, so two masts: Mast 1 in Osu, Mast 2 in Tema."""
    drones = [
        sim_drone(drone_id=name, home_lat=lat, home_lng=lng)
        for name, (lat, lng) in [("WX-DRN-001", OSU), ("WX-DRN-002", TEMA)]
    ]
    with Simulator(drones, speed=0) as sim:
        settings.WEATHER_SOURCE = f"{sim.url}/weather"
        settings.WEATHER_TIMEOUT_S = 0.5
        yield sim


def test_an_honest_service_tells_the_wind_of_its_masts(masts):
    assert weather.refresh().source == "Simulator"
    wind_mps = round(math.hypot(*masts.world.wind), 1)
    assert (known_mps(*OSU), known_mps(*TEMA)) == (wind_mps, wind_mps)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("wind_mps", 900),
        ("wind_mps", -3),
        ("wind_mps", "NaN"),
        ("gust_mps", "NaN"),
        ("at", "2020-01-01T00:00:00Z"),
        ("at", "yesterday"),
        ("lat", 48.1),
        ("lat", "NaN"),
    ],
)
def test_where_the_service_lies_the_wind_is_unknown_and_elsewhere_it_counts(masts, field, value):
    masts.fault("weather_lie", field=f"Mast 2.{field}", value=value)
    weather.refresh()
    assert known_mps(*OSU) > 0
    assert math.isnan(known_mps(*TEMA))


@pytest.mark.parametrize("how", ["non_json", "truncated", "error_500", "redirect", "slow"])
def test_a_service_that_falls_silent_leaves_its_last_reading_until_it_is_old(masts, how):
    weather.refresh()
    masts.fault("weather_garbage", how=how, seconds=5)
    with pytest.raises(WeatherUnavailable):
        weather.refresh()
    assert known_mps(*OSU) > 0
    in_16_min = now() + timedelta(minutes=16)
    assert len(weather.winds(RULES, in_16_min)) == 0


# --- the dashboard -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_dashboard_names_hubs_without_a_reading_and_hubs_with_too_much_wind(source):
    for name, (lat, lng) in [("Osu", OSU), ("Tema", TEMA)]:
        DroneFactory(hub=HubFactory(name=name, lat=lat, lng=lng))
    wind_after(source, {"source": "Open-Meteo", "places": [place("Osu", OSU, 14, 180)]})
    (unknown,), (windy,) = unknown_wind(Look(now())), too_much_wind(Look(now()))
    assert unknown.text == "The wind is unknown at Tema, so nothing is dispatched there"
    assert windy.text == "Too much wind at Osu"
    assert windy.detail.startswith("Osu: 14.0 m/s at Osu (Open-Meteo, 3 min ago). The policy ")
    wind_after(source, {"places": [place("Osu", OSU, 4), place("Tema", TEMA, 4)]})
    assert [*unknown_wind(Look(now())), *too_much_wind(Look(now()))] == []


@pytest.mark.django_db
def test_a_drone_is_ready_where_the_wind_allows_it_and_says_why_elsewhere(source):
    drones = [
        DroneFactory(hub=HubFactory(name=name, lat=lat, lng=lng))
        for name, (lat, lng) in [("Osu", OSU), ("Tema", TEMA)]
    ]
    show(*(TelemetryFactory(drone_id=d.pk, lat=d.hub.lat, lng=d.hub.lng) for d in drones))
    wind_after(
        source,
        {"source": "Open-Meteo", "places": [place("Osu", OSU, 4), place("Tema", TEMA, 14, 180)]},
    )
    calm, windy = drone_status.live_drones(list(Drone.objects.with_home()), now())
    assert calm.readiness == drone_status.Readiness.READY
    assert [one.message for one in windy.reasons] == [
        f"Wind 14 m/s at Tema (Open-Meteo, 3 min ago), limit 12 m/s for {windy.drone}."
    ]
