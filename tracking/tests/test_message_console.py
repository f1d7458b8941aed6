"""Messages in the console: each order's, and the failed ones; no addresses."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from orders import lifecycle
from orders.models import Order
from orders.states import CancelReason, PodRequirement, Status
from orders.tests.factories import OrderFactory, order_in
from tracking.messages import resending
from tracking.messages.console import unsent
from tracking.messages.models import CustomerMessage
from wingxtra.accounts.identity import SYSTEM
from wingxtra.accounts.tests.factories import UserFactory
from wingxtra.console.look import Look
from wingxtra.problems import Conflict

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(settings: Settings) -> Order:
    """An order whose first message was given up."""
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


def test_the_orders_page_lists_the_messages_to_the_customer(client: Client, order: Order):
    client.force_login(UserFactory(ops=True), backend="wingxtra.console.roles.RoleBackend")
    page = client.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()
    _, _, section = page.partition("Messages to the customer")
    assert "Order received" in section
    assert "Given up: The SMS gateway answered 400." in section
    assert "A text that is kept" not in section


def test_a_failed_message_needs_attention_until_the_order_ends(order: Order):
    (item,) = unsent(Look(timezone.now()))
    assert item.text == f"A message to the customer of order {order} was not sent: order received"
    assert "answered 400" in item.detail
    assert "24123" not in item.text + item.detail
    lifecycle.cancel(order.pk, by=SYSTEM, reason=CancelReason.OTHER)
    assert not list(unsent(Look(timezone.now())))


def resend(client: Client, order: Order) -> str:
    url = reverse("admin:act", args=["orders.order", "resend-code"]) + f"?id={order.pk}"
    token = client.get(url).context["targets"][0].token
    form = {f"seen-{order.pk}": token, "reason": "She has deleted it."}
    return client.post(url, form, follow=True).content.decode()


def test_the_code_is_sent_again_as_a_new_message(client: Client, settings: Settings):
    settings.MESSAGE_CHANNELS = ["sms"]
    client.force_login(
        UserFactory(username="ama", ops=True), backend="wingxtra.console.roles.RoleBackend"
    )
    order = order_in(Status.ENROUTE, pod_requirement=PodRequirement.OTP)
    launched = CustomerMessage.objects.filter(order=order, kind=CustomerMessage.Kind.LAUNCHED)
    first = launched.get()
    assert "is on its way" in resend(client, order)
    launched.update(state=CustomerMessage.State.SENT)
    assert "is sent the code again" in resend(client, order)
    second = launched.get()
    assert second.pk != first.pk
    assert second.state == CustomerMessage.State.WAITING
    event = order.events.get(message="The code is sent again: She has deleted it.")
    assert event.actor == "user:ama"


@pytest.mark.parametrize(
    ("status", "pod", "channels"),
    [
        (Status.QUEUED, PodRequirement.OTP, ["sms"]),
        (Status.ENROUTE, PodRequirement.NONE, ["sms"]),
        (Status.ENROUTE, PodRequirement.OTP, []),
        (Status.DELIVERED, PodRequirement.OTP, ["sms"]),
    ],
)
def test_a_code_that_was_not_sent_cannot_be_sent_again(
    settings: Settings, status: Status, pod: PodRequirement, channels: list[str]
):
    settings.MESSAGE_CHANNELS = channels
    order = order_in(status, pod_requirement=pod)
    with pytest.raises(Conflict):
        resending.send_code_again(order.pk, by=SYSTEM, why="Lost.")
    assert not order.events.filter(message__startswith="The code is sent again").exists()
