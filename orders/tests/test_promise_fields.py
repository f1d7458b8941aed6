"""What an order says of its promise: `sla`, `eta_at`, `promised_at`."""

import pytest

from orders.models import DeliveryJob
from orders.states import Status
from orders.tests.factories import OrderFactory, order_in
from wingxtra.accounts.tests.factories import key_client

pytestmark = pytest.mark.django_db


def shown(order: object) -> dict[str, object]:
    client = key_client(merchant=order.merchant)
    return client.get(f"/api/v1/orders/{order.pk}").json()


@pytest.mark.parametrize("status", [Status.CANCELED, Status.FAILED, Status.ABORTED])
def test_an_order_that_ended_without_a_delivery_has_no_sla(status: Status) -> None:
    assert shown(order_in(status))["sla"] is None


@pytest.mark.parametrize("status", [Status.QUEUED, Status.ENROUTE, Status.DELIVERED])
def test_a_promised_or_delivered_order_has_an_sla(status: Status) -> None:
    assert shown(order_in(status))["sla"] == "on_time"


def test_the_eta_and_the_promise_are_instants() -> None:
    order = order_in(Status.ENROUTE)
    DeliveryJob.objects.update(
        eta_at="2026-03-01T12:09:00+01:00", promised_at="2026-03-01T11:05:00Z"
    )
    body = shown(order)
    assert (body["eta_at"], body["promised_at"]) == ("2026-03-01T11:09:00Z", "2026-03-01T11:05:00Z")


def test_an_order_without_a_drone_has_neither() -> None:
    body = shown(OrderFactory())
    assert (body["eta_at"], body["promised_at"]) == (None, None)
