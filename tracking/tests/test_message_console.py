"""What staff see of messages: who was told what, who was not, and no address."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from orders import lifecycle
from orders.models import Order
from orders.states import CancelReason
from orders.tests.factories import OrderFactory
from tracking.message_console import not_told
from tracking.message_models import CustomerMessage
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(settings: Settings) -> Order:
    """Its first message was given up."""
    settings.MESSAGE_CHANNELS = ["sms"]
    order = OrderFactory()
    CustomerMessage.objects.update(
        state=CustomerMessage.State.GIVEN_UP,
        problem="The SMS gateway answered 400.",
        tries=1,
        address="+233241234567",
        text="A text that is kept",
    )
    return order


def test_the_orders_page_says_what_the_customer_was_told(client: Client, order: Order):
    client.force_login(UserFactory(ops=True), backend="wingxtra.console.roles.RoleBackend")
    page = client.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()
    _, _, section = page.partition("Messages to the customer")
    assert "Order received" in section
    assert "Given up: The SMS gateway answered 400." in section
    assert "A text that is kept" not in section


def test_a_message_that_was_given_up_needs_attention_while_it_matters(order: Order):
    (item,) = not_told(timezone.now())
    assert item.text == f"The customer of order {order} was not told: order received"
    assert "answered 400" in item.detail
    assert "24123" not in item.text + item.detail
    lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER)
    assert not list(not_told(timezone.now()))
