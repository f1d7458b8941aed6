"""Prometheus metrics of orders."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from orders import lifecycle
from orders.models import DeliveryJob, Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import GCS
from wingxtra.tests.scraped import scraped

pytestmark = pytest.mark.django_db(transaction=True)


def test_open_orders_are_counted_by_status_and_promise() -> None:
    now = timezone.now()
    late = OrderFactory()
    Order.objects.filter(pk=late.pk).update(
        created_at=now - timedelta(minutes=70), deliver_by=now - timedelta(minutes=10)
    )
    at_risk = order_in(Status.ENROUTE)
    job = DeliveryJob.objects.filter(order=at_risk)
    job.update(eta_at=at_risk.deliver_by + timedelta(minutes=1))
    order_in(Status.DELIVERED)
    OrderFactory(live_mode=False, test_scenario="delivered")
    found = scraped()
    opened = {key[1:]: value for key, value in found.items() if key[0] == "wingxtra_orders_open"}
    assert {key: value for key, value in opened.items() if value} == {
        ("late", "QUEUED"): 1,
        ("at_risk", "ENROUTE"): 1,
    }
    assert ("on_time", "ASSIGNED") in opened  # zeros are exported as well
    assert found["wingxtra_orders_late_seconds_max",] == pytest.approx(600, abs=5)
    assert found["wingxtra_orders_queued_seconds_max",] == pytest.approx(4200, abs=5)


def counted(*key: str) -> float:
    return scraped().get(key, 0.0)


def test_events_are_counted_after_the_commit() -> None:
    key = "wingxtra_order_events_total", "LAUNCHED"
    before = counted(*key)
    order = order_in(Status.MISSION_SUBMITTED)
    with transaction.atomic():
        lifecycle.advance(order.pk, Status.LAUNCHED, by=GCS)
        transaction.set_rollback(True)
    assert counted(*key) == before
    lifecycle.advance(order.pk, Status.LAUNCHED, by=GCS)
    assert counted(*key) == before + 1


@pytest.mark.parametrize(("minutes", "on_time"), [(60, "yes"), (-1, "no")])
def test_deliveries_are_counted_by_their_promise(minutes: int, on_time: str) -> None:
    key = "wingxtra_orders_delivered_total", on_time
    before = counted(*key)
    order_in(Status.DELIVERED, deliver_by=timezone.now() + timedelta(minutes=minutes))
    assert counted(*key) == before + 1


def test_reading_the_metrics_takes_one_statement(
    django_assert_num_queries: Any,
) -> None:
    from orders import metrics

    for many in (1, 5):
        for _ in range(many):
            OrderFactory()
        with django_assert_num_queries(1):
            list(metrics.open_orders(timezone.now()))
