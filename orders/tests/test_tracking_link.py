"""A new tracking link: who may ask for it, and what it leaves as it was."""

import pytest

from fleet.tests.factories import HubFactory
from orders.changes import tracking_link
from orders.loading import board
from orders.models import DeliveryEvent, Order
from orders.states import EventType, Status
from orders.tests.factories import OrderFactory, order_in
from orders.tests.loading import browser_of
from orders.tests.test_api import ORDERS
from wingxtra.accounts.identity import SYSTEM, Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client
from wingxtra.problems import Conflict

pytestmark = pytest.mark.django_db

FORMER = "7Q2KM9XW4TZ1H"


@pytest.fixture
def order() -> Order:
    return OrderFactory(public_tracking_id=FORMER)


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.OPS, 200),
        (Role.ADMIN, 200),
        (Role.READONLY, 403),
        (Role.LOADER, 403),
        (Role.MERCHANT, 404),
    ],
)
def test_who_may_renew_the_link_of_any_order(order: Order, role: Role, status: int) -> None:
    merchant = MerchantFactory() if role == Role.MERCHANT else None
    client = api_client(UserFactory(role=role, merchant=merchant))
    assert client.post(f"{ORDERS}/{order.pk}/tracking-link").status_code == status
    is_renewed = Order.objects.get(pk=order.pk).public_tracking_id != FORMER
    assert is_renewed == (status == 200)


def test_a_merchant_renews_the_link_of_its_own_order(order: Order) -> None:
    client = api_client(UserFactory(merchant=order.merchant))
    shown = client.post(f"{ORDERS}/{order.pk}/tracking-link").json()
    renewed = shown["public_tracking_id"]
    assert renewed != FORMER
    assert renewed in shown["tracking_url"]
    event = DeliveryEvent.objects.last()
    assert (event.type, event.payload) == (EventType.TRACKING_RENEWED, {})
    # Events are kept: neither id is in them.
    assert FORMER not in event.message
    assert renewed not in event.message


def test_staff_find_the_order_by_its_new_id_and_the_parcel_by_its_label(order: Order) -> None:
    ops = UserFactory(ops=True)
    client = api_client(ops)
    label = client.get(f"{ORDERS}/{order.pk}/label").content
    renewed = tracking_link.renew(order.pk, by=SYSTEM)
    renewed = tracking_link.renew(order.pk, by=SYSTEM)

    found = client.get(ORDERS, {"q": renewed.public_tracking_id}).json()["items"]
    assert [one["id"] for one in found] == [str(order.pk)]
    assert client.get(ORDERS, {"q": FORMER}).json()["items"] == []
    # A label that was printed before still names the parcel, as the loader's list does.
    assert client.get(f"{ORDERS}/{order.pk}/label").content == label
    assert board.row_of(renewed, HubFactory()).short_id == "7Q2K-M9XW"
    typed = browser_of(ops).get("/load/scan/7q2k-m9xw", follow=True)
    assert str(order.pk) in typed.content.decode()


@pytest.mark.parametrize("field", ["customer_phone", "customer_email"])
def test_a_corrected_address_renews_the_link_once(field: str) -> None:
    former = {"customer_phone": "+233241234567", "customer_email": "ama@mail.example"}
    correct = {"customer_phone": "+233 20 111 2222", "customer_email": "esi@mail.example"}
    order = OrderFactory(public_tracking_id=FORMER, **former)
    client = api_client(UserFactory(merchant=order.merchant))

    shown = client.patch(f"{ORDERS}/{order.pk}", {field: correct[field]}).json()
    assert shown["public_tracking_id"] != FORMER
    # The same address again, in another spelling, is no correction.
    again = client.patch(f"{ORDERS}/{order.pk}", {field: correct[field].replace(" ", "")}).json()
    assert again["public_tracking_id"] == shown["public_tracking_id"]
    renewals = DeliveryEvent.objects.filter(type=EventType.TRACKING_RENEWED)
    assert renewals.count() == 1


def test_the_first_address_of_a_customer_keeps_the_link() -> None:
    order = OrderFactory(public_tracking_id=FORMER, customer_phone="")
    client = api_client(UserFactory(merchant=order.merchant))
    shown = client.patch(f"{ORDERS}/{order.pk}", {"customer_phone": "+233201112222"}).json()
    assert shown["public_tracking_id"] == FORMER


def test_a_link_is_renewed_at_most_20_times(order: Order) -> None:
    for _ in range(tracking_link.MAX_RENEWALS):
        tracking_link.renew(order.pk, by=SYSTEM)
    with pytest.raises(Conflict) as refused:
        tracking_link.renew(order.pk, by=SYSTEM)
    assert refused.value.code == "renewed_too_often"


def test_a_link_is_renewed_also_after_the_delivery() -> None:
    order = order_in(Status.DELIVERED)
    renewed = tracking_link.renew(order.pk, by=SYSTEM)
    assert renewed.public_tracking_id != order.public_tracking_id
    assert renewed.status == Status.DELIVERED
