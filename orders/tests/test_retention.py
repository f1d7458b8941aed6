"""Personal data goes in time, or on request; never from an order that is not over."""

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
def test_personal_data_goes_when_its_time_is_over(status: Status):
    order = over_days_ago(91, status, customer_email="ama@mail.example")
    assert retention.forget_old(timezone.now()) == (1, 0)

    forgotten = current(order)
    assert forgotten.customer_name == forgotten.customer_email == forgotten.cancel_note == ""
    assert not forgotten.customer_phone
    assert (forgotten.dropoff_lat, forgotten.dropoff_lng) == (5.62, -0.17)
    assert forgotten.forgotten_at is not None
    # What was done, and when it was done, stays as it was.
    assert (forgotten.status, forgotten.updated_at) == (status, order.updated_at)


def test_it_stays_until_then():
    order = over_days_ago(89)
    assert retention.forget_old(timezone.now()) == (0, 0)
    assert current(order).customer_name == "Ama Mensah"


def test_how_long_is_a_matter_of_policy():
    order = over_days_ago(10)
    policy.change(by=SYSTEM, personal_data_days=7)
    assert retention.forget_old(timezone.now()) == (1, 0)
    assert current(order).customer_name == ""


@pytest.mark.parametrize("status", [status for status in Status if status not in TERMINAL])
def test_an_order_that_is_not_over_keeps_its_data_however_old_it_is(status: Status):
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


def test_nobody_can_be_forgotten_who_is_not_known():
    with pytest.raises(NotFound):
        retention.forget(uuid.uuid4())


def test_the_timeline_stays():
    order = order_in(Status.DELIVERED)
    before = DeliveryEvent.objects.filter(order=order).count()
    retention.forget(order.pk)
    assert DeliveryEvent.objects.filter(order=order).count() == before


def test_one_that_fails_keeps_no_other_and_is_done_the_next_time(caplog: pytest.LogCaptureFixture):
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


def test_a_delivery_without_its_proof_is_nobodys_business_any_more_once_forgotten():
    order = order_in(Status.DELIVERED, pod_requirement=PodRequirement.PHOTO)
    assert Order.objects.without_their_proof().exists()
    retention.forget(order.pk)
    assert not Order.objects.without_their_proof().exists()


def test_it_happens_by_itself():
    order = over_days_ago(91)
    actors.forget_customers()
    assert current(order).customer_name == ""


def test_the_command_says_how_many():
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
    with pytest.raises(CommandError, match="There is no order NOBODY"):
        command("--order", "NOBODY")
