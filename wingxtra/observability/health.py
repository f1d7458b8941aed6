"""`/health`: the process answers. `/ready`: it may serve. `/ready/dispatch`: drones may be sent.

`/ready` is for load balancers: database, migrations and Redis. An outage of the worker, the Fleet
API or the bridge must not take a web process out of service; it shows in `/ready/dispatch`, for
people and monitors. An app registers with `dispatching.register`, from its AppConfig's `ready`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import structlog
from csp.constants import HEADER as CONTENT_SECURITY_POLICY
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from wingxtra import broker
from wingxtra.api.errors import Answer
from wingxtra.api.renderers import json_answer
from wingxtra.middleware.page_policy import NO_PAGE

log = structlog.get_logger(__name__)

# Returns (ok, detail). An exception counts as not ok.
Check = Callable[[], tuple[bool, str]]

DATA = {CONTENT_SECURITY_POLICY: NO_PAGE}
HEARTBEAT_MAX_AGE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class _Registered:
    check: Check
    needs: tuple[str, ...]


class Readiness:
    """A group of named checks. `what`: the verb in its answer, "Not ready to ..."."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.checks: dict[str, _Registered] = {}

    def register(self, name: str, check: Check, *, needs: tuple[str, ...] = ()) -> None:
        """Add a check. Every probe calls it, so it must be fast, and its detail holds no secrets.

        needs: checks registered before it. If one of them fails, this one is skipped, so that a
        database outage costs a probe one timeout and not one per check.
        """
        self.checks[name] = _Registered(check, needs)

    def answer(self) -> HttpResponse:
        """200 if every check is ok, else 503; with the results by name."""
        results: dict[str, tuple[bool, str]] = {}
        for name, registered in self.checks.items():
            missing = [need for need in registered.needs if not results[need][0]]
            unknown = f"Unknown without {' and '.join(missing)}."
            results[name] = (False, unknown) if missing else _run(name, registered.check)
        checks = {name: {"ok": ok, "detail": detail} for name, (ok, detail) in results.items()}
        failed = [name for name, (ok, _) in results.items() if not ok]
        if failed:
            detail = f"Not ready to {self.what}: {', '.join(failed)}."
            return Answer(503, detail, "not_ready", extra={"checks": checks}).response()
        return json_answer({"status": "ready", "checks": checks}, headers=DATA)


serving = Readiness("serve")
dispatching = Readiness("dispatch")


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    return json_answer({"status": "ok"}, headers=DATA)


@never_cache
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    return serving.answer()


@never_cache
@require_safe
def ready_to_dispatch(request: HttpRequest) -> HttpResponse:
    return dispatching.answer()


def _run(name: str, check: Check) -> tuple[bool, str]:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 (one broken check must not hide the others)
        log.warning("check_failed", check=name, error=str(error))
        return False, f"Does not answer ({type(error).__name__})."


def database() -> tuple[bool, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True, "Answers."


def migrations() -> tuple[bool, str]:
    applied = MigrationRecorder(connection).migration_qs.values_list("app", "name")
    missing = _of_this_code() - set(applied)
    return not missing, f"{len(missing)} to apply." if missing else "All applied."


@cache
def _of_this_code() -> set[tuple[str, str]]:
    """The app and name of each migration. Read once: anyone may ask `/ready`."""
    return set(MigrationLoader(None).disk_migrations)


def redis_answers() -> tuple[bool, str]:
    broker.scheduler_heartbeat_at()
    return True, "Answers."


def worker() -> tuple[bool, str]:
    beat_at = broker.worker_heartbeat_at()
    if beat_at is None:
        return False, "No worker has sent a heartbeat yet."
    age = timezone.now() - beat_at
    return age < HEARTBEAT_MAX_AGE, f"Last heartbeat of a worker {age.total_seconds():.0f} s ago."


serving.register("database", database)
serving.register("migrations", migrations, needs=("database",))
serving.register("redis", redis_answers)
dispatching.register("database", database)
dispatching.register("redis", redis_answers)
dispatching.register("worker", worker, needs=("redis",))
