"""Runs are deleted after the policy's retention, once their decisions are gone."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dispatch import actors, forgetting
from dispatch.models import DispatchDecision, DispatchRun
from dispatch.tests.test_runs import fleet_of, run
from fleet import policy
from orders.models import Order
from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import SYSTEM
from wingxtra.database import partitions
from wingxtra.database.partitions import month_of, months_after

pytestmark = pytest.mark.django_db


def run_days_ago(days: float) -> DispatchRun:
    OrderFactory()
    made = run(dry_run=True).run
    DispatchRun.objects.filter(pk=made.pk).update(started_at=timezone.now() - timedelta(days=days))
    return made


def without_decisions(days: float) -> DispatchRun:
    """Their month was dropped (wingxtra/tests/test_histories.py)."""
    made = run_days_ago(days)
    made.decisions.all().delete()
    return made


def test_old_runs_without_decisions_are_deleted():
    fleet_of(1)
    without_decisions(90.1)
    kept = [without_decisions(89.9), run_days_ago(90.1)]
    orders = Order.objects.count()
    assert forgetting.forget_runs(timezone.now()) == 1
    assert set(DispatchRun.objects.all()) == set(kept)
    assert DispatchDecision.objects.filter(run_id=kept[1].pk).exists()
    assert Order.objects.count() == orders


def test_the_retention_is_policy_and_the_job_is_scheduled():
    fleet_of(1)
    without_decisions(40)  # before this month, which is the first one
    actors.forget_decisions.fn()
    assert DispatchRun.objects.count() == 1
    policy.change(by=SYSTEM, decision_days=7)
    actors.forget_decisions.fn()
    assert not DispatchRun.objects.exists()


def test_a_step_deletes_a_limited_number_and_the_oldest_first():
    fleet_of(1)
    middle, _ = without_decisions(200), without_decisions(300)
    assert forgetting.forget_runs(timezone.now(), at_most=1) == 1
    assert list(DispatchRun.objects.all()) == [middle]


def lookups(plan: Any) -> int:
    """How often a table of decisions was read, by EXPLAIN ANALYZE."""
    is_one = plan.get("Relation Name", "").startswith("dispatch_dispatchdecision")
    own = plan["Actual Loops"] if is_one else 0
    return own + sum(lookups(inner) for inner in plan.get("Plans", ()))


def lookups_of_forgetting(now: datetime) -> int:
    """Nothing stays deleted."""
    with CaptureQueriesContext(connection) as captured, transaction.atomic():
        forgetting.forget_runs(now)
        transaction.set_rollback(True)
    (sql,) = [one["sql"] for one in captured if "NOT EXISTS" in one["sql"].upper()]
    with connection.cursor() as cursor:
        for way in ("enable_hashjoin", "enable_mergejoin", "enable_seqscan"):
            cursor.execute(f"SET LOCAL {way} = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        return lookups(cursor.fetchone()[0][0]["Plan"])


def test_runs_whose_decisions_are_still_there_are_not_looked_up():
    """Their month is past its retention in part. Once it is dropped, the runs are looked up."""
    history = next(one for one in partitions.histories if one.model is DispatchDecision)
    first = months_after(month_of(timezone.now()), -6)
    for later in (0, 1):
        partitions.make(history, months_after(first, later))
    DispatchRun.objects.bulk_create(
        DispatchRun(
            trigger="SCHEDULE",
            actor="dispatcher",
            policy_version=1,
            started_at=first + timedelta(hours=hour),
        )
        for hour in range(20)
    )
    in_it = first + timedelta(days=90 + 10)
    assert lookups_of_forgetting(in_it) == 0
    assert DispatchRun.objects.count() == 20
    after_it = months_after(first, 1) + timedelta(days=90.1)
    partitions.drop_old(after_it)
    assert lookups_of_forgetting(after_it) >= 20
    assert forgetting.forget_runs(after_it) == 20
    assert not DispatchRun.objects.exists()
