"""`/track/<id>/stream`, by which open pages are told where their drone is."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone
from prometheus_client import REGISTRY
from pytest_django import Settings

from fleet.tests.factories import TelemetryFactory, show
from orders import lifecycle
from orders.changes import tracking_link
from orders.models import Order
from orders.states import IN_FLIGHT, Status
from orders.tests.factories import order_in
from orders.tracking_ids import new_tracking_id
from tracking import metrics
from tracking.page import cache, facts
from tracking.stream import connection, news, server
from tracking.tests.deliveries import DRONE_ID, LAT, LNG, expect_in, secret_order, secrets_of
from tracking.tests.streaming import Page, streaming
from wingxtra.accounts.identity import GCS
from wingxtra.problems import NotFound
from wingxtra.redis_client import Script
from wingxtra.tests.test_broker import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

QUIET_S = 2.5  # longer than from one look to the next


@pytest.fixture
def url() -> Iterator[str]:
    with streaming() as url:
        yield url


@pytest.fixture
def listen(url: str) -> Iterator[Callable[..., Page]]:
    with ExitStack() as stack:

        def listen(*what: Any, at: str = url, **more: Any) -> Page:
            page = Page(at, *what, **more)
            stack.callback(page.close)
            return page

        yield listen


Listen = Callable[..., Page]


def polled(order: Order, query: str = "") -> Any:
    return Client().get(f"/track/{order.public_tracking_id}/position{query}").json()


def fly_to(lat: float, lng: float = LNG, drone_id: str = DRONE_ID) -> float:
    """Returns the latitude that is told."""
    show(TelemetryFactory(drone_id=drone_id, lat=lat, lng=lng, measured_at=timezone.now()))
    return round(lat, 4)


# --- what is told --------------------------------------------------------------------------------


def test_a_page_is_told_at_once_and_with_each_picture_once(listen: Listen) -> None:
    order = secret_order(Status.ENROUTE)
    page = listen(order)
    assert page.status == 200
    assert page.event() == polled(order)
    for number in range(1, 4):
        lat = fly_to(LAT + 0.01 + number / 1000)
        told = page.event()
        assert told["position"]["lat"] == lat
        assert told == polled(order)
    assert page.hears_nothing(QUIET_S)


def test_a_picture_is_told_within_half_a_second(listen: Listen) -> None:
    page = listen(secret_order(Status.ENROUTE))
    page.event()
    took_s = []
    for number in range(5):
        fly_to(LAT + 0.01 + number / 1000)
        drawn_s = time.monotonic()
        page.event()
        took_s.append(time.monotonic() - drawn_s)
    assert sorted(took_s)[2] < 0.5


def test_a_new_eta_is_told_and_its_countdown_is_not(listen: Listen) -> None:
    order = secret_order(Status.ENROUTE)
    expect_in(order, 5)
    page = listen(order)
    first = page.event()
    assert page.hears_nothing(QUIET_S)

    expect_in(order, 3)
    cache.drop(order.public_tracking_id)  # as after FLIGHT_S

    assert page.event()["eta_seconds"] < first["eta_seconds"] - 100
    assert page.hears_nothing(QUIET_S)


def test_each_page_is_told_in_its_language(listen: Listen) -> None:
    order = secret_order(Status.ENROUTE)
    english = listen(order)
    french = listen(order, "?lang=fr")
    also_french = listen(order, **{"Accept-Language": "fr-CI,fr;q=0.9"})
    for number in range(2):
        told = [page.event()["bearing"] for page in (english, french, also_french)]
        assert told[0].startswith("The d")
        assert told[1].startswith("Le ")
        assert told[1] == told[2]
        fly_to(LAT + 0.01 + number / 1000)


@pytest.mark.parametrize("status", IN_FLIGHT)
def test_it_tells_no_secret(status: Status, listen: Listen) -> None:
    order = secret_order(status)
    page = listen(order)
    page.event()
    fly_to(LAT + 0.01)
    page.event()
    assert [secret for secret in secrets_of(order) if secret in page.all] == []
    assert page.headers["content-type"] == "text/event-stream"
    assert page.headers["cache-control"] == "no-store, no-transform"
    assert page.headers["x-robots-tag"] == "noindex, nofollow"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in page.headers


def test_a_step_is_another_version_of_the_page_and_the_stream_goes_on(listen: Listen) -> None:
    order = secret_order(Status.ENROUTE)
    page = listen(order)
    before = page.event()

    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)

    after = page.event()
    html = Client().get(f"/track/{order.public_tracking_id}/").content.decode()
    (version,) = re.findall(r'data-version="([^"]*)"', html)
    assert before["page"] != after["page"] == version
    fly_to(LAT + 0.01)
    assert page.event()["page"] == version


def test_silence_of_the_drone_is_told_without_a_new_picture(
    listen: Listen, settings: Settings
) -> None:
    order = secret_order(Status.ENROUTE)
    page = listen(order)
    before = page.event()
    show(TelemetryFactory(drone_id=DRONE_ID, lat=LAT, lng=LNG, measured_at=_nearly_silent(order)))
    page.event()
    lost = page.event()
    assert (lost["position"], lost["page"] == before["page"]) == (None, False)


def _nearly_silent(order: Order) -> datetime:
    """It is silent in two seconds."""
    lost_after_s = facts.read(order.public_tracking_id, timezone.now()).link_lost_after_s
    return timezone.now() - timedelta(seconds=lost_after_s - 2)


def test_the_end_of_the_flight_is_the_end_of_the_stream(listen: Listen) -> None:
    order = secret_order(Status.ENROUTE)
    page = listen(order)
    before = page.event()

    lifecycle.requeue(order.pk, by=GCS, why="Battery low.")

    assert page.event()["page"] != before["page"]
    assert page.is_ended()
    assert listen(order).status == 204  # to which a browser connects no more


def test_a_page_opened_later_is_told_at_once(listen: Listen) -> None:
    order = secret_order(Status.ENROUTE)
    first = listen(order)
    first.event()
    lat = fly_to(LAT + 0.01)
    first.event()
    assert listen(order).event()["position"]["lat"] == lat


@pytest.mark.parametrize("query", ["", "?lang=fr"])
def test_a_page_that_opens_during_a_change_is_told_it(
    query: str, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the facts before the change, and the other page is told before it listens."""
    order = secret_order(Status.ENROUTE)
    there = listen(order)
    before = there.event()
    first = server._first

    def slowly(*of: Any) -> Any:
        found = first(*of)
        lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)
        connections.close_all()  # of the server's thread
        time.sleep(QUIET_S)
        return found

    monkeypatch.setattr(server, "_first", slowly)
    late = listen(order, query)
    assert there.event()["page"] != late.event()["page"] == before["page"]
    assert late.event()["page"] != before["page"]


