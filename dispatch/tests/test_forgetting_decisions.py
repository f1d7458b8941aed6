"""Runs are deleted after the policy's retention, once their decisions are gone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from dispatch import actors, forgetting
from dispatch.models import DispatchDecision, DispatchRun
from dispatch.tests.test_runs import fleet_of, run
from fleet import policy
from orders.models import Order
from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import SYSTEM

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
    without_decisions(8)
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
