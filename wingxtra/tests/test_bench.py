"""How many requests a second one web process serves, as it is served in production."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from django.conf import settings
from django.db import connection

from fleet.demo import city, seed
from fleet.demo.seed import Credentials

CLIENTS = 4
SECONDS = 4.0


@pytest.fixture
def credentials(transactional_db: None) -> Credentials:
    return seed.seed(12)


@pytest.fixture
def server(credentials: Credentials) -> Iterator[str]:
    """Base URL of a real granian on the test's database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    database = urlsplit(settings.DATABASE_URL)._replace(path="/" + connection.settings_dict["NAME"])
    command = [str(Path(sys.executable).with_name("granian")), "--interface", "wsgi"]
    command += ["--port", str(port), "--workers", "1", "--blocking-threads", "4", "--no-ws"]
    command += ["--no-log", "wingxtra.wsgi:application"]
    environment = os.environ | {"DATABASE_URL": database.geturl(), "LOG_LEVEL": "WARNING"}
    with subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment) as process:
        base = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 30
        while not _answers(base):
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)
        yield base
        process.terminate()


def _answers(base: str) -> bool:
    try:
        return requests.get(f"{base}/health", timeout=1).ok
    except requests.ConnectionError:
        return False


def measure(name: str, call: Callable[[requests.Session], requests.Response]) -> None:
    """Call from several clients for some seconds, and print the rate and the latencies."""
    until = time.monotonic() + SECONDS

    def client(_: int) -> list[float]:
        took_s = []
        with requests.Session() as session:
            while (start := time.monotonic()) < until:
                response = call(session)
                assert response.ok, response.text
                took_s.append(time.monotonic() - start)
        return took_s

    with ThreadPoolExecutor(CLIENTS) as pool:
        took_s = sorted(chain.from_iterable(pool.map(client, range(CLIENTS))))
    median_ms, p95_ms = (1000 * took_s[int(len(took_s) * part)] for part in (0.5, 0.95))
    print(
        f"\n{name}: {len(took_s) / SECONDS:.0f} requests/s from {CLIENTS} clients, "
        f"median {median_ms:.1f} ms, 95 % below {p95_ms:.1f} ms"
    )


@pytest.mark.bench
def test_how_fast_orders_are_placed_and_read(server: str, credentials: Credentials) -> None:
    key = {"X-API-Key": next(iter(credentials.shop_keys.values()))}
    order = {
        "pickup_lat": city.HUBS[0].lat,
        "pickup_lng": city.HUBS[0].lng,
        "dropoff_lat": city.HUBS[0].lat + 0.01,
        "dropoff_lng": city.HUBS[0].lng,
        "payload_weight_kg": 0.5,
        "payload_type": "PARCEL",
    }
    measure("GET /health", lambda session: session.get(f"{server}/health"))
    measure(
        "POST /api/v1/orders",
        lambda session: session.post(f"{server}/api/v1/orders", json=order, headers=key),
    )
    measure(
        "GET /api/v1/orders",
        lambda session: session.get(f"{server}/api/v1/orders", headers=key),
    )
