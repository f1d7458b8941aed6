"""Messages about time: delays, new times, the time zone, and the pause for the exact spot."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone, translation

from dispatch.missions import delays
from fleet import policy
from fleet.feasibility.rules import Priority
from fleet.tests.factories import DroneFactory, ServiceAreaFactory
from orders import lifecycle
from orders.changes.dropoff import Drop, move_dropoff
from orders.models import Order
from orders.states import DropoffSource, Status
from orders.tests.factories import OrderFactory, order_in
from tracking.messages.models import CustomerMessage
from tracking.messages.texts import local_time
from tracking.tests.deliveries import expect_in
from tracking.tests.mailbox import kinds, send_all, texts, told_eta
from tracking.tests.receiver import Receiver
from wingxtra.accounts.identity import CUSTOMER, SYSTEM

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("gateways")]

Kind, State = CustomerMessage.Kind, CustomerMessage.State


# --- delays and new times ------------------------------------------------------------------------


def late_order(**attributes: Any) -> Order:
    created = timezone.now() - timedelta(hours=2)
    return OrderFactory(created_at=created, deliver_by=created + timedelta(hours=1), **attributes)


def test_a_predicted_delay_causes_one_message(sms: Receiver):
    order = order_in(Status.ENROUTE)
    send_all()
    expected = ""
    for minutes in (72, 50, 75):
        expect_in(order, minutes=minutes)
        delays.tell(timezone.now())
        send_all()
        expected = expected or told_eta(order)
    assert kinds(order).count(Kind.DELAYED) == 1
    assert f"we are sorry, your order is late. New time: about {expected}." in texts(sms)[-1]


def test_a_delay_without_a_forecast_leads_to_the_page(sms: Receiver):
    late_order()
    delays.tell(timezone.now())
    send_all()
    assert "your order is late. See how far it is: https://" in texts(sms)[-1]


def test_a_delay_that_is_none_any_more_is_not_told(sms: Receiver):
    order = order_in(Status.ENROUTE)
    expect_in(order, minutes=72)
    delays.tell(timezone.now())
    expect_in(order, minutes=20)
    send_all()
    delayed = CustomerMessage.objects.get(order=order, kind=Kind.DELAYED)
    assert (delayed.state, delayed.problem) == (
        State.DROPPED,
        "The order is expected in time again.",
    )


def test_an_unreachable_customer_causes_no_delay_message():
    late_order(customer_phone="")
    assert delays.tell(timezone.now()) == 1
    assert not CustomerMessage.objects.exists()


def reschedule(order: Order, *, in_hours: float) -> Order:
    starts_at = timezone.now() + timedelta(hours=in_hours)
    deliver_by = starts_at + timedelta(hours=1)
    return lifecycle.reschedule(order.pk, not_before=starts_at, deliver_by=deliver_by, by=SYSTEM)


def test_each_new_time_causes_a_message(sms: Receiver):
    order = late_order()
    delays.tell(timezone.now())
    send_all()
    for in_hours in (3, 5):
        order = reschedule(order, in_hours=in_hours)
        send_all()
        assert f"has a new time: after {order.not_before:%H:%M}. Follow it" in texts(sms)[-1]
    # The new promise can be missed as well.
    missed = timezone.now() - timedelta(minutes=20)
    Order.objects.filter(pk=order.pk).update(not_before=None, deliver_by=missed)
    delays.tell(timezone.now())
    send_all()
    assert kinds(order) == [Kind.RECEIVED, Kind.DELAYED, Kind.NEW_TIME, Kind.NEW_TIME, Kind.DELAYED]


def test_only_the_newest_time_is_told(sms: Receiver):
    order = OrderFactory()
    reschedule(order, in_hours=3)
    reschedule(order, in_hours=5)
    send_all()
    dropped = CustomerMessage.objects.get(state=State.DROPPED)
    assert (dropped.kind, dropped.problem) == (Kind.NEW_TIME, "The order was rescheduled since.")
    assert sum("new time" in text for text in texts(sms)) == 1


# --- times ---------------------------------------------------------------------------------------


def test_times_are_those_of_the_service_area(sms: Receiver):
    area = ServiceAreaFactory(time_zone="Asia/Kolkata")
    order = order_in(Status.ENROUTE, service_area=area)
    expect_in(order, minutes=40)
    send_all()
    assert f"Arrival about {told_eta(order, 'Asia/Kolkata')}." in texts(sms)[-1]


@pytest.mark.parametrize(
    ("language", "shown"), [("en", "after Sat 5 Dec, 14:00."), ("fr", "après le 05/12 à 14:00.")]
)
def test_a_time_of_another_day_has_its_date(language: str, shown: str):
    now = datetime(2026, 12, 3, 9, tzinfo=UTC)
    at = datetime(2026, 12, 5, 13, tzinfo=UTC)
    with translation.override(language):
        text = local_time(at, ZoneInfo("Africa/Lagos"), now)
        assert text in shown
        assert local_time(now + timedelta(hours=11), ZoneInfo("UTC"), now) == "20:00"


def test_the_first_message_of_a_scheduled_order_says_when(sms: Receiver):
    order = order_in(Status.VALIDATED)
    send_all()
    assert order.not_before
    assert f"comes by drone after {order.not_before:%H:%M}. Show us the exact spot" in texts(sms)[0]


# --- the exact spot ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pause_s", "attributes", "is_asked"),
    [
        (0, {}, False),
        (120, {}, True),
        (120, {"priority": Priority.URGENT}, False),
        (120, {"priority": Priority.MEDICAL}, False),
        (120, {"dropoff_source": DropoffSource.CUSTOMER_GPS}, False),
        (1800, {}, False),
    ],
    ids=["no pause", "a pause", "urgent", "medical", "shown already", "no room in the promise"],
)
def test_the_exact_spot_is_asked_for_only_while_it_can_be_shown(
    sms: Receiver, pause_s: float, attributes: dict[str, Any], is_asked: bool
):
    policy.change(by=SYSTEM, spot_pause_s=pause_s)
    order = OrderFactory(**attributes)
    rules, now = policy.current(), timezone.now()
    waits = not Order.objects.ready_for(rules, now).filter(pk=order.pk).exists()
    send_all()
    assert ("exact spot" in texts(sms)[0]) == is_asked == waits
    later = now + timedelta(seconds=pause_s + 1)
    assert Order.objects.ready_for(rules, later).filter(pk=order.pk).exists()


def test_the_pause_ends_when_the_customer_has_shown_the_spot():
    policy.change(by=SYSTEM, spot_pause_s=120)
    order = OrderFactory()
    assert not Order.objects.ready_for(policy.current(), timezone.now()).exists()
    DroneFactory()
    lat, lng = order.dropoff_lat, order.dropoff_lng + 0.0003
    spot = Drop(lat=lat, lng=lng, source=DropoffSource.CUSTOMER_GPS)
    move_dropoff(order.pk, spot, by=CUSTOMER)
    assert Order.objects.ready_for(policy.current(), timezone.now()).exists()


def test_a_message_that_is_late_does_not_ask_for_the_spot(sms: Receiver):
    policy.change(by=SYSTEM, spot_pause_s=120)
    OrderFactory(created_at=timezone.now() - timedelta(seconds=100))
    send_all()
    assert "exact spot" not in texts(sms)[0]
