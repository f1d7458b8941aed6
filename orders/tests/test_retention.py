"""Personal data is removed after the retention period or on request, never from an open order."""

import logging
import uuid
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from fleet import policy
from orders import actors
from orders.models import DeliveryEvent, Order
from orders.personal_data import retention
from orders.states import TERMINAL, PodRequirement, Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import SYSTEM
from wingxtra.problems import Conflict, NotFound

pytestmark = pytest.mark.django_db


def current(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


def over_days_ago(days: float, status: Status = Status.DELIVERED, **attributes: object) -> Order:
    with time_machine.travel(timezone.now() - timedelta(days=days), tick=True):
        return order_in(status, **attributes)


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("forget_customers", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("status", TERMINAL)
def test_personal_data_is_removed_after_the_retention_period(status: Status):
    order = over_days_ago(91, status, customer_email="ama@mail.example")
    assert retention.forget_old(timezone.now()) == (1, 0)

    forgotten = current(order)
    assert forgotten.customer_name == forgotten.customer_email == forgotten.cancel_note == ""
    assert not forgotten.customer_phone
    assert (forgotten.dropoff_lat, forgotten.dropoff_lng) == (5.62, -0.17)
    assert forgotten.forgotten_at is not None
    # Status and time stay.
    assert (forgotten.status, forgotten.updated_at) == (status, order.updated_at)


def test_personal_data_stays_until_then():
    order = over_days_ago(89)
    assert retention.forget_old(timezone.now()) == (0, 0)
    assert current(order).customer_name == "Ama Mensah"


def test_the_policy_sets_the_retention_period():
    order = over_days_ago(10)
    policy.change(by=SYSTEM, personal_data_days=7)
    assert retention.forget_old(timezone.now()) == (1, 0)
    assert current(order).customer_name == ""


@pytest.mark.parametrize("status", [status for status in Status if status not in TERMINAL])
def test_an_open_order_keeps_its_data_at_any_age(status: Status):
    order = over_days_ago(1000, status)
    assert retention.forget_old(timezone.now()) == (0, 0)
    with pytest.raises(Conflict, match="needed until it is over") as refusal:
        retention.forget(order.pk)
    assert refusal.value.code == "not_over"
    assert current(order).customer_name == "Ama Mensah"


def test_forgetting_again_changes_nothing():
    order = order_in(Status.CANCELED)
    assert retention.forget(order.pk)
    before = Order.objects.filter(pk=order.pk).values().get()
    assert not retention.forget(order.pk)
    assert Order.objects.filter(pk=order.pk).values().get() == before


def test_an_unknown_order_cannot_be_forgotten():
    with pytest.raises(NotFound):
        retention.forget(uuid.uuid4())


def test_the_timeline_stays():
    order = order_in(Status.DELIVERED)
    before = DeliveryEvent.objects.filter(order=order).count()
    retention.forget(order.pk)
    assert DeliveryEvent.objects.filter(order=order).count() == before


def test_a_failure_does_not_stop_the_others_and_is_retried(caplog: pytest.LogCaptureFixture):
    first, second = over_days_ago(92), over_days_ago(91)

    def refuse(order: Order, **_: object) -> None:
        if order.pk == first.pk:
            raise OSError("the disk of Ama Mensah is full")

    retention.forgetting.connect(refuse)
    try:
        with caplog.at_level(logging.INFO):
            assert retention.forget_old(timezone.now()) == (1, 1)
    finally:
        retention.forgetting.disconnect(refuse)
    assert current(first).customer_name == "Ama Mensah"
    assert current(second).customer_name == ""
    assert "customer_not_forgotten" in caplog.text
    assert "Ama" not in caplog.text
    assert retention.forget_old(timezone.now()) == (1, 0)


def test_a_forgotten_delivery_is_not_missing_its_proof():
    order = order_in(Status.DELIVERED, pod_requirement=PodRequirement.PHOTO)
    assert Order.objects.missing_proof().exists()
    retention.forget(order.pk)
    assert not Order.objects.missing_proof().exists()


def test_retention_runs_on_schedule():
    order = over_days_ago(91)
    actors.forget_customers()
    assert current(order).customer_name == ""


def test_the_command_reports_how_many():
    over_days_ago(91)
    over_days_ago(120)
    over_days_ago(5)
    assert "removed from 2 orders" in command()
    assert "removed from 0 orders" in command()


def test_the_command_forgets_one_on_request():
    order = order_in(Status.DELIVERED)
    assert "was removed" in command("--order", str(order.pk))
    assert "no personal data any more" in command("--order", order.public_tracking_id.lower())
    assert current(order).customer_name == ""


def test_the_command_refuses_an_order_that_is_not_over():
    order = order_in(Status.ENROUTE)
    with pytest.raises(CommandError, match="The order is ENROUTE"):
        command("--order", str(order.pk))
    with pytest.raises(CommandError, match="There is no order UNKNOWN"):
        command("--order", "UNKNOWN")
