"""The label of a parcel, and the callers who may get it."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest
import segno
from pytest_django import Settings

from fleet.tests.factories import HubFactory
from orders.models import Order
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from orders.tests.loading import FAR, browser_of, drone_of, loader_at
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client

pytestmark = pytest.mark.django_db


def path_of(order: Order) -> str:
    return f"/api/v1/orders/{order.pk}/label"


def texts_of(answer: Any) -> list[str]:
    return [text.text or "" for text in ET.fromstring(answer.content).iter() if text.text]


def test_a_label_names_the_parcel_and_not_the_customer(settings: Settings) -> None:
    settings.PUBLIC_BASE_URL = "https://delivery.example"
    order = OrderFactory(
        public_tracking_id="7Q2KM9XW4TZ1H", external_id="R-1042", customer_email="a@example.com"
    )
    answer = api_client(UserFactory(ops=True)).get(path_of(order))

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/svg+xml")
    texts = texts_of(answer)
    for expected in ("7Q2K-M9XW", "Parcel, 0.8 kg", "From Ridge Pharmacy", "Ref. R-1042"):
        assert expected in texts
    shown = answer.content.decode()
    for private in ("Ama", "Mensah", "+233", "example.com", "4TZ1H", "5.615"):
        assert private not in shown
    code = segno.make(f"https://delivery.example/load/scan/{order.pk}", error="m")
    assert code.svg_inline(border=0, omitsize=True) in shown


@pytest.mark.parametrize("name", ["<b>&amp;'\"", "a\x01b\x1f", "x" * 120])
def test_a_label_is_valid_svg_for_any_pickup_name(name: str) -> None:
    order = OrderFactory(pickup_name=name, external_id=name[:64])
    answer = api_client(UserFactory(ops=True)).get(path_of(order))
    assert all(len(text) <= 48 for text in texts_of(answer))


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.OPS, 200),
        (Role.ADMIN, 200),
        (Role.READONLY, 403),
        (Role.LOADER, 404),
        (Role.MERCHANT, 404),
    ],
)
def test_who_gets_the_label_of_any_order(role: Role, status: int) -> None:
    merchant = MerchantFactory() if role == Role.MERCHANT else None
    user = UserFactory(role=role, merchant=merchant)
    order = OrderFactory()
    assert api_client(user).get(path_of(order)).status_code == status
    assert browser_of(user).get(path_of(order)).status_code == status


def test_a_merchant_gets_its_own_labels_and_a_loader_those_of_its_hub() -> None:
    hub = HubFactory()
    order = order_in(Status.ASSIGNED, drone=drone_of(hub))
    assert api_client(UserFactory(merchant=order.merchant)).get(path_of(order)).status_code == 200
    loader = loader_at(hub)
    assert api_client(loader).get(path_of(order)).status_code == 200
    assert browser_of(loader).get(path_of(order)).status_code == 200
    assert api_client(loader).get(path_of(OrderFactory(**FAR))).status_code == 404
    assert api_client().get(path_of(order)).status_code == 401
