"""`/metrics`: access, counts, and behaviour during outages."""

import os
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings as real_settings
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client, key_client
from wingxtra.observability import metrics
from wingxtra.problems import Unavailable
from wingxtra.redis_client import PAUSE_S, client
from wingxtra.tests.probe.actors import note
from wingxtra.tests.scraped import scraped
from wingxtra.tests.test_broker import manage, wait_until

TOKEN = "a-token-for-prometheus"


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_shown", (float("-inf"), b""))


@pytest.fixture
def token(settings: Any) -> dict[str, str]:
    settings.METRICS_TOKEN = TOKEN
    return {"Authorization": f"Bearer {TOKEN}"}


# --- access --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_staff_may_read_metrics_and_merchants_and_anonymous_callers_may_not() -> None:
    merchant = MerchantFactory()
    assert key_client(role=Role.OPS).get("/metrics").status_code == 200
    assert api_client(UserFactory(admin=True)).get("/metrics").status_code == 200
    assert key_client(merchant=merchant).get("/metrics").status_code == 403
    assert Client().get("/metrics").status_code == 401


@pytest.mark.django_db
def test_the_token_is_only_valid_for_metrics(token: dict[str, str]) -> None:
    answer = Client().get("/metrics", headers=token)
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    assert Client().get("/api/v1/orders", headers=token).status_code == 401
    wrong = {"Authorization": f"Bearer {TOKEN}x"}
    assert Client().get("/metrics", headers=wrong).status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize("value", ["Bearer ", "Bearer", "Basic "])
def test_without_a_configured_token_an_empty_one_is_refused(settings: Any, value: str) -> None:
    settings.METRICS_TOKEN = ""
    assert Client().get("/metrics", headers={"Authorization": value}).status_code == 401


# --- counts --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_requests_are_counted_by_route_and_never_by_id() -> None:
    def counted(*labels: str) -> float:
        return scraped().get(("wingxtra_http_requests_total", *labels), 0.0)

    route = "api/v1/orders/<uuid:order_id>"
    before = counted("GET", route, "404")
    ops = key_client(role=Role.OPS)
    for number in range(3):
        ops.get(f"/api/v1/orders/00000000-0000-0000-0000-00000000000{number}")
    Client().generic("BREW", "/health")
    assert counted("GET", route, "404") == before + 3
    found = scraped()
    assert found["wingxtra_http_seconds_count", "GET", route] >= 3
    assert ("wingxtra_http_requests_total", "other", "health", "405") in found
    assert not any("00000000-0000" in str(label) for key in found for label in key)


@pytest.mark.django_db
def test_upstream_calls_are_counted_by_their_outcome() -> None:
    def counted(outcome: str) -> float:
        return scraped().get(("wingxtra_upstream_calls_total", outcome, "probe"), 0.0)

    with metrics.calling("probe"):
        pass
    with pytest.raises(Unavailable), metrics.calling("probe"):
        raise Unavailable("probe_away", "It is away.")
    with pytest.raises(KeyError), metrics.calling("probe"):
        raise KeyError
    assert (counted("ok"), counted("probe_away"), counted("KeyError")) == (1, 1, 1)
    assert scraped()["wingxtra_upstream_seconds_count", "probe"] == 3


COUNTS_AND_LEAVES = """
import django; django.setup()
from wingxtra.observability import metrics
metrics.share()
metrics.upstream_calls.labels("elsewhere", "ok").inc(5)
"""


@pytest.mark.django_db
def test_counts_of_other_processes_are_in_the_sum() -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "wingxtra.settings"}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", COUNTS_AND_LEAVES], cwd=real_settings.BASE_DIR, env=environment
        )
        assert done.returncode == 0
    metrics.upstream_calls.labels("elsewhere", "ok").inc()
    assert scraped()["wingxtra_upstream_calls_total", "ok", "elsewhere"] == 11


@pytest.mark.django_db(transaction=True)
def test_a_worker_counts_its_runs_and_the_queue_shows_what_waits() -> None:
    name = note.actor_name
    with time_machine.travel(timezone.now() - timedelta(seconds=90)):
        note.send("late")
    note.send("in time")
    found = scraped()
    assert found["wingxtra_queue_messages", "probe", "now"] == 2
    assert found["wingxtra_queue_actor_messages", name] == 2
    assert found["wingxtra_queue_actor_seconds_max", name] == pytest.approx(90, abs=10)
    with manage("worker", "--threads", "1"):
        wait_until(lambda: scraped().get(("wingxtra_actor_runs_total", name, "ok"), 0) >= 2)
    found = scraped()
    assert found["wingxtra_queue_messages", "probe", "now"] == 0
    assert found["wingxtra_actor_seconds_count", name] >= 2


# --- cost and outages ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_frequent_scrapes_are_cached(django_assert_num_queries: Any) -> None:
    text = metrics.exposition()
    with django_assert_num_queries(0):
        assert metrics.exposition() is text


@pytest.mark.django_db
def test_a_scrape_takes_few_statements(django_assert_max_num_queries: Any) -> None:
    scraped()
    with django_assert_max_num_queries(12):
        scraped()


def test_every_metric_has_our_prefix_and_a_description() -> None:
    text = metrics.exposition().decode()
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    assert names
    assert all(name.startswith("wingxtra_") for name in names)
    assert all(len(line.split()) > 4 for line in text.splitlines() if line.startswith("# HELP"))


@pytest.mark.django_db
def test_without_the_database_the_token_still_reads_the_other_metrics(
    token: dict[str, str], monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    asked = []

    def away(now: Any) -> Any:
        raise OperationalError("no database")

    def late(now: Any) -> Any:
        asked.append(now)
        yield metrics.gauge("probe", "A probe of the tests.", {(): 1})

    monkeypatch.setattr(metrics, "_sources", {"away": away, "late": late})
    with django_assert_num_queries(0):
        answer = Client().get("/metrics", headers=token)
    found = scraped(answer.content.decode())
    assert answer.status_code == 200
    assert found["wingxtra_metrics_source_up", "counted"] == 1
    assert (found["wingxtra_metrics_source_up", "away"], asked) == (0, [])
    assert any(key[0] == "wingxtra_http_requests_total" for key in found)


@pytest.mark.django_db
def test_without_redis_the_metrics_of_the_database_are_still_shown(
    settings: Any,
) -> None:
    there, settings.REDIS_URL = settings.REDIS_URL, "unix:///nowhere/redis.sock"
    metrics.upstream_calls.labels("probe", "unpushed").inc()
    found = scraped()
    assert found["wingxtra_metrics_source_up", "counted"] == 0
    assert found["wingxtra_metrics_source_up", "orders"] == 1
    assert any(key[0] == "wingxtra_orders_open" for key in found)
    settings.REDIS_URL = there
    time.sleep(PAUSE_S)
    assert scraped()["wingxtra_upstream_calls_total", "unpushed", "probe"] == 1


def test_a_process_adds_to_the_sums_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "SHARE_EVERY_S", 0.01)
    metrics.share()
    try:
        metrics.upstream_calls.labels("probe", "shared").inc()
        wait_until(lambda: any(b"shared" in key for key in client().hkeys(metrics.SUMS)))
    finally:
        metrics.stop_sharing()
