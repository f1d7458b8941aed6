"""Reading one order with the prepared statement."""

import uuid

import pytest
from django.utils import timezone

from orders.api.reading import order_for
from orders.models import Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, Merchant
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.problems import NotFound

pytestmark = pytest.mark.django_db


def key(role: Role, merchant: Merchant | None = None, live_mode: bool = True) -> ApiKey:
    return ApiKey.issue(name="till", role=role, merchant=merchant, live_mode=live_mode)[0]


def test_the_merchant_and_staff_read_an_order_with_its_job(django_assert_num_queries) -> None:
    order = order_in(Status.ASSIGNED)
    for caller in (key(Role.MERCHANT, order.merchant), key(Role.OPS), key(Role.ADMIN)):
        with django_assert_num_queries(1):
            found = order_for(caller, order.pk)
            assert found == order
            assert found.assigned_drone_id == order.assigned_drone_id


def test_every_column_equals_that_of_the_queryset() -> None:
    """The prepared statement reads binary values, the queryset reads text."""
    pk = order_in(Status.DELIVERED, dropoff_accuracy_m=4.25, not_before=timezone.now()).pk
    found = order_for(key(Role.OPS), pk)
    order = Order.objects.select_related("current_job").get(pk=pk)
    assert found.current_job
    assert order.current_job
    for one, other in ((found, order), (found.current_job, order.current_job)):
        for column in one._meta.concrete_fields:
            mine, theirs = (getattr(row, column.attname) for row in (one, other))
            assert (mine, type(mine)) == (theirs, type(theirs)), column.attname


def test_other_callers_get_not_found() -> None:
    order = OrderFactory()
    shop = order.merchant
    for caller in (
        key(Role.MERCHANT, MerchantFactory()),
        key(Role.MERCHANT, shop, live_mode=False),
    ):
        with pytest.raises(NotFound):
            order_for(caller, order.pk)
    stranger = key(Role.OPS)
    stranger.role = "CUSTOMER"
    with pytest.raises(NotFound):
        order_for(stranger, order.pk)
    with pytest.raises(NotFound):
        order_for(key(Role.OPS), uuid.uuid4())


def test_a_test_key_sees_test_orders_only() -> None:
    order = OrderFactory(live_mode=False)
    assert order_for(key(Role.MERCHANT, order.merchant, live_mode=False), order.pk) == order
    with pytest.raises(NotFound):
        order_for(key(Role.MERCHANT, order.merchant), order.pk)
