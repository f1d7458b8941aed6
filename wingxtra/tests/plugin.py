"""Pytest plugin: real PostgreSQL and Valkey for the test run, before Django's settings load.

Servers that DATABASE_URL and REDIS_URL name are used as they are; else throwaway ones are started
by the controlling process and removed at its end. Each parallel worker has a Valkey database of its
own (and, by pytest-django, a PostgreSQL one).
"""

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import pytest
import redis

from wingxtra.embedded import launcher

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# How long one example takes says more about the machine's other work than about the code.
hypothesis.settings.register_profile("wingxtra", deadline=None)
hypothesis.settings.load_profile("wingxtra")

# A test never speaks to a real fleet, a real bridge or a real collector of errors.
OUTSIDE = ("FLEET_API_URL", "FLEET_API_KEY", "GCS_BRIDGE_URL", "GCS_BRIDGE_KEY", "SENTRY_DSN")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """A wrapper, because pytest-django loads the settings in this very hook."""
    os.environ["ENVIRONMENT"] = "test"
    for name in OUTSIDE:
        os.environ.pop(name, None)
    asked = early_config.known_args_namespace
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        number = int(re.sub(r"\D", "", worker)) + 1
        os.environ["REDIS_URL"] = _with_database(os.environ["REDIS_URL"], number)
    elif not (asked.help or asked.version):
        servers = launcher.ensure(early_config.rootpath, throwaway=True)
        early_config.add_cleanup(servers.stop)
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Tests with transactions of their own end by TRUNCATE, which delivery events forbid."""
    from django.apps import apps
    from django.db import connection
    from django.db.models.signals import post_migrate

    def allow_truncate(**_: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "ALTER TABLE orders_deliveryevent DISABLE TRIGGER orders_events_not_truncated"
            )

    post_migrate.connect(allow_truncate, sender=apps.get_app_config("orders"), weak=False)


def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> None:
    """A pool that was asked for before there was a test database would lead to the other one:
    tests would work there, and the processes that they start in one without tables.
    """
    if fixturedef.argname == "django_db_setup":
        from django.db import connection

        connection.close_pool()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Tests empty their Redis database, so one that holds somebody's data is refused."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        if keys := client.dbsize():
            pytest.exit(
                f"REDIS_URL names a database with {keys} keys, and tests would delete them. "
                "Name an empty one, or none.",
                returncode=pytest.ExitCode.USAGE_ERROR,
            )


@pytest.fixture(autouse=True)
def _empty_redis() -> Iterator[None]:
    yield
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.flushdb()


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:
    """The only one of the run: Playwright's loop cannot be started twice in a thread."""
    from wingxtra.tests import browser

    with browser.chromium() as started:
        yield started


def _with_database(url: str, number: int) -> str:
    """The same Redis server, another database: as a path over TCP, as `?db=` on a socket."""
    if url.startswith("unix:"):
        return f"{url.partition('?')[0]}?db={number}"
    return urlunsplit(urlsplit(url)._replace(path=f"/{number}"))
