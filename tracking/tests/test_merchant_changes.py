"""`/merchant/orders/…`: what the merchant says and corrects while the order waits."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fleet.feasibility.rules import Priority
from orders.changes import details, tracking_link
from orders.models import DeliveryEvent, Order
from orders.states import EventType, Status
from orders.tests.factories import OrderFactory, order_in
from tracking.tests.test_merchant_access import client_of, user_of
from tracking.tests.test_merchant_orders import of, page, send
from wingxtra.accounts.identity import CUSTOMER
from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def merchant() -> Merchant:
    return MerchantFactory()


@pytest.fixture
def client(merchant: Merchant) -> Client:
    return client_of(user_of(merchant))


def filled(client: Client, order: Order, **changed: str) -> dict[str, str]:
    """The form for the details as a browser sends it, with these changes."""
    form = client.get(of(order)).context["details_form"]
    values = {field.html_name: field.value() or "" for field in form}
    initial = {field.html_initial_name: field.value() or "" for field in form}
    return {**initial, **values, **changed}


def types(order: Order) -> list[str]:
    return list(DeliveryEvent.objects.filter(order=order).values_list("type", flat=True))


def test_the_story_shows_address_instructions_size_and_own_data(client, merchant):
    order = OrderFactory(
        merchant=merchant,
        dropoff_address="12 Ring Road",
        dropoff_instructions="Blue gate.\nCall first.",
        payload_size_cm=[30, 20.5, 10],
        customer_language="fr",
        metadata={"shelf": "B4"},
    )
    content = page(client, of(order))
    for shown in ("12 Ring Road", "Blue gate.<br>Call first.", "30 x 20.5 x 10 cm", "Français"):
        assert f"<dd>{shown}</dd>" in content
    assert "<dt>shelf</dt><dd>B4</dd>" in content


def test_the_details_are_corrected(client, merchant):
    order = OrderFactory(merchant=merchant)
    changed = {
        "customer_name": "Kofi Boateng",
        "dropoff_instructions": "Blue gate.\r\nCall first.",
        "priority": "URGENT",
    }
    answer = send(client, order, "details", **filled(client, order, **changed))
    assert (answer.status_code, answer["Location"]) == (303, of(order))
    assert "The order is changed." in page(client, of(order))
    after = Order.objects.get()
    assert (after.customer_name, after.priority) == ("Kofi Boateng", Priority.URGENT)
    assert after.dropoff_instructions == "Blue gate.\nCall first."
    assert after.public_tracking_id == order.public_tracking_id
    [event] = DeliveryEvent.objects.filter(type=EventType.DETAILS_CHANGED)
    assert event.actor_kind == "user"


def test_a_corrected_phone_number_renews_the_link_and_says_so(client, merchant):
    order = OrderFactory(merchant=merchant)
    form = filled(client, order, customer_phone="+233 20 987 6543")
    send(client, order, "details", **form)
    assert "Its tracking link is new, and the customer gets it" in page(client, of(order))
    after = Order.objects.get()
    assert str(after.customer_phone) == "+233209876543"
    assert after.public_tracking_id != order.public_tracking_id


def test_a_form_that_changes_nothing_writes_nothing(client, merchant):
    order = OrderFactory(merchant=merchant, dropoff_instructions="Blue gate.\nCall first.")
    before = types(order)
    form = filled(client, order)
    for name in ("dropoff_instructions", "initial-dropoff_instructions"):
        form[name] = "Blue gate.\r\nCall first."
    send(client, order, "details", **form)
    assert "Nothing was changed." in page(client, of(order))
    assert types(order) == before


def test_what_the_customer_has_changed_since_is_not_overwritten(client, merchant):
    order = OrderFactory(merchant=merchant, dropoff_instructions="Ring.")
    form = filled(client, order, customer_name="Kofi Boateng")
    details.change_details(order.pk, {"dropoff_instructions": "Do not ring."}, by=CUSTOMER)
    send(client, order, "details", **form)
    after = Order.objects.get()
    assert (after.customer_name, after.dropoff_instructions) == ("Kofi Boateng", "Do not ring.")


def test_a_detail_can_be_taken_away(client, merchant):
    order = OrderFactory(merchant=merchant, customer_email="ama@example.com")
    send(client, order, "details", **filled(client, order, customer_email="", customer_name=""))
    after = Order.objects.get()
    assert (after.customer_email, after.customer_name) == ("", "")


def test_a_wrong_detail_is_named_at_its_field_and_nothing_is_lost(client, merchant):
    order = OrderFactory(merchant=merchant)
    wrong = {
        "customer_phone": "024",
        "customer_email": "ama",
        "priority": "SOON",
        "customer_name": "Kofi",
    }
    answer = send(client, order, "details", **filled(client, order, **wrong))
    assert answer.status_code == 400
    found = answer.context["details_form"].errors
    assert set(found) == {"customer_phone", "customer_email", "priority"}
    content = answer.content.decode()
    assert 'value="Kofi"' in content
    assert 'value="024"' in content
    null = send(client, order, "details", **filled(client, order, customer_name="a\0b"))
    assert null.status_code == 400
    assert Order.objects.get().customer_name == order.customer_name


@pytest.mark.parametrize("status", Status)
def test_details_are_corrected_until_launch(client, merchant, status):
    order = order_in(status, merchant=merchant)
    can = status in CHANGEABLE
    assert ("Correct the customer’s details" in page(client, of(order))) == can
    form = {"customer_name": "Kofi", "initial-customer_name": "Ama Mensah"}
    assert send(client, order, "details", **form).status_code == (303 if can else 409)


CHANGEABLE = {
    Status.CREATED,
    Status.VALIDATED,
    Status.QUEUED,
    Status.ASSIGNED,
    Status.MISSION_SUBMITTED,
}


# --- ready ---------------------------------------------------------------------------------------


def test_the_parcel_is_said_to_be_ready_once(client, merchant):
    order = OrderFactory(merchant=merchant)
    assert "The parcel is ready</button>" in page(client, of(order))
    answer = client.post(of(order) + "?follow", {"do": "ready"})
    assert answer["Location"] == of(order) + "?follow"
    content = page(client, of(order))
    assert "We know now that the parcel is ready." in content
    assert "<dt>Reported ready</dt>" in content
    assert "The parcel is ready</button>" not in content
    assert Order.objects.get().parcel_ready_at is not None
    send(client, order, "ready")
    assert types(order).count(EventType.PARCEL_READY) == 1


def test_a_parcel_of_an_order_that_is_over_is_not_expected(client, merchant):
    order = order_in(Status.CANCELED, merchant=merchant)
    assert "The parcel is ready</button>" not in page(client, of(order))
    answer = send(client, order, "ready")
    assert answer.status_code == 409
    assert "its parcel is not expected" in answer.content.decode()


# --- the link ------------------------------------------------------------------------------------


def test_the_link_is_renewed_after_a_confirmation(client, merchant):
    order = OrderFactory(merchant=merchant)
    path = of(order) + "new-link/"
    assert f'href="{path}"' in page(client, of(order))
    assert "The customer gets the new one by message." in page(client, path)
    assert Order.objects.get().public_tracking_id == order.public_tracking_id
    answer = client.post(path)
    assert (answer.status_code, answer["Location"]) == (303, of(order))
    after = Order.objects.get()
    assert after.public_tracking_id != order.public_tracking_id
    content = page(client, of(order))
    assert "The former one shows nothing any more." in content
    assert f"/track/{after.public_tracking_id}/" in content
    assert order.public_tracking_id not in content


def test_a_link_that_was_renewed_too_often_says_so(client, merchant, monkeypatch):
    monkeypatch.setattr(tracking_link, "MAX_RENEWALS", 1)
    order = OrderFactory(merchant=merchant)
    answers: list[Any] = [client.post(of(order) + "new-link/") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 409]
    assert "was renewed 1 times, the limit" in answers[1].content.decode()


def test_over_orders_promise_no_message(client, merchant):
    order = order_in(Status.DELIVERED, merchant=merchant)
    assert "by message" not in page(client, of(order) + "new-link/")


def test_the_confirmation_costs_a_fixed_number_of_statements(client, merchant):
    order = OrderFactory(merchant=merchant)
    with CaptureQueriesContext(connection) as taken:
        page(client, of(order) + "new-link/")
    # Session, user, merchant, order.
    assert len(taken) == 4
