"""A real web process while its PostgreSQL hangs, is killed, locked or has no connection left."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg
import pytest
import requests
from django.conf import settings
from requests import Response

from wingxtra.embedded.servers import Postgres
from wingxtra.tests import own_servers
from wingxtra.tests.serving import served
from wingxtra.tests.test_broker import wait_until

ANSWER_WITHIN_S = 3
# Longer than a place is waited for, and then a statement, its grace and the pool.
ANSWERED_WITHIN_S = 10 + 3 + 2 + 5 + 2
BACK_WITHIN_S = 15
UNKNOWN = "/api/v1/tracking/7Q2KM9XW4TZ1H"


@dataclass
class Site:
    url: str
    postgres: Postgres
    held: list[psycopg.Connection] = field(default_factory=list)

    def get(self, path: str = UNKNOWN) -> Response:
        return requests.get(self.url + path, timeout=60)

    def hold(self) -> psycopg.Connection:
        self.held.append(psycopg.connect(self.postgres.url, connect_timeout=5))
        return self.held[-1]

    def let_go(self) -> None:
        while self.held:
            self.held.pop().close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with own_servers.home() as home:
        server = Postgres(home)
        server.start()
        environment = os.environ | {"DATABASE_URL": server.url}
        command = [sys.executable, "manage.py", "migrate", "-v", "0"]
        subprocess.run(command, cwd=settings.BASE_DIR, env=environment, check=True)
        yield server


@pytest.fixture
def site(postgres: Postgres) -> Iterator[Site]:
    with served(DATABASE_URL=postgres.url, DATABASE_ANSWER_WITHIN_S=str(ANSWER_WITHIN_S)) as (url,):
        site = Site(url, postgres)
        assert site.get().status_code == 404
        yield site
        own_servers.resume(postgres)
        site.let_go()


def hang(site: Site) -> Callable[[], None]:
    own_servers.pause(site.postgres)
    return lambda: own_servers.resume(site.postgres)


def kill(site: Site) -> Callable[[], None]:
    site.postgres.kill()
    return site.postgres.start


def lock(site: Site) -> Callable[[], None]:
    site.hold().execute("LOCK TABLE orders_order IN ACCESS EXCLUSIVE MODE")
    return site.let_go


def take_all_connections(site: Site) -> Callable[[], None]:
    """Also those of the web process."""
    first = site.hold()
    first.autocommit = True
    own = [first.info.backend_pid]
    for _ in range(20):
        try:
            while True:
                own.append(site.hold().info.backend_pid)
        except psycopg.OperationalError:
            ended = first.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> ALL(%s)",
                [own],
            ).fetchone()
            if ended == (0,):
                return site.let_go
    raise AssertionError("the web process keeps its connections")


@pytest.mark.parametrize("outage", [hang, kill, lock, take_all_connections])
def test_every_call_is_answered_and_service_returns_by_itself(
    site: Site, outage: Callable[[Site], Callable[[], None]]
) -> None:
    end = outage(site)
    with ThreadPoolExecutor(24) as threads:
        calls = [threads.submit(site.get) for _ in range(24)]
        page = threads.submit(site.get, "/track/7Q2KM9XW4TZ1H/")
        alive = [site.get("/health") for _ in range(10)]
        answers = [call.result() for call in calls]
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json()["code"] for answer in answers} <= {"database_unavailable", "overloaded"}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
    assert page.result().status_code == 503
    assert sorted(one.elapsed.total_seconds() for one in alive)[-3] < 0.5  # two may meet a stall
    slowest_s = max(one.elapsed.total_seconds() for one in answers)
    assert slowest_s < ANSWERED_WITHIN_S

    end()
    started = time.monotonic()
    wait_until(lambda: site.get().status_code == 404)
    back_s = time.monotonic() - started
    print(f"{outage.__name__}: slowest answer {slowest_s:.1f} s; back after {back_s:.1f} s")
    assert back_s < BACK_WITHIN_S