def test_a_broken_delivery_stops_no_other(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken, good = secret_order(Status.ENROUTE), order_in(Status.ENROUTE)
    assert good.assigned_drone_id
    pages = listen(broken), listen(good)
    for page in pages:
        page.event()
    glimpse = cache.glimpse

    def fails(tracking_id: str, *more: Any) -> cache.Glimpse:
        if tracking_id == broken.public_tracking_id:
            raise ZeroDivisionError
        return glimpse(tracking_id, *more)

    monkeypatch.setattr(cache, "glimpse", fails)
    for number in range(3):
        lat = fly_to(LAT + 0.01 + number / 1000, drone_id=good.assigned_drone_id)
        assert pages[1].event()["position"]["lat"] == lat
    assert pages[0].is_ended()
    assert listen(broken).status == 500
    assert "ZeroDivisionError" in caplog.text


# --- one read for all who watch ------------------------------------------------------------------


@pytest.fixture
def second_url() -> Iterator[str]:
    with streaming() as url:
        yield url


def test_fifty_pages_at_two_servers_make_one_read_for_each_change(
    listen: Listen, url: str, second_url: str, reads: list[str]
) -> None:
    order = secret_order(Status.ENROUTE)
    pages = [listen(order, at=at) for at in (url, second_url) for _ in range(25)]
    versions = {page.event()["page"] for page in pages}
    assert (len(reads), len(versions)) == (1, 1)
    fly_to(LAT + 0.01)
    assert {page.event()["page"] for page in pages} == versions
    assert len(reads) == 1  # a new position is none
    for number, status in enumerate((Status.ARRIVED, Status.DELIVERING), start=2):
        lifecycle.advance(order.pk, status, by=GCS)
        versions |= {page.event()["page"] for page in pages}
        assert (len(reads), len(versions)) == (number, number)


def test_without_the_claim_each_server_reads(
    listen: Listen,
    url: str,
    second_url: str,
    reads: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control for the test above."""
    order = secret_order(Status.ENROUTE)
    pages = [listen(order, at=at) for at in (url, second_url)]
    for page in pages:
        page.event()
    monkeypatch.setattr(cache, "_FACTS_OR_READ", Script("return {redis.call('GET', KEYS[1]), 1}"))
    reads.clear()
    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)
    wait_until(lambda: len(reads) >= 2)


def test_a_slow_read_holds_up_no_other_link(
    listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = secret_order(Status.ENROUTE), order_in(Status.ENROUTE)
    assert quick.assigned_drone_id
    pages = listen(slow), listen(quick)
    for page in pages:
        page.event()
    read, reads, goes_on = facts.read, threading.Event(), threading.Event()

    def slowly(canonical: str, now: datetime) -> facts.Facts:
        if canonical == slow.public_tracking_id:
            reads.set()
            assert goes_on.wait(60)
        return read(canonical, now)

    monkeypatch.setattr(facts, "read", slowly)
    lifecycle.advance(slow.pk, Status.ARRIVED, by=GCS)
    try:
        assert reads.wait(30)
        for number in range(3):
            fly_to(LAT + 0.01 + number / 1000, drone_id=quick.assigned_drone_id)
            pages[1].event()
    finally:
        goes_on.set()
    assert pages[0].event()["page"]


def test_reads_that_are_not_done_at_the_end_leave_no_errors_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    began: list[str] = []
    orders = [order_in(Status.ENROUTE) for _ in range(server.THREADS + 2)]
    with streaming() as url, ExitStack() as stack:
        for order in orders:
            stack.enter_context(Page(url, order))

        def slowly(canonical: str, now: datetime) -> facts.Facts:
            began.append(canonical)
            time.sleep(1)
            raise NotFound("delivery")

        monkeypatch.setattr(facts, "read", slowly)
        cache.drop(*(order.public_tracking_id for order in orders))
        while len(began) < server.THREADS:
            time.sleep(0.05)
    time.sleep(1.5)  # until they are done
    assert len(began) == server.THREADS
    assert "xception" not in caplog.text


# --- refusals ------------------------------------------------------------------------------------


def test_unknown_and_malformed_links_are_not_found_and_count_as_guesses(
    listen: Listen, settings: Settings
) -> None:
    settings.API_RATE_LINKS = "3/minute"
    answers = [listen(name) for name in (new_tracking_id(), "nonsense", "%00", new_tracking_id())]
    assert [answer.status for answer in answers] == [404, 404, 404, 429]
    assert answers[0].headers == answers[1].headers
    assert int(answers[3].headers["retry-after"]) >= 1


def test_a_link_that_was_renewed_ends_its_streams(listen: Listen) -> None:
    order = secret_order(Status.ENROUTE)
    page = listen(order)
    page.event()
    tracking_link.renew(order.pk, by=GCS)
    assert page.is_ended()
    assert listen(order).status == 404


def test_a_query_with_too_many_fields_is_refused_without_an_error(
    listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    assert listen(secret_order(Status.ENROUTE), f"?{'a=&' * 2_000}").status == 400
    assert "stream_failed" not in caplog.text


@pytest.mark.parametrize(
    ("limit", "rate", "status"),
    [
        ("API_RATE_LINK_POSITIONS", "120/minute", 429),
        ("API_RATE_POSITIONS", "120/minute", 429),
        ("STREAMS_AT_ONCE", 2, 503),
    ],
)
def test_open_streams_are_limited(
    limit: str, rate: Any, status: int, listen: Listen, settings: Settings
) -> None:
    """As many as may ask each second."""
    setattr(settings, limit, rate)
    order = secret_order(Status.ENROUTE)
    pages = [listen(order) for _ in range(2)]
    refused = listen(order)
    assert (refused.status, refused.headers["retry-after"]) == (status, "30")
    pages[0].close()
    time.sleep(0.3)
    assert listen(order).status == 200


def test_opening_is_counted_like_a_poll(listen: Listen, settings: Settings) -> None:
    settings.API_RATE_LINK_POSITIONS = "3/second"
    order = secret_order(Status.ENROUTE)
    statuses = []
    for _ in range(5):
        page = listen(order)
        statuses.append(page.status)
        page.close()
    assert 429 in statuses


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /track/X/stream HTTP/1.1\r\n\r\n", 405),
        (b"GET /track/X/position HTTP/1.1\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /health HTTP/1.1\r\n\r\n", 200),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 20_000 + b"\r\n\r\n", 400),
    ],
)
def test_what_is_no_call_for_a_stream_is_refused(request_: bytes, status: int, url: str) -> None:
    assert _answer_to(request_, url).startswith(f"HTTP/1.1 {status} ".encode())


def _answer_to(request: bytes, url: str) -> bytes:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(request)
        answer = b""
        while chunk := client.recv(65_536):
            answer += chunk
    return answer


def test_web_processes_have_no_streams() -> None:
    """Each would hold one of their threads."""
    order = secret_order(Status.ENROUTE)
    assert Client().get(f"/track/{order.public_tracking_id}/stream").status_code == 404


# --- connections ---------------------------------------------------------------------------------


@pytest.fixture
def large_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a client that takes nothing is noticed after few of them."""
    small = news.event
    monkeypatch.setattr(news, "event", lambda *of: b":%b\n\n%b" % (b" " * 300_000, small(*of)))


def test_a_hung_client_is_given_up_and_others_hear_all(
    listen: Listen, large_events: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HUNG_S", 2)
    order = secret_order(Status.ENROUTE)
    hung, page = listen(order, receive_bytes=4096), listen(order)
    page.event()
    for number in range(3):
        lat = fly_to(LAT + 0.01 + number / 1000)
        assert page.event()["position"]["lat"] == lat
    deadline = time.monotonic() + 10
    while _open_streams() > 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    lat = fly_to(LAT + 0.02)
    assert page.event()["position"]["lat"] == lat
    hung.close()


def test_a_slow_client_is_told_the_newest_and_not_all(listen: Listen, large_events: None) -> None:
    order = secret_order(Status.ENROUTE)
    slow, page = listen(order, receive_bytes=4096), listen(order)
    page.event()
    lats = []
    for number in range(5):
        lats.append(fly_to(LAT + 0.01 + number / 1000))
        page.event()
    heard = []
    while not heard or heard[-1] != lats[-1]:
        heard.append(slow.event()["position"]["lat"])
    assert len(heard) < len(lats)


def _open_streams() -> int:
    (gauge,) = metrics.streams(timezone.now())
    return int(gauge.samples[0].value)


def test_open_streams_are_counted_for_the_metrics(
    listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "TELL_OPEN_EVERY_S", 0.1)
    before = _opened()
    page = listen(secret_order(Status.ENROUTE))
    time.sleep(1)
    assert (_open_streams(), _opened() - before) == (1, 1)
    page.close()
    time.sleep(1)
    assert (_open_streams(), _opened() - before) == (0, 1)


def _opened() -> float:
    return REGISTRY.get_sample_value("wingxtra_streams_opened_total", {"status": "200"}) or 0.0


def test_a_quiet_stream_has_heartbeats(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEARTBEAT_S", 1)
    page = listen(secret_order(Status.ENROUTE))
    page.event()
    assert page.line() == ":"


def test_a_stream_lasts_some_minutes_and_the_browser_connects_again_soon(
    listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A phone that vanished keeps its place no longer."""
    monkeypatch.setattr(server, "LASTS_S", 1)
    page = listen(secret_order(Status.ENROUTE))
    page.event()
    (again_ms,) = re.findall(r"retry: (\d+)", page.line())
    assert int(again_ms) < 1_000
    assert page.is_ended()
