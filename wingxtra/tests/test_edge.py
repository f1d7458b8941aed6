"""Slow clients and forged headers, against the web process of `Dockerfile` and the proxy of
`compose.yaml`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from fleet.tests.factories import TelemetryFactory, show
from orders.states import Status
from tracking.tests.deliveries import DRONE_ID, LAT, LNG, secret_order
from tracking.tests.streaming import Page, stream_process
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.tests.edge import SLOW, killed_and_replaced, master_of, proxied, slow_clients
from wingxtra.tests.image import web_command
from wingxtra.tests.serving import served

pytestmark = pytest.mark.django_db(transaction=True)


def slowest_of_100_ms(url: str) -> float:
    """The 99th percentile of 100 calls one after the other, half of them with a body."""
    took = []
    with requests.Session() as session:
        for number in range(100):
            started = time.monotonic()
            if number % 2:
                assert session.get(f"{url}/health", timeout=10).status_code == 200
            else:
                answer = session.post(
                    f"{url}/api/v1/auth/token/verify", json={"token": "x"}, timeout=10
                )
                assert answer.status_code == 401
            took.append(1000 * (time.monotonic() - started))
    return sorted(took)[98]


@contextmanager
def web(*, behind_caddy: bool) -> Iterator[str]:
    with served(web_command(), TRUSTED_PROXY_COUNT="1" if behind_caddy else "0") as (url,):
        if not behind_caddy:
            yield url
            return
        with proxied(url) as address:
            yield address


@pytest.mark.edge
@pytest.mark.parametrize("behind_caddy", [True, False])
def test_slow_clients_stop_no_other(behind_caddy: bool) -> None:
    with web(behind_caddy=behind_caddy) as url:
        slowest_of_100_ms(url)  # the first calls of each process are slow
        before_ms = slowest_of_100_ms(url)
        with slow_clients(url):
            after_ms = slowest_of_100_ms(url)
    print(
        f"p99 of other clients: {before_ms:.0f} ms alone, {after_ms:.0f} ms beside {SLOW} slow ones"
    )
    assert after_ms <= before_ms + 50


@pytest.mark.edge
def test_events_of_a_stream_come_one_by_one_and_only_from_its_own_process() -> None:
    order = secret_order(Status.ENROUTE)
    path = f"/track/{order.public_tracking_id}/stream"
    with (
        served(web_command(), TRUSTED_PROXY_COUNT="1") as (url,),
        stream_process(TRUSTED_PROXY_COUNT="1", API_RATE_POSITIONS="120/minute") as (streams, _),
        proxied(url, streams) as address,
        Page(address, order, **{"Accept-Encoding": "gzip, zstd"}) as page,
    ):
        assert page.status == 200
        assert "content-encoding" not in page.headers
        page.chunk()
        for number in range(3):
            lat = LAT + 0.01 + number / 1000
            show(TelemetryFactory(drone_id=DRONE_ID, lat=lat, lng=LNG))
            drawn_s = time.monotonic()
            assert f'"lat":{round(lat, 4)}' in page.chunk()
            assert time.monotonic() - drawn_s < 1
        # Two of one address, also if it names others.
        others = [Page(address, order, **{"X-Forwarded-For": f"9.9.9.{n}"}) for n in range(2)]
        for other in others:
            other.close()
        assert [other.status for other in others] == [200, 429]
        # The place of a client that has gone is free, without a failed event.
        time.sleep(0.5)
        with Page(address, order) as another:
            assert another.status == 200
        assert requests.get(url + path, timeout=5).status_code == 404
        assert requests.get(f"{address}/track/a/b/stream", timeout=5).status_code == 404


@pytest.mark.edge
def test_no_client_chooses_its_address() -> None:
    user = UserFactory()
    with web(behind_caddy=True) as url:
        statuses = [
            requests.post(
                f"{url}/api/v1/auth/token",
                json={"username": user.username, "password": "wrong"},
                headers={
                    "X_Forwarded_For": f"9.9.9.{number}",
                    "X-Forwarded-For": f"8.8.8.{number}",
                },
                timeout=10,
            ).status_code
            for number in range(6)
        ]
    assert statuses == [401, 401, 401, 401, 429, 429]


@pytest.mark.edge
def test_a_killed_web_process_is_replaced_and_missed_by_no_client() -> None:
    """kill -9: the other processes answer, and a new one is there within seconds."""
    with served(web_command(), TRUSTED_PROXY_COUNT="1") as (url,), proxied(url) as address:
        took_s, failed = killed_and_replaced(master_of(url), address, within_s=10)
    print(f"replaced after {took_s:.1f} s, {failed} calls failed")
    assert took_s < 10
    assert failed == 0
