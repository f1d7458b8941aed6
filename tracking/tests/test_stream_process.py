"""The process of the streams: its end, and outages."""

import re
import resource
import signal
import time

import psutil
import pytest
import requests
from django.utils import timezone
from pytest_django import Settings

from fleet.live import picture
from fleet.tests.factories import TelemetryFactory, show
from orders.states import Status
from tracking.stream import news
from tracking.tests.deliveries import DRONE_ID, LAT, LNG, secret_order
from tracking.tests.streaming import Page, stream_process
from wingxtra import redis_client
from wingxtra.embedded.servers import Valkey
from wingxtra.tests import own_servers

pytestmark = pytest.mark.django_db(transaction=True)

ENDS_WITHIN_S = 3.0


def fly_to(lat: float) -> None:
    show(TelemetryFactory(drone_id=DRONE_ID, lat=lat, lng=LNG, measured_at=timezone.now()))


def test_at_sigterm_its_streams_end_and_say_when_to_connect_again() -> None:
    order = secret_order(Status.ENROUTE)
    with stream_process() as (url, process):
        pages = [Page(url, order) for _ in range(20)]
        for page in pages:
            page.event()
        process.send_signal(signal.SIGTERM)
        began_s = time.monotonic()
        again_ms = set()
        for page in pages:
            (found,) = re.findall(r"retry: (\d+)", page.line())
            again_ms.add(int(found))
            assert page.is_ended()
        assert time.monotonic() - began_s < ENDS_WITHIN_S
        assert process.wait(10) == 0
    assert len(again_ms) > 10  # spread
    assert min(again_ms) >= 1_000
    assert redis_client.ask(lambda client: client.hgetall(news.OPEN)) == {}


def test_it_may_have_as_many_connections_as_the_machine_allows() -> None:
    """And not the 1,024 that a process has without asking for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    try:
        with stream_process() as (_, process):
            assert psutil.Process(process.pid).rlimit(psutil.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_while_valkey_is_away_streams_end_and_come_back_with_it(settings: Settings) -> None:
    with own_servers.home() as home:
        valkey = Valkey(home)
        valkey.start()
        settings.REDIS_URL = valkey.url
        picture._redis.cache_clear()
        try:
            _dies_and_is_back(valkey)
        finally:
            picture._redis.cache_clear()
            valkey.kill()


def _dies_and_is_back(valkey: Valkey) -> None:
    order = secret_order(Status.ENROUTE)
    with stream_process(REDIS_URL=valkey.url) as (url, process):
        page = Page(url, order)
        page.event()
        valkey.kill()
        assert page.is_ended(within_s=10)
        refused = Page(url, order)
        assert (refused.status, refused.headers["retry-after"]) == (503, "10")
        assert requests.get(f"{url}/health", timeout=5).ok
        valkey.start()
        deadline = time.monotonic() + 10
        while (page := Page(url, order)).status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        page.event()
        fly_to(LAT + 0.01)
        assert page.event()["position"]["lat"] == round(LAT + 0.01, 4)
        assert process.poll() is None
