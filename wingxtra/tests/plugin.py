"""Pytest plugin: real PostgreSQL and Valkey for the test run, before Django's settings load.

Servers in DATABASE_URL and REDIS_URL are used. Otherwise the controlling process starts throwaway
servers and removes them at its end. Each parallel worker has its own Valkey database and, from
pytest-django, its own PostgreSQL database.
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
from wingxtra.tests import pgbouncer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# The time of one example depends on the machine's other load, so it has no deadline.
hypothesis.settings.register_profile("wingxtra", deadline=None)
hypothesis.settings.load_profile("wingxtra")

# The longest that a busy machine is expected to stall. Redis and the database get this time in this
# process; processes that tests start have the limits of production.
STALLS_S = 20.0

# Tests never call a real Fleet API, bridge, standby or error collector.
OUTSIDE = (
    *("FLEET_API_URL", "FLEET_API_KEY", "GCS_BRIDGE_URL", "GCS_BRIDGE_KEY", "SENTRY_DSN"),
    "REPLICA_DATABASE_URL",
)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """A wrapper, because pytest-django loads the settings in the same hook."""
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
        if os.environ.get("THROUGH_PGBOUNCER"):
            early_config.add_cleanup(pgbouncer.start())
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Tests with real transactions end with TRUNCATE, which delivery events forbid.

    Redis gets more time: a machine that stalls for a second is no outage of it.
    """
    from django.apps import apps
    from django.db import connection
    from django.db.models.signals import post_migrate

    from fleet.live import picture
    from wingxtra import redis_client

    redis_client.WAIT_S = picture.ANSWERS_WITHIN_S = STALLS_S

    def allow_truncate(**_: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                DO $$ DECLARE month regclass; BEGIN
                    FOR month IN SELECT tgrelid FROM pg_trigger
                        WHERE tgname = 'orders_events_not_truncated' AND tgenabled <> 'D'
                    LOOP
                        EXECUTE format(
                            'ALTER TABLE %s DISABLE TRIGGER orders_events_not_truncated', month);
                    END LOOP;
                END $$
                """
            )

    post_migrate.connect(allow_truncate, sender=apps.get_app_config("orders"), weak=False)


def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> None:
    """Close pools that were opened before the test database was created: they would connect to the
    wrong database. Those of tests wait as long as a busy machine stalls.
    """
    if fixturedef.argname == "django_db_setup":
        from django.db import connection

        connection.close_pool()
        connection.settings_dict["OPTIONS"]["pool"]["timeout"] = STALLS_S


def pytest_sessionstart(session: pytest.Session) -> None:
    """Tests empty their Redis database, so a database with data is refused."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        if keys := client.dbsize():
            pytest.exit(
                f"REDIS_URL names a database with {keys} keys, and tests would delete them. "
                "Name an empty one, or none.",
                returncode=pytest.ExitCode.USAGE_ERROR,
            )


@pytest.fixture(autouse=True)
def _empty_redis() -> Iterator[None]:
    """Also ends the pause that a test without Redis has caused."""
    from wingxtra import redis_client

    yield
    redis_client._paused_until = 0.0
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.flushdb()


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:
    """The only browser of the run: Playwright's event loop cannot be started twice in a thread."""
    from wingxtra.tests import browser

    with browser.chromium() as started:
        yield started


def _with_database(url: str, number: int) -> str:
    """The URL of another database of the same Redis server: a path over TCP, `?db=` on a socket."""
    if url.startswith("unix:"):
        return f"{url.partition('?')[0]}?db={number}"
    return urlunsplit(urlsplit(url)._replace(path=f"/{number}"))
