"""Outages of the database and of Redis under a running API, and recovery."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import close_old_connections, connection, connections
from django.test import Client

from wingxtra.accounts.tests.factories import api_client, key_client
from wingxtra.tests.cuttable import Line
from wingxtra.tests.test_api_errors import problem

pytestmark = [
    pytest.mark.urls("wingxtra.tests.api_probe"),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: socket paths are limited to about 100 bytes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def database(folder: Path) -> Iterator[Line]:
    """A line to the database for all connections of this process."""
    known = connections.databases["default"]
    host, port, options = known["HOST"], known["PORT"] or "5432", known["OPTIONS"]
    name = f".s.PGSQL.{port}"
    line = Line(folder / name, f"{host}/{name}")
    _leave_the_database()
    known["HOST"] = str(folder)
    known["OPTIONS"] = {**options, "pool": {**options["pool"], "timeout": 0.3}}
    yield line
    _leave_the_database()
    known["HOST"], known["OPTIONS"] = host, options
    line.cut()


def _leave_the_database() -> None:
    connection.close()
    connection.close_pool()


def _soon(happens: Callable[[], bool], within_s: float = 15.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if happens():
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(autouse=True)
def _requests_end(monkeypatch) -> None:
    """As under a real server: each request returns its connection to the pool."""
    original = Client.request

    def request(self, **extra):
        try:
            return original(self, **extra)
        finally:
            close_old_connections()

    monkeypatch.setattr(Client, "request", request)


def test_a_database_outage_is_a_503_until_the_database_is_back(database):
    client, new = key_client(), key_client()
    assert client.get("/api/v1/staff").status_code == 200
    database.cut()
    for call in (
        lambda: new.get("/api/v1/staff"),
        lambda: client.post("/api/v1/merchants", {"name": "Osu"}, HTTP_IDEMPOTENCY_KEY="k"),
        lambda: api_client().post("/api/v1/auth/token", {"username": "a", "password": "b"}),
    ):
        response = call()
        problem(response, 503, "database_unavailable")
        assert int(response.headers["Retry-After"]) > 0
        assert str(database.entrance) not in response.content.decode()
    assert api_client().get("/health").status_code == 200
    database.mend()
    assert _soon(lambda: new.get("/api/v1/staff").status_code == 200)
    again = client.post("/api/v1/merchants", {"name": "Osu"}, HTTP_IDEMPOTENCY_KEY="k")
    assert again.status_code == 201


def test_dead_pooled_connections_are_replaced_without_an_error(database):
    connections.databases["default"]["OPTIONS"]["pool"]["timeout"] = 5.0
    client = key_client()
    assert client.get("/api/v1/staff").status_code == 200
    database.cut()
    database.mend()
    assert client.get("/api/v1/staff").status_code == 200


def test_a_page_without_the_database_is_a_503_too(database):
    visitor = Client(raise_request_exception=False)
    assert visitor.get("/page").status_code == 200
    database.cut()
    response = visitor.get("/page")
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    database.mend()
    assert _soon(lambda: visitor.get("/page").status_code == 200)


def test_a_redis_outage_is_a_503_only_where_redis_is_needed(folder, settings):
    server = urlsplit(settings.REDIS_URL)
    assert server.scheme == "unix"
    line = Line(folder / "redis.sock", server.path)
    settings.REDIS_URL = f"unix://{folder}/redis.sock?{server.query}"
    client = key_client()
    assert client.get("/api/v1/redis").status_code == 200
    line.cut()
    response = client.get("/api/v1/redis")
    problem(response, 503, "redis_unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert client.get("/api/v1/staff").status_code == 200
    line.mend()
    assert client.get("/api/v1/redis").status_code == 200
    line.cut()
