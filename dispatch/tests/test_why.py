"""`manage.py why` explains the last decisions about an order."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from dispatch.models import DispatchRun
from dispatch.planning.runs import run
from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import SYSTEM

pytestmark = pytest.mark.django_db


def why(order: object) -> str:
    out = StringIO()
    call_command("why", str(order), stdout=out)
    return out.getvalue()


def test_why_shows_the_chosen_drone_the_next_best_and_those_ruled_out():
    near, far, flying = DroneFactory.create_batch(3)
    show(
        TelemetryFactory(drone_id=near.pk),
        TelemetryFactory(drone_id=far.pk, lat=5.6037 - 0.02),
        TelemetryFactory(drone_id=flying.pk, armed=True),
    )
    order = OrderFactory()
    run(trigger=DispatchRun.Trigger.COMMAND, by=SYSTEM)
    for name in (order.public_tracking_id, order.pk):
        text = why(name)
        assert f"{near.pk} takes" in text
        assert f"Next: {far.pk}" in text
        assert "would cost the plan" in text
        assert "1 drone: in the air or about to be" in text


def test_why_shows_the_missing_charge():
    drone = DroneFactory()
    show(TelemetryFactory(drone_id=drone.pk, battery_pct=15))
    order = OrderFactory()
    run(trigger=DispatchRun.Trigger.COMMAND, by=SYSTEM)
    assert "% of charge short" in why(order.public_tracking_id)
    assert "min of charging" in why(order.public_tracking_id)


def test_why_shows_that_a_more_urgent_order_needs_the_drone():
    drone = DroneFactory()
    show(TelemetryFactory(drone_id=drone.pk))
    normal = OrderFactory()
    OrderFactory(priority="MEDICAL")
    run(trigger=DispatchRun.Trigger.COMMAND, by=SYSTEM)
    assert "would lose its drone" in why(normal.pk)


def test_why_of_an_order_without_a_decision():
    assert "No run has considered this order yet." in why(OrderFactory().pk)


@pytest.mark.parametrize("name", ["nothing", "1f0e9a57-7f9c-4ba1-8d2c-1c6a0fbd7b1e"])
def test_why_of_an_unknown_order_is_an_error(name, db):
    with pytest.raises(CommandError, match="no order"):
        why(name)
