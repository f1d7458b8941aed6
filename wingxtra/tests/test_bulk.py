"""Bulk inserts write the same rows as Django's single inserts."""

from datetime import timedelta

import pgbulk
import pytest
from django.apps import apps
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.db.models.signals import post_init, pre_init
from django.utils import timezone

from fleet.models import Drone
from fleet.tests.factories import DroneFactory
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.states import Status
from orders.tests.factories import OrderFactory
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.database import bulk, few_rows
from wingxtra.database.statements import Statement

pytestmark = pytest.mark.django_db

MANY = bulk.MAX_PREPARED_ROWS + 10


def events(order: Order, count: int) -> list[DeliveryEvent]:
    return [
        DeliveryEvent(
            order=order,
            type="CREATED",
            status="CREATED",
            message=f"“{n}”\tÄ\\N\n",
            payload={"n": n, "words": 'a "b" \\ c', "none": None},
            actor_kind="system",
            occurred_at=timezone.now(),
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [1, MANY])
def test_inserted_rows_equal_the_stored_ones_and_have_keys(count):
    order = OrderFactory()
    written = events(order, count)
    bulk.insert(written)
    read = DeliveryEvent.objects.in_bulk([event.pk for event in written])
    assert len(read) == count
    for event in written:
        stored = read[event.pk]
        assert (stored.message, stored.payload) == (event.message, event.payload)
        assert (stored.occurred_at, stored.job_id) == (event.occurred_at, None)
        assert not event._state.adding
    assert sorted(read) == [event.pk for event in written]


def test_a_new_row_is_like_one_of_djangos_constructor():
    values = {"merchant_id": MerchantFactory().pk, "pickup_name": "Pharmacy", "pickup_lat": 5.6}
    row, usual = few_rows.new(Order, **values), Order(**values)
    # Each row has its own.
    own = {"id", "public_tracking_id", "label_id"} | {
        field.attname for field in Order._meta.fields if field.default is timezone.now
    }
    columns = [field.attname for field in Order._meta.concrete_fields]
    assert {name: getattr(row, name) for name in columns if name not in own} == {
        name: getattr(usual, name) for name in columns if name not in own
    }
    assert row.pk != usual.pk
    assert row.metadata is not few_rows.new(Order).metadata
    assert row._state.adding
    assert row.merchant.pk == values["merchant_id"]


def test_no_model_makes_its_objects_in_a_way_of_its_own():
    """Rows are made and read without Django's constructor, which a model or a signal may change."""
    assert [model for model in apps.get_models() if model.__init__ is not Model.__init__] == []
    assert [*pre_init.receivers, *post_init.receivers] == []


def test_a_new_row_has_no_other_columns_than_its_model():
    with pytest.raises(TypeError, match="Order has no columns merchant, price"):
        few_rows.new(Order, merchant=None, price=3, pickup_lat=5.6)


class Word(str):
    pass


def test_json_keeps_texts_of_any_type():
    order = OrderFactory()
    written = events(order, 1)
    written[0].payload = {"method": Word("PIN"), "status": Status.DELIVERED, "tries": [1, 2.5]}
    bulk.insert(written)
    (found,) = Statement(
        lambda pk: DeliveryEvent.objects.filter(pk=pk).values_list("payload"), pk=int
    ).all(pk=written[0].pk)
    assert found == ({"method": "PIN", "status": "DELIVERED", "tries": [1, 2.5]},)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_has_no_number_that_is_not_finite(number):
    """It is refused, as PostgreSQL refuses it, and not stored as null."""
    written = events(OrderFactory(), 1)
    written[0].payload = {"unknown": None, "route": [{"alt_m": 60.0}, {"alt_m": number}]}
    with pytest.raises(ValueError, match=r"JSON has no number (nan|inf)"):
        bulk.insert(written)


def test_the_next_row_gets_a_new_key():
    order = OrderFactory()
    bulk.insert(events(order, MANY))
    (one,) = events(order, 1)
    one.save()
    assert DeliveryEvent.objects.filter(pk=one.pk).count() == 1


def test_a_refused_row_is_an_integrity_error_and_nothing_is_written():
    order, drone = OrderFactory(), DroneFactory()
    jobs = [DeliveryJob(order=order, drone=drone, attempt=n) for n in range(MANY)]
    with pytest.raises(IntegrityError, match="one_active_job_per"), transaction.atomic():
        bulk.insert(jobs)
    assert not DeliveryJob.objects.exists()


def test_copied_rows_equal_the_stored_ones():
    order = OrderFactory()
    written = events(order, MANY)
    bulk.copy(written)
    stored = list(order.events.order_by("-pk")[:MANY])
    for event, read in zip(written, reversed(stored), strict=True):
        assert (read.message, read.payload) == (event.message, event.payload)
        assert (read.type, read.occurred_at) == (event.type, event.occurred_at)
        assert (event.pk, event._state.adding) == (None, False)


@pytest.mark.parametrize("count", [1, MANY])
def test_an_update_changes_each_row_to_its_own_values(count, django_assert_num_queries):
    orders = OrderFactory.create_batch(count)
    other = OrderFactory(attempts=7)
    later = timezone.now() + timedelta(days=1)
    for n, order in enumerate(orders):
        order.attempts, order.not_before, order.cancel_note = n, None, f"Ä “{n}” \\ "
        order.deliver_by = later + timedelta(microseconds=n)
    with django_assert_num_queries(1):
        pgbulk.update(Order, orders, ["attempts", "not_before", "cancel_note", "deliver_by"])
    for order in orders:
        stored = Order.objects.get(pk=order.pk)
        assert (stored.attempts, stored.cancel_note) == (order.attempts, order.cancel_note)
        assert (stored.deliver_by, stored.not_before) == (order.deliver_by, None)
    assert Order.objects.get(pk=other.pk).attempts == 7


def test_no_rows_take_no_statement(django_assert_num_queries):
    with django_assert_num_queries(0):
        bulk.insert([])
        bulk.copy([])
        pgbulk.update(Order, [], ["attempts"])
    assert not Drone.objects.exists()
