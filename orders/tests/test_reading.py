"""Reading orders with compiled statements, as model objects and without them."""

import json
import uuid

import msgspec
import pytest
import time_machine
from django.utils import timezone
from jsonschema import Draft202012Validator

from fleet.tests.factories import HubFactory
from orders import lifecycle
from orders.api.reading import newest, order_for, shown_to
from orders.api.serializers import order_json
from orders.models import Order
from orders.states import JobStatus, Status
from orders.tests.factories import OrderFactory, StoreFactory, order_in
from wingxtra.accounts.identity import GCS, SYSTEM, Role
from wingxtra.accounts.models import ApiKey, Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, key_client
from wingxtra.api.contracts import committed
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


# --- answers without model objects ---------------------------------------------------------------

PATH = "/api/v1/orders"


def of_every_kind(merchant: Merchant) -> list[Order]:
    """Orders in all states, with and without what an order can have."""
    orders = [order_in(status, merchant=merchant) for status in Status]
    full = {
        "customer_email": "ama@example.com",
        "customer_language": "fr",
        "dropoff_accuracy_m": 4.25,
        "dropoff_captured_at": timezone.now(),
        "dropoff_address": "12 Ridge Road",
        "dropoff_instructions": "Ring twice, 100% sure_",
        "external_id": "R-1042",
        "metadata": {"till": "3", "ü": "ä"},
        "payload_size_cm": [30.0, 20.0, 10.5],
        "pod_requirement": "SIGNATURE",
        "ready_at": timezone.now(),
        "store": StoreFactory(merchant=merchant),
    }
    orders.append(order_in(Status.ARRIVED, merchant=merchant, **full))
    at_hub = order_in(Status.LAUNCHED, merchant=merchant)
    lifecycle.loaded(at_hub.pk, by=GCS)
    lost = order_in(Status.LAUNCHED, merchant=merchant)
    lifecycle.loaded(lost.pk, by=GCS)
    over = {"ended": JobStatus.FAILED, "by": GCS, "why": "Battery.", "max_attempts": 3}
    lifecycle.mission_over(lost.pk, **over, parcel_astray="It landed in a field.")
    lifecycle.mission_over(at_hub.pk, **over)
    lifecycle.unloaded(at_hub.pk, HubFactory().pk, by=SYSTEM)
    return [*orders, at_hub, lost]


@pytest.mark.parametrize("role", [Role.MERCHANT, Role.OPS])
def test_an_answer_is_that_of_the_model_and_keeps_the_contract(role: Role) -> None:
    merchant = MerchantFactory()
    ids = [order.pk for order in of_every_kind(merchant)]
    caller = key(role, merchant if role == Role.MERCHANT else None)
    now = timezone.now()
    contract = Draft202012Validator(
        committed("order"), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    listed = {order.pk: order for order in newest(caller, "").window(0, 100)}
    assert set(listed) == set(ids)
    for pk in ids:
        model = Order.objects.get(pk=pk)
        expected = order_json(model, caller, now)
        assert order_json(shown_to(caller, pk), caller, now) == expected
        assert order_json(listed[pk], caller, now) == expected
        contract.validate(json.loads(msgspec.json.encode(expected)))


@pytest.mark.parametrize("role", [Role.MERCHANT, Role.OPS])
@pytest.mark.parametrize(
    "asked",
    [
        "",
        "page_size=3&page=2",
        "page=99",
        "q=",
        "q=%20",
        "q=R-1042",
        "search=ama%20mensah",
        "q=ama&search=mensah",
        "q=024%20100%200001",
        "q=100%25",
        "q=sure_",
        "q=%5C",
        "q=a%0Ab",
        "q=https://x/track/{tracking_id}/",
        "q={id}",
    ],
)
def test_a_page_is_the_same_with_and_without_filters(role: Role, asked: str) -> None:
    """`ordering` is a filter, so the first answer comes from the queryset."""
    merchant = MerchantFactory()
    order, *_ = of_every_kind(merchant)
    client = key_client(merchant=merchant) if role == Role.MERCHANT else key_client(role=role)
    query = asked.format(id=order.pk, tracking_id=order.public_tracking_id)
    with time_machine.travel(timezone.now(), tick=False):
        filtered = client.get(f"{PATH}?{query}&ordering=-created_at")
        plain = client.get(f"{PATH}?{query}")
    assert (filtered.status_code, plain.status_code) == (200, 200)
    assert plain.json() == filtered.json()


def test_a_walk_with_a_cursor_finds_each_order_once() -> None:
    merchant = MerchantFactory()
    ids = [str(order.pk) for order in of_every_kind(merchant)]
    client, found, cursor = key_client(merchant=merchant), [], ""
    while cursor is not None:
        page = client.get(f"{PATH}?page_size=4&cursor={cursor}").json()
        found += [order["id"] for order in page["items"]]
        cursor = page["next_cursor"]
    assert sorted(found) == sorted(ids)
    assert len(set(found)) == len(found)
