"""`/health`, `/ready`, `/ready/dispatch`, for load balancers and the person on call."""

from datetime import timedelta

import pytest
import time_machine
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from wingxtra import broker
from wingxtra.observability import health
from wingxtra.tests.test_api_errors import problem

pytestmark = [pytest.mark.urls("wingxtra.tests.api_probe"), pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _only_the_base_checks(monkeypatch):
    """The apps' own checks have tests in their apps."""
    base = ("database", "redis", "worker")
    checks = {name: health.dispatching.checks[name] for name in base}
    monkeypatch.setattr(health.dispatching, "checks", checks)


@pytest.fixture
def a_worker() -> None:
    broker._beat(broker.WORKER_HEARTBEAT)


def test_health_needs_no_other_system(django_assert_num_queries):
    with django_assert_num_queries(0):
        response = Client().get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_names_each_check():
    response = Client().get("/ready")
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "ready"
    assert set(body["checks"]) == {"database", "migrations", "redis"}
    assert all(check["ok"] and check["detail"] for check in body["checks"].values())
    assert "no-store" in response.headers["Cache-Control"]


def test_a_failed_dispatch_check_does_not_fail_ready():
    health.dispatching.register("fleet_picture", lambda: (False, "It is 40 s old."))
    assert Client().get("/ready").status_code == 200
    body = problem(Client().get("/ready/dispatch"), 503, "not_ready")
    assert body["detail"] == "Not ready to dispatch: worker, fleet_picture."
    assert body["checks"]["fleet_picture"] == {"ok": False, "detail": "It is 40 s old."}
    assert body["checks"]["database"]["ok"]


def test_ready_to_dispatch_with_a_worker(a_worker):
    response = Client().get("/ready/dispatch")
    assert response.status_code == 200
    assert set(response.json()["checks"]) == {"database", "redis", "worker"}
    assert "no-store" in response.headers["Cache-Control"]


def test_without_a_worker_it_is_not_ready_to_dispatch():
    body = problem(Client().get("/ready/dispatch"), 503, "not_ready")
    assert body["checks"]["worker"] == {
        "ok": False,
        "detail": "No worker has sent a heartbeat yet.",
    }
    assert body["checks"]["database"]["ok"]


def test_a_worker_with_an_old_heartbeat_does_not_count(a_worker):
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        body = problem(Client().get("/ready/dispatch"), 503, "not_ready")
    assert not body["checks"]["worker"]["ok"]


def test_missing_migrations_are_counted():
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'api' AND name = '0001_initial'")
    body = problem(Client().get("/ready"), 503, "not_ready")
    assert body["checks"]["migrations"] == {"ok": False, "detail": "1 to apply."}


def test_an_app_adds_its_checks_and_a_broken_check_hides_no_other(a_worker):
    health.dispatching.register("bridge", lambda: (False, "No bridge is configured."))
    health.dispatching.register("picture", lambda: 1 / 0)
    body = problem(Client().get("/ready/dispatch"), 503, "not_ready")
    assert body["detail"] == "Not ready to dispatch: bridge, picture."
    assert body["checks"]["bridge"]["detail"] == "No bridge is configured."
    assert body["checks"]["picture"] == {
        "ok": False,
        "detail": "Does not answer (ZeroDivisionError).",
    }
    assert body["checks"]["redis"]["ok"]


def test_checks_that_need_the_database_are_skipped_during_its_outage(a_worker, monkeypatch):
    def away() -> tuple[bool, str]:
        raise OperationalError("couldn't get a connection after 5.00 sec")

    asked = []
    monkeypatch.setitem(health.dispatching.checks, "database", health._Registered(away, ()))
    needs = ("database", "redis")
    health.dispatching.register("zones", lambda: (not asked.append("zones"), ""), needs=needs)
    body = problem(Client().get("/ready/dispatch"), 503, "not_ready")
    assert body["detail"] == "Not ready to dispatch: database, zones."
    assert body["checks"]["zones"] == {"ok": False, "detail": "Unknown without database."}
    assert asked == []


@pytest.mark.parametrize("path", ["/health", "/ready", "/ready/dispatch"])
def test_probes_allow_only_safe_methods(path):
    response = Client().post(path)
    problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "GET, HEAD"
