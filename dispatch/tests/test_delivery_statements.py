"""How many statements the steps of a delivery take: publishing its mission, each report of it, and
sending a webhook of it. BEGIN and COMMIT are not counted.
"""

from typing import Any

import pytest
from django.utils import timezone

from dispatch.missions import publishing
from dispatch.tests.support import able_drone, mission_of, stored
from fleet.simulator.run import Simulator
from orders.models import Order
from orders.states import Status
from orders.tests.factories import order_in
from orders.tests.test_budgets import heads, sent
from tracking.models import WebhookDelivery
from tracking.tests.receiver import WebhookFactory, deliver, receiving
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import key_client

# With real commits, so that rules and keys are cached as in production.
pytestmark = pytest.mark.django_db(transaction=True)

STEPS = ("LAUNCHED", "PICKED_UP", "ENROUTE", "ARRIVED", "DELIVERING", "DELIVERED")


def delivery(merchant: Any) -> Order:
    """Assigned to WX-DRN-001; its merchant gets a webhook of each step, its customer messages."""
    return order_in(
        Status.ASSIGNED, drone=able_drone(), merchant=merchant, customer_phone="+233201234567"
    )


def test_the_steps_of_a_delivery_take_few_statements(bridge: Simulator, settings: Any) -> None:
    settings.MESSAGE_CHANNELS = ["sms"]
    settings.WEBHOOK_TRUSTED_HOSTS = ["127.0.0.1"]
    ops = key_client(role=Role.OPS)
    with receiving() as shop:
        merchant = WebhookFactory(url=shop.url).merchant
        flown(ops, delivery(merchant))  # caches are filled, keys are known
        bridge.advance(900)
        taken = flown(ops, delivery(merchant))
        due = WebhookDelivery.objects.due(timezone.now())
        assert deliver(due[0].pk)
        second = due[0].pk
        with sent() as statements:
            assert deliver(second)
    # One more for the message to the customer of LAUNCHED and ARRIVED.
    most = dict.fromkeys(STEPS, 5) | {"publishing": 11, "LAUNCHED": 6, "ARRIVED": 6}
    most["DELIVERED"] = 11
    over = {step: heads(found) for step, found in taken.items() if len(found) > most[step]}
    assert not over
    assert not [sql for found in taken.values() for sql in heads(found) if "SAVEPOINT" in sql]
    assert len(statements) <= 6, heads(statements)


def flown(ops: Any, order: Order) -> dict[str, list[Any]]:
    """Deliver the order by ground control's reports; returns the statements of each step."""
    mission = mission_of(order)
    with sent() as statements:
        publishing.publish(mission.pk)
    taken = {"publishing": statements}
    for step in STEPS:
        report = {"event_type": step, "event_id": step}
        with sent() as statements:
            answer = ops.post(f"/api/v1/orders/{order.pk}/events", report)
        assert answer.json()["duplicate"] is False, answer.json()
        taken[step] = statements
    assert stored(order).status == Status.DELIVERED
    return taken
