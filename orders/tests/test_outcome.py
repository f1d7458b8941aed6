"""Corrections of an order's outcome; the timeline keeps the former one."""

from datetime import timedelta

import pytest
import time_machine
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import CancelReason, Holder, JobStatus, PodRequirement, ReasonCode, Status
from orders.tests.factories import order_in
from orders.tests.test_custody import at_a_hub, on_hold
from wingxtra.accounts.identity import Actor, ActorKind

pytestmark = pytest.mark.django_db

OPS = Actor(ActorKind.USER, "ops")


def ends_of(order: Order) -> list[str]:
    ends = ("DELIVERED", "CANCELED", "FAILED", "ABORTED", "CORRECTED")
    events = DeliveryEvent.objects.filter(order=order, type__in=ends)
    return list(events.values_list("type", flat=True))


def correct(order: Order, outcome: Status, **more: ReasonCode) -> Order:
    return lifecycle.correct(order.pk, outcome=outcome, by=OPS, why="The customer called.", **more)


@pytest.mark.parametrize("was", [Status.FAILED, Status.ABORTED])
def test_a_failed_order_is_corrected_to_delivered(was: Status) -> None:
    order = correct(order_in(was), Status.DELIVERED)
    assert (order.status, order.holder, order.reason_code) == ("DELIVERED", "RECIPIENT", "")
    assert order.delivered_at is not None
    job = order.jobs.get()
    assert (job.status, job.ended_because) == (JobStatus.COMPLETED, "The customer called.")
    assert ends_of(order) == [was, "CORRECTED"]
    event = DeliveryEvent.objects.filter(order=order).last()
    assert (event.message, event.actor) == ("The customer called.", "user:ops")
    assert (event.payload["outcome"], event.payload["was"]) == ("DELIVERED", was)


def test_a_delivered_order_is_corrected_to_failed_with_a_missing_parcel() -> None:
    order = correct(order_in(Status.DELIVERED), Status.FAILED, reason=ReasonCode.DRONE_PROBLEM)
    assert (order.status, order.reason_code) == ("FAILED", "DRONE_PROBLEM")
    assert (order.delivered_at, order.holder) == (None, Holder.UNKNOWN)
    assert order.jobs.get().status == JobStatus.FAILED
    assert ends_of(order) == ["DELIVERED", "CORRECTED"]
    assert order in Order.objects.awaiting_staff()
    lifecycle.lost(order.pk, by=OPS, note="It was stolen.")
    assert Order.objects.get(pk=order.pk).holder == Holder.LOST


def test_the_reason_alone_can_be_corrected() -> None:
    order = correct(order_in(Status.ABORTED), Status.FAILED, reason=ReasonCode.WEATHER)
    assert (order.status, order.reason_code, order.holder) == ("FAILED", "WEATHER", "SENDER")


@pytest.mark.parametrize(
    ("status", "outcome", "code"),
    [
        (Status.DELIVERED, Status.DELIVERED, "no_change"),
        (Status.QUEUED, Status.DELIVERED, "not_over"),
        (Status.ENROUTE, Status.FAILED, "not_over"),
        (Status.CANCELED, Status.DELIVERED, "not_over"),
    ],
)
def test_corrections_that_are_refused(status: Status, outcome: Status, code: str) -> None:
    order = order_in(status)
    with pytest.raises(lifecycle.Refused) as refusal:
        correct(order, outcome)
    assert refusal.value.code == code
    assert Order.objects.get(pk=order.pk).status == status


def test_the_same_reason_again_is_no_change() -> None:
    with pytest.raises(lifecycle.Refused, match="already"):
        correct(order_in(Status.FAILED), Status.FAILED, reason=ReasonCode.DRONE_PROBLEM)


def test_the_seven_days_for_corrections_do_not_restart() -> None:
    start = timezone.now() - timedelta(days=7)
    with time_machine.travel(start + timedelta(minutes=1)):
        order = order_in(Status.FAILED)
    correct(order, Status.DELIVERED)
    with time_machine.travel(start + timedelta(days=7, minutes=3)):
        with pytest.raises(lifecycle.Refused) as refusal:
            correct(order, Status.FAILED)
        assert refusal.value.code == "too_late_to_correct"


def test_an_order_on_hold_can_be_marked_delivered() -> None:
    order = on_hold(Holder.UNKNOWN)
    order = lifecycle.delivered_after_all(order.pk, by=OPS, why="The customer has it.")
    assert (order.status, order.holder, order.hold_code) == ("DELIVERED", "RECIPIENT", "")
    assert order.jobs.get().status == JobStatus.COMPLETED
    assert ends_of(order) == ["DELIVERED"]


def test_a_parcel_recorded_at_a_hub_can_be_marked_delivered() -> None:
    order = at_a_hub()
    lifecycle.sight_lost(order.pk, why="Delivered, it says.", by=OPS)
    order = lifecycle.delivered_after_all(order.pk, by=OPS, why="The customer has it.")
    assert (order.status, order.holder, order.holder_hub) == ("DELIVERED", "RECIPIENT", None)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.ENROUTE, Status.FAILED])
def test_only_an_order_on_hold_can_be_marked_delivered(status: Status) -> None:
    with pytest.raises(lifecycle.Refused) as refusal:
        lifecycle.delivered_after_all(order_in(status).pk, by=OPS, why="They have it.")
    assert refusal.value.code == "not_on_hold"


@pytest.mark.parametrize(
    ("requirement", "missing"), [(PodRequirement.NONE, False), (PodRequirement.PHOTO, True)]
)
def test_a_corrected_delivery_is_missing_its_required_proof(
    requirement: PodRequirement, missing: bool
) -> None:
    order = correct(order_in(Status.FAILED, pod_requirement=requirement), Status.DELIVERED)
    assert order.proof_missing == missing
    order = correct(order, Status.FAILED)
    assert not order.proof_missing


def test_the_database_refuses_to_reopen_a_canceled_order() -> None:
    order = order_in(Status.CANCELED)
    with (
        pytest.raises(DatabaseError, match="for good"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE orders_order SET status = 'FAILED' WHERE id = %s", [order.pk])


def test_a_canceled_order_with_a_missing_parcel_can_be_marked_delivered() -> None:
    order = order_in(Status.MISSION_SUBMITTED)
    lifecycle.cancel(order.pk, by=OPS, reason=CancelReason.WEATHER)
    with pytest.raises(lifecycle.Refused):
        lifecycle.delivered_after_all(order.pk, by=OPS, why="The customer has it.")
    lifecycle.sight_lost(order.pk, by=OPS, why="Ground control says that it flies.")
    order = lifecycle.delivered_after_all(order.pk, by=OPS, why="The customer has it.")
    assert (order.status, order.holder, order.cancel_reason) == ("DELIVERED", "RECIPIENT", "")
    assert ends_of(order) == ["CANCELED", "CORRECTED"]
