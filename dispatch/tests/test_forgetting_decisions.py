"""Runs and decisions are deleted after the policy's retention."""

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


def test_old_runs_are_deleted_with_their_decisions_only():
    fleet_of(1)
    old, young = run_days_ago(90.1), run_days_ago(89.9)
    orders = Order.objects.count()
    assert forgetting.forget_decisions(timezone.now()) == 1
    assert list(DispatchRun.objects.all()) == [young]
    assert not DispatchDecision.objects.filter(run_id=old.pk).exists()
    assert DispatchDecision.objects.filter(run_id=young.pk).exists()
    assert Order.objects.count() == orders


def test_the_retention_is_policy_and_the_job_is_scheduled():
    fleet_of(1)
    run_days_ago(8)
    actors.forget_decisions.fn()
    assert DispatchRun.objects.count() == 1
    policy.change(by=SYSTEM, decision_days=7)
    actors.forget_decisions.fn()
    assert not DispatchRun.objects.exists()


def test_a_step_deletes_a_limited_number_and_the_oldest_first():
    fleet_of(1)
    middle, _ = run_days_ago(200), run_days_ago(300)
    assert forgetting.forget_decisions(timezone.now(), at_most=1) == 1
    assert list(DispatchRun.objects.all()) == [middle]
