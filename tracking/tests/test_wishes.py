"""Instructions of a customer, and the number of the order in the shop, on page and in the API."""

import re
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from orders.models import DeliveryEvent, Order
from orders.states import EventType, Status
from orders.tests.factories import OrderFactory, order_in
from tracking.page.pages import token_of
from tracking.tests.test_forms import feedback, fresh, path
from wingxtra.accounts.tests.factories import MerchantFactory

pytestmark = pytest.mark.django_db


def send(order: Order, instructions: str, **more: str) -> Any:
    token = token_of(order.public_tracking_id)
    form = {"do": "instructions", "token": token, "instructions": instructions, **more}
    return Client().post(path(order), form)


def page_of(order: Order) -> str:
    return Client().get(path(order)).content.decode()


def test_a_customer_gives_instructions_which_the_page_does_not_repeat() -> None:
    order = OrderFactory()
    assert 'name="instructions"' in page_of(order)
    sent = send(order, " On the lawn.\r\nMind <b>the dog</b>. ")
    then = Client().get(sent.headers["Location"])
    assert (sent.status_code, feedback(then)) == (303, "Thank you. We noted your instructions.")
    assert fresh(order).dropoff_instructions == "On the lawn.\nMind <b>the dog</b>."
    assert "the dog" not in then.content.decode()
    assert "What you write here replaces them." in then.content.decode()
    event = DeliveryEvent.objects.filter(order=order).last()
    assert (event.type, event.actor, event.payload) == (
        EventType.DETAILS_CHANGED,
        "customer",
        {"fields": ["dropoff_instructions"]},
    )


def test_they_are_given_by_the_api_too_and_are_in_no_public_json() -> None:
    order = OrderFactory()
    url = f"/api/v1/tracking/{order.public_tracking_id}"
    answer = APIClient().post(f"{url}/instructions", {"instructions": "On the lawn."})
    assert answer.status_code == 200
    assert fresh(order).dropoff_instructions == "On the lawn."
    assert "lawn" not in answer.content.decode() + APIClient().get(url).content.decode()
    assert APIClient().post(f"{url}/instructions", {}).status_code == 400


@pytest.mark.parametrize(
    ("status", "asks"),
    [
        (Status.VALIDATED, True),
        (Status.QUEUED, True),
        (Status.MISSION_SUBMITTED, True),
        (Status.LAUNCHED, False),
        (Status.ARRIVED, False),
        (Status.DELIVERED, False),
        (Status.CANCELED, False),
    ],
)
def test_the_page_asks_for_them_until_launch(status: Status, asks: bool) -> None:
    order = order_in(status, dropoff_instructions="On the lawn.")
    shown = page_of(order)
    assert ('name="instructions"' in shown) == asks
    assert "On the lawn." not in shown
    has_launched = status in (Status.LAUNCHED, Status.ARRIVED)
    assert ("We have your instructions and follow them" in shown) == has_launched


def test_after_launch_it_is_too_late() -> None:
    order = order_in(Status.LAUNCHED)
    refused = send(order, "On the lawn.")
    assert refused.status_code == 409
    assert feedback(refused) == "It is too late for instructions: the drone is on its way."
    assert 'name="instructions"' not in refused.content.decode()


def test_too_long_instructions_are_refused_with_the_limit() -> None:
    refused = send(OrderFactory(), "x" * 301)
    assert refused.status_code == 400
    assert feedback(refused) == "Please use at most 300 characters."
    assert send(OrderFactory(), "x" * 299 + "\r\n").status_code == 303


def test_a_form_of_another_page_is_refused() -> None:
    order = OrderFactory()
    assert send(order, "On the lawn.", token=token_of("7Q2KM9XW4TZ1H")).status_code == 400
    assert fresh(order).dropoff_instructions == ""


def test_the_shops_own_number_is_on_the_page_and_in_the_api() -> None:
    order = OrderFactory(external_id="INV-1", merchant=MerchantFactory(name="Sika & Sons"))
    text = re.sub(r"<[^>]+>", "", page_of(order))
    assert "Your order at Sika &amp; Sons: INV-1" in text
    url = f"/api/v1/tracking/{order.public_tracking_id}"
    assert APIClient().get(url).json()["external_id"] == "INV-1"
    assert "Your order at" not in page_of(OrderFactory(external_id=None))
