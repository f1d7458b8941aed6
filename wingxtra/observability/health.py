"""`/health`: the process answers. `/ready`: it may serve. `/ready/dispatch`: drones may be sent.

`/ready` is what a load balancer asks: database, migrations and Redis. A worker, a Fleet API or a
bridge that is away is no reason to take a web process out of service; `/ready/dispatch` names it,
for people and monitors. An app registers with `dispatching.register`, from its AppConfig's `ready`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from wingxtra import broker
from wingxtra.api.errors import Answer

log = structlog.get_logger(__name__)

# (is it fine, what to say about it); raising means that it is not.
Check = Callable[[], tuple[bool, str]]

HEARTBEAT_IS_OLD_AFTER = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class _Registered:
    check: Check
    needs: tuple[str, ...]


class Readiness:
    """A question that is answered by named checks, `what` for short in its answer."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.checks: dict[str, _Registered] = {}

    def register(self, name: str, check: Check, *, needs: tuple[str, ...] = ()) -> None:
        """Make `check` a part of it. Every probe calls it: quick, and no secrets in its words.

        needs: checks that were registered before it; where one of them fails, this one is not
        asked. So a database that is away costs a probe one timeout, and not one for each check that
        reads there.
        """
        self.checks[name] = _Registered(check, needs)

    def answer(self) -> HttpResponse:
        """200 when every check is fine, else 503; each by name."""
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
        return JsonResponse({"status": "ready", "checks": checks})


serving = Readiness("serve")
dispatching = Readiness("dispatch")


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


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
    except Exception as error:  # noqa: BLE001 (one that breaks must not hide the others)
        log.warning("check_failed", check=name, error=str(error))
        return False, f"Does not answer ({type(error).__name__})."


def database() -> tuple[bool, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True, "Answers."


def migrations() -> tuple[bool, str]:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return not missing, f"{len(missing)} to apply." if missing else "All applied."


def redis_answers() -> tuple[bool, str]:
    broker.scheduler_seen_at()
    return True, "Answers."


def worker() -> tuple[bool, str]:
    seen_at = broker.worker_seen_at()
    if seen_at is None:
        return False, "No worker was ever seen."
    age = timezone.now() - seen_at
    return age < HEARTBEAT_IS_OLD_AFTER, f"A worker was seen {age.total_seconds():.0f} s ago."


serving.register("database", database)
serving.register("migrations", migrations, needs=("database",))
serving.register("redis", redis_answers)
dispatching.register("database", database)
dispatching.register("redis", redis_answers)
dispatching.register("worker", worker, needs=("redis",))
