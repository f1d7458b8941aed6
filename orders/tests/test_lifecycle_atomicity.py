"""A verb that fails midway changes neither order, job nor events."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread

import pytest
from django.db import Error as DatabaseFailure
from django.db import connection
from django.utils import timezone

from fleet.tests.factories import DroneFactory
from orders import lifecycle
from orders.models import DeliveryEvent, Order
from orders.states import CancelReason, JobStatus, Status
from orders.tests.factories import OrderFactory, order_in
from orders.tests.test_lifecycle import kept
from wingxtra.accounts.identity import GCS, SYSTEM


class Downstream(Exception):
    """The exception of a failing receiver of `recorded`."""


@contextmanager
def listening(receiver: Callable[..., None]) -> Iterator[None]:
    lifecycle.recorded.connect(receiver)
    try:
        yield
    finally:
        lifecycle.recorded.disconnect(receiver)


def raise_downstream(**_: object) -> None:
    raise Downstream


def kill_own_connection(**_: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def reassign(order: Order) -> None:
    lifecycle.reassign(order.pk, DroneFactory().pk, by=SYSTEM, why="Fuller.")


def reschedule(order: Order) -> None:
    deliver_by = timezone.now() + timedelta(hours=3)
    lifecycle.reschedule(order.pk, not_before=None, deliver_by=deliver_by, by=SYSTEM)


def cancel(order: Order) -> None:
    lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.WEATHER)


def fail(order: Order) -> None:
    lifecycle.mission_over(order.pk, ended=JobStatus.FAILED, by=GCS, why="Wind.", max_attempts=1)


def deliver(order: Order) -> None:
    lifecycle.advance(order.pk, Status.DELIVERED, by=GCS)


VERBS = (reassign, reschedule, cancel, fail, deliver)


@pytest.mark.django_db
@pytest.mark.parametrize("verb", VERBS)
def test_a_receiver_that_raises_rolls_everything_back(verb: Callable[[Order], None]) -> None:
    order = order_in(Status.ASSIGNED)
    before = kept(order)
    with listening(raise_downstream), pytest.raises(Downstream):
        verb(order)
    assert kept(order) == before
    verb(order)
    assert kept(order) != before


@pytest.mark.django_db(transaction=True)  # the failure aborts its transaction
def test_an_order_whose_events_cannot_be_written_is_not_placed() -> None:
    with listening(raise_downstream), pytest.raises(Downstream):
        OrderFactory()
    assert not Order.objects.exists()
    assert not DeliveryEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", VERBS)
def test_a_connection_killed_midway_rolls_everything_back(verb: Callable[[Order], None]) -> None:
    order = order_in(Status.ASSIGNED)
    before = kept(order)
    died: list[Exception] = []

    def run() -> None:
        try:
            verb(order)
        except DatabaseFailure as problem:
            died.append(problem)
        finally:
            connection.close()

    with listening(kill_own_connection):
        thread = Thread(target=run)
        thread.start()
        thread.join()
    assert died
    assert kept(order) == before
